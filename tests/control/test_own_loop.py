"""A loop of the user's own gets limits, fallbacks and the stop on every way out, on a fake clock."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from control.rig import HORIZON, STEP_HZ, AnsweringClient, FakeClock, FakeRobot
from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.control.handed_robot import Images
from vagus.control.loop_stats import EndReason
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.own_loop import OwnLoop
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract
from vagus.errors import ConfigError, RunEndedError, StateError
from vagus.specs import ActionKind, PolicySpec
from vagus.types import ActionArray, Image, MotionState

TICK_NS = NS_PER_S // 100
PATIENCE_S = 20.0
REAL_S = 0.001
"""Between two ticks: the camera thread answers in real time."""


class Own:
    """The program of a user: a robot that follows its commands, and a loop at 100 Hz."""

    def __init__(self, config: LoopConfig | None = None, kind: ActionKind = ActionKind.POSITION) -> None:
        self.clock = FakeClock()
        spec = FakeRobot(self.clock, 100.0, kind=kind).spec
        policy = PolicySpec("fake", spec.actions[::-1], spec.state, spec.cameras, HORIZON, 2, STEP_HZ)
        mapping = OrderMapping(spec, policy)
        self.engine = Engine(
            EdgeConfig(max_offline_s=1.0), EngineContract(STEP_HZ, 100.0, uses_rtc=False, prefix_horizon=0)
        )
        self.client = AnsweringClient(self.engine, pace=0.01)
        self.motion = Motion(mapping.actions, mapping.state_names, tick_s=0.01, max_limited_s=1.0)
        self.stops: list[str] = []
        self.stop: Callable[[], object] = lambda: self.stops.append(threading.current_thread().name)
        self.loop = OwnLoop(
            spec,
            lambda: self.stop(),  # noqa: PLW0108 - replaced meanwhile
            engine=self.engine,
            client=self.client,
            mapping=mapping,
            motion=self.motion,
            config=config or LoopConfig(),
            cause_of=lambda reason: f"{reason}, because",
            clock=self.clock,
        )
        self.joints: ActionArray = np.zeros(2)
        self.frame: Image = np.zeros((4, 4, 3), np.uint8)
        self.images: Images = {"cam": self.frame}
        self.actions: list[ActionArray | None] = []
        self.reading: ActionArray | None = None
        """Instead of the joints."""
        self.moves_by_speed = kind is ActionKind.VELOCITY

    def tick(self, passed_ns: int = TICK_NS) -> ActionArray | None:
        self.clock.now += passed_ns
        time.sleep(REAL_S)
        self.frame[...] = len(self.actions) % 256  # in place, as a driver's buffer
        action = self.loop.tick(self.joints if self.reading is None else self.reading, self.images)
        self.actions.append(action)
        if action is not None:
            self.joints = self.joints + action * 0.01 if self.moves_by_speed else action.copy()
        return action

    def drive(self, ticks: int = 40) -> ActionArray:
        """Tick until the plan is played, and for so many ticks more."""
        deadline = time.monotonic() + PATIENCE_S
        while self.engine.motion is not MotionState.PLAYING:
            assert time.monotonic() < deadline
            self.tick()
        for _ in range(ticks):
            self.tick()
        assert self.actions[-1] is not None
        return self.actions[-1]


@contextmanager
def running(own: Own) -> Iterator[Own]:
    with own.loop:
        yield own


def test_readings_become_commands_within_the_limits_and_the_end_of_the_block_stops_the_robot() -> None:
    own = Own()
    with running(own):
        own.drive(100)
        assert not own.stops
    assert own.stops == ["MainThread"]
    path = np.array([action for action in own.actions if action is not None])
    assert path[-1].max() > 0.01
    assert np.abs(np.diff(path, axis=0)).max() <= 0.02 + 1e-9  # 2 rad/s at 100 Hz
    assert own.engine.motion is MotionState.STOPPED
    summary = own.loop.summary()
    assert (summary.reason, summary.is_stopped) == (EndReason.FINISHED, True)
    assert summary.commands == len(path)


def test_one_reading_alone_begins_nothing() -> None:
    own = Own()
    with running(own):
        assert own.tick() is None
        assert own.engine.motion is MotionState.WAITING
        assert own.loop.status is None


def test_ticks_that_come_too_often_command_nothing_in_between() -> None:
    own = Own()
    with running(own):
        own.drive()
        count, began = len(own.actions), own.clock.now
        for _ in range(400):
            own.tick(TICK_NS // 10)
        commanded = [action for action in own.actions[count:] if action is not None]
        ticks = (own.clock.now - began) // TICK_NS
        assert ticks - 2 <= len(commanded) <= ticks + 1
        speed = np.diff(np.array(commanded), axis=0) * 100.0
        assert np.abs(speed).max() <= 2.0 + 1e-6


def test_late_ticks_are_counted_and_not_caught_up() -> None:
    own = Own()
    with running(own):
        own.drive()
        before = own.joints.copy()
        own.tick(5 * TICK_NS)
        assert np.abs(own.joints - before).max() <= 0.02 + 1e-9
    assert own.loop.summary().missed == 4


def end_with(own: Own, break_it: Callable[[Own], None]) -> BaseException:
    with suppress(RunEndedError, KeyboardInterrupt, SystemExit), running(own):
        own.drive()
        break_it(own)
        try:
            for _ in range(400):
                own.tick()
        except BaseException as error:  # noqa: BLE001 - any of them is looked at
            assert own.stops, "the robot is stopped before anything is raised"
            count = len(own.stops)
            with pytest.raises(RunEndedError):
                own.tick()
            assert len(own.stops) == count
            return error
    raise AssertionError("nothing was raised")


def spoil(own: Own) -> None:
    own.reading = np.array([np.nan, 0.0])


def blind(own: Own) -> None:
    def look() -> dict[str, Image]:
        raise OSError("no camera")

    own.images = look


@pytest.mark.parametrize(
    ("break_it", "reason", "words"),
    [
        (lambda own: own.client.die(), "dead", "dead, because"),
        (spoil, "robot_error", "wanted finite numbers"),
        (lambda own: setattr(own, "reading", np.zeros(3)), "robot_error", "shape"),
        (lambda own: setattr(own.client, "pace", 100.0), "limited", "limited for longer"),
        (lambda own: setattr(own, "images", ["cam"]), "robot_error", "images: wanted a mapping"),
        (blind, "robot_error", "no camera"),
    ],
)
def test_whatever_ends_the_run_stops_the_robot_and_is_raised(
    break_it: Callable[[Own], None], reason: str, words: str
) -> None:
    own = Own()
    error = end_with(own, break_it)
    assert isinstance(error, RunEndedError)
    assert error.reason == reason
    assert words in str(error)
    assert own.loop.summary().reason.value == reason


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 128 + signal.SIGTERM)],
)
def test_a_signal_stops_the_robot_and_ends_the_program_as_it_would_have(
    number: int, kind: type[BaseException], code: int | None
) -> None:
    own = Own()
    before = signal.getsignal(number)
    error = end_with(own, lambda _: signal.raise_signal(number))
    assert type(error) is kind
    assert getattr(error, "code", None) == code
    assert signal.getsignal(number) is before


def test_an_error_of_the_loop_itself_stops_the_robot_too() -> None:
    own = Own()
    with suppress(ZeroDivisionError), running(own):
        own.drive()
        raise ZeroDivisionError
    assert own.stops == ["MainThread"]


def test_a_loop_that_does_not_tick_is_stopped_from_another_thread() -> None:
    own = Own(LoopConfig(tick_timeout_s=0.2))
    with running(own):
        own.drive()
        deadline = time.monotonic() + PATIENCE_S
        while not own.stops:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert own.stops == ["vagus-stop"]
        with pytest.raises(RunEndedError, match="tick was not called in time") as caught:
            own.tick()
    assert caught.value.reason == "hung"


def test_in_a_pause_what_moves_is_brought_to_rest_and_nobody_has_to_tick_then() -> None:
    own = Own(LoopConfig(tick_timeout_s=0.2), ActionKind.VELOCITY)
    own.client.pace = 0.05
    with running(own):
        own.drive(60)
        own.loop.pause()
        resting = []
        for _ in range(400):
            action = own.tick()
            if action is None:
                break
            resting.append(action)
        assert np.abs(resting[0]).max() > 0.0
        assert not resting[-1].any()
        time.sleep(0.6)
        assert not own.stops
        own.loop.resume()
        own.drive()
        own.loop.reset()
        ticks = next(n for n in range(4000) if own.tick() is not None and own.engine.episode == 1)
        assert ticks > 1  # it is at rest before the next episode begins


def test_a_stop_that_does_not_run_or_fails_is_tried_again_and_told(caplog: pytest.LogCaptureFixture) -> None:
    own = Own()

    async def stop() -> None: ...

    with running(own):
        own.drive()
        own.stop = stop
    assert "THE ROBOT COULD NOT BE STOPPED" in caplog.text
    assert not own.loop.summary().is_stopped


def test_tick_belongs_to_the_block_and_its_thread() -> None:
    own = Own()
    with pytest.raises(StateError, match="inside the block"):
        own.tick()
    errors: list[Exception] = []

    def elsewhere() -> None:
        try:
            own.tick()
        except StateError as error:
            errors.append(error)

    with running(own):
        own.tick()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "on no other" in str(errors[0])
    with pytest.raises(RunEndedError):
        own.tick()
    with pytest.raises(StateError, match="make a new one"):
        own.loop.__enter__()


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (LoopConfig(duration_s=3.0), "duration_s"),
        (LoopConfig(episode_s=3.0), "episode_s"),
        (LoopConfig(return_to_start=True), "return_to_start"),
    ],
)
def test_settings_of_a_loop_that_waits_itself_are_refused(config: LoopConfig, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: wanted no such setting: the loop is yours"):
        Own(config)

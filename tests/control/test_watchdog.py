"""A control thread that is stuck: the robot is stopped all the same, and somebody is told."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from control.rig import Rig
from vagus.control.config import LoopConfig
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.signal_flag import SignalFlag
from vagus.control.watchdog import Bounds, Watchdog, within

WAIT_S = 30.0
BOUNDS = Bounds(tick_s=0.3, long_s=0.3, end_s=0.3)
PATIENT = Bounds(tick_s=0.3, long_s=60.0, end_s=60.0)
NOT_STOPPED = "THE ROBOT COULD NOT BE STOPPED"
QUICK = LoopConfig(duration_s=0.5, tick_timeout_s=0.3, robot_connect_timeout_s=0.3)


def rest(seconds: float) -> None:
    threading.Event().wait(seconds)


class Driver:
    """A robot whose calls may hang, until the test is over or `stop` frees them."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.stops = 0
        self.stop_frees = True
        self.stop_takes_s = 0.0
        self.stop_error: BaseException | None = None

    def hang(self) -> None:
        assert self.freed.wait(WAIT_S)

    def stop(self) -> None:
        self.stops += 1
        if self.stop_error is not None:
            raise self.stop_error
        rest(self.stop_takes_s)
        if self.stop_frees:
            self.freed.set()


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver()
    yield made
    made.freed.set()


def dog_of(driver: Driver, stuck: Callable[[], None] = lambda: None) -> Watchdog:
    return Watchdog(driver.stop, SignalFlag(), BOUNDS, on_asked=lambda: None, on_stuck=stuck)


def test_a_call_that_hangs_has_the_robot_stopped_from_another_thread(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    with dog_of(driver) as dog:
        dog.tick()
        dog.call = "robot.read_state()"
        driver.hang()
        assert dog.hang is not None
        with dog.commanding() as may_command:
            assert not may_command
    dog._thread.join(WAIT_S)
    assert "robot.read_state() hangs: it has not returned for 0." in caplog.text
    assert driver.stops == 2  # and once more by the control thread itself


def test_one_that_does_not_come_back_is_given_up(driver: Driver) -> None:
    given_up = threading.Event()
    driver.stop_frees = False
    with dog_of(driver, given_up.set) as dog:
        dog.long("robot.connect()")
        assert given_up.wait(WAIT_S)
        assert dog.is_stopped


def test_a_stop_that_fails_aside_is_tried_again_and_told(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    given_up = threading.Event()
    driver.stop_error = SystemExit(1)
    with dog_of(driver, given_up.set) as dog:
        dog.tick()
        assert given_up.wait(WAIT_S)
        assert driver.stops == 2
        assert not dog.is_stopped
        assert NOT_STOPPED in caplog.text


def test_a_control_thread_that_leaves_without_a_stop_is_made_up_for(driver: Driver) -> None:
    with pytest.raises(ZeroDivisionError), dog_of(driver):
        raise ZeroDivisionError
    assert driver.stops == 1


def test_an_end_that_hangs_is_given_up_and_the_robot_stopped_once(driver: Driver) -> None:
    given_up = threading.Event()
    with dog_of(driver, given_up.set) as dog:
        dog.stop_robot()
        dog.end("robot.close()")
        assert given_up.wait(WAIT_S)
    assert driver.stops == 1


def test_nothing_is_stopped_that_is_on_time(driver: Driver) -> None:
    with dog_of(driver) as dog:
        for _ in range(50):
            dog.tick()
            rest(0.01)
        assert driver.stops == 0


@pytest.mark.parametrize(
    "begin",
    [
        lambda dog: dog.tick(60.0),  # a long wait for the next tick
        lambda dog: dog.idle(),
        lambda dog: dog.unhurried("the wait", 0.1),
        lambda dog: dog.long("robot.connect()"),
        lambda dog: dog.end("robot.close()"),
    ],
)
def test_what_may_take_longer_than_a_tick_may(
    driver: Driver, begin: Callable[[Watchdog], None], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []
    with Watchdog(
        driver.stop, SignalFlag(), PATIENT, on_asked=lambda: asked.append(1), on_stuck=lambda: None
    ) as dog:
        dog.tick()
        begin(dog)
        rest(1.0)
        assert driver.stops == 0
    dog._thread.join(WAIT_S)
    assert not dog._thread.is_alive()
    assert (driver.stops, dog.hang, dog.is_stopped, asked) == (1, None, True, [])
    assert NOT_STOPPED not in caplog.text


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (lambda dog: dog.tick(60.0), "the control loop"),
        (lambda dog: dog.unhurried("the wait", 0.1), "the wait"),
        (lambda dog: dog.long("robot.connect()"), "robot.connect()"),
        (lambda dog: dog.end("robot.close()"), "robot.close()"),
    ],
)
def test_at_a_signal_nothing_may_take_long_any_more(
    driver: Driver, begin: Callable[[Watchdog], None], what: str
) -> None:
    asked = threading.Event()
    with (
        SignalFlag() as signals,
        Watchdog(driver.stop, signals, PATIENT, on_asked=asked.set, on_stuck=lambda: None) as dog,
    ):
        dog.call = "robot.command()"
        dog.idle()
        begin(dog)
        signal.raise_signal(signal.SIGINT)
        assert asked.wait(WAIT_S)
        driver.hang()
    assert dog.hang is not None
    assert (dog.hang.what, dog.hang.was_asked) == (what, True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python knows no handler
def test_a_signal_reaches_a_control_thread_that_is_stuck_in_a_library_which_took_its_handler(
    driver: Driver,
) -> None:
    asked = threading.Event()
    with (
        SignalFlag() as signals,
        Watchdog(driver.stop, signals, PATIENT, on_asked=asked.set, on_stuck=lambda: None) as dog,
    ):
        dog.long("robot.connect()")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(100):
            os.kill(os.getpid(), signal.SIGTERM)
            if asked.wait(0.1):
                break
        assert asked.is_set()


@pytest.mark.parametrize("is_told", [True, False])
def test_what_takes_long_is_spoken_of_but_for_what_nobody_hurries(
    driver: Driver, is_told: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.control.call_timeout.NOTE_NS", 200_000_000)
    with Watchdog(driver.stop, SignalFlag(), PATIENT, on_asked=lambda: None, on_stuck=lambda: None) as dog:
        if is_told:
            dog.long("robot.connect()")
        else:
            dog.unhurried("robot.connect()", 0.1)
        rest(0.8)
    assert ("robot.connect() hangs" in caplog.text) == is_told


@pytest.mark.parametrize(("heeded", "is_asked"), [(0, True), (1, False), (None, False)])
def test_a_signal_from_before_counts_until_it_was_seen_to(
    driver: Driver, heeded: int | None, is_asked: bool
) -> None:
    with (
        SignalFlag() as signals,
        Watchdog(driver.stop, signals, PATIENT, on_asked=lambda: None, on_stuck=lambda: None) as dog,
    ):
        signal.raise_signal(signal.SIGTERM)
        dog.unhurried("the wait", 0.1, heeded=heeded)
        rest(0.8)
        assert (dog.hang is not None) == is_asked
        assert dog.hang is None or dog.hang.was_asked


def test_a_stop_that_takes_longer_than_a_tick_is_waited_for(driver: Driver) -> None:
    driver.stop_takes_s = 0.8
    with dog_of(driver) as dog:
        dog.tick()
    assert (driver.stops, dog.hang) == (1, None)


def test_a_stop_that_fails_is_tried_once_more_and_told(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    driver.stop_error = OSError("bus lost")
    with dog_of(driver) as dog:
        dog.tick()
    assert (driver.stops, dog.is_stopped) == (2, False)
    assert caplog.text.count(NOT_STOPPED) == 1


def test_one_that_comes_back_soon_after_a_slow_stop_is_not_given_up(driver: Driver) -> None:
    given_up: list[int] = []
    driver.stop_takes_s = 0.5
    with dog_of(driver, lambda: given_up.append(1)) as dog:
        dog.tick()
        driver.hang()
        rest(0.2)
    dog._thread.join(WAIT_S)
    assert given_up == []
    assert driver.stops == 2  # one of them by the control thread itself


def test_it_is_given_up_once(driver: Driver) -> None:
    given_up: list[int] = []
    driver.stop_frees = False
    with dog_of(driver, lambda: given_up.append(1)) as dog:
        dog.tick()
        rest(3.0)
        assert given_up == [1]


def test_what_is_done_within_a_time_is_waited_for_so_long_and_no_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    def slowly() -> None:
        rest(0.2)
        done.append("slowly")

    def badly() -> None:
        done.append("badly")
        raise SystemExit(1)

    within("a slow call", slowly, WAIT_S)
    within("a bad call", badly, WAIT_S)
    assert done == ["slowly", "badly"]
    assert "a bad call failed" in caplog.text
    assert "takes too long" not in caplog.text
    freed = threading.Event()
    within("a call that hangs", freed.wait, 0.1)  # type: ignore[arg-type] # what it returns is not used
    assert "a call that hangs takes too long; it is left behind" in caplog.text
    freed.set()


@pytest.mark.parametrize("method", ["connect", "read_state", "command"])
def test_a_loop_whose_driver_comes_back_after_the_stop_ends_in_order(method: str) -> None:
    rig = Rig(config=QUICK)
    driver = hang_in(rig, method)
    summary = rig.loop.run()
    assert summary.reason is EndReason.HUNG
    assert f"robot.{method}() hangs" in summary.error
    assert summary.is_stopped
    calls = rig.robot.calls
    assert calls[-1] == "close"
    assert "command" not in calls[calls.index("stop") :]
    driver.freed.set()


@pytest.mark.parametrize("method", ["connect", "read_state", "command", "stop"])
def test_a_loop_whose_driver_never_comes_back_is_summed_up_beside_it(method: str) -> None:
    summaries, told = list[LoopSummary](), threading.Event()

    def end(summary: LoopSummary) -> None:
        summaries.append(summary)
        told.set()

    rig = Rig(config=QUICK, on_stuck=end)
    driver = hang_in(rig, method, stop_frees=False)
    thread = threading.Thread(target=rig.loop.run)
    thread.start()
    assert told.wait(WAIT_S)
    (summary,) = summaries
    assert summary.reason is EndReason.HUNG
    assert f"robot.{method}() hangs" in summary.error
    assert summary.is_stopped == (method != "stop")
    assert rig.robot.calls.count("stop") == (3 if method == "stop" else 1)
    driver.freed.set()
    thread.join(WAIT_S)


def hang_in(rig: Rig, method: str, *, stop_frees: bool = True) -> Driver:
    """Have a call hang in its third tick, or at once; `stop` frees it, or nobody does."""
    driver = Driver()
    robot = rig.robot
    was, stop, calls = getattr(robot, method), robot.stop, [0]
    after = 3 if method in ("read_state", "command") else 1

    def call(*arguments: object) -> object:
        calls[0] += 1
        result = was(*arguments)
        if calls[0] >= after and not driver.freed.is_set():
            driver.hang()
        return result

    def free() -> None:
        stop()
        if stop_frees:
            driver.freed.set()

    setattr(robot, method, call)
    if method != "stop":
        robot.stop = free  # type: ignore[method-assign] # a driver that answers a stop
    rig.loop._watchdog._stop = robot.stop
    return driver

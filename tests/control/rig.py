"""A control loop on a fake clock, with the real engine and a client that answers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.control.loop import ControlLoop
from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.ports import LoopPorts, RecorderPort
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, Proposal, Source
from vagus.specs import ActionFeature, ActionKind, CameraSpec, Limits, PolicySpec, RobotSpec, StateFeature
from vagus.types import (
    ActionArray,
    ActionChunk,
    Command,
    Directive,
    FloatArray,
    Image,
    LinkState,
    Provenance,
    RequestDraft,
    Snapshot,
)

LIMITS = Limits(-2.0, 2.0, velocity=2.0, acceleration=20.0)
JOINTS = ("a", "b")
CAMERA = CameraSpec("cam", 4, 4)
STEP_HZ = 25.0
HORIZON = 25


class FakeClock:
    """A clock that jumps to each deadline; `hooks` run at the tick of their number, before it."""

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.ticks = 0
        self.hooks: dict[int, Callable[[], None]] = {}
        self.before_tick: Callable[[], None] = lambda: None

    def now_ns(self) -> int:
        return self.now

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        if not stop.is_set():
            self.now = max(self.now, deadline_ns)
        self.ticks += 1
        self.before_tick()
        hook = self.hooks.pop(self.ticks, None)
        if hook is not None:
            hook()

    def stall(self, seconds: float) -> None:
        self.now += round(seconds * NS_PER_S)


class FakeRobot:
    """Follows every command at once and writes down what it was asked to do, and when."""

    def __init__(
        self,
        clock: FakeClock,
        rate_hz: float,
        *,
        continuous: bool = False,
        kind: ActionKind = ActionKind.POSITION,
        ready: Mapping[str, float] | None = None,
    ) -> None:
        limits = Limits(velocity=2.0, acceleration=20.0) if continuous else LIMITS
        if kind is not ActionKind.POSITION:
            limits = Limits(-2.0, 2.0, acceleration=0.5)
        unit = "rad" if kind is ActionKind.POSITION else "rad/s"
        self.spec = RobotSpec(
            "fake",
            tuple(
                ActionFeature(
                    name,
                    unit,
                    kind,
                    feedback=name,
                    limits=limits,
                    continuous=continuous,
                    ready=(ready or {}).get(name),
                )
                for name in JOINTS
            ),
            tuple(StateFeature(name, unit) for name in JOINTS),
            (CAMERA,),
            rate_hz,
        )
        self._clock = clock
        self.joints = np.zeros(2)
        self.reading: ActionArray | None = None
        """Instead of the joints."""
        self.calls: list[str] = []
        self.commands: list[ActionArray] = []
        self.command_ns: list[int] = []
        self.failing: dict[str, BaseException] = {}
        self.command_takes_s = 0.0
        self.camera_gate = threading.Event()
        self.camera_gate.set()

    def _note(self, call: str) -> None:
        self.calls.append(call)
        error = self.failing.get(call)
        if error is not None:
            raise error

    def connect(self) -> None:
        self._note("connect")

    def read_state(self) -> FloatArray:
        self._note("read_state")
        return (self.joints if self.reading is None else self.reading).astype(np.float32)

    def read_images(self) -> Mapping[str, Image]:
        self.camera_gate.wait()
        error = self.failing.get("read_images")
        if error is not None:
            raise error
        return {"cam": np.zeros((4, 4, 3), dtype=np.uint8)}

    def command(self, action: ActionArray) -> None:
        self._note("command")
        self.commands.append(action.copy())
        self.command_ns.append(self._clock.now_ns())
        self.joints = action.copy()
        self._clock.stall(self.command_takes_s)

    def stop(self) -> None:
        self._note("stop")

    def close(self) -> None:
        self._note("close")


class EpisodicRobot(FakeRobot):
    """Ends an episode after some commands and begins the next at zero."""

    length = 20
    commanded = 0

    @property
    def is_episode_over(self) -> bool:
        return self.commanded >= self.length

    def begin_episode(self) -> None:
        self._note("begin_episode")
        self.commanded = 0
        self.joints = np.zeros(2)

    def command(self, action: ActionArray) -> None:
        super().command(action)
        self.commanded += 1


class WatchedEngine(Engine):
    """The engine, which remembers what it asked for last."""

    drafted = 0
    fault: Exception | None = None

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        if self.fault is not None:
            raise self.fault
        return super().advance(now_ns, state)

    def take_draft(self) -> RequestDraft | None:
        draft = super().take_draft()
        if draft is not None:
            self.drafted = draft.ticket
        return draft


class FaultyMotion(Motion):
    """The motion, which can be made to go wrong after its limiter."""

    fault: Callable[[ActionArray], ActionArray] | None = None

    def advance(self, directive: Directive, state: FloatArray, *, is_trusted: bool = True) -> Command:
        return self._spoilt(super().advance(directive, state, is_trusted=is_trusted))

    def go(self, goal: ActionArray, provenance: Provenance) -> Command:
        return self._spoilt(super().go(goal, provenance))

    def _spoilt(self, command: Command) -> Command:
        if self.fault is None or command.action is None:
            return command
        return replace(command, action=self.fault(command.action))


class AnsweringClient:
    """Answers each request with a chunk that moves every joint by `pace` per step from where it is."""

    def __init__(self, engine: Engine, pace: float) -> None:
        self.engine = engine
        self.pace = pace
        self.is_answering = True
        self.offered = threading.Semaphore(0)
        self.failed: list[int] = []
        self.unanswered: list[RequestDraft] = []
        self.seq = 0
        self._set_view(1, LinkState.STREAMING)

    def offer(self, snapshot: Snapshot) -> None:
        draft = snapshot.draft
        if self.is_answering:
            self.answer(draft)
        else:
            self.unanswered.append(draft)
        self._set_view(draft.ticket + 1, LinkState.STREAMING)
        self.offered.release()

    def answer(self, draft: RequestDraft) -> None:
        self.seq += 1
        steps = np.arange(1, HORIZON + 1, dtype=np.float32)[:, None]
        robot = (draft.state + self.pace * steps).astype(np.float32)
        source = Source(epoch=7, seq=self.seq, captured_ns=draft.captured_ns)
        self.engine.propose(Proposal(ActionChunk(draft.step, robot, robot), source, draft))

    def draft_failed(self, ticket: int) -> None:
        self.failed.append(ticket)
        self._set_view(ticket + 1, LinkState.STREAMING)
        self.offered.release()

    def die(self) -> None:
        self._set_view(self.engine.link_view.ticket, LinkState.DEAD)

    def _set_view(self, ticket: int, link: LinkState) -> None:
        self.engine.link_view = LinkView(link, 7, ticket, 1_000_000)


class Rig:
    """Everything together; `run` ends after `ticks` ticks unless something ends it earlier."""

    def __init__(
        self,
        *,
        rate_hz: float = 100.0,
        pace: float = 0.004,
        config: LoopConfig | None = None,
        recorder: RecorderPort | None = None,
        max_limited_s: float = 5.0,
        is_episodic: bool = False,
        continuous: bool = False,
        on_stuck: Callable[[LoopSummary], None] = lambda _: None,
        kind: ActionKind = ActionKind.POSITION,
        ready: Mapping[str, float] | None = None,
    ) -> None:
        self.clock = FakeClock()
        made = EpisodicRobot if is_episodic else FakeRobot
        self.robot = made(self.clock, rate_hz, continuous=continuous, kind=kind, ready=ready)
        spec = self.robot.spec
        actions = tuple(reversed(spec.actions))  # the policy's order is another
        policy = PolicySpec("p", actions, tuple(reversed(spec.state)), (CAMERA,), HORIZON, 2, STEP_HZ)
        mapping = OrderMapping(spec, policy)
        self.engine = WatchedEngine(EdgeConfig(buffer_time_s=0.2), EngineContract(STEP_HZ, rate_hz, False, 0))
        self.client = AnsweringClient(self.engine, pace)
        motion = self.motion = FaultyMotion(
            mapping.actions, mapping.state_names, tick_s=1.0 / rate_hz, max_limited_s=max_limited_s
        )
        self.ports = LoopPorts(self.robot, self.engine, self.client, motion, mapping, recorder)
        self.loop = ControlLoop(self.ports, config or LoopConfig(), self.clock, on_stuck=on_stuck)
        self.clock.before_tick = self.await_answer

    def await_answer(self) -> None:
        """Wait for the camera thread: the fake clock runs faster than any thread."""
        while self.engine.drafted >= self.engine.link_view.ticket:
            assert self.client.offered.acquire(timeout=10.0)

    def at(self, tick: int, hook: Callable[[], None]) -> None:
        self.clock.hooks[tick] = hook

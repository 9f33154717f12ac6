"""The loop lets its watchdog know what it does and how long that may take, and heeds what it finds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from control.rig import Rig
from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.control.loop import COPY_ENDED
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.realtime import Sweeper
from vagus.control.watchdog import Hang
from vagus.edge.handoff import Settled
from vagus.types import Command, DepthImage, FloatArray, Image, RequestDraft

TICK_S, CONNECT_S, END_S = 15.0, 40.0, 30.0
WAIT_S = 30.0
CALLS = (
    "connect",
    "read_state",
    "read_images",
    "command",
    "begin_episode",
    "stop",
    "close",
    "offer",
    "draft_failed",
)
CONFIG = LoopConfig(duration_s=0.5, tick_timeout_s=TICK_S, robot_connect_timeout_s=CONNECT_S)
HANG = Hang("robot.command()", 1.0, was_asked=False)
ASKED = Hang("robot.command()", 1.0, was_asked=True)


@dataclass(frozen=True)
class Watched:
    """What the watchdog would say hangs, how long it may take, and a number of its own."""

    call: str
    patience_s: float
    serial: int


def look(rig: Rig) -> Watched:
    dog = rig.loop._watchdog
    span = dog._span
    assert span is not None, "nobody watches"
    return Watched(dog.call, span.patience_ns / NS_PER_S, span.serial)


class WatchedRig(Rig):
    """Writes down how the watchdog stands during each call, and during the wait for a tick."""

    def __init__(self, config: LoopConfig = CONFIG) -> None:
        super().__init__(config=config, recorder=Recorder(lambda: self.note("recorder.close")))
        self.seen: list[tuple[str, Watched]] = []
        for name in ("connect", "read_state", "command", "stop", "close"):
            self._look_in(self.robot, name)
        self._look_in(self.engine, "stop")
        self.loop._watchdog._stop = self.robot.stop
        self.clock.before_tick = self.wait

    def _look_in(self, part: object, name: str) -> None:
        was = getattr(part, name)
        noted = f"engine.{name}" if part is self.engine else name

        def call(*arguments: object) -> object:
            self.note(noted)
            return was(*arguments)

        setattr(part, name, call)

    def wait(self) -> None:
        self.note("wait")
        self.await_answer()

    def note(self, name: str) -> None:
        self.seen.append((name, look(self)))

    def during(self, name: str) -> list[Watched]:
        return [watched for noted, watched in self.seen if noted == name]


class Recorder:
    """Takes everything and keeps nothing."""

    counters: Mapping[str, int] = {}

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self.summaries: list[LoopSummary] = []

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        pass

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        pass

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        pass

    def close(self, summary: LoopSummary) -> None:
        self.summaries.append(summary)
        self._on_close()


def test_the_watchdog_knows_which_call_into_the_driver_is_on_its_way() -> None:
    rig = WatchedRig()
    rig.at(30, rig.loop.pause)
    rig.loop.run()
    named = {name: {watched.call for watched in rig.during(name)} for name, _ in rig.seen}
    assert named == {
        "connect": {"robot.connect()"},
        "read_state": {"robot.read_state()"},
        "command": {"robot.command()"},
        "wait": {""},
        "stop": {"robot.stop()"},
        "engine.stop": {"the end of the run"},
        "close": {"robot.close()"},
        "recorder.close": {"closing the recorder"},
    }


def test_only_what_may_take_long_is_given_long() -> None:
    rig = WatchedRig()
    rig.loop.run()
    given = {name: {round(watched.patience_s, 6) for watched in rig.during(name)} for name, _ in rig.seen}
    assert given["connect"] == {CONNECT_S}
    assert rig.during("read_state")[0].patience_s == TICK_S, "the first reading is no part of the connection"
    for name in ("engine.stop", "close", "recorder.close"):
        assert given[name] == {END_S}
    spans = [rig.during(name)[0].serial for name in ("connect", "engine.stop", "close", "recorder.close")]
    assert len(set(spans)) == 4, "each has its time for itself"


def test_every_tick_has_its_time_anew_and_the_wait_before_it_on_top() -> None:
    rig = WatchedRig()
    rig.robot.command_takes_s = 0.004
    rig.at(30, lambda: rig.clock.stall(0.02))
    rig.loop.run()
    waits = rig.during("wait")
    assert len({watched.serial for watched in waits}) == len(waits)
    given = [round(watched.patience_s - TICK_S, 6) for watched in waits]
    assert given[0] == 0.0, "the first tick is due at once"
    assert given[1] == 0.01, "nothing is commanded yet"
    assert given[20] == 0.006
    assert min(given) == 0.0
    for (name, watched), (_, before) in zip(rig.seen[3:], rig.seen[2:], strict=False):
        if name == "command":
            assert watched.serial == before.serial, "all calls of a tick share its time"


class NotingSweeper(Sweeper):
    def __init__(self) -> None:
        super().__init__()
        self.slacks_ns: list[int] = []

    def sweep(self, now_ns: int, slack_ns: int) -> None:
        del now_ns
        self.slacks_ns.append(slack_ns)


def test_memory_is_swept_in_what_a_tick_leaves_of_its_time() -> None:
    rig = Rig(config=CONFIG)
    rig.robot.command_takes_s = 0.008
    sweeper = NotingSweeper()

    def take_over() -> None:
        rig.loop._sweeper = sweeper

    rig.at(10, take_over)
    summary = rig.loop.run()
    assert len(sweeper.slacks_ns) == summary.ticks - 10
    assert set(sweeper.slacks_ns) == {2_000_000}


def found(rig: Rig, hang: Hang) -> Callable[[], None]:
    """Return what has the watchdog find that something hangs."""

    def find() -> None:
        rig.loop._watchdog.hang = hang

    return find


@pytest.mark.parametrize(("hang", "reason"), [(HANG, EndReason.HUNG), (ASKED, EndReason.INTERRUPTED)])
def test_a_driver_that_hung_between_two_ticks_is_not_even_read(hang: Hang, reason: EndReason) -> None:
    rig = Rig(config=CONFIG)
    calls: list[int] = []
    rig.at(30, lambda: calls.append(len(rig.robot.calls)))
    hook = rig.clock.hooks[30]
    rig.at(30, lambda: (hook(), found(rig, hang)())[0])
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (reason, 30)
    assert rig.robot.calls[calls[0] :] == ["stop", "close"]


@pytest.mark.parametrize("return_to_start", [False, True])
@pytest.mark.parametrize(("hang", "reason"), [(HANG, EndReason.HUNG), (ASKED, EndReason.INTERRUPTED)])
def test_the_tick_in_which_a_driver_hung_is_the_last_and_commands_nothing(
    hang: Hang, reason: EndReason, return_to_start: bool
) -> None:
    rig = Rig(config=LoopConfig(duration_s=0.5, return_to_start=return_to_start))
    read_state, at = rig.robot.read_state, 70 if return_to_start else 30
    commands: list[int] = []

    def read() -> FloatArray:
        if rig.clock.ticks == at:
            found(rig, hang)()
            commands.append(len(rig.robot.commands))
        return read_state()

    rig.robot.read_state = read  # type: ignore[method-assign] # a driver that comes back late
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (reason, at)
    assert commands == [len(rig.robot.commands)]
    assert rig.robot.calls[-2:] == ["stop", "close"]


def test_in_place_of_a_stuck_control_thread_the_recorder_is_closed_and_the_owner_told() -> None:
    told = threading.Event()
    order: list[object] = []

    def stuck(summary: LoopSummary) -> None:
        order.append(summary)
        told.set()

    recorder = Recorder(lambda: order.append("recorder.close"))
    rig = Rig(config=LoopConfig(robot_connect_timeout_s=0.1), recorder=recorder, on_stuck=stuck)
    freed = threading.Event()

    def connect() -> None:
        freed.wait(WAIT_S)

    rig.robot.connect = connect  # type: ignore[method-assign] # a driver that hangs
    thread = threading.Thread(target=rig.loop.run)
    thread.start()
    assert told.wait(WAIT_S)
    assert order == ["recorder.close", recorder.summaries[0]]
    assert recorder.summaries[0].reason is EndReason.HUNG
    freed.set()
    thread.join(WAIT_S)


# -- signals --------------------------------------------------------------------------------------------


def test_a_signal_that_connecting_took_away_ends_the_run_from_the_first_reading_on() -> None:
    rig = Rig(config=CONFIG)
    connect, read_state = rig.robot.connect, rig.robot.read_state

    def take_it() -> None:
        connect()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def send_it() -> FloatArray:
        if rig.robot.calls == ["connect"]:
            signal.raise_signal(signal.SIGTERM)
        return read_state()

    rig.robot.connect = take_it  # type: ignore[method-assign] # a library may
    rig.robot.read_state = send_it  # type: ignore[method-assign] # as above
    summary = rig.loop.run()
    assert (summary.reason, rig.robot.commands) == (EndReason.TERMINATED, [])


def test_a_signal_that_a_library_took_away_in_a_tick_ends_the_run_in_the_next() -> None:
    rig = Rig(config=CONFIG)

    def take_it() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    rig.at(20, take_it)
    rig.at(21, lambda: signal.raise_signal(signal.SIGTERM))
    summary = rig.loop.run()
    assert (summary.reason, summary.ticks) == (EndReason.TERMINATED, 21)


# -- copies ---------------------------------------------------------------------------------------------


class Forking:
    """Has a driver fork in one of its calls, once: the copy goes on from there like the original, or fails.

    Args:
        rig: whose driver it is.
        method: the call.
        error: what the copy fails with; None: nothing.
        tick: from which on it does so.

    Attributes:
        codes: how the copy has ended: 70 if it has touched the robot, or asked a policy; 71 if it has come
            out of the loop.
    """

    def __init__(self, rig: Rig, method: str, error: BaseException | None = None, tick: int = 0) -> None:
        self._rig = rig
        self._error = error
        self._tick = tick
        self._own = os.getpid()
        self.codes: list[int] = []
        for part in (rig.robot, rig.client):
            for name in CALLS:
                if hasattr(part, name):
                    setattr(part, name, self._call(getattr(part, name), is_forking=name == method))
        rig.loop._watchdog._stop = rig.robot.stop

    def _call(self, was: Callable[..., object], *, is_forking: bool) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            self.end_copy(70)
            result = was(*arguments)
            if is_forking and not self.codes and self._rig.clock.ticks >= self._tick:
                self._fork()
            return result

        return call

    def _fork(self) -> None:
        process = os.fork()
        if process:
            self.codes.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        elif self._error is not None:
            raise self._error

    def end_copy(self, code: int) -> None:
        """End this process with `code`, if it is not the one that the test runs in."""
        if os.getpid() != self._own:
            os._exit(code)

    def run(self) -> LoopSummary:
        try:
            return self._rig.loop.run()
        finally:
            self.end_copy(71)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("error", [None, SystemExit(0), OSError("a pipe broke")])
@pytest.mark.parametrize(
    ("method", "tick"),
    [
        ("connect", 0),
        ("read_state", 0),
        ("read_state", 12),
        ("read_images", 0),
        ("command", 12),
        ("begin_episode", 0),
    ],
)
def test_a_copy_that_the_driver_has_forked_ends_before_it_touches_the_robot(
    method: str, tick: int, error: BaseException | None
) -> None:
    rig = Rig(config=LoopConfig(episodes=2, duration_s=2.0), is_episodic=True)
    forking = Forking(rig, method, error, tick)
    summary = forking.run()
    assert forking.codes == [COPY_ENDED] == [1]
    assert summary.reason is EndReason.FINISHED
    assert rig.robot.calls[-2:] == ["stop", "close"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(("return_to_start", "tick"), [(False, 50), (True, 55), (True, 60)])
def test_a_copy_of_the_last_tick_or_of_the_way_back_does_not_stop_the_robot(
    return_to_start: bool, tick: int
) -> None:
    rig = Rig(config=LoopConfig(duration_s=0.5, return_to_start=return_to_start, return_time_s=0.1))
    forking = Forking(rig, "command", tick=tick)
    summary = forking.run()
    assert (summary.reason, rig.clock.ticks) == (EndReason.FINISHED, 61 if return_to_start else 51)
    assert forking.codes == [COPY_ENDED]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["stop", "close"])
def test_a_copy_that_was_forked_at_the_end_neither_closes_robot_nor_recorder(method: str) -> None:
    recorder = Recorder(lambda: forking.end_copy(70))
    rig = Rig(config=CONFIG, recorder=recorder)
    forking = Forking(rig, method)
    assert forking.run().reason is EndReason.FINISHED
    assert forking.codes == [COPY_ENDED]
    assert len(recorder.summaries) == 1

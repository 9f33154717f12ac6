"""Signals at every instruction of a run, one run each: the robot is stopped and closed after all of them.

Not a race: a trace function delivers the signals right before the instruction of its number. So it is known
that none is left out, the ends of `finally` and `with` included.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import TypeAlias

import pytest

from control.rig import Rig
from vagus.control import (
    end_reason,
    loop,
    realtime,
    requests,
    signal_flag,
    state_reader,
    tick_schedule,
    watchdog,
)
from vagus.control.config import LoopConfig
from vagus.control.loop_stats import EndReason

Tracer: TypeAlias = "Callable[[FrameType, str, object], Tracer | None]"

OURS = frozenset(
    module.__file__
    for module in (end_reason, loop, realtime, requests, signal_flag, state_reader, tick_schedule, watchdog)
)
SHORT = LoopConfig(duration_s=0.02)
RAISED_EVERY = 7
"""No divisor of the instructions of a tick, so that the ticks of a run meet different ones."""


class At:
    """Calls `strike` before the instruction of this number in our files, while it is entered."""

    def __init__(self, number: int, strike: Callable[[], None]) -> None:
        self._number = number
        self._strike = strike
        self._before = sys.gettrace()
        self.seen = 0
        self.where = ""
        self.places: dict[tuple[CodeType, int], list[int]] = {}
        """Each instruction that was executed, and as which numbers."""

    def __enter__(self) -> At:
        sys._getframe().f_trace_opcodes = True  # Python 3.12 asks only here whether anybody wants them
        sys.settrace(self._enter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.settrace(self._before)

    def _enter(self, frame: FrameType, event: str, argument: object) -> Tracer | None:
        if frame.f_code.co_filename not in OURS:
            return None
        frame.f_trace_opcodes = True
        return self._instruction

    def _instruction(self, frame: FrameType, event: str, argument: object) -> Tracer | None:
        if event == "opcode":
            self.seen += 1
            self.places.setdefault((frame.f_code, frame.f_lasti), []).append(self.seen)
            if self.seen == self._number:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                self._strike()
        return self._instruction


def strike(*numbers: signal.Signals) -> Callable[[], None]:
    def deliver() -> None:
        for number in numbers:
            signal.raise_signal(number)

    return deliver


def run_with(number: int, deliver: Callable[[], None]) -> tuple[Rig, At, EndReason | None]:
    """Run a loop in which `deliver` is called before instruction `number`; the reason, None if it raised."""
    rig = Rig(config=SHORT)
    rig.client.is_answering = False
    rig.clock.before_tick = lambda: None
    at = At(number, deliver)
    reason = None
    gc.freeze()  # of this process; or each run collects all of it
    try:
        with at:
            reason = rig.loop.run().reason
    except KeyboardInterrupt:  # only before our handlers are in place, or after they have been put back
        pass
    return rig, at, reason


@pytest.fixture(scope="module")
def numbers() -> list[int]:
    """The first and the last time that each instruction is executed."""
    _, at, reason = run_with(0, lambda: None)
    assert reason is EndReason.FINISHED
    assert at.seen > 1000
    return sorted({number for seen in at.places.values() for number in (seen[0], seen[-1])})


@pytest.fixture
def unheard() -> Iterator[None]:
    """Signals that come before our handlers are there, or after them, do nothing."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda number, frame: None) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_signals_at_any_instruction_end_with_a_robot_that_is_stopped(
    numbers: list[int], unheard: None
) -> None:
    hit = 0
    for place, number in enumerate(numbers):
        pair = ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP))[place % 2]
        rig, at, reason = run_with(number, strike(*pair))
        calls = rig.robot.calls
        assert reason is not None
        hit += bool(at.where)
        assert "stop" in calls, at.where
        assert calls[-1] == "close", at.where
        assert "command" not in calls[calls.index("stop") :], at.where
    assert hit > 0.95 * len(numbers)


def raise_everywhere() -> None:
    """Raise at every other instruction. What it leaves of the process is no longer fit for other tests."""

    def raise_it() -> None:
        raise KeyboardInterrupt

    _, at, _ = run_with(0, lambda: None)
    hit = 0
    for number in range(1, at.seen, RAISED_EVERY):
        rig, at_it, _ = run_with(number, raise_it)
        if "connect" in rig.robot.calls:
            assert "stop" in rig.robot.calls, at_it.where
            hit += 1
    assert hit > 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_even_a_handler_that_raises_leaves_no_robot_unstopped() -> None:
    """As a library may install one in the middle of a call: the watchdog is what is left then."""
    told = "from control.test_every_line import raise_everywhere; raise_everywhere()"
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run(
        [sys.executable, "-c", told], check=False, capture_output=True, text=True, timeout=600.0, env=paths
    )
    assert child.returncode == 0, child.stderr[-4000:]

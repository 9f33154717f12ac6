"""A loop of the user's own that is misused, signalled or forked at odd moments leaves no robot driving."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from control.test_own_loop import PATIENCE_S, TICK_NS, Own, running
from vagus.clock import NS_PER_S
from vagus.control import own_loop
from vagus.control.config import LoopConfig
from vagus.control.fallback import FallbackMode, Fallbacks
from vagus.control.handed_robot import Images
from vagus.control.loop_stats import EndReason
from vagus.errors import RunEndedError
from vagus.specs import ActionKind
from vagus.types import MotionState

TESTS = Path(__file__).resolve().parents[1]


def await_stop(own: Own) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not own.stops:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- too often, too seldom ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_two_commands_are_never_nearer_than_half_a_tick_whenever_tick_is_called(seed: int) -> None:
    own, chance = Own(), random.Random(seed)
    with running(own):
        own.drive(5)
        moments, actions = [own.clock.now], [own.joints]
        for _ in range(600):
            action = own.tick(round(TICK_NS * chance.choice([0.01, 0.1, 0.1, 0.3, 0.75, 0.99, 1.3, 2.6])))
            if action is not None:
                moments.append(own.clock.now)
                actions.append(action)
    apart = [after - before for before, after in itertools.pairwise(moments)]
    assert len(apart) > 100
    assert min(apart) >= TICK_NS // 2
    assert min(late - soon for soon, late in zip(moments, moments[11:], strict=False)) >= 9.5 * TICK_NS
    assert np.abs(np.diff(actions, axis=0)).max() <= 0.02 + 1e-9


def test_a_tick_that_comes_too_early_in_a_pause_does_not_count_as_rest() -> None:
    own = Own(LoopConfig(tick_timeout_s=0.2), ActionKind.VELOCITY)
    own.client.pace = 0.05
    with running(own):
        own.drive(60)
        own.loop.pause()
        action = own.tick()
        assert action is not None
        assert action.any()
        assert own.tick(TICK_NS // 10) is None
        assert not own.loop.is_at_rest
        await_stop(own)  # who takes None for the rest leaves a robot that drives


def test_a_long_pause_is_neither_late_nor_missed_nor_a_gap() -> None:
    own = Own()
    with running(own):
        own.drive()
        own.loop.pause()
        while not own.loop.is_at_rest:
            own.tick()
        own.clock.now += 60 * NS_PER_S
        own.loop.resume()
        own.drive(5)
        assert not own.loop.is_at_rest
    summary = own.loop.summary()
    assert (summary.missed, summary.lateness_ms["max"]) == (0, 0.0)
    assert summary.motion_s[MotionState.PAUSED] >= 60.0
    assert summary.longest_gap_s < 1.0


def test_after_a_reset_the_robot_goes_on_from_where_it_was_put() -> None:
    own = Own(LoopConfig())
    with running(own):
        own.drive()
        own.joints = np.array([1.0, -1.0])
        own.loop.reset()
        action = next(action for action in (own.tick() for _ in range(4000)) if action is not None)
    assert own.loop.summary().state_errors == 0
    assert np.abs(action - [1.0, -1.0]).max() <= 0.02 + 1e-9


def test_the_time_of_a_way_back_is_a_setting_of_any_loop() -> None:
    Own(LoopConfig(fallback=Fallbacks(position=FallbackMode.RETURN_TO_START), return_time_s=9.0))


@pytest.mark.parametrize(("frame", "got"), [(None, "got nothing"), ([[0]], "got a list")])
def test_what_is_no_picture_is_named(frame: object, got: str) -> None:
    own = Own()
    own.images = cast("Images", {"cam": frame})
    with running(own), pytest.raises(RunEndedError, match=f"camera 'cam': wanted .* uint8 RGB, {got}"):
        own.drive()


def test_a_slow_loop_is_told_that_it_is_its_own() -> None:
    own = Own()
    with running(own):
        own.drive()
        for _ in range(200):
            own.tick(2 * TICK_NS)
        warned = " ".join(line.text for line in own.loop.changes.take_warnings())
    assert "the loop does not call tick at that rate" in warned


# -- signals ------------------------------------------------------------------------------------------------


def test_a_signal_to_a_loop_that_comes_back_late_is_raised_as_a_signal() -> None:
    own = Own()
    with running(own):
        own.drive()
        signal.raise_signal(signal.SIGINT)
        await_stop(own)
        assert own.stops == ["vagus-stop"]
        with pytest.raises(KeyboardInterrupt):
            own.tick()
    assert own.loop.summary().reason is EndReason.INTERRUPTED


@pytest.mark.parametrize("error", [None, ZeroDivisionError()])
def test_a_signal_that_no_tick_has_told_of_is_raised_at_the_end_of_the_block(error: Exception | None) -> None:
    own = Own()
    own.loop.__enter__()
    own.drive()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        own.loop.__exit__(None if error is None else type(error), error, None)
    assert caught.value.code == 128 + signal.SIGTERM
    assert own.stops


def test_a_signal_is_told_once() -> None:
    own = Own()
    with running(own):
        own.drive()
        signal.raise_signal(signal.SIGINT)
        with suppress(KeyboardInterrupt):
            own.tick()
    assert own.loop.summary().reason is EndReason.INTERRUPTED


def hang_in_a_library() -> None:
    """Wait where Python runs no handler."""
    mutex, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    os.write(1, b"hangs\n")
    library.pthread_mutex_lock(mutex)


def stop_and_hang() -> None:
    os.write(1, b"stop\n")
    hang_in_a_library()


def hang(moment: str) -> None:
    """Hang in the block; run in a process of its own."""
    own_loop.LEAVE_S = 0.3
    own = Own(LoopConfig(tick_timeout_s=0.2))
    own.stop = lambda: os.write(1, b"stop\n")
    if moment == "leaving":
        own.stop = stop_and_hang
    with running(own):
        if moment == "before":
            hang_in_a_library()
        own.drive()
        if moment == "paused":
            own.loop.pause()
            while not own.loop.is_at_rest:
                own.tick()
        if moment == "ended":
            own.client.die()
            with suppress(RunEndedError):
                while True:
                    own.tick()
        if moment != "leaving":
            hang_in_a_library()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a mutex of the C library")
@pytest.mark.parametrize("moment", ["before", "driven", "paused", "ended", "leaving"])
def test_a_signal_ends_a_program_that_hangs_in_the_block(moment: str) -> None:
    told = f"from control.test_own_loop_misuse import hang; hang({moment!r})"
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-c", told],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if line == "hangs\n":
            break
        said.append(line)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stop\n" in [*said, *out.splitlines(keepends=True)]


# -- processes ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_that_leaves_the_block_does_not_stop_the_robot_of_its_parent() -> None:
    own = Own()
    read, write = os.pipe()
    own.stop = lambda: os.write(write, f"{os.getpid()} ".encode())
    with running(own):
        own.drive()
        copy = os.fork()
        if not copy:
            with suppress(BaseException):
                own.loop.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(copy, 0)
        own.drive(5)
    assert os.read(read, 100).decode().split() == [str(os.getpid())]
    os.close(read)
    os.close(write)

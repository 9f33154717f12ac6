"""Episodes in a recording: the same numbers as those of a simulated trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.clock import NS_PER_MS
from vagus.demo.gates import GATES_ACTIONS
from vagus.recording.lines import LineFaults, StepLine
from vagus.recording.session import RecordedChunk, RecordedSession, SessionInfo
from vagus.recording.step_table import build_steps
from vagus.trials.recorded_trial import chunk_delays_ms, played_episodes
from vagus.trials.trial_robot import acceleration, phase_of
from vagus.trials.world_robot import WorldReport
from vagus.types import LinkState, MotionState

RATE_HZ = 20.0
PLAYING, FALLBACK, WAITING = MotionState.PLAYING, MotionState.FALLBACK, MotionState.WAITING
NOTHING = np.zeros((0, 1), np.float32)


def line(episode: int, motion: MotionState, action: float | None) -> StepLine:
    return StepLine(1, episode, LinkState.STREAMING, motion, [action], [0.0])


def chunk(episode: int, delay_ms: float, **told: int | str) -> RecordedChunk:
    """Return a chunk that continues a plan: captured at step 10, taken after a delay, at step 13."""
    given = {
        "step": 10,
        "next_step": 13,
        "outcome": "merged",
        "inference_delay": 3,
        "prefix_length": 6,
        **told,
    }
    return RecordedChunk(
        t_ns=round(delay_ms * NS_PER_MS),
        epoch=1,
        seq=1,
        ticket=1,
        captured_ns=0,
        episode=episode,
        robot=NOTHING,
        model=NOTHING,
        state=NOTHING,
        **given,  # type: ignore[arg-type] # as the fields are
    )


def session(lines: Sequence[StepLine], chunks: Sequence[RecordedChunk]) -> RecordedSession:
    info = SessionInfo(2, action_features=GATES_ACTIONS, tick_rate_hz=RATE_HZ)
    steps = build_steps(lines, LineFaults("steps"), action_dim=1, state_dim=1)
    return RecordedSession(Path("x"), info, steps, tuple(chunks))


def report(*seeds: int) -> WorldReport:
    return WorldReport(seeds, tuple(3 for _ in seeds), tuple(range(len(seeds))), 6)


def test_each_episode_has_its_own_numbers() -> None:
    lines = [line(0, PLAYING, 0.1)] * 4
    lines += [line(1, PLAYING, value) for value in (0.0, 0.2, 0.1)]
    chunks = [chunk(0, 150), chunk(1, 100), chunk(1, 200)]
    first, second = played_episodes(session(lines, chunks), report(7, 9))
    assert (first.result.seed, first.result.success, first.result.requests, first.late_ticks) == (
        7,
        0.5,
        1,
        0,
    )
    assert (second.result.seed, second.result.requests, second.late_ticks) == (9, 2, 1)
    assert (first.result.acceleration, first.result.starved) == (0.0, 0.0)
    sent = [np.array([value]) for value in (0.0, 0.2, 0.1)]
    assert second.result.acceleration == pytest.approx(acceleration(sent, GATES_ACTIONS, RATE_HZ))
    assert second.delays_ms == (75.0, 175.0)


def test_steps_without_a_plan_count_from_the_first_one_with_a_plan() -> None:
    motions = (WAITING, FALLBACK, PLAYING, PLAYING, FALLBACK, PLAYING)
    (one,) = played_episodes(session([line(0, motion, 0.0) for motion in motions], []), report(1))
    assert one.result.starved == 1 / 4
    (none,) = played_episodes(session([line(0, WAITING, 0.0)] * 3, []), report(1))
    assert none.result.starved == 1


def test_a_step_without_a_command_has_no_acceleration() -> None:
    lines = [line(0, WAITING, None), line(0, PLAYING, 0.5), line(0, PLAYING, 0.5)]
    (one,) = played_episodes(session(lines, []), report(1))
    assert one.result.acceleration == 0


def test_the_first_request_is_put_off_by_the_world_and_by_the_server() -> None:
    """The first row is at 1 ns; requests are captured at 0 where nothing else is said."""
    later = replace(chunk(0, 900), captured_ns=300 * NS_PER_MS)
    first = replace(chunk(0, 500), captured_ns=251 * NS_PER_MS)
    rows = [line(0, PLAYING, 0.1), line(1, PLAYING, 0.1)]
    asked, at_once = played_episodes(session(rows, [later, first, chunk(1, 150)]), report(5, 6))
    assert asked.wait == phase_of(5) + 5
    assert at_once.wait == phase_of(6)
    (silent,) = played_episodes(session(rows[:1], []), report(5))
    assert silent.wait == phase_of(5)


def test_an_episode_that_was_cut_off_is_left_out() -> None:
    lines = [line(0, PLAYING, 0.1), line(1, PLAYING, 0.1)]
    assert [one.result.seed for one in played_episodes(session(lines, []), report(4))] == [4]


@pytest.mark.parametrize(
    ("told", "is_late"),
    [
        ({}, False),
        ({"next_step": 14}, True),
        ({"next_step": 14, "prefix_length": 0}, False),
        ({"next_step": 14, "outcome": "superseded"}, False),
    ],
)
def test_a_chunk_came_late_where_the_policy_was_told_fewer_steps(
    told: dict[str, int | str], is_late: bool
) -> None:
    (one,) = played_episodes(session([line(0, PLAYING, 0.1)], [chunk(0, 150, **told)]), report(1))
    assert one.result.underestimated == is_late


def test_a_delay_ends_in_the_middle_of_the_period_before_its_tick() -> None:
    chunks = [chunk(0, delay_ms) for delay_ms in (150.03, 149.9, 50, 10)]
    assert chunk_delays_ms(chunks, 20.0) == pytest.approx([125.03, 124.9, 25.0, 0.0])
    assert chunk_delays_ms(chunks, 100.0) == pytest.approx([145.03, 144.9, 45.0, 5.0])
    assert chunk_delays_ms(chunks, None) == pytest.approx([150.03, 149.9, 50.0, 10.0])

"""Rows and cursors, at the server and at the client."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.integrations.lerobot_zenoh.v1.alignment import (
    ReplyPlan,
    Turnarounds,
    blended,
    dropped_rows,
    exact_rows,
    is_due,
    is_trained_overlap,
    reply_plan,
    usable_rows,
)
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteObservation
from vagus.types import FloatArray


def numbered(first: int, count: int) -> FloatArray:
    """Return rows of two, whose first number is the cursor that they are for."""
    return np.array([[index, -index] for index in range(first, first + count)], np.float32).reshape(-1, 2)


def observed(rows: int, *, cursor: int = 0, taken: int | None = None, delay: int = 0) -> RemoteObservation:
    continuation = numbered(cursor, rows) if rows else None
    return RemoteObservation(
        sequence=1,
        identity=FrameIdentity("a", "o", 0.0, "", 0),
        features={},
        delay=delay,
        model_continuation=continuation,
        canonical_continuation=continuation,
        cursor=cursor,
        observation_cursor=taken,
    )


def plan(asked: RemoteObservation, mode: InferenceMode = InferenceMode.CHUNK) -> ReplyPlan:
    return reply_plan(asked, mode, is_aligned=asked.observation_cursor is not None)


@given(st.integers(1, 8), st.integers(0, 50), st.integers(0, 3), st.integers(0, 8))
def test_an_aligned_prefix_says_for_each_row_of_the_chunk_what_the_robot_executes(
    rows: int, taken: int, elapsed: int, delay: int
) -> None:
    made = plan(observed(rows, cursor=taken + elapsed, taken=taken, delay=delay))
    assert made.first_row == 0
    assert made.prefix is not None
    assert made.prefix[:, 0].tolist() == [max(taken + row, taken + elapsed) for row in range(elapsed + rows)]
    assert made.inference_delay == elapsed + min(delay, rows)


@given(st.integers(1, 8), st.integers(0, 8))
def test_in_rtc_the_prefix_is_the_continuation(rows: int, delay: int) -> None:
    made = plan(observed(rows, cursor=7, delay=delay), InferenceMode.RTC_GUIDED)
    assert made.prefix is not None
    np.testing.assert_array_equal(made.prefix, numbered(7, rows))
    assert (made.first_row, made.inference_delay) == (0, min(delay, rows))


def test_an_appended_reply_begins_behind_the_continuation() -> None:
    made = plan(observed(4, delay=2))
    assert (made.first_row, made.inference_delay) == (4, 2)
    chunk = numbered(0, 10)
    assert exact_rows(chunk, made.first_row, 5)[:, 0].tolist() == [4, 5, 6, 7, 8]


def test_without_a_continuation_nothing_is_promised() -> None:
    made = plan(observed(0, cursor=3, taken=2, delay=5))
    assert (made.prefix, made.model_prefix, made.inference_delay, made.first_row) == (None, None, 0, 0)
    assert made.hold_rows(3) is None
    assert made.model_hold_rows(3) is None
    held = made.hold_rows(3, np.array([1.5, 2.5]))
    assert held is not None
    assert (held.dtype, held.tolist()) == (np.dtype(np.float32), [[1.5, 2.5]] * 3)


@given(st.integers(1, 12), st.integers(0, 20), st.integers(0, 3), st.integers(1, 10), st.integers(0, 6))
def test_a_hold_lets_the_robot_go_on_as_it_would_and_stop_at_the_end(
    rows: int, taken: int, elapsed: int, steps: int, late: int
) -> None:
    cursor = taken + elapsed
    held = plan(observed(rows, cursor=cursor, taken=taken)).hold_rows(steps)
    assert held is not None
    assert held.shape == (steps, 2)
    kept = usable_rows(held, observation_cursor=taken, now=cursor + late)[:, 0].tolist()
    wanted = [min(cursor + late + row, cursor + rows - 1) for row in range(len(kept))]
    assert kept == wanted


def test_a_hold_of_an_appending_client_is_its_last_row() -> None:
    made = plan(observed(4, cursor=6))
    held, model = made.hold_rows(3), made.model_hold_rows(3)
    assert held is not None
    assert model is not None
    assert held[:, 0].tolist() == model[:, 0].tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    ("continuation", "acts_at", "held"),
    [
        ([0, 1, 2, 3], 9, 0),  # it may move on to its last row
        ([0, 1, 1, 1], 1, 0),
        ([0, 1, 1, 1], 2, 0),
        ([0, 1, 1, 1], 3, 1),
        ([0, 1, 1, 1], 6, 4),
        ([5, 5, 5], 2, 1),
        ([5], 3, 0),
    ],
)
def test_rows_for_which_a_robot_stands_still(continuation: list[int], acts_at: int, held: int) -> None:
    rows = np.array([[value, 1] for value in continuation], np.float32)
    made = plan(replace(observed(1), canonical_continuation=rows, model_continuation=rows))
    assert made.held_rows(acts_at) == held
    asked = replace(observed(1, cursor=7, taken=5), canonical_continuation=rows, model_continuation=rows)
    assert plan(asked).held_rows(acts_at + 2) == held  # two rows of the chunk are past, and are not counted
    assert plan(observed(0)).held_rows(acts_at) == 0


def test_a_reply_may_begin_later_than_its_chunk() -> None:
    assert exact_rows(numbered(0, 3), -2, 6)[:, 0].tolist() == [0, 0, 0, 1, 2, 2]


@given(st.integers(1, 12), st.integers(0, 15), st.integers(1, 20))
def test_a_reply_has_exactly_its_rows_and_none_that_was_not_in_the_chunk(
    length: int, first: int, steps: int
) -> None:
    rows = exact_rows(numbered(0, length), first, steps)
    assert rows[:, 0].tolist() == [min(first + step, length - 1) for step in range(steps)]


def test_rows_that_are_past_are_cut_off() -> None:
    assert usable_rows(numbered(5, 4), observation_cursor=5, now=5)[:, 0].tolist() == [5, 6, 7, 8]
    assert usable_rows(numbered(5, 4), observation_cursor=5, now=7)[:, 0].tolist() == [7, 8]
    assert len(usable_rows(numbered(5, 4), observation_cursor=5, now=9)) == 0
    assert len(usable_rows(numbered(5, 4), observation_cursor=5, now=4)) == 4


def test_rows_of_rtc_are_past_by_time_but_not_before_they_are_executed() -> None:
    assert [dropped_rows(0.11, 0.05, committed) for committed in (0, 2, 3, 9)] == [0, 2, 3, 3]


@pytest.mark.parametrize(("overlap", "delay", "most", "is_fine"), [
    (2, 2, 4, True), (3, 2, 4, False), (3, 5, 2, False), (0, 0, 0, True),
])  # fmt: skip
def test_trained_rtc_takes_no_reply_that_is_later_than_said(
    overlap: int, delay: int, most: int, is_fine: bool
) -> None:
    assert is_trained_overlap(overlap, delay, most) is is_fine


@given(st.integers(0, 6), st.integers(1, 6), st.integers(0, 8), st.floats(0.0, 1.0, width=32))
def test_blending_mixes_the_rows_that_both_have(old: int, new: int, steps: int, weight: float) -> None:
    before, come = np.zeros((old, 2), np.float32), np.ones((new, 2), np.float32)
    mixed = blended(before, come, steps=steps, weight=weight)
    count = min(old, new, steps)
    np.testing.assert_allclose(mixed[:count], weight, rtol=1e-6)
    np.testing.assert_array_equal(mixed[count:], come[count:])
    np.testing.assert_array_equal(come, 1.0)


def test_the_first_turnaround_is_only_a_start_value() -> None:
    turnarounds = Turnarounds()
    assert (turnarounds.longest_s, turnarounds.delay(0.05, 9)) == (0.0, 0)
    first = turnarounds.with_one(3.0)
    assert first.longest_s == 3.0
    second = first.with_one(0.07)
    assert (second.longest_s, second.delay(0.05, 9)) == (0.07, 2)
    assert second.with_one(0.12).longest_s == 0.12


@given(st.lists(st.floats(0.0, 10.0), min_size=2, max_size=150))
def test_the_last_hundred_turnarounds_count(seconds: list[float]) -> None:
    turnarounds = Turnarounds()
    for turnaround_s in seconds:
        turnarounds = turnarounds.with_one(turnaround_s)
    assert turnarounds.longest_s == max(seconds[1:][-100:])
    assert turnarounds.delay(0.05, 3) == math.ceil(turnarounds.longest_s / 0.05)
    assert turnarounds.delay(0.05, 0) == 0
    assert turnarounds.delay(0.05, 3, most=2) <= 2


def test_a_client_asks_when_little_is_left() -> None:
    slow = Turnarounds((0.9,))
    assert is_due(0.5, Turnarounds(), 0.05)
    assert not is_due(0.51, Turnarounds(), 0.05)
    assert is_due(0.95, slow, 0.05)
    assert not is_due(0.96, slow, 0.05)

"""The judge of a crowd finds what is wrong, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from crowd.diary import Batch, Entry
from crowd.judge import LEAST_ANSWERS, Life, faults_of
from crowd.numbers import HORIZON, answer_to, instruction_of, pictures_of, read_answer, state_of

ROUNDS = LEAST_ANSWERS + 3
STEP_NS = 100


def life(who: int, entries: Sequence[Entry], *, is_streaming: bool = False) -> Life:
    return Life(f"robot {who}", who, 1, entries, was_killed=False, is_streaming=is_streaming)


def orderly(who: int) -> list[Entry]:
    """Return the diary of a robot that asks, and gets an answer, once per step."""
    entries = [Entry(0, "begin")]
    for counter in range(1, ROUNDS + 1):
        begin_ns = counter * STEP_NS
        entries += [Entry(begin_ns, "ask", counter), Entry(begin_ns + 50, "got", counter)]
    return [*entries, Entry((ROUNDS + 1) * STEP_NS, "end")]


def batches() -> list[Batch]:
    """Return what the policy does for two orderly robots."""
    return [
        Batch(counter * STEP_NS + 10, counter * STEP_NS + 40, [(1, 1, counter), (2, 1, counter)])
        for counter in range(1, ROUNDS + 1)
    ]


def test_nothing_is_wrong_where_nothing_is() -> None:
    assert faults_of([life(1, orderly(1)), life(2, orderly(2))], batches()) == []


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (Entry(350, "wrong", 3, "of another"), "wrong at request 3: of another"),
        (Entry(350, "error", 3, "refused"), "error at request 3: refused"),
        (Entry(360, "got", 99), "nobody computed"),
        (Entry(360, "got", 2), "the older after the newer"),
    ],
)
def test_an_entry_that_tells_of_a_fault_is_one(entry: Entry, told: str) -> None:
    diary = sorted([*orderly(1), entry], key=lambda one: one.at_ns)
    faults = faults_of([life(1, diary), life(2, orderly(2))], batches())
    assert any(told in fault for fault in faults), faults


def test_a_robot_that_ends_by_itself_or_is_not_answered_is_a_fault() -> None:
    silent = [entry for entry in orderly(1) if entry.what == "ask"]
    faults = faults_of([life(1, silent), life(2, orderly(2))], batches())
    assert [fault.partition(": ")[2] for fault in faults] == [
        "ended by itself",
        "got 0 answers in all",
        f"asked {ROUNDS} times, got 0 answers, 0 were lost",
    ]


def test_a_request_that_nobody_made_or_that_was_served_twice_is_a_fault() -> None:
    robots = [life(1, orderly(1)), life(2, orderly(2))]
    strange = Batch(5, 6, [(3, 1, 1)])
    assert faults_of(robots, [strange, *batches()]) == ["served nobody that asked: (3, 1, 1)"]
    never = Batch(15, 16, [(1, 1, 77)])
    assert any("77, which it never made" in fault for fault in faults_of(robots, [never, *batches()]))
    again = Batch(995, 996, [(1, 1, 2)])
    assert any("served twice" in fault for fault in faults_of(robots, [*batches(), again]))


def test_a_robot_that_waits_while_another_is_served_three_times_is_treated_unfairly() -> None:
    late = [
        Batch(batch.begin_ns, batch.end_ns, [row for row in batch.asked if row[0] == 2 or row[2] != 3])
        for batch in batches()
    ]
    late.insert(5, Batch(601, 602, [(1, 1, 3)]))
    diary = [entry for entry in orderly(1) if not (entry.what == "got" and entry.counter == 3)]
    diary = sorted([*diary, Entry(603, "got", 3)], key=lambda one: one.at_ns)
    faults = faults_of([life(1, diary), life(2, orderly(2))], late)
    assert "robot 1 (process 1): while it waited for 3, others were served {2: 3}" in faults


def test_a_robot_that_is_never_served_again_is_treated_unfairly() -> None:
    rest = [
        Batch(one.begin_ns, one.end_ns, one.asked[1:] if one.asked[0][2] > 6 else one.asked)
        for one in batches()
    ]
    more = [Batch(901 + at, 902 + at, [(2, 1, 9 + at)]) for at in range(3)]
    diary = [one for one in orderly(1)[:-1] if one.counter <= 6 or (one.what, one.counter) == ("ask", 7)]
    other = [*orderly(2)[:-1], *(Entry(900, "ask", 9 + at) for at in range(3)), Entry(950, "end")]
    faults = faults_of([life(1, [*diary, Entry(950, "end")]), life(2, other)], [*rest, *more])
    assert any("while it waited for 7, others were served {2: 5}" in fault for fault in faults), faults


def test_an_answer_to_an_old_observation_is_stale_if_a_newer_one_was_there_before_it_was_begun() -> None:
    entries = [Entry(0, "begin")]
    for counter in range(1, 10):
        entries += [Entry(counter * 10, "ask", counter), Entry(counter * 10 + 1, "sent", counter)]
    got = [Entry(35, "got", 1), Entry(45, "got", 2)]
    diary = sorted([*entries, *got, Entry(200, "end")], key=lambda one: one.at_ns)
    served = [Batch(15, 16, [(1, 1, 1)]), Batch(36, 37, [(1, 1, 2)])]
    faults = faults_of([life(1, diary, is_streaming=True)], served)
    assert "robot 1 (process 1): got an answer to 2, begun after 3 had been sent" in faults


def test_an_answer_tells_whose_it_is() -> None:
    state = state_of(4, 2, 1234).astype(np.float32)
    answer = answer_to(state, pictures_of(4, 1234), instruction_of(4))
    assert read_answer(answer.astype(np.float64), 4, 2) == 1234
    assert read_answer(answer[7:9].astype(np.float64), 4, 2, first_row=None) == 1234
    assert answer.shape == (HORIZON, 6)


@pytest.mark.parametrize(
    ("front", "words", "who", "life_told"),
    [
        (pictures_of(5, 1234), instruction_of(4), 4, 2),
        (pictures_of(4, 1233), instruction_of(4), 4, 2),
        (pictures_of(4, 1234), instruction_of(5), 4, 2),
        (pictures_of(4, 1234), instruction_of(4), 5, 2),
        (pictures_of(4, 1234), instruction_of(4), 4, 3),
    ],
)
def test_an_answer_of_another_robot_picture_or_instruction_is_refused(
    front: dict[str, np.ndarray], words: str, who: int, life_told: int
) -> None:
    answer = answer_to(state_of(4, 2, 1234).astype(np.float32), front, words)
    with pytest.raises(ValueError, match="wanted"):
        read_answer(answer.astype(np.float64), who, life_told)


def test_rows_of_two_answers_are_refused() -> None:
    answers = [
        answer_to(state_of(4, 2, counter).astype(np.float32), pictures_of(4), instruction_of(4))
        for counter in (1, 2)
    ]
    mixed = np.concatenate([answers[0][:5], answers[1][5:]]).astype(np.float64)
    with pytest.raises(ValueError, match="not one request"):
        read_answer(mixed, 4, 2)
    with pytest.raises(ValueError, match="follow"):
        read_answer(answers[0][::-1].astype(np.float64), 4, 2, first_row=None)

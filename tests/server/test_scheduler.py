"""Who is served next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.server.scheduler import Candidate, round_robin


def candidate(epoch: int, last_served: int = 0, ready_ns: int = 0) -> Candidate:
    return Candidate(epoch, last_served, ready_ns, due_ns=0)


def test_whoever_was_served_longest_ago_goes_first() -> None:
    ready = [candidate(1, last_served=5), candidate(2, last_served=3), candidate(3, last_served=4)]
    assert [c.epoch for c in round_robin(ready, {}, 0, max_batch=2)] == [2, 3]


def test_among_equals_whoever_was_ready_first_goes_first() -> None:
    ready = [candidate(1, ready_ns=9), candidate(2, ready_ns=3)]
    assert [c.epoch for c in round_robin(ready, {}, 0, max_batch=1)] == [2]


def test_nobody_ready_gives_an_empty_batch() -> None:
    assert list(round_robin([], {}, 0, max_batch=4)) == []


@given(
    max_batch=st.integers(1, 4),
    rounds=st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=40),
)
def test_nobody_is_served_twice_between_two_servings_of_a_session_that_is_always_ready(
    max_batch: int, rounds: list[set[int]]
) -> None:
    patient = 0
    last_served = dict.fromkeys(range(8), 0)
    servings: dict[int, int] = {}
    for number, others in enumerate(rounds, start=1):
        ready = [candidate(e, last_served[e], ready_ns=number) for e in sorted(others | {patient})]
        batch = [c.epoch for c in round_robin(ready, {}, 0, max_batch=max_batch)]
        assert 0 < len(batch) <= max_batch
        assert len(set(batch)) == len(batch)
        for epoch in batch:
            last_served[epoch] = number
            servings[epoch] = servings.get(epoch, 0) + 1
        if patient in batch:
            servings = {}
        assert all(count < 2 for count in servings.values())

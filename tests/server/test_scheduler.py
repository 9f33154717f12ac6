"""Who is served next."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ConfigError
from vagus.server.batch_profile import BatchProfile
from vagus.server.config import ServeConfig
from vagus.server.scheduler import SCHEDULERS, Batch, Candidate, Wait, round_robin


def candidate(epoch: int, last_served: int = 0, ready_ns: int = 0, key: str = "") -> Candidate:
    return Candidate(epoch, last_served, ready_ns, due_ns=0, batch_key=key)


def epochs(ready: Sequence[Candidate], max_batch: int) -> list[int]:
    decision = round_robin(ready, BatchProfile(), 0, max_batch=max_batch)
    assert isinstance(decision, Batch)
    return [chosen.epoch for chosen in decision.candidates]


def test_whoever_was_served_longest_ago_goes_first() -> None:
    ready = [candidate(1, last_served=5), candidate(2, last_served=3), candidate(3, last_served=4)]
    assert epochs(ready, 2) == [2, 3]


def test_among_equals_whoever_was_ready_first_goes_first() -> None:
    ready = [candidate(1, ready_ns=9), candidate(2, ready_ns=3)]
    assert epochs(ready, 1) == [2]


def test_where_nobody_is_ready_it_waits_for_somebody() -> None:
    assert round_robin([], BatchProfile(), 0, max_batch=4) == Wait(None)


def test_a_batch_is_of_one_key_that_of_whoever_is_first() -> None:
    ready = [
        candidate(1, 3, key="a"),
        candidate(2, 1, key="b"),
        candidate(3, 2, key="a"),
        candidate(4, 4, key="b"),
    ]
    assert epochs(ready, 8) == [2, 4]
    assert epochs([one for one in ready if one.epoch not in (2, 4)], 8) == [3, 1]


def test_the_settings_name_it() -> None:
    assert SCHEDULERS["round_robin"] is round_robin
    with pytest.raises(ConfigError, match="scheduler: wanted one of deadline, round_robin"):
        ServeConfig(scheduler="fastest")


@given(
    max_batch=st.integers(1, 4),
    keys=st.lists(st.sampled_from("ab"), min_size=8, max_size=8),
    rounds=st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=40),
)
def test_whoever_keeps_asking_is_served_after_those_before_him(
    max_batch: int, keys: list[str], rounds: list[set[int]]
) -> None:
    """Whatever the keys, and however many others come back again and again."""
    last_served = dict.fromkeys(range(8), 0)
    waited = 0
    for number, others in enumerate(rounds, start=1):
        batch = epochs([candidate(e, last_served[e], number, keys[e]) for e in {*others, 0}], max_batch)
        assert len({keys[epoch] for epoch in batch}) == 1
        last_served.update(dict.fromkeys(batch, number))
        waited = 0 if 0 in batch else waited + 1
        assert waited <= 7


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
        batch = epochs(ready, max_batch)
        assert 0 < len(batch) <= max_batch
        assert len(set(batch)) == len(batch)
        for epoch in batch:
            last_served[epoch] = number
            servings[epoch] = servings.get(epoch, 0) + 1
        if patient in batch:
            servings = {}
        assert all(count < 2 for count in servings.values())

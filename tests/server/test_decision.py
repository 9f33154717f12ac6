"""A scheduler can make robots wait, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.server.batch_profile import BatchProfile
from vagus.server.decision import SchedulerQuestion, decide
from vagus.server.scheduler import Batch, Candidate, Decision, Wait

READY = {
    epoch: Candidate(epoch, last_served=epoch, ready_ns=0, due_ns=0, batch_key=key)
    for epoch, key in ((1, "a"), (2, "a"), (3, "b"), (4, "a"))
}


class Told:
    """Scheduler that returns what it is told, or raises it."""

    def __init__(self, what: object) -> None:
        self.what = what

    def __call__(
        self,
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        del ready, profile, now_ns, max_batch, expected
        if isinstance(self.what, BaseException):
            raise self.what
        return cast("Decision", self.what)


def decided(what: object, max_batch: int = 8) -> tuple[tuple[int, ...] | Wait, str]:
    epochs, fault = decide(Told(what), SchedulerQuestion(READY, (), 0, max_batch), BatchProfile())
    return epochs, "" if fault is None else fault.reason


def batch(*epochs: int) -> Batch:
    return Batch(tuple(READY.get(epoch, replace(READY[1], epoch=epoch)) for epoch in epochs))


def endless() -> Iterator[Candidate]:
    while True:
        yield READY[2]


def test_a_decision_that_can_be_done_is_done() -> None:
    assert decided(batch(4, 1)) == ((4, 1), "")
    assert decided(Wait()) == (Wait(), "")
    assert decided(Wait(-5)) == (Wait(-5), "")


@pytest.mark.parametrize(
    ("what", "epochs", "reason"),
    [
        (batch(2, 9, 1), (2, 1), "not_ready"),
        (Batch((READY[2], cast("Candidate", "no candidate"))), (2,), "not_ready"),
        (batch(2, 2, 1, 2), (2, 1), "twice"),
        (batch(4, 3, 2), (4, 2), "mixed_keys"),
        (batch(3, 2), (3,), "mixed_keys"),
        (Batch((replace(READY[3], batch_key="a"), READY[1])), (3,), "mixed_keys"),
        (Batch(cast("tuple[Candidate, ...]", endless())), (2,), "twice"),
    ],
)
def test_what_cannot_be_done_of_a_batch_is_left_out(
    what: object, epochs: tuple[int, ...], reason: str
) -> None:
    assert decided(what) == (epochs, reason)


def test_more_than_the_policy_takes_is_cut() -> None:
    assert decided(batch(4, 2, 1), max_batch=2) == ((4, 2), "too_many")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (None, "no_decision"),
        (7, "no_decision"),
        (Wait(cast("int", "soon")), "no_decision"),
        (Wait(cast("int", float("nan"))), "no_decision"),
        (Batch(()), "empty"),
        (batch(9), "not_ready"),
        (Batch(cast("tuple[Candidate, ...]", 5)), "raised"),
        (Batch((replace(READY[1], epoch=cast("int", [])),)), "raised"),
        (ZeroDivisionError("a bug"), "raised"),
        (SystemExit("a bug"), "raised"),
        (RecursionError(), "raised"),
    ],
)
def test_where_nothing_can_be_done_round_robin_decides(what: object, reason: str) -> None:
    assert decided(what) == ((1, 2, 4), reason)


def test_what_a_scheduler_raised_can_be_told() -> None:
    error = ZeroDivisionError("a bug")
    _, fault = decide(Told(error), SchedulerQuestion(READY, (), 0, 1), BatchProfile())
    assert fault is not None
    assert fault.error is error


def test_where_nobody_is_ready_nobody_is_chosen() -> None:
    for what in (batch(1), None, Batch(())):
        assert decide(Told(what), SchedulerQuestion({}, (), 0, 4), BatchProfile())[0] == Wait()


choices = st.lists(
    st.builds(
        Candidate,
        epoch=st.integers(0, 6),
        last_served=st.integers(),
        ready_ns=st.integers(),
        due_ns=st.integers(),
        batch_key=st.sampled_from(["a", "b", None]),
    ),
    max_size=12,
)


@given(choices, st.integers(1, 4))
def test_a_batch_is_of_ready_requests_each_once_of_one_key_and_not_too_many(
    chosen: list[Candidate], max_batch: int
) -> None:
    epochs, _ = decided(Batch(tuple(chosen)), max_batch)
    assert not isinstance(epochs, Wait)
    assert 1 <= len(epochs) <= max_batch
    assert len(set(epochs)) == len(epochs)
    assert len({READY[epoch].batch_key for epoch in epochs}) == 1

"""What a policy is asked in trials is what a server would ask it, and what it answers is checked as there."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pytest

from trials.idle_policy import Idle
from trials.short_world import Short
from vagus.errors import PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.trials.delay_law import DelayLaw
from vagus.trials.play_method import METHODS
from vagus.trials.trial_run import DelayTrial, run_trials
from vagus.types import ActionChunk, Observation


class Noted(Idle):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Sequence[Row[None]]] = []

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        self.batches.append(batch)
        return super().infer(batch)


class Exclusive(Noted):
    serving_mode = ServingMode.EXCLUSIVE


class Bounded(Noted):
    max_rows = 2


class Split(Noted):
    def batch_key(self, observation: Observation) -> Hashable:
        return bool(observation.state[0] > 0)


class Fewer(Idle):
    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        return super().infer(batch[1:])


class Broken(Idle):
    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        actions = np.full((16, 1), np.nan, np.float32)
        return [ActionChunk(row.step, actions, actions) for row in batch]


class Picky(Idle):
    """Fails for a batch, and for one robot alone."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        if len(batch) > 1:
            raise RuntimeError("one at a time")
        return super().infer(batch)


def asked(policy: Idle) -> None:
    run_trials(DelayTrial(Short, policy, METHODS["naive"], DelayLaw(usual_ms=100)), range(6))


def test_robots_side_by_side_are_one_batch_with_the_instruction_of_the_policy() -> None:
    policy = Noted()
    asked(policy)
    assert max(map(len, policy.batches)) > 2
    assert {row.observation.instruction for batch in policy.batches for row in batch} == {"stay"}


def test_a_policy_for_one_robot_gets_one() -> None:
    policy = Exclusive()
    asked(policy)
    assert {len(batch) for batch in policy.batches} == {1}


def test_a_policy_that_takes_two_rows_gets_no_more() -> None:
    policy = Bounded()
    asked(policy)
    assert {len(batch) for batch in policy.batches} == {1, 2}


def test_a_policy_that_splits_batches_gets_rows_of_one_key() -> None:
    policy = Split()
    asked(policy)
    keys = [{policy.batch_key(row.observation) for row in batch} for batch in policy.batches]
    assert all(len(each) == 1 for each in keys)
    assert max(map(len, policy.batches)) > 1


def test_a_policy_that_fails_for_a_batch_is_asked_for_each_row() -> None:
    asked(Picky())


@pytest.mark.parametrize(
    ("policy", "told"),
    [(Fewer(), "the policy gave 0 results for 1 rows"), (Broken(), "NaN or infinity")],
)
def test_an_answer_that_must_not_be_commanded_ends_the_trial(policy: Idle, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        run_trials(DelayTrial(Short, policy, METHODS["naive"], DelayLaw()), [1])


class Steady(Idle):
    """Always goes at the same speed."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        one = np.ones((16, 1), np.float32)
        return [ActionChunk(row.step, one, one) for row in batch]


def test_a_robot_that_stands_between_chunks_brakes_and_starts_again() -> None:
    """Nothing is commanded while it waits, and it stands all the same."""
    sync, naive = (
        run_trials(DelayTrial(Short, Steady(), METHODS[name], DelayLaw(100)), [1])[0]
        for name in ("sync", "naive")
    )
    assert sync.starved > 0
    assert naive.starved == 0
    assert sync.acceleration > 1.5 * naive.acceleration


def test_a_robot_that_never_gets_a_chunk_has_starved_all_the_time() -> None:
    (one,) = run_trials(DelayTrial(Short, Steady(), METHODS["naive"], DelayLaw(60_000)), [1])
    assert one.starved == 1


class Exiting(Idle):
    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        raise SystemExit(0)


def test_a_policy_that_ends_the_process_has_failed() -> None:
    with pytest.raises(PolicyError, match="SystemExit: 0"):
        run_trials(DelayTrial(Short, Exiting(), METHODS["naive"], DelayLaw(100)), [1])


class Unopened(Idle):
    def open_session(self) -> None:
        raise ValueError("no memory")


class Unbegun(Idle):
    def begin_episode(self, session: None) -> None:
        raise ValueError("no memory")


@pytest.mark.parametrize("kind", [Unopened, Unbegun])
def test_a_policy_that_cannot_begin_has_failed(kind: type[Idle]) -> None:
    with pytest.raises(PolicyError, match="ValueError: no memory"):
        run_trials(DelayTrial(Short, kind(), METHODS["naive"], DelayLaw(100)), [1])

"""Runs many episodes side by side, so that the policy infers them in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from vagus.edge.client.codec import request_seed
from vagus.policies.policy import Policy, Row, failure_of
from vagus.trials.delay_law import DelayLaw
from vagus.trials.play_method import PlayMethod
from vagus.trials.trial_robot import EpisodeResult, TrialRequest, TrialRobot
from vagus.trials.world import World
from vagus.types import ActionChunk

__all__ = ["DelayTrial", "run_trials"]

SessionT = TypeVar("SessionT")


@dataclass(frozen=True, slots=True)
class DelayTrial(Generic[SessionT]):
    """What is tried.

    Attributes:
        make_world: makes one world.
        policy: the policy; sessions are opened and episodes begun as a server does.
        method: how chunks are played.
        law: how long they take.
    """

    make_world: Callable[[], World]
    policy: Policy[SessionT]
    method: PlayMethod
    law: DelayLaw


def run_trials(trial: DelayTrial[SessionT], seeds: Sequence[int], *, robots: int = 32) -> list[EpisodeResult]:
    """Return the result of the episode of each seed, in the order of `seeds`.

    Args:
        trial: what is tried.
        seeds: seeds of the episodes; the same seed is the same episode and the same delays for every method.
        robots: robots that run side by side, and so the largest batch.

    Raises:
        PolicyError: the policy cannot answer an observation of this world.
    """
    worlds = [trial.make_world() for _ in range(min(robots, len(seeds)))]
    try:
        lanes = [_Lane(trial, world, seeds[at :: len(worlds)]) for at, world in enumerate(worlds)]
        while any(lane.is_busy for lane in lanes):
            asked = [made for lane in lanes if lane.is_busy and (made := lane.advance()) is not None]
            if asked:
                _infer(trial.policy, asked)
    finally:
        for world in worlds:
            world.close()
    by_seed = {result.seed: result for lane in lanes for result in lane.results}
    return [by_seed[seed] for seed in seeds]


class _Lane(Generic[SessionT]):
    """One robot and the seeds that it has to run."""

    def __init__(self, trial: DelayTrial[SessionT], world: World, seeds: Sequence[int]) -> None:
        self._robot = TrialRobot(world, trial.policy.spec, trial.method, trial.law)
        self._policy = trial.policy
        self._seeds = list(seeds)
        self._session = trial.policy.open_session()
        self._requests = 0
        self.results: list[EpisodeResult] = []
        self.is_busy = True
        self._begin()

    def advance(self) -> tuple[TrialRequest, Row[SessionT]] | None:
        made = self._robot.advance()
        row = None if made is None else (made, self._row(made))
        if self._robot.is_over:
            self.results.append(self._robot.result())
            self._seeds.pop(0)
            self._begin()
            return None
        return row

    def _begin(self) -> None:
        self.is_busy = bool(self._seeds)
        if self.is_busy:
            self._policy.begin_episode(self._session)
            self._robot.begin_episode(self._seeds[0])
            self._requests = 0

    def _row(self, made: TrialRequest) -> Row[SessionT]:
        draft = made.request.draft
        self._requests += 1
        return Row(
            session=self._session,
            observation=made.observation,
            step=draft.step,
            prefix=draft.prefix,
            inference_delay=draft.inference_delay,
            prefix_horizon=draft.prefix_horizon,
            seed=request_seed(self._seeds[0], self._requests),
        )


def _infer(policy: Policy[SessionT], batch: Sequence[tuple[TrialRequest, Row[SessionT]]]) -> None:
    results = policy.infer([row for _, row in batch])
    for (made, _), result in zip(batch, results, strict=True):
        if not isinstance(result, ActionChunk):
            raise failure_of(result)
        made.answer(result)

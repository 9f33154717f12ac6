"""Runs many episodes side by side, so that the policy infers them in batches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from vagus.edge.client.codec import request_seed
from vagus.errors import PolicyError
from vagus.policies.policy import BoundsBatches, Policy, Row, ServingMode, SplitsBatches, failure_of
from vagus.server.awaited_chunks import UnderWay
from vagus.server.served_policy import check_result
from vagus.specs import PolicySpec
from vagus.trials.checked_world import CheckedWorld
from vagus.trials.delay_law import DelayLaw
from vagus.trials.play_method import PlayMethod
from vagus.trials.trial_robot import EpisodeResult, TrialRequest, TrialRobot
from vagus.trials.world import World

__all__ = ["DelayTrial", "run_trials"]

SessionT = TypeVar("SessionT")
AnswerT = TypeVar("AnswerT")

_Asked: TypeAlias = tuple[TrialRequest, Row[SessionT], UnderWay]
"""A request, the row of a batch that answers it, and the answers under way to its robot."""


@dataclass(frozen=True, slots=True)
class DelayTrial(Generic[SessionT]):
    """What is tried.

    Attributes:
        make_world: makes one world.
        policy: the policy; sessions are opened and episodes begun as a server does.
        method: how chunks are played.
        law: how long they take.
        offered: the policy as robots see it, with the operator's settings; None: as it says itself.
        waits: seed → steps by which the first request of its episode is put off; of others it is drawn.
        inference_ms: part of each delay that is the server's device at work: for two requests it takes twice
            as long, so a robot does not ask oftener than its device can answer.
    """

    make_world: Callable[[], World]
    policy: Policy[SessionT]
    method: PlayMethod
    law: DelayLaw
    offered: PolicySpec | None = None
    waits: Mapping[int, int] = field(default_factory=dict)
    inference_ms: float = 0.0

    @property
    def spec(self) -> PolicySpec:
        """The policy as robots see it."""
        return self.offered or self.policy.spec


def unnoticed(result: EpisodeResult) -> None:
    """Do nothing with the result of an episode."""


def run_trials(
    trial: DelayTrial[SessionT],
    seeds: Sequence[int],
    *,
    robots: int = 32,
    on_episode: Callable[[EpisodeResult], None] = unnoticed,
) -> list[EpisodeResult]:
    """Return the result of the episode of each seed, in the order of `seeds`.

    Args:
        trial: what is tried.
        seeds: seeds of the episodes; the same seed is the same episode and the same delays for every method.
        robots: robots that run side by side, and so the largest batch; one, if the policy serves no more.
        on_episode: is called with each result as soon as it is there, in the order in which they end.

    Raises:
        PolicyError: the policy cannot answer an observation of this world.
    """
    robots = robots if trial.policy.serving_mode is ServingMode.SHARED else 1
    with ExitStack() as open_worlds:  # closes each, whatever another one does
        worlds: list[World] = []
        for _ in range(min(robots, len(seeds))):
            worlds.append(trial.make_world())
            open_worlds.callback(CheckedWorld(worlds[-1]).close)
        lanes = [_Lane(trial, world, seeds[at :: len(worlds)], on_episode) for at, world in enumerate(worlds)]
        while any(lane.is_busy for lane in lanes):
            asked = [made for lane in lanes if lane.is_busy and (made := lane.advance()) is not None]
            if asked:
                for batch in _batches(trial.policy, asked):
                    _infer(trial, batch)
    by_seed = {result.seed: result for lane in lanes for result in lane.results}
    return [by_seed[seed] for seed in seeds]


class _Lane(Generic[SessionT]):
    """One robot and the seeds that it has to run."""

    def __init__(
        self,
        trial: DelayTrial[SessionT],
        world: World,
        seeds: Sequence[int],
        on_episode: Callable[[EpisodeResult], None],
    ) -> None:
        self._robot = TrialRobot(world, trial.spec, trial.method, trial.law, inference_ms=trial.inference_ms)
        self._under_way = UnderWay()
        self._on_episode = on_episode
        self._policy = trial.policy
        self._waits = trial.waits
        self._seeds = list(seeds)
        self._session = _of_policy(trial.policy.open_session)
        self._requests = 0
        self.results: list[EpisodeResult] = []
        self.is_busy = True
        self._begin()

    def advance(self) -> _Asked[SessionT] | None:
        made = self._robot.advance()
        row = None if made is None else (made, self._row(made), self._under_way)
        if self._robot.is_over:
            self.results.append(self._robot.result())
            self._on_episode(self.results[-1])
            self._seeds.pop(0)
            self._begin()
            return None
        return row

    def _begin(self) -> None:
        self.is_busy = bool(self._seeds)
        if self.is_busy:
            _of_policy(partial(self._policy.begin_episode, self._session))
            self._robot.begin_episode(self._seeds[0], wait=self._waits.get(self._seeds[0]))
            self._under_way.clear()
            self._requests = 0

    def _row(self, made: TrialRequest) -> Row[SessionT]:
        draft = made.request.draft
        self._requests += 1
        row = Row(
            session=self._session,
            observation=made.observation,
            step=draft.step,
            prefix=draft.prefix,
            inference_delay=draft.inference_delay,
            prefix_horizon=draft.prefix_horizon,
            seed=request_seed(self._seeds[0], self._requests),
        )
        return self._under_way.continued(row, made.request.awaited)


def _of_policy(ask: Callable[[], AnswerT]) -> AnswerT:
    """Return what a policy answers.

    Raises:
        PolicyError: it fails.
    """
    try:
        return ask()
    except (Exception, SystemExit) as error:
        raise failure_of(error) from error


def _batches(
    policy: Policy[SessionT], asked: Sequence[_Asked[SessionT]]
) -> Iterator[Sequence[_Asked[SessionT]]]:
    """Yield what the policy takes in one forward pass, as a server would."""
    by_key: dict[Hashable, list[_Asked[SessionT]]] = {}
    for one in asked:
        key = policy.batch_key(one[0].observation) if isinstance(policy, SplitsBatches) else None
        by_key.setdefault(key, []).append(one)
    most = policy.max_rows if isinstance(policy, BoundsBatches) else len(asked)
    for alike in by_key.values():
        yield from (alike[first : first + most] for first in range(0, len(alike), most))


def _infer(trial: DelayTrial[SessionT], batch: Sequence[_Asked[SessionT]]) -> None:
    try:
        results = list(trial.policy.infer([row for _, row, _ in batch]))
    except (Exception, SystemExit) as error:  # the end of somebody else's code is no success of ours
        if len(batch) == 1:
            raise failure_of(error) from error
        for one in batch:  # as a server does: the row that fails is told from the others
            _infer(trial, [one])
        return
    if len(results) != len(batch):
        raise PolicyError(f"the policy gave {len(results)} results for {len(batch)} rows")
    for (made, row, under_way), result in zip(batch, results, strict=True):
        checked = check_result(result, trial.spec, row.step)
        if isinstance(checked, PolicyError):
            raise checked
        under_way.note(made.request.seq, row, checked)
        made.answer(checked)

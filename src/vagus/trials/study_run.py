"""Runs a study: every way of playing chunks under every law of delay, over the same seeds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from vagus.errors import ConfigError
from vagus.policies.policy import Policy
from vagus.specs import PolicySpec
from vagus.trials.delay_law import DelayLaw
from vagus.trials.play_method import PlayMethod
from vagus.trials.study import StudyCell, cell_of, difference
from vagus.trials.trial_robot import EpisodeResult
from vagus.trials.trial_run import DelayTrial, run_trials
from vagus.trials.world import World

__all__ = [
    "BASELINE",
    "DelayStudy",
    "Entrant",
    "StudyProgress",
    "StudyRun",
    "chosen_baseline",
    "study_cells",
    "study_runs",
]

BASELINE = "naive"
"""Way of playing that the others are compared with, where nobody names another."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A way of playing with the policy that is set up for it.

    Attributes:
        method: the way of playing.
        policy: the policy with the settings of the method.
        offered: the policy as robots see it.
    """

    method: PlayMethod
    policy: Policy[object]
    offered: PolicySpec

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.name


@dataclass(frozen=True, slots=True)
class DelayStudy:
    """What is compared.

    Attributes:
        make_world: makes one world.
        entrants: the ways of playing, each name once.
        laws: the laws of delay.
        seeds: seeds of the episodes, the same ones in each cell.
        baseline: name of the entrant that the others are compared with.
        robots: robots that run side by side.
        inference_ms: part of each delay that is the server's device at work.
    """

    make_world: Callable[[], World]
    entrants: Sequence[Entrant]
    laws: Sequence[DelayLaw]
    seeds: Sequence[int]
    baseline: str
    robots: int = 32
    inference_ms: float = 0.0

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.entrants) * len(self.laws)


@dataclass(frozen=True, slots=True)
class StudyRun:
    """The episodes of one cell.

    Attributes:
        method: name of the way of playing.
        law: name of the law.
        results: result of each seed, in their order.
    """

    method: str
    law: str
    results: tuple[EpisodeResult, ...]


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Where a study is.

    Attributes:
        method: name of the way of playing that runs.
        law: the law that holds.
        episodes: episodes that have ended, in all cells.
        of: episodes of the whole study.
    """

    method: str
    law: str
    episodes: int
    of: int


def chosen_baseline(name: str, methods: Sequence[str]) -> str:
    """Return the method that the others are compared with.

    Args:
        name: what somebody asked for; "": `BASELINE`, or else the first one.
        methods: all that run.

    Raises:
        ConfigError: it is not among them.
    """
    if name and name not in methods:
        raise ConfigError("baseline", wanted=f"one of the methods {', '.join(methods)}", got=repr(name))
    return name or (BASELINE if BASELINE in methods else methods[0])


def study_cells(study: DelayStudy, on_episode: Callable[[StudyProgress], None]) -> Iterator[StudyCell]:
    """Yield each cell as soon as it is complete: law by law, the baseline first.

    Args:
        study: what is compared.
        on_episode: is called after each episode.

    Raises:
        PolicyError: the policy cannot answer an observation of this world.
    """
    base: Sequence[EpisodeResult] = ()
    for run in study_runs(study, on_episode):
        cell = cell_of(run.method, run.law, run.results)
        if run.method == study.baseline:
            base = run.results
            yield cell
        else:
            yield replace(cell, gain=difference(run.results, base))


def study_runs(study: DelayStudy, on_episode: Callable[[StudyProgress], None]) -> Iterator[StudyRun]:
    """Yield the episodes of each cell as soon as it is complete: law by law, the baseline first.

    Args:
        study: what is compared.
        on_episode: is called after each episode.

    Raises:
        PolicyError: the policy cannot answer an observation of this world.
    """
    done, of = 0, study.cells * len(study.seeds)
    ordered = sorted(study.entrants, key=lambda entrant: entrant.name != study.baseline)
    for law in study.laws:
        for entrant in ordered:

            def note(_: EpisodeResult, method: str = entrant.name, law: str = law.name) -> None:
                nonlocal done
                done += 1
                on_episode(StudyProgress(method, law, done, of))

            trial = DelayTrial(
                study.make_world,
                entrant.policy,
                entrant.method,
                law,
                entrant.offered,
                inference_ms=study.inference_ms,
            )
            results = run_trials(trial, study.seeds, robots=study.robots, on_episode=note)
            yield StudyRun(entrant.name, law.name, tuple(results))

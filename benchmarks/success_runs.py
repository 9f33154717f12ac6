"""Runs of the policy `gates` for the benchmark `success`, each law in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from vagus.demo.gates_trial import GatesTrial
from vagus.policies.registry import load_policy
from vagus.trials.delay_law import read_law
from vagus.trials.delay_trace import delays_in
from vagus.trials.play_method import METHODS, PlayMethod
from vagus.trials.study_run import DelayStudy, Entrant, study_runs
from vagus.trials.trial_robot import EpisodeResult

__all__ = ["Results", "Variant", "run_all"]

POLICY = "gates"
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "1")
"""Small matrices are slower on two threads, and each process has a core."""

Results = Mapping[tuple[str, str], Sequence[EpisodeResult]]
"""(Name of the variant, law) → its episodes, those of all trainings one after the other."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way of playing, perhaps with other settings of the robot's side.

    Attributes:
        name: name in tables.
        method: name in `METHODS`.
        edge: settings that are changed.
        options: options of the policy that are changed.
    """

    name: str
    method: str
    edge: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def play(self) -> PlayMethod:
        """Return the method with these settings."""
        base = METHODS[self.method]
        edge = replace(base.edge, **self.edge)  # type: ignore[arg-type] # fields of EdgeConfig
        return replace(base, name=self.name, edge=edge, options={**base.options, **self.options})


@dataclass(frozen=True, slots=True)
class _Task:
    variants: Sequence[Variant]
    law: str
    weights: str
    episodes: int


def run_all(
    variants: Sequence[Variant], laws: Iterable[str], weights: Sequence[str], *, episodes: int, processes: int
) -> Results:
    """Return the episodes of every variant under every law, with the weights of every training.

    Args:
        variants: ways of playing.
        laws: laws of delay, as a person writes them.
        weights: files of weights; "": those of the package.
        episodes: episodes of each cell and training; the same seeds everywhere.
        processes: processes that run side by side; 1: this one alone.
    """
    tasks = [_Task(variants, law, path, episodes) for law in laws for path in weights]
    found: dict[tuple[str, str], list[EpisodeResult]] = {}
    for task, runs in zip(tasks, _mapped(tasks, processes), strict=True):
        for name, results in runs.items():
            found.setdefault((name, task.law), []).extend(results)
    return found


def _mapped(tasks: Sequence[_Task], processes: int) -> Iterable[dict[str, Sequence[EpisodeResult]]]:
    if processes == 1:
        return [_run(task) for task in tasks]
    os.environ.setdefault(*ONE_THREAD)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_run, tasks))


def _run(task: _Task) -> dict[str, Sequence[EpisodeResult]]:
    law = read_law(task.law, read_trace=delays_in)
    entrants = [_entrant(variant.play(), task.weights) for variant in task.variants]
    study = DelayStudy(GatesTrial, entrants, [law], range(task.episodes), task.variants[0].name)
    return {run.method: run.results for run in study_runs(study, lambda _: None)}


def _entrant(method: PlayMethod, weights: str) -> Entrant:
    options = {**method.options, **({"weights": weights} if weights else {})}
    policy = load_policy(POLICY, options=options, settings=dict(method.policy))
    return Entrant(method, policy, policy.spec)

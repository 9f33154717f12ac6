"""Compares episodes of real processes with simulated ones of the same seeds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vagus.errors import ConfigError
from vagus.trials.delay_law import DelayLaw
from vagus.trials.recorded_trial import PlayedEpisode
from vagus.trials.study import Estimate, StudyCell, cell_of, difference
from vagus.trials.trial_robot import EpisodeResult

__all__ = ["MOST_LATE_TICKS", "Agreement", "ProcessCell", "compare", "counted", "steps_of"]

MOST_LATE_TICKS = 2
"""Missing ticks with which an episode still counts, about 1 %: the world stood still meanwhile."""

Simulate = Callable[[DelayLaw, Mapping[int, int]], Sequence[EpisodeResult]]
"""Returns the result of each seed under a law, in simulated time; by seed, the steps before its first request
are given."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Simulated episodes beside the real ones.

    Attributes:
        cell: the simulated ones.
        gap: how much more of the chances succeeded in the real ones, episode by episode.
        agrees: whether the interval of the gap holds 0; the two intervals then overlap, too.
    """

    cell: StudyCell
    gap: Estimate
    agrees: bool


@dataclass(frozen=True, slots=True)
class ProcessCell:
    """What one way of playing came to over real processes, under one law of delay.

    Attributes:
        method: name of the way of playing.
        law: the law as it was written.
        real: the real episodes that count.
        left_out: real episodes that do not count, because too many of their ticks were missing.
        delay_ms: median of the delay that was measured.
        as_wanted: share of the chunks that were taken at a step that the law says.
        simulated: under the law.
        traced: under the delays that were measured.
    """

    method: str
    law: str
    real: StudyCell
    left_out: int
    delay_ms: float
    as_wanted: float
    simulated: Agreement
    traced: Agreement


def counted(episodes: Sequence[PlayedEpisode]) -> list[PlayedEpisode]:
    """Return the episodes that count: at most `MOST_LATE_TICKS` of their ticks were missing."""
    return [one for one in episodes if one.late_ticks <= MOST_LATE_TICKS]


def compare(
    method: str, law: DelayLaw, episodes: Sequence[PlayedEpisode], simulate: Simulate, *, step_ms: float
) -> ProcessCell:
    """Return the real episodes beside simulated ones, under the law and under the measured delays.

    Args:
        method: name of the way of playing.
        law: constant or mixed; the real delays were meant to end in the middle of the steps in which its
            delays end.
        episodes: real ones, in the order of their seeds; those that do not count are left out.
        simulate: simulates the seeds of `episodes`, in any order. The first request comes when the real one
            came: if the time between two requests divides that between two chances, all of an episode hangs
            on it.
        step_ms: length of a step.

    Raises:
        ConfigError: fewer than two episodes count.
    """
    good = counted(episodes)
    if len(good) < 2:
        raise ConfigError(
            f"episodes of {method} at {law.name}",
            wanted=f"at least two with at most {MOST_LATE_TICKS} missing ticks",
            got=f"{len(good)} of {len(episodes)}",
            fix="run fewer robots at once, or on a machine with less to do",
        )
    real = [one.result for one in good]
    waits = {one.result.seed: one.wait for one in episodes}
    delays = tuple(delay for one in good for delay in one.delays_ms)
    trace = DelayLaw(trace_ms=delays, name="measured")
    meant = [law.usual_ms, law.rare_ms] if law.rare_share else [law.usual_ms]
    is_meant = np.isin(np.ceil(np.array(delays) / step_ms), [steps_of(delay, step_ms) for delay in meant])
    return ProcessCell(
        method=method,
        law=law.name,
        real=cell_of(method, law.name, real),
        left_out=len(episodes) - len(good),
        delay_ms=float(np.median(delays)),
        as_wanted=float(np.mean(is_meant)),
        simulated=_agreement(method, law, real, simulate(law, waits)),
        traced=_agreement(method, trace, real, simulate(trace, waits)),
    )


def steps_of(delay_ms: float, step_ms: float) -> int:
    """Return the steps after which a chunk is taken that comes so late; at least one."""
    return max(int(np.ceil(delay_ms / step_ms)), 1)


def _agreement(
    method: str, law: DelayLaw, real: Sequence[EpisodeResult], simulated: Sequence[EpisodeResult]
) -> Agreement:
    by_seed = {one.seed: one for one in simulated}
    others = [by_seed[one.seed] for one in real]
    gap = difference(real, others)
    return Agreement(cell_of(method, law.name, others), gap, abs(gap.mean) <= gap.half_width)

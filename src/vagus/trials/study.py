"""Results of trials with their intervals: success per way of playing and law of delay, paired differences.

The same seeds are run for every cell, so two ways of playing are compared episode by episode: what chance
does to both falls out of the difference. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vagus.errors import ConfigError
from vagus.trials.trial_robot import EpisodeResult

__all__ = ["Estimate", "StudyCell", "cell_of", "check_episodes", "difference", "estimate", "needed_episodes"]

NORMAL_95 = 1.96
"""Half of the interval that holds 95 % of a normal law, in standard deviations."""
LEAST_EPISODES = 10
"""Fewest episodes from which an interval says anything."""
WHOLE = frozenset({-1.0, 0.0, 1.0})
UNSEEN_SHARES = (0.0, 0.0, 1.0, 1.0)
"""What A. Agresti and B. Coull (1998) add to shares."""
UNSEEN_DIFFERENCES = (-1.0, 1.0)
"""The same for differences of pairs."""
WIDEST_SPREAD = 0.5
"""Largest standard deviation of shares from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and half the length of its interval of 95 %."""

    mean: float
    half_width: float

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.mean - self.half_width > 0


@dataclass(frozen=True, slots=True)
class StudyCell:
    """What one way of playing came to under one law of delay.

    Attributes:
        method: name of the way of playing.
        law: the law as it was written.
        episodes: number of episodes.
        success: share of the chances that succeeded.
        starved: share of the steps without an action of the plan.
        acceleration: root mean square of the commands' acceleration.
        requests: mean requests per episode.
        underestimated: share of the answers that came later than the policy was told.
        gain: how much more succeeded than with the way that all are compared with, episode by episode; None:
            it is that way itself, or there is none.
    """

    method: str
    law: str
    episodes: int
    success: Estimate
    starved: float
    acceleration: float
    requests: float
    underestimated: float
    gain: Estimate | None = None


def estimate(values: Sequence[float], *, unseen: Sequence[float] = UNSEEN_SHARES) -> Estimate:
    """Return the mean of independent values with its interval; of fewer than two it is as wide as can be.

    Ten successes of ten are no proof that nothing ever fails. So where every value is whole (an episode
    succeeds or fails), the interval is at least as long as with the values of `unseen` beside them.
    """
    if len(values) < 2:
        return Estimate(float(np.mean(values)) if len(values) else 0.0, math.inf)
    half_width = _half_width(values)
    if set(values) <= WHOLE:
        half_width = max(half_width, _half_width([*values, *unseen]))
    return Estimate(float(np.mean(values)), half_width)


def _half_width(values: Sequence[float]) -> float:
    return NORMAL_95 * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def difference(results: Sequence[EpisodeResult], others: Sequence[EpisodeResult]) -> Estimate:
    """Return how much more of the chances succeeded in `results` than in `others`, episode by episode.

    Raises:
        ValueError: they are not of the same seeds, in the same order.
    """
    if [one.seed for one in results] != [one.seed for one in others]:
        raise ValueError("paired results: wanted the same seeds in the same order")
    differences = [one.success - other.success for one, other in zip(results, others, strict=True)]
    return estimate(differences, unseen=UNSEEN_DIFFERENCES)


def cell_of(method: str, law: str, results: Sequence[EpisodeResult]) -> StudyCell:
    """Return what the episodes of one cell came to."""
    requests = sum(one.requests for one in results)
    return StudyCell(
        method=method,
        law=law,
        episodes=len(results),
        success=estimate([one.success for one in results]),
        starved=float(np.mean([one.starved for one in results])),
        acceleration=float(np.sqrt(np.mean([one.acceleration**2 for one in results]))),
        requests=requests / len(results),
        underestimated=sum(one.underestimated for one in results) / max(requests, 1),
    )


def needed_episodes(half_width: float) -> int:
    """Return the episodes at which an interval is surely no longer than this to each side.

    Args:
        half_width: wanted half of the interval, 0–1.

    Raises:
        ConfigError: no such interval.
    """
    if not (math.isfinite(half_width) and 0 < half_width < 1):
        raise ConfigError("interval", wanted="a share above 0 and below 1", got=repr(half_width))
    return max(math.ceil((NORMAL_95 * WIDEST_SPREAD / half_width) ** 2), LEAST_EPISODES)


def check_episodes(given: int, half_width: float | None) -> None:
    """Raise ConfigError if so many episodes cannot promise an interval; None: any that says anything."""
    needed = LEAST_EPISODES if half_width is None else needed_episodes(half_width)
    asked = "an interval" if half_width is None else f"an interval of ±{100 * half_width:g} points"
    if given < needed:
        fix = "run more episodes" if half_width is None else "run more episodes, or ask for a wider interval"
        raise ConfigError("episodes", wanted=f"at least {needed} for {asked}", got=str(given), fix=fix)

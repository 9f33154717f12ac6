"""Statistics of a run, and the order in which contestants take turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["percentile", "turns"]

ContestantT = TypeVar("ContestantT")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile, by linear interpolation."""
    return float(np.percentile(np.asarray(values, dtype=np.float64), percent))


def turns(contestants: Sequence[ContestantT], rounds: int) -> Iterator[ContestantT]:
    """Return A B C A B C …: on a noisy machine, whatever disturbs one disturbs the others too.

    Each round begins with another contestant, so that none always follows the same one.
    """
    for number in range(rounds):
        start = number % len(contestants)
        yield from (*contestants[start:], *contestants[:start])

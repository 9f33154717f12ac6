"""Law of a network in a simulation: how long a message is on its way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vagus.clock import seconds_to_ns

__all__ = ["CONSTANT", "NetworkLaw", "NormalDraws"]

BLOCK = 4096
"""Numbers that are drawn at once: one at a time costs more than the rest of an event."""


class NormalDraws:
    """Standard normal numbers, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._block: list[float] = []

    def draw(self) -> float:
        """Return the next number."""
        if not self._block:
            self._block = self._generator.standard_normal(BLOCK).tolist()
        return self._block.pop()


@dataclass(frozen=True, slots=True)
class NetworkLaw:
    """Law of one robot's network, the same in both directions.

    Attributes:
        one_way_s: median time of a message, in seconds.
        sigma: spread of the logarithm of this time: 0 for a constant, 1 for a heavy tail (a message in a
            hundred takes ten times the median).
        outages: times in which nothing passes, (begin, end) in seconds; what is sent then arrives after them.
    """

    one_way_s: float = 0.005
    sigma: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()

    def arrival_ns(self, sent_ns: int, draws: NormalDraws) -> int:
        """Return when a message that is sent at `sent_ns` arrives."""
        for begin_s, end_s in self.outages:
            if seconds_to_ns(begin_s) <= sent_ns < seconds_to_ns(end_s):
                sent_ns = seconds_to_ns(end_s)
        factor = math.exp(self.sigma * draws.draw()) if self.sigma else 1.0
        return sent_ns + seconds_to_ns(self.one_way_s * factor)

    @property
    def round_trip_ns(self) -> int:
        """Median time there and back, which a robot knows of its own network."""
        return 2 * seconds_to_ns(self.one_way_s)


CONSTANT = NetworkLaw()
"""A wired network: always 5 ms each way."""

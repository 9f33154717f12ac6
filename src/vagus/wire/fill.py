"""How full servers are by what they say of their load, and how sessions that come spread over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vagus.wire.schema import Load

__all__ = ["Fill", "emptiest", "fills", "pick", "water_filled"]

DEMANDS = (1e-4, 1e4)
"""Smallest and largest demand that is believed: ten thousand devices, or a part of one."""
HALVINGS = 100
"""Halvings of the interval in which the common level is searched; there is no float between its ends then."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How full one server is, in units that are the same for all that it is compared with.

    Attributes:
        used: what its sessions take.
        capacity: what it can give, above 0.
        places: sessions that can still be opened, at least 0.
        one: what one session more takes, above 0.
    """

    used: float
    capacity: float
    places: int
    one: float

    @property
    def level(self) -> float:
        """Share of the capacity that is taken."""
        return self.used / self.capacity


def fills(loads: Sequence[Load]) -> list[Fill]:
    """Return how full these servers of one service are.

    If all servers with sessions say their demand, it counts: the share of the device that the sessions
    need. Otherwise the number of sessions counts, against the largest number. A server without any number
    is an empty one.
    """
    open_ones = [load for load in loads if load.sessions > 0]
    by_demand = bool(open_ones) and all(DEMANDS[0] <= load.demand <= DEMANDS[1] for load in open_ones)
    if not by_demand:
        return [
            Fill(float(max(load.sessions, 0)), float(max(load.max_sessions, 1)), _places(load), 1.0)
            for load in loads
        ]
    needed = sum(load.demand for load in open_ones) / sum(load.sessions for load in open_ones)
    return [
        Fill(load.demand, 1.0, _places(load), load.demand / load.sessions)
        if load.sessions > 0
        else Fill(0.0, 1.0, _places(load), needed)
        for load in loads
    ]


def _places(load: Load) -> int:
    return max(load.max_sessions - load.sessions, 0)


def water_filled(servers: Sequence[Fill], arriving: float) -> list[float]:
    """Return how many of the arriving sessions each server gets, so that the levels become equal.

    The fuller ones get none before the others are as full. No server gets more than its places; what finds
    no place at all is left out, so the sum may be less than `arriving`.
    """
    if arriving >= sum(server.places for server in servers):
        return [float(server.places) for server in servers]
    low = min((server.level for server in servers), default=0.0)
    high = max(
        (server.level + server.one * (server.places + 1) / server.capacity for server in servers), default=0.0
    )
    for _ in range(HALVINGS):
        level = (low + high) / 2
        if sum(_taken(server, level) for server in servers) < arriving:
            low = level
        else:
            high = level
    return [_taken(server, high) for server in servers]


def _taken(server: Fill, level: float) -> float:
    return min(max((level * server.capacity - server.used) / server.one, 0.0), float(server.places))


def emptiest(loads: Sequence[Load], draw: Callable[[], float]) -> int:
    """Return the index of the server with most room for one session more; of equal ones, any.

    Args:
        loads: at least one.
        draw: random number in [0, 1).
    """
    return pick(water_filled(fills(loads), 1.0), draw)


def pick(weights: Sequence[float], draw: Callable[[], float]) -> int:
    """Return a random index, each as likely as its weight; all are equal if all weights are 0.

    Args:
        weights: at least one, none negative.
        draw: random number in [0, 1).
    """
    total = sum(weights)
    if not total > 0:
        return min(int(draw() * len(weights)), len(weights) - 1)
    at = draw() * total
    for index, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return index
    return max(index for index, weight in enumerate(weights) if weight > 0)  # rounding

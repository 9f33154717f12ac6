"""Counters of a gateway: robots, requests by outcome, and the time of an answer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vagus.clock import NS_PER_MS, NS_PER_S, Clock
from vagus.errors import (
    ConfigError,
    LinkError,
    PolicyError,
    ProtocolError,
    RobotError,
    SessionRefusedError,
    SpecError,
    StateError,
)
from vagus.server.metrics import SECONDS, Histogram

__all__ = ["GatewayMetrics", "Timed"]

OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (LinkError, "no_server"),
    (SessionRefusedError, "refused"),
    (PolicyError, "policy_failed"),
    (StateError, "gone"),
    (ProtocolError, "malformed"),
    (ConfigError, "malformed"),
    (SpecError, "unfit"),
    (RobotError, "unfit"),
)
"""Error → what became of the request."""


class Timed:
    """Time since a request came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin_ns = clock.now_ns()

    def elapsed_ms(self) -> float:
        """Return the time since the request came, in ms."""
        return (self._clock.now_ns() - self._begin_ns) / NS_PER_MS


class GatewayMetrics:
    """Metrics of one gateway; any thread may add to them.

    Args:
        protocol: label of all of them.
        name: name of the gateway, another label.
        clock: monotonic.
    """

    def __init__(self, protocol: str, name: str, clock: Clock) -> None:
        self.protocol = protocol
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._events: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._seconds = Histogram(SECONDS)
        self._peers = 0

    def count(self, event: str, amount: int = 1) -> None:
        """Count an event, such as a refused connection."""
        with self._lock:
            self._events[event] += amount

    def count_malformed(self) -> None:
        """Count a request that no answer could be computed for, because its bytes are wrong."""
        with self._lock:
            self._requests["malformed"] += 1

    def add_peers(self, amount: int) -> None:
        """Add to the number of robots that are connected."""
        with self._lock:
            self._peers += amount

    @contextmanager
    def timed(self) -> Iterator[Timed]:
        """Count one request by its outcome, with its time if it was answered."""
        timed = Timed(self._clock)
        try:
            yield timed
        except BaseException as error:
            with self._lock:
                self._requests[_outcome_of(error)] += 1
            raise
        with self._lock:
            self._requests["answered"] += 1
            self._seconds.add(timed.elapsed_ms() * NS_PER_MS / NS_PER_S)

    @property
    def peers(self) -> int:
        """Number of robots that are connected."""
        with self._lock:
            return self._peers

    def events(self) -> dict[str, int]:
        """Return all counted events."""
        with self._lock:
            return dict(self._events)

    def requests(self) -> dict[str, int]:
        """Return the number of requests by what became of them."""
        with self._lock:
            return dict(self._requests)

    def seconds(self) -> Histogram:
        """Return a copy of the histogram of answered requests' times, in seconds."""
        with self._lock:
            return self._seconds.copy()


def _outcome_of(error: BaseException) -> str:
    return next((name for kind, name in OUTCOMES if isinstance(error, kind)), "failed")

"""Counters and histograms of the server, as plain numbers; any thread may add to them."""

from __future__ import annotations

import bisect
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType

__all__ = ["BusyMeter", "Histogram", "ServerMetrics"]

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ROWS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(slots=True)
class Histogram:
    """Histogram: count of values per bucket. A value is in the first bucket with a bound not below it."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        """Return a copy of the histogram."""
        return Histogram(self.bounds, list(self.counts), self.total)


class ServerMetrics:
    """Metrics of the server: counters by (family, label), histograms by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._collects: list[Callable[[ModuleType], Iterable[object]]] = []
        self._counters: Counter[tuple[str, str]] = Counter()
        self._histograms = {
            "queue_wait": Histogram(SECONDS),
            "lateness": Histogram(SECONDS),
            "preparation": Histogram(SECONDS),
            "decode": Histogram(SECONDS),
            "inference": Histogram(SECONDS),
            "publish": Histogram(SECONDS),
            "batch_size": Histogram(ROWS),
        }

    def count(self, family: str, label: str, amount: int = 1) -> None:
        """Add to a counter of a family, such as "requests" or "dropped"."""
        with self._lock:
            self._counters[family, label] += amount

    def observe(self, name: str, value: float) -> None:
        """Add a value to a histogram: seconds, or rows for "batch_size"."""
        with self._lock:
            self._histograms[name].add(value)

    def observe_all(self, name: str, values: Iterable[float]) -> None:
        """Add several values to a histogram, as `observe` does."""
        with self._lock:
            for value in values:
                self._histograms[name].add(value)

    def add_collect(self, collect: Callable[[ModuleType], Iterable[object]]) -> None:
        """Add what gives the metric families of another part of this process, such as a gateway."""
        with self._lock:
            self._collects.append(collect)

    def collects(self) -> tuple[Callable[[ModuleType], Iterable[object]], ...]:
        """Return what was added by `add_collect`."""
        with self._lock:
            return tuple(self._collects)

    def counter(self, family: str, label: str) -> int:
        """Return one counter."""
        with self._lock:
            return self._counters[family, label]

    def counters(self) -> dict[tuple[str, str], int]:
        """Return all counters."""
        with self._lock:
            return dict(self._counters)

    def histograms(self) -> dict[str, Histogram]:
        """Return copies of all histograms."""
        with self._lock:
            return {name: histogram.copy() for name, histogram in self._histograms.items()}


class BusyMeter:
    """Meter of the share of the last seconds that inference took. Pure; not thread-safe."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._spans: deque[tuple[int, int]] = deque()
        self._total_ns = 0
        """Of all spans: every answer asks, and a fast policy leaves thousands in the window."""

    def add(self, begin_ns: int, end_ns: int) -> None:
        """Note that the policy was busy from `begin_ns` to `end_ns`. Calls come in order of time."""
        self._spans.append((begin_ns, end_ns))
        self._total_ns += end_ns - begin_ns
        self._forget(end_ns)

    def share(self, now_ns: int) -> float:
        """Return the busy share of the window that ends now, 0–1."""
        self._forget(now_ns)
        if not self._spans:
            return 0.0
        cut_ns = max(now_ns - self._window_ns - self._spans[0][0], 0)
        return min(max((self._total_ns - cut_ns) / self._window_ns, 0.0), 1.0)

    def _forget(self, now_ns: int) -> None:
        while self._spans and self._spans[0][1] <= now_ns - self._window_ns:
            begin_ns, end_ns = self._spans.popleft()
            self._total_ns -= end_ns - begin_ns

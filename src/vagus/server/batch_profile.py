"""Inference time of a batch by its size and key, kept up to date while serving."""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from vagus.wire.schema import LatencyRow

__all__ = ["BatchProfile"]

WINDOW = 7
"""Measurements of one batch size whose median counts: up to three outliers in a row change nothing much."""
TRUSTED_FROM = 3
"""Measurements from which on a batch size has an estimate of its own: one or two may be outliers."""
FORGET_AFTER = 512
"""Batches after which a size that did not occur loses its measurements: the device may have changed."""
MAX_KEYS = 64
"""Batch keys with measurements of their own; the one that was used longest ago is forgotten first."""
LEAST_MS = 1e-6
"""Shortest time that counts: ratios of times need a divisor."""


@dataclass(slots=True)
class _Measurements:
    """Newest inference times of one batch size, in milliseconds, and the number of the batch of the last."""

    window: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    noted_at: int = 0


class _Curve:
    """Estimates for the requests of one key."""

    def __init__(self, initial: Sequence[tuple[int, float]]) -> None:
        self._initial = initial
        self._sizes: dict[int, _Measurements] = {}
        self._drift: deque[float] = deque((1.0,) * (TRUSTED_FROM - 1), maxlen=WINDOW)
        """Newest measurements of any size, each divided by the initial time of its size."""
        self._noted = 0
        self._knots: list[tuple[int, float]] | None = None

    def note(self, size: int, ms: float) -> None:
        self._noted += 1
        self._knots = None
        measurements = self._sizes.setdefault(size, _Measurements())
        measurements.window.append(ms)
        measurements.noted_at = self._noted
        if self._initial:
            self._drift.append(ms / _at(self._initial, size))
        for old in [s for s, m in self._sizes.items() if self._noted - m.noted_at > FORGET_AFTER]:
            del self._sizes[old]

    def ms(self, size: int) -> float:
        return _at(self.knots, size)

    def slowest_ms(self, size: int) -> float | None:
        """Return the slowest of the newest measurements, or None if there is none."""
        measurements = self._sizes.get(size)
        return None if measurements is None else max(measurements.window)

    @property
    def knots(self) -> list[tuple[int, float]]:
        """Sizes with an estimate, ascending, and their times, never falling."""
        if self._knots is None:
            drift = statistics.median(self._drift)
            times = {size: ms * drift for size, ms in self._initial}
            for size, measurements in self._sizes.items():
                if len(measurements.window) >= TRUSTED_FROM or not self._initial:
                    times[size] = statistics.median(measurements.window)
            self._knots = _rising(sorted(times.items()))
        return self._knots


class BatchProfile:
    """Predicted inference time of a batch. Pure and not thread-safe: one thread uses it.

    It starts from the times of the warm-up and follows the batches that were served. A size that was served
    has the median of its newest times. All other sizes keep their ratio to each other and drift with the
    sizes that were served: a profile that is wrong by a factor at the start is right after three batches. A
    single outlier changes nothing. Sizes that nobody measured lie on the line between their neighbours;
    larger ones on the last line, and while there is but one size, they take its time: so larger batches are
    tried, and measured. The time never falls with the size.
    """

    def __init__(self, rows: Iterable[LatencyRow] = ()) -> None:
        """Start from the rows of the warm-up; without rows every batch takes 0 ms until one is noted."""
        warm_up = {row.batch_size: row for row in rows}
        self._slowest_ms = {size: row.max_ms for size, row in warm_up.items()}
        initial = ((size, max(row.p50_ms, LEAST_MS)) for size, row in warm_up.items())
        self._all = _Curve(_rising(sorted(initial)))
        self._keys: OrderedDict[Hashable, _Curve] = OrderedDict()

    def ms(self, size: int, key: Hashable = None) -> float:
        """Return the predicted inference time of `size` rows of one key, in milliseconds.

        A key without measurements has the times of all requests.
        """
        return self._keys.get(key, self._all).ms(size)

    def note(self, size: int, ms: float, key: Hashable = None) -> None:
        """Note that a batch of `size` rows of one key took `ms` milliseconds.

        Raises:
            ValueError: no batch has this size or takes this time.
        """
        if size < 1 or not (math.isfinite(ms) and ms >= 0):
            raise ValueError(f"batch: wanted at least 1 row and a time in ms, got {size} rows in {ms} ms")
        ms = max(ms, LEAST_MS)
        self._all.note(size, ms)
        if key is None:
            return
        if key not in self._keys:
            self._keys[key] = _Curve(self._all.knots)
        self._keys[key].note(size, ms)
        self._keys.move_to_end(key)
        while len(self._keys) > MAX_KEYS:
            self._keys.popitem(last=False)

    def rows(self) -> tuple[LatencyRow, ...]:
        """Return the present times of all sizes that were measured, smallest first."""
        return tuple(self._row(size, ms) for size, ms in self._all.knots)

    def _row(self, size: int, ms: float) -> LatencyRow:
        slowest_ms = self._all.slowest_ms(size) or self._slowest_ms.get(size, ms)
        return LatencyRow(batch_size=size, p50_ms=ms, max_ms=max(ms, slowest_ms))


def _rising(knots: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the nearest times that never fall: neighbours that fall are averaged."""
    blocks: list[tuple[float, int]] = []  # (mean, number of knots)
    for _, ms in knots:
        mean, count = ms, 1
        while blocks and blocks[-1][0] > mean:
            before, more = blocks.pop()
            mean, count = (mean * count + before * more) / (count + more), count + more
        blocks.append((mean, count))
    times = [mean for mean, count in blocks for _ in range(count)]
    return [(size, ms) for (size, _), ms in zip(knots, times, strict=True)]


def _at(knots: Sequence[tuple[int, float]], size: int) -> float:
    """Return the time of a size on the line through the knots."""
    if not knots:
        return 0.0
    first, last = knots[0], knots[-1]
    if size <= first[0]:
        return first[1]  # smaller ones are not slower
    if len(knots) == 1:
        return first[1]  # nothing says that more rows take longer: who would find out, if none were tried?
    if size >= last[0]:
        before = knots[-2]
        return last[1] + (size - last[0]) * (last[1] - before[1]) / (last[0] - before[0])
    above = next(i for i, knot in enumerate(knots) if knot[0] >= size)
    (low, low_ms), (high, high_ms) = knots[above - 1], knots[above]
    return low_ms + (size - low) * (high_ms - low_ms) / (high - low)

"""Fewer points for a drawing, without the loss of a peak or a gap (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from vagus.viewing.description import Curve, Numbers

__all__ = ["evenly", "thinned"]

ItemT = TypeVar("ItemT")

_KEPT = 3
"""Points kept of a bucket: its least, its greatest, and its first gap."""


def thinned(curve: Curve, most: int) -> Curve:
    """Return the curve with at most `most` points, 8 or more: of each stretch the least and the greatest.

    First and last point stay, and so does a gap (NaN) of whatever length.
    """
    count = len(curve)
    if count <= most:
        return curve
    buckets = max((most - 2) // _KEPT, 1)
    size = -(-count // buckets)
    kept = _kept(curve.values, size)
    chosen = np.unique(np.concatenate((kept, [0, count - 1])))
    return Curve(curve.times_s[chosen], curve.values[chosen])


def _kept(values: Numbers, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """Return the places of least, greatest and first NaN in each bucket of `size` values."""
    count = len(values)
    rows = -(-count // size)
    padded = np.full(rows * size, np.nan)
    padded[:count] = values
    table = padded.reshape(rows, size)
    is_gap = np.isnan(table)
    starts = np.arange(rows) * size
    least = starts + np.where(is_gap, np.inf, table).argmin(axis=1)
    greatest = starts + np.where(is_gap, -np.inf, table).argmax(axis=1)
    gaps = (starts + is_gap.argmax(axis=1))[is_gap.any(axis=1)]
    places = np.concatenate((least, greatest, gaps))
    return places[places < count]


def evenly(items: Sequence[ItemT], most: int) -> tuple[ItemT, ...]:
    """Return at most `most` of the items, 1 or more, spread evenly, with the first and the last."""
    if len(items) <= most:
        return tuple(items)
    places = np.unique(np.linspace(0, len(items) - 1, most).round().astype(int)).tolist()
    return tuple(items[place] for place in places)

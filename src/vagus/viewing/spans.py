"""Bands of states: equal neighbours joined, and short ones made fewer for a drawing (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from vagus.types import LinkState, MotionState
from vagus.viewing.description import Numbers, StateBand

__all__ = ["bands_of", "for_drawing"]

_GOOD = (LinkState.STREAMING.value, MotionState.PLAYING.value)
"""States that may be drawn under the others."""


def bands_of(lane: str, states: Sequence[str | None], times_s: Numbers) -> Iterator[StateBand]:
    """Yield a band per run of equal states; None: no band. A band ends where the next row begins."""
    begin = 0
    for row in range(1, len(states) + 1):
        if row < len(states) and states[row] == states[begin]:
            continue
        state = states[begin]
        if state is not None:
            end_s = float(times_s[min(row, len(states) - 1)])
            yield StateBand(lane, state, float(times_s[begin]), end_s)
        begin = row


def for_drawing(bands: Iterable[StateBand], least_s: float) -> tuple[StateBand, ...]:
    """Return fewer bands for a drawing in which `least_s` cannot be seen; no state disappears.

    Bands of one state with a shorter gap between them are joined, and every band is at least so long. A good
    state comes before the others of its lane, which are drawn over it.
    """
    newest: dict[tuple[str, str], StateBand] = {}
    joined: list[StateBand] = []
    for band in bands:
        key = (band.lane, band.state)
        before = newest.get(key)
        long_enough = replace(band, end_s=max(band.end_s, band.begin_s + least_s))
        if before is not None and band.begin_s - before.end_s < least_s:
            newest[key] = replace(before, end_s=max(before.end_s, long_enough.end_s))
            continue
        if before is not None:
            joined.append(before)
        newest[key] = long_enough
    joined.extend(newest.values())
    return tuple(sorted(joined, key=lambda band: (band.lane, band.state not in _GOOD, band.begin_s)))

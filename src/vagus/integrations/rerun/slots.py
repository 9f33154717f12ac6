"""Slots for chunks: curves on which no two chunks overlap (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field

from vagus.viewing.description import ChunkFan

__all__ = ["MAX_SLOTS", "CurveSlot", "SlotAllocator"]

MAX_SLOTS = 24
"""Curves of chunks per joint and outcome; where more overlap, the first part of one is not drawn."""


@dataclass(frozen=True, slots=True)
class CurveSlot:
    """Curve on which a chunk is drawn.

    Attributes:
        number: from 0.
        is_merged: its chunks entered the plan.
        after_s: time up to which the curve is taken.
    """

    number: int
    is_merged: bool
    after_s: float


@dataclass(slots=True)
class SlotAllocator:
    """Allocator of slots for chunks that come in order of time."""

    _taken_s: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def slot_for(self, fan: ChunkFan) -> CurveSlot:
        """Return the slot of a chunk: the first that is free, a new one, or the one that is free first."""
        taken_s = self._taken_s[fan.is_merged]
        free = (number for number, until_s in enumerate(taken_s) if until_s < fan.times_s[0])
        number = next(free, None)
        if number is None and len(taken_s) < MAX_SLOTS:
            taken_s.append(float("-inf"))
            number = len(taken_s) - 1
        if number is None:
            number = min(range(len(taken_s)), key=taken_s.__getitem__)
        slot = CurveSlot(number, fan.is_merged, taken_s[number])
        taken_s[number] = max(float(fan.times_s[-1]), slot.after_s)
        return slot

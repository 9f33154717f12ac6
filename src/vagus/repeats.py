"""Counts repeated events: the first is told, the others are counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Repeat", "Repeats"]

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Repeat:
    """What is to be told now.

    Attributes:
        count: how often it happened since it was told last, this time included.
        is_first: it was never told before, as far as is remembered.
    """

    count: int
    is_first: bool


@dataclass(slots=True)
class _Heard:
    since_ns: int
    told: int = 1
    untold: int = 0


class Repeats(Generic[KeyT]):
    """Bounds how often one thing is told, and how many things are remembered. Pure; not thread-safe.

    Args:
        interval_ns: one thing is told at most `burst` times in this time.
        max_keys: things remembered; as many more as come within one interval are not told at all.
        burst: times that it is told before it is only counted.
    """

    def __init__(self, *, interval_ns: int, max_keys: int, burst: int = 1) -> None:
        self._interval_ns = interval_ns
        self._burst = burst
        self._max_keys = max_keys
        self._heard: OrderedDict[KeyT, _Heard] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heard)

    def note(self, key: KeyT, now_ns: int) -> Repeat | None:
        """It happened; return what is to be told now, or None."""
        heard = self._heard.get(key)
        if heard is None:
            if not self._make_room(now_ns):
                return None
            self._heard[key] = _Heard(now_ns)
            return Repeat(1, is_first=True)
        heard.untold += 1
        if heard.told < self._burst:
            heard.told += 1
            return _told(heard)
        return self._tell(key, heard, now_ns) if now_ns - heard.since_ns >= self._interval_ns else None

    def overdue(self, now_ns: int) -> list[tuple[KeyT, Repeat]]:
        """Return what happened after it was told and did not happen again since; it counts as told."""
        due = [
            (key, heard)
            for key, heard in self._heard.items()
            if heard.untold and now_ns - heard.since_ns >= self._interval_ns
        ]
        return [(key, self._tell(key, heard, now_ns)) for key, heard in due]

    def _tell(self, key: KeyT, heard: _Heard, now_ns: int) -> Repeat:
        heard.since_ns, heard.told = now_ns, 1
        self._heard.move_to_end(key)
        return _told(heard)

    def _make_room(self, now_ns: int) -> bool:
        """Forget what was told longest ago; False: all was told just now."""
        if len(self._heard) < self._max_keys:
            return True
        oldest, heard = next(iter(self._heard.items()))
        if now_ns - heard.since_ns < self._interval_ns:
            return False
        del self._heard[oldest]
        return True


def _told(heard: _Heard) -> Repeat:
    repeat = Repeat(heard.untold, is_first=False)
    heard.untold = 0
    return repeat

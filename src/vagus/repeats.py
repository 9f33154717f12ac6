"""Limits on the reports of repeated events: the first is reported, the others are counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Repeat", "Repeats"]

KeyT = TypeVar("KeyT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Report that is due now.

    Attributes:
        count: number of events since the last report, this one included.
        is_first: the event was not reported before, as far as is remembered.
    """

    count: int
    is_first: bool

    @property
    def times(self) -> str:
        """The count as the end of a log line; "" for a single event."""
        return "" if self.count == 1 else f" ({self.count} times since it was told last)"


@dataclass(slots=True)
class _Heard:
    since_ns: int
    told: int = 1
    untold: int = 0


class Repeats(Generic[KeyT]):
    """Limiter of the reports of each event, with a limited memory. Pure; not thread-safe.

    Args:
        interval_ns: time in which one event is reported at most `burst` times.
        max_keys: number of events remembered; if more come within one interval, they are not reported.
        burst: number of reports before the event is only counted.
    """

    def __init__(self, *, interval_ns: int, max_keys: int, burst: int = 1) -> None:
        self._interval_ns = interval_ns
        self._burst = burst
        self._max_keys = max_keys
        self._heard: OrderedDict[KeyT, _Heard] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heard)

    def note(self, key: KeyT, now_ns: int) -> Repeat | None:
        """Count an event; return the report that is due now, or None."""
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
        """Return reports of events that were counted and have not occurred again; they count as reported."""
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
        """Forget the event with the oldest report; return False if all reports are recent."""
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

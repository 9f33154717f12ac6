"""Cached answer to status queries."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vagus.clock import NS_PER_MS, Clock
from vagus.wire.codec import encode
from vagus.wire.schema import Capabilities

__all__ = ["Status"]

REPEAT_NS = 100 * NS_PER_MS
"""For so long the load may be that of a moment ago; who asks without end costs one answer in this time."""


class Status:
    """The encoded capabilities. Any thread may ask.

    Args:
        key: what is never old; another one is said at once.
        say: all of it.
        clock: monotonic.
    """

    def __init__(self, key: Callable[[], object], say: Callable[[], Capabilities], clock: Clock) -> None:
        self._key = key
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._said: tuple[object, int, bytes] | None = None

    def payload(self) -> bytes:
        """Return the answer."""
        key, now_ns = self._key(), self._clock.now_ns()
        with self._lock:
            said = self._said
        if said is not None and said[0] == key and now_ns - said[1] < REPEAT_NS:
            return said[2]
        payload = encode(self._say())
        with self._lock:
            self._said = (key, now_ns, payload)
        return payload

"""Cache of the answer to status queries."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vagus.clock import NS_PER_MS, Clock
from vagus.wire.codec import encode
from vagus.wire.schema import Capabilities

__all__ = ["Status"]

REPEAT_NS = 100 * NS_PER_MS
"""Largest age of the load in an answer; many queries cost at most one new answer in this time."""


class Status:
    """Encoded capabilities. Any thread may use it.

    Args:
        key: function whose result must never be old; if it changes, the answer is made again.
        say: function that returns the capabilities.
        clock: monotonic clock.
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

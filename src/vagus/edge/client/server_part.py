"""Part of a server that a robot may use beyond what it must (pure)."""

from __future__ import annotations

from vagus.clock import NS_PER_S
from vagus.edge.client.inflight import LatencyWindow

__all__ = ["ServerPart"]

REMEMBERED_NS = 60 * NS_PER_S
"""Time after which a robot that was put off tries to ask as often as before."""
LONGEST_NS = 10 * NS_PER_S
"""Longest time between two requests to which a server can bring a robot by putting it off."""


class ServerPart:
    """Time between two requests at which a robot uses no more than its part of the server of its session.

    It is what the newest answers say of load and cost. A server that puts requests off, because their tenant
    has a quota of them, says more: so long it was until one was allowed again.
    """

    def __init__(self) -> None:
        self._told = LatencyWindow()
        self._put_off_ns = 0
        self._put_off_until_ns = 0

    @property
    def is_known(self) -> bool:
        """Whether an answer has said what a request costs."""
        return self._told.newest_ns is not None

    @property
    def interval_ns(self) -> int:
        """Shortest time between two requests, from capture to capture; 0: not known."""
        return max(self._told.median_ns, self._put_off_ns)

    def add(self, share_ns: int) -> None:
        """Note what an answer says."""
        self._told.add(share_ns)

    def put_off(self, interval_ns: int, now_ns: int) -> None:
        """Note that the server allows no two requests within this time."""
        self._put_off_ns = max(self._put_off_ns, min(interval_ns, LONGEST_NS))
        self._put_off_until_ns = now_ns + REMEMBERED_NS

    def advance(self, now_ns: int) -> None:
        """Note the time: what was put off long ago may be allowed now."""
        if now_ns >= self._put_off_until_ns:
            self._put_off_ns = 0

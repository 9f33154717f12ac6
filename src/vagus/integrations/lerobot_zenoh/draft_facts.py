"""What the servers behind a gateway of the draft say of themselves, asked for not more often than needed."""

from __future__ import annotations

import threading
from typing import Final

from vagus.clock import NS_PER_S, Clock
from vagus.errors import VagusError
from vagus.gateways.gateway import Gateway
from vagus.wire.schema import Capabilities

__all__ = ["DraftFacts"]

FRESH_NS: Final = 2 * NS_PER_S


class DraftFacts:
    """Facts by entry of the operator's list. Any thread may ask.

    Args:
        gateway: knows the servers.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Capabilities] = {}
        self._asked_ns: dict[str, int] = {}

    def of(self, entry: str) -> Capabilities | None:
        """Return what a server of this entry says, or said before it went; None: none has answered yet."""
        now_ns = self._clock.now_ns()
        with self._lock:
            asked_ns = self._asked_ns.get(entry)
            if asked_ns is not None and now_ns - asked_ns < FRESH_NS:
                return self._known.get(entry)
            self._asked_ns[entry] = now_ns  # the others take what is known meanwhile
        try:
            said = self._gateway.served(entry)
        except VagusError:
            return self.known(entry)
        with self._lock:
            self._known[entry] = said
        return said

    def known(self, entry: str) -> Capabilities | None:
        """Return what a server of this entry has said last; asks nobody."""
        with self._lock:
            return self._known.get(entry)

"""What the servers behind a gateway of the draft say of themselves, asked for not more often than needed."""

from __future__ import annotations

import threading
from typing import Final

from vagus.clock import NS_PER_S, Clock
from vagus.errors import VagusError
from vagus.gateways.gateway import Gateway
from vagus.transport.keys import ServiceKey
from vagus.wire.schema import Capabilities

__all__ = ["DraftFacts"]

FRESH_NS: Final = 2 * NS_PER_S
SEEN_NS: Final = 2 * FRESH_NS
"""For so long after a server has answered its service is taken to be what an entry means."""


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
        self._seen_ns: dict[str, int] = {}

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
            self._known[entry], self._seen_ns[entry] = said, self._clock.now_ns()
        return said

    def known(self, entry: str) -> Capabilities | None:
        """Return what a server of this entry has said last; asks nobody."""
        with self._lock:
            return self._known.get(entry)

    def service(self, entry: str) -> ServiceKey | None:
        """Return the service of an entry whose server has just answered; None: look for it by its name."""
        with self._lock:
            seen_ns, said = self._seen_ns.get(entry), self._known.get(entry)
        if seen_ns is None or said is None or self._clock.now_ns() - seen_ns >= SEEN_NS:
            return None
        return ServiceKey.of(said.model, said.revision, said.service_name)

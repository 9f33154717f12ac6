"""Connection to the network, and the declarations that are made again after it is replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from vagus.transport.link import Declaration, Delivery, Query, Sample

__all__ = ["Connection", "Entry", "Watch"]

TOKENS_TIMEOUT_S = 2.0
"""Longest wait for the list of tokens after a reopen."""


class Connection(Protocol):
    """One connection to the network until it is lost: the methods of `Link`, without a new declaration."""

    @property
    def is_live(self) -> bool:
        """Whether the connection is neither lost nor closed."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether a router or a peer is at the other end."""
        ...

    @property
    def corrupted(self) -> int:
        """Number of messages dropped because their checksum was wrong."""
        ...

    def publish(self, key: str, header: bytes, payload: bytes, delivery: Delivery) -> None:
        """Send one message; it is lost without an error if the network is away."""
        ...

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """See `Link.subscribe`."""
        ...

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        """See `Link.serve`."""
        ...

    def token(self, key: str) -> Declaration:
        """See `Link.token`."""
        ...

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        """See `Link.watch`."""
        ...

    def query(self, key: str, payload: bytes, timeout_s: float) -> tuple[bytes, ...]:
        """See `Link.query`."""
        ...

    def tokens(self, key: str, timeout_s: float) -> frozenset[str]:
        """See `Link.tokens`."""
        ...

    def abandon(self) -> None:
        """Stop all deliveries; returns at once."""
        ...

    def close(self) -> None:
        """Close the connection; may take seconds."""
        ...


class Entry:
    """A declaration by the user of the link; it moves from one connection to the next."""

    def __init__(self, declare: Callable[[Connection], Declaration], remove: Callable[[Entry], None]) -> None:
        self._declare = declare
        self._remove = remove
        self._on_connection: Declaration | None = None

    def attach(self, connection: Connection) -> None:
        """Declare the entry on `connection`."""
        self._on_connection = self._declare(connection)

    def detach(self) -> None:
        """Undeclare the entry on its present connection."""
        declaration, self._on_connection = self._on_connection, None
        if declaration is not None:
            declaration.undeclare()

    def undeclare(self) -> None:
        """See `Declaration.undeclare`."""
        self._remove(self)


class Watch(Entry):
    """A watch of tokens; it remembers what it reported, so that a reopen reports only changes."""

    def __init__(
        self, key: str, on_change: Callable[[str, bool], None], remove: Callable[[Entry], None]
    ) -> None:
        super().__init__(self._declare_watch, remove)
        self._key = key
        self._on_change = on_change
        self._lock = threading.RLock()  # reports are in order, whichever thread they come from
        self._known: set[str] = set()
        self._confirmed: set[str] = set()

    def _declare_watch(self, connection: Connection) -> Declaration:
        with self._lock:
            self._confirmed.clear()
        return connection.watch(self._key, self._report)

    def _report(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the signature of a watch callback
        with self._lock:
            (self._confirmed.add if is_alive else self._confirmed.discard)(key)
            if is_alive == (key in self._known):
                return
            (self._known.add if is_alive else self._known.discard)(key)
            self._on_change(key, is_alive)

    def settle(self, connection: Connection) -> None:
        """Report the tokens that disappeared while there was no connection."""
        alive = connection.tokens(self._key, TOKENS_TIMEOUT_S)
        with self._lock:
            gone = sorted(self._known - self._confirmed - alive)
            for key in gone if connection.is_live else ():
                self._report(key, is_alive=False)

"""Protocol of a network link: messages under keys, delivery classes, queries and tokens."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Declaration", "Delivery", "Link", "LinkHealth", "Query", "Sample"]


class Delivery(enum.Enum):
    """Delivery class of a published message; measured in docs/benchmarks/network.md."""

    OBSERVATION = "observation"
    """Large messages that must arrive over slow and lossy links; the sending thread may wait for a moment."""
    CHUNK = "chunk"
    """Small and urgent messages: express, high priority; a dead receiver never blocks the publisher."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A message received by a subscription. Its key may be wrong: check the header."""

    key: str
    header: bytes
    payload: bytes


class Query(Protocol):
    """A query received by a queryable. Answer it once, from any thread, or `drop()` it."""

    @property
    def key(self) -> str:
        """Key of the query; for a query by pattern, the key that is served here."""
        ...

    @property
    def payload(self) -> bytes:
        """Body of the query."""
        ...

    def reply(self, payload: bytes) -> None:
        """Send the answer, which ends the query. A second answer is ignored."""
        ...

    def drop(self) -> None:
        """End the query without an answer."""
        ...


class Declaration(Protocol):
    """A declaration on a link: a subscription, a queryable, a token or a watch."""

    def undeclare(self) -> None:
        """Remove the declaration. A second call does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """State of the path to the network.

    Attributes:
        is_connected: a router or peer is reachable now.
        generation: number of the session; raised each time that a lost session was replaced.
        reopened: number of sessions replaced after a lost transport.
        zombies: number of sessions that had no router although one answered; found by the watchdog.
        corrupted: number of messages dropped because their checksum was wrong.
    """

    is_connected: bool
    generation: int
    reopened: int = 0
    zombies: int = 0
    corrupted: int = 0


class Link(Protocol):
    """A network path that carries bytes. Callbacks run on the link's threads and must not block.

    Declarations survive a lost transport: the link reopens and declares everything again. `query` and
    `tokens` raise an error while the network is away; no other method does.
    """

    def publish(self, key: str, *, header: bytes, payload: bytes, delivery: Delivery) -> None:
        """Send one message to all subscribers; it is lost without an error if the network is away."""
        ...

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """Call `callback` for each message published under `key` (`*` matches one segment)."""
        ...

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        """Answer queries under `key` (`*` matches one segment)."""
        ...

    def query(self, key: str, payload: bytes, *, timeout_s: float) -> tuple[bytes, ...]:
        """Send a query to every queryable of `key`; return the answers in order of arrival, at least one.

        Returns after `timeout_s` (plus scheduling) at the latest, or as soon as all have answered. Never call
        it from a callback: it would wait for its own thread.

        Raises:
            QueryTimeoutError: the key is served, but no answer came in time.
            LinkError: nobody serves the key, every server of it dropped the query, or the network is away.
        """
        ...

    def token(self, key: str) -> Declaration:
        """Declare a liveliness token under `key`; it ends with `undeclare` or with this process."""
        ...

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        """Call `callback(token key, is alive)` for the tokens under `key`, first for those alive now.

        Later calls report changes only. After a reopen, tokens that disappeared meanwhile are reported as
        gone. While the network is away, a token may be reported as gone, and as alive again after the network
        is back.
        """
        ...

    def tokens(self, key: str, *, timeout_s: float) -> frozenset[str]:
        """Return the keys of the tokens under `key` that are alive now.

        Raises:
            LinkError: the network is away.
        """
        ...

    def on_reopen(self, callback: Callable[[int], None]) -> None:
        """Call `callback(generation)` each time that a new connection replaced a lost one.

        All declarations are made again before the call. Messages of the lost connection are not delivered any
        more.
        """
        ...

    def health(self) -> LinkHealth:
        """Return the present state of the path."""
        ...

    def close(self) -> None:
        """Undeclare everything and close the link; nothing is delivered afterwards. May be called twice."""
        ...

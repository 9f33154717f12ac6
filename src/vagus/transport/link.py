"""The network as the rest of vagus sees it: bytes under keys, and the class each message travels in."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Declaration", "Delivery", "Link", "LinkHealth", "Query", "Sample"]


class Delivery(enum.Enum):
    """How a published message travels; what each class sets is measured in docs/benchmarks/network.md."""

    OBSERVATION = "observation"
    """Large; must arrive over slow and lossy links; the sender is a worker that may wait a moment."""
    CHUNK = "chunk"
    """Small and urgent: express, high priority; a dead receiver never stalls the publisher."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One message received by a subscription. The key is where it arrived, which is not to be trusted."""

    key: str
    header: bytes
    payload: bytes


class Query(Protocol):
    """One query received by a queryable. Answer once, from any thread, or `drop()`."""

    @property
    def key(self) -> str:
        """The key asked for; the key served where a pattern was asked for."""
        ...

    @property
    def payload(self) -> bytes:
        """The body of the question."""
        ...

    def reply(self, payload: bytes) -> None:
        """Answer and end the query. A second answer is ignored."""
        ...

    def drop(self) -> None:
        """End the query without an answer."""
        ...


class Declaration(Protocol):
    """Something declared on a link: a subscription, a queryable, a token or a watch."""

    def undeclare(self) -> None:
        """Take it back. Twice does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """How the path to the network stands.

    Attributes:
        is_connected: a router or peer is reachable now.
        generation: raised each time the transport was lost and the session reopened.
        reopened: times that happened.
        zombies: times the watchdog found a session without a router although one answered.
        corrupted: messages dropped because they did not arrive as they were sent.
    """

    is_connected: bool
    generation: int
    reopened: int = 0
    zombies: int = 0
    corrupted: int = 0


class Link(Protocol):
    """A network path that carries bytes. Callbacks run on the link's threads and must not block.

    Declarations survive a lost transport: the link reopens and declares everything again. No method raises
    because the network is away, except `query`, which says so.
    """

    def publish(self, key: str, *, header: bytes, payload: bytes, delivery: Delivery) -> None:
        """Send one message to whoever subscribes; lost without an error if the network is away."""
        ...

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """Receive what is published under `key` (`*` matches one segment)."""
        ...

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        """Answer queries under `key` (`*` matches one segment)."""
        ...

    def query(self, key: str, payload: bytes, *, timeout_s: float) -> tuple[bytes, ...]:
        """Ask everybody who serves `key`; return the answers that came, as they came, at least one.

        Returns no later than `timeout_s` (plus scheduling), sooner once all have answered. Never call it
        from a callback: it would wait for the thread that it runs on.

        Raises:
            QueryTimeoutError: somebody serves the key but nobody answered in time.
            LinkError: nobody serves the key, whoever does dropped the query, or the network is away.
        """
        ...

    def token(self, key: str) -> Declaration:
        """Declare that this process is alive under `key`, until it ends or undeclares."""
        ...

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        """Report (token key, is alive) for tokens under `key`, those already there first.

        Only changes are reported. After a reopen those that went meanwhile are reported gone; while the
        network is away a token may be reported gone and, once it is back, alive again.
        """
        ...

    def tokens(self, key: str, *, timeout_s: float) -> frozenset[str]:
        """Return the keys of the tokens under `key` that are alive now.

        Raises:
            LinkError: the network is away.
        """
        ...

    def on_reopen(self, callback: Callable[[int], None]) -> None:
        """Call `callback(generation)` each time a lost transport was replaced by a new one.

        Everything is declared again by then. What was received before is not delivered any more.
        """
        ...

    def health(self) -> LinkHealth:
        """Return how the path stands now."""
        ...

    def close(self) -> None:
        """Undeclare everything and end. Twice does nothing; nothing is delivered afterwards."""
        ...

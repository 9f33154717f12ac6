"""Replicas of one service: which is next; alive, set back after a failure, or excluded for good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from vagus.clock import NS_PER_S
from vagus.transport.keys import ServerKey

__all__ = [
    "Backoff",
    "LinkReopened",
    "ReplicaContradicts",
    "ReplicaEvent",
    "ReplicaSaid",
    "Replicas",
    "ReplicasListed",
    "TokenChanged",
]

HOPELESS_NS = 2 * NS_PER_S
"""Patience while only excluded servers are alive: after a router's restart tokens come back one by one."""


@dataclass(frozen=True, slots=True)
class TokenChanged:
    """The liveliness token of a server came or went."""

    server: ServerKey
    is_alive: bool


@dataclass(frozen=True, slots=True)
class ReplicasListed:
    """A complete list of the servers whose tokens are there."""

    servers: frozenset[ServerKey]


@dataclass(frozen=True, slots=True)
class ReplicaSaid:
    """A server said whether its policy fails for everybody."""

    server: ServerKey
    is_failing: bool


@dataclass(frozen=True, slots=True)
class ReplicaContradicts:
    """A server is ready and is not what this run was started with."""

    server: ServerKey
    why: str


@dataclass(frozen=True, slots=True)
class LinkReopened:
    """The transport was lost, and is back."""


ReplicaEvent: TypeAlias = TokenChanged | ReplicasListed | ReplicaSaid | ReplicaContradicts | LinkReopened
"""What the watch over the replicas tells."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between tries at one server: one at once, then doubling up to a bound."""

    initial_ns: int
    max_ns: int

    def pause_ns(self, failures: int) -> int:
        """Return the pause after this many failures in a row (at least 1); after the first there is none."""
        if failures <= 1:
            return 0
        doublings = min(failures - 2, 32)  # beyond, the bound has long been reached
        return min(self.initial_ns << doublings, self.max_ns)


@dataclass(slots=True)
class _Replica:
    """One server: failures in a row, when it may be tried again, which try was its last, and why never."""

    is_failing: bool = False
    failures: int = 0
    not_before_ns: int = 0
    tried: int = 0
    excluded: str = ""


class Replicas:
    """Which server to open a session with next."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._known: dict[ServerKey, _Replica] = {}
        self._alive: set[ServerKey] = set()
        self._tries = 0
        self._hopeless_since_ns: int | None = None

    @property
    def alive(self) -> frozenset[ServerKey]:
        """Servers whose token is there."""
        return frozenset(self._alive)

    @property
    def excluded(self) -> dict[ServerKey, str]:
        """Living servers that must not be used, and why."""
        return {
            key: self._known[key].excluded for key in sorted(self._alive, key=str) if self._is_excluded(key)
        }

    def apply(self, event: ReplicaEvent) -> None:
        """Take note of what the watch tells."""
        match event:
            case TokenChanged(server, is_alive):
                self.set_alive(server, is_alive=is_alive)
            case ReplicasListed(servers):
                self.set_all_alive(servers)
            case ReplicaSaid(server, is_failing):
                self.set_failing(server, is_failing=is_failing)
            case ReplicaContradicts(server, why):
                self.exclude(server, why)
            case LinkReopened():
                self.retry_now()

    def set_alive(self, server: ServerKey, *, is_alive: bool) -> None:
        """A token came or went. One that comes back may be tried at once."""
        if not is_alive:
            self._alive.discard(server)
            return
        replica = self._known.setdefault(server, _Replica())
        if server not in self._alive:
            replica.not_before_ns = 0
            self._alive.add(server)

    def set_all_alive(self, servers: Iterable[ServerKey]) -> None:
        """Take over a complete list of the tokens that are there."""
        listed = set(servers)
        for gone in self._alive - listed:
            self.set_alive(gone, is_alive=False)
        for server in listed:
            self.set_alive(server, is_alive=True)

    def exclude(self, server: ServerKey, why: str) -> None:
        """Never use this server again: it contradicts what this run is built on."""
        self._known.setdefault(server, _Replica()).excluded = why

    def set_back(self, server: ServerKey, now_ns: int) -> None:
        """A try failed, or the server failed us; wait a little longer each time."""
        replica = self._known.setdefault(server, _Replica())
        replica.failures += 1
        replica.not_before_ns = now_ns + self._backoff.pause_ns(replica.failures)

    def set_failing(self, server: ServerKey, *, is_failing: bool) -> None:
        """A server said whether its policy fails for everybody; one whose does is the last choice."""
        self._known.setdefault(server, _Replica()).is_failing = is_failing

    def has_other(self, server: ServerKey | None, now_ns: int) -> bool:
        """Whether a server other than this one could be tried now, and is not known to fail."""
        return any(key != server and not self._known[key].is_failing for key in self._candidates(now_ns))

    def succeeded(self, server: ServerKey) -> None:
        """A chunk of this server was merged: its failures are forgotten."""
        if server in self._known:
            self._known[server].failures = 0

    def retry_now(self) -> None:
        """The network is back: no need to wait any longer."""
        for replica in self._known.values():
            replica.not_before_ns = 0

    def choose(self, now_ns: int) -> ServerKey | None:
        """Return the server to try now, the one that failed least and was tried longest ago; or None."""
        candidates = self._candidates(now_ns)
        if not candidates:
            return None
        chosen = min(candidates, key=self._rank)
        self._tries += 1
        self._known[chosen].tried = self._tries
        return chosen

    def _candidates(self, now_ns: int) -> list[ServerKey]:
        return [
            key
            for key, replica in self._known.items()
            if key in self._alive and not replica.excluded and replica.not_before_ns <= now_ns
        ]

    def _rank(self, server: ServerKey) -> tuple[bool, int, int, str]:
        replica = self._known[server]
        return replica.is_failing, replica.failures, replica.tried, str(server)

    @property
    def are_all_excluded(self) -> bool:
        """Whether somebody is alive and nobody of them may be used."""
        return bool(self._alive) and all(self._is_excluded(key) for key in self._alive)

    def is_hopeless(self, now_ns: int) -> bool:
        """Whether nobody but excluded servers has been alive for a while; to be asked again and again."""
        if not self.are_all_excluded:
            self._hopeless_since_ns = None
        elif self._hopeless_since_ns is None:
            self._hopeless_since_ns = now_ns
        since_ns = self._hopeless_since_ns
        return since_ns is not None and now_ns - since_ns >= HOPELESS_NS

    def _is_excluded(self, server: ServerKey) -> bool:
        return bool(self._known[server].excluded)

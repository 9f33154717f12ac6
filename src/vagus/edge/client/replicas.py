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
"""Wait while only excluded servers are alive: after a router's restart tokens come back one by one."""


@dataclass(frozen=True, slots=True)
class TokenChanged:
    """Event: the liveliness token of a server came or went."""

    server: ServerKey
    is_alive: bool


@dataclass(frozen=True, slots=True)
class ReplicasListed:
    """Event: the complete list of servers with a token."""

    servers: frozenset[ServerKey]


@dataclass(frozen=True, slots=True)
class ReplicaSaid:
    """Event: a server reported whether its policy fails for everybody."""

    server: ServerKey
    is_failing: bool


@dataclass(frozen=True, slots=True)
class ReplicaContradicts:
    """Event: a ready server contradicts the contract of this run."""

    server: ServerKey
    why: str


@dataclass(frozen=True, slots=True)
class LinkReopened:
    """Event: the transport was lost, and is back."""


ReplicaEvent: TypeAlias = TokenChanged | ReplicasListed | ReplicaSaid | ReplicaContradicts | LinkReopened
"""Events of the watch over the replicas."""


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
    """State of one server: failures in a row, next try, last try, and why it is excluded."""

    is_failing: bool = False
    failures: int = 0
    not_before_ns: int = 0
    tried: int = 0
    excluded: str = ""


class Replicas:
    """Replicas of a service, and which one to open a session with next."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._known: dict[ServerKey, _Replica] = {}
        self._alive: set[ServerKey] = set()
        self._tries = 0
        self._hopeless_since_ns: int | None = None

    @property
    def alive(self) -> frozenset[ServerKey]:
        """Servers with a liveliness token."""
        return frozenset(self._alive)

    @property
    def excluded(self) -> dict[ServerKey, str]:
        """Living servers that must not be used, and why."""
        return {
            key: self._known[key].excluded for key in sorted(self._alive, key=str) if self._is_excluded(key)
        }

    def apply(self, event: ReplicaEvent) -> None:
        """Apply an event of the watch."""
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
        """Note that a token came or went; a server that comes back may be tried at once."""
        if not is_alive:
            self._alive.discard(server)
            return
        replica = self._known.setdefault(server, _Replica())
        if server not in self._alive:
            replica.not_before_ns = 0
            self._alive.add(server)

    def set_all_alive(self, servers: Iterable[ServerKey]) -> None:
        """Set the complete list of living servers."""
        listed = set(servers)
        for gone in self._alive - listed:
            self.set_alive(gone, is_alive=False)
        for server in listed:
            self.set_alive(server, is_alive=True)

    def exclude(self, server: ServerKey, why: str) -> None:
        """Exclude a server for good: it contradicts the contract."""
        self._known.setdefault(server, _Replica()).excluded = why

    def set_back(self, server: ServerKey, now_ns: int) -> None:
        """Note a failure of a server; the pause before its next try grows."""
        replica = self._known.setdefault(server, _Replica())
        replica.failures += 1
        replica.not_before_ns = now_ns + self._backoff.pause_ns(replica.failures)

    def set_failing(self, server: ServerKey, *, is_failing: bool) -> None:
        """Note whether the policy of a server fails for everybody; then it is the last choice."""
        self._known.setdefault(server, _Replica()).is_failing = is_failing

    def has_other(self, server: ServerKey | None, now_ns: int) -> bool:
        """Whether a server other than this one could be tried now, and is not known to fail."""
        return any(key != server and not self._known[key].is_failing for key in self._candidates(now_ns))

    def succeeded(self, server: ServerKey) -> None:
        """Forget the failures of a server: one of its chunks was merged."""
        if server in self._known:
            self._known[server].failures = 0

    def retry_now(self) -> None:
        """Allow all tries at once: the network is back."""
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
        """Whether all living servers are excluded, and there is one."""
        return bool(self._alive) and all(self._is_excluded(key) for key in self._alive)

    def is_hopeless(self, now_ns: int) -> bool:
        """Whether only excluded servers have been alive for a while; ask it again and again."""
        if not self.are_all_excluded:
            self._hopeless_since_ns = None
        elif self._hopeless_since_ns is None:
            self._hopeless_since_ns = now_ns
        since_ns = self._hopeless_since_ns
        return since_ns is not None and now_ns - since_ns >= HOPELESS_NS

    def _is_excluded(self, server: ServerKey) -> bool:
        return bool(self._known[server].excluded)

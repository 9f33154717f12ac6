"""Replicas of one service: which is next, by load; alive, set back after a failure, or excluded for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from vagus.clock import NS_PER_S
from vagus.transport.keys import ServerKey
from vagus.wire.fill import fills, pick, water_filled
from vagus.wire.schema import Load

__all__ = [
    "Backoff",
    "LinkReopened",
    "ReplicaContradicts",
    "ReplicaEvent",
    "ReplicaSaid",
    "ReplicaSilent",
    "Replicas",
    "ReplicasListed",
    "TokenChanged",
]

HOPELESS_NS = 2 * NS_PER_S
"""Wait while only excluded servers are alive: after a router's restart tokens come back one by one."""
FORGET_NS = 30 * NS_PER_S
"""Age at which a failure no longer makes a server a later choice: it may have been full for a moment."""


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
    """Event: a server reported its load, and whether its policy fails for everybody."""

    server: ServerKey
    is_failing: bool
    load: Load


@dataclass(frozen=True, slots=True)
class ReplicaSilent:
    """Event: a server with a token did not answer a question about its status."""

    server: ServerKey


@dataclass(frozen=True, slots=True)
class ReplicaContradicts:
    """Event: a ready server contradicts the contract of this run."""

    server: ServerKey
    why: str


@dataclass(frozen=True, slots=True)
class LinkReopened:
    """Event: the transport was lost, and is back."""


ReplicaEvent: TypeAlias = (
    TokenChanged | ReplicasListed | ReplicaSaid | ReplicaSilent | ReplicaContradicts | LinkReopened
)
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
    """State of one server: what it said of itself, failures in a row, next try, and why it is excluded."""

    is_failing: bool = False
    is_silent: bool = False
    load: Load | None = None
    failures: int = 0
    failed_ns: int = 0
    not_before_ns: int = 0
    excluded: str = ""

    @property
    def is_bad(self) -> bool:
        return self.is_failing or self.is_silent


class Replicas:
    """Replicas of a service, and which one to open a session with next.

    Args:
        backoff: pauses between tries at one server.
        draw: random number in [0, 1), another one for each robot: robots that lose a server at the same
            moment, and know the same of the others, must not all choose the same one.
    """

    def __init__(self, backoff: Backoff, draw: Callable[[], float]) -> None:
        self._backoff = backoff
        self._draw = draw
        self._known: dict[ServerKey, _Replica] = {}
        self._alive: set[ServerKey] = set()
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
            case ReplicaSaid(server, is_failing, load):
                self.set_failing(server, is_failing=is_failing)
                self.note_load(server, load)
            case ReplicaSilent(server):
                self._known.setdefault(server, _Replica()).is_silent = True
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
            replica.is_silent = False
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
        replica.failed_ns = now_ns
        replica.not_before_ns = now_ns + self._backoff.pause_ns(replica.failures)

    def set_failing(self, server: ServerKey, *, is_failing: bool) -> None:
        """Note whether the policy of a server fails for everybody; then it is the last choice."""
        self._known.setdefault(server, _Replica()).is_failing = is_failing

    def note_load(self, server: ServerKey, load: Load) -> None:
        """Note what a server said of its load."""
        replica = self._known.setdefault(server, _Replica())
        replica.is_silent = False
        replica.load = load if load.max_sessions > 0 else None  # else it does not say

    def has_other(self, server: ServerKey | None, now_ns: int) -> bool:
        """Whether a server other than this one could be tried now, and is not known to fail or be silent."""
        return any(key != server and not self._known[key].is_bad for key in self._candidates(now_ns))

    def is_usable(self, server: ServerKey, now_ns: int) -> bool:
        """Whether this server could be tried now, and is not known to fail or be silent."""
        return server in self._candidates(now_ns) and not self._known[server].is_bad

    def succeeded(self, server: ServerKey) -> None:
        """Forget the failures of a server: one of its chunks was merged."""
        if server in self._known:
            self._known[server].failures = 0

    def retry_now(self) -> None:
        """Allow all tries at once: the network is back."""
        for replica in self._known.values():
            replica.not_before_ns = 0

    def choose(
        self,
        now_ns: int,
        *,
        left: ServerKey | None = None,
        home: ServerKey | None = None,
        but: ServerKey | None = None,
    ) -> ServerKey | None:
        """Return the server to try now, or None.

        Of those that failed least lately, one at random, each as likely as it has to take sessions for all
        to be equally full in the end. So robots that lose a server spread over the others without asking
        them.

        Args:
            now_ns: time.
            left: the server that is left: all its sessions look for a place now; None: only this robot does.
            home: the server that is taken again if it did not fail: a session may still be open there.
            but: a server that is not chosen.
        """
        best = self._best(now_ns, but)
        if not best or home in best:
            return home if best else None
        return best[pick(self._weights(best, left), self._draw)]

    def choose_some(self, now_ns: int, most: int) -> list[ServerKey]:
        """Return at most so many servers to ask now, at random, of those that failed least lately."""
        best = self._best(now_ns, None)
        chosen: list[ServerKey] = []
        while best and len(chosen) < most:
            chosen.append(best.pop(pick([1.0] * len(best), self._draw)))
        return chosen

    def _best(self, now_ns: int, but: ServerKey | None) -> list[ServerKey]:
        """Return the servers that could be tried now and failed least, in a fixed order."""
        ranks = {key: self._rank(key, now_ns) for key in self._candidates(now_ns) if key != but}
        least = min(ranks.values(), default=None)
        return sorted((key for key, rank in ranks.items() if rank == least), key=str)

    def _weights(self, servers: Sequence[ServerKey], left: ServerKey | None) -> list[float]:
        """Return how many of the sessions that look for a place each server has to take."""
        loads = [self._known[key].load for key in servers]
        known = sorted((load for load in loads if load is not None), key=lambda load: load.sessions)
        if not known:
            return [1.0] * len(servers)
        middle = known[len(known) // 2]
        likely = replace(middle, max_sessions=max(middle.max_sessions, middle.sessions + 1))
        arriving = 1
        if left is not None:
            replica = self._known.get(left)
            last = middle if replica is None or replica.load is None else replica.load
            arriving = max(last.sessions, 1)
        return water_filled(fills([load or likely for load in loads]), arriving)

    def _candidates(self, now_ns: int) -> list[ServerKey]:
        return [
            key
            for key, replica in self._known.items()
            if key in self._alive and not replica.excluded and replica.not_before_ns <= now_ns
        ]

    def _rank(self, server: ServerKey, now_ns: int) -> tuple[bool, int]:
        replica = self._known[server]
        is_recent = now_ns - replica.failed_ns < FORGET_NS
        return replica.is_bad, replica.failures if is_recent else 0

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

"""Table of sessions, one per client name, each with an epoch; refuses clients when the server is full."""

from __future__ import annotations

import enum
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from vagus.errors import SessionRefusedError
from vagus.server.tenants import Tenant, TenantTable
from vagus.wire.schema import Ack, EventCode, OpenMessage

__all__ = ["EpochSource", "Found", "Opening", "Reminders", "Session", "SessionTable"]

MAX_TOKENS = 4096
"""Largest number of client tokens that are remembered; further clients are checked by their messages."""

NO_TENANTS = TenantTable()

EPOCHS = 2**32
HALF_BITS = 16
HALF_MASK = 2**HALF_BITS - 1
ROUNDS = 6


class EpochSource:
    """Source of epochs, which one server process never uses twice; no epoch reveals another.

    Args:
        key: random number of this process, which selects the order of the epochs.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._taken = 0

    def take(self) -> int:
        """Return the next epoch, never 0."""
        epoch = self._shuffled(self._taken % EPOCHS)
        self._taken += 1
        return epoch or self.take()

    def _shuffled(self, number: int) -> int:
        """Return the place of `number` in the order: a Feistel network, so that all results differ."""
        left, right = number >> HALF_BITS, number & HALF_MASK
        for round_number in range(ROUNDS):
            told = bytes((round_number,)) + right.to_bytes(2, "little")
            mixed = hashlib.blake2b(told, key=self._key, digest_size=2).digest()
            left, right = right, left ^ int.from_bytes(mixed, "little")
        return int(left * 2**HALF_BITS + right)


class Opening(msgspec.Struct, frozen=True):
    """How a session was opened: the request of the client, and the answer with the server's capabilities."""

    asked: OpenMessage
    ack: Ack


@dataclass(slots=True, eq=False)
class Session:
    """Session of one robot.

    Attributes:
        client: segment of the client in its keys.
        instance: random id of the client process.
        epoch: random number of the session, never reused.
        tenant: party that the robot belongs to.
        opened_ns: time at which it was opened.
        heard_ns: time of the client's last message.
        gone_ns: time since which the client's token is gone, or None.
        confirmed_ns: time at which the network last confirmed the token.
        opening: how it was opened; None until it has been answered.
        slack_ns: playback left at the last request that was answered, as the client says; None: none was.
        round_trip_ns: what that request took, with the network's part as the client says; None: none was.
        min_interval_ns: shortest time between two requests that its last answer asked for; 0: none.
        invited_ns: time at which the robot was invited to another server, or None.
    """

    client: str
    instance: str
    epoch: int
    tenant: Tenant
    opened_ns: int
    heard_ns: int
    gone_ns: int | None = None
    confirmed_ns: int = 0
    opening: Opening | None = None
    slack_ns: int | None = None
    round_trip_ns: int | None = None
    min_interval_ns: int = 0
    invited_ns: int | None = None

    @property
    def session_id(self) -> str:
        """Name of the session in logs and audit lines."""
        return f"{self.client}:{self.epoch:08x}"


class Found(enum.Enum):
    """Reason why no session was found for a message."""

    UNKNOWN = "unknown_session"
    """The epoch belongs to no session of this server."""
    MISROUTED = "misrouted"
    """The epoch belongs to the session of a client that is not the one in the key."""


class SessionTable:
    """Table of the open sessions. Not thread-safe: its owner holds one lock around each call.

    Args:
        max_sessions: largest number of open sessions.
        grace_ns: time that a client may be without its token, and for which it counts as recently heard.
        idle_ns: time without a message after which the token of a client is looked for.
        tenants: who belongs to whom, with the quotas.
    """

    def __init__(
        self, *, max_sessions: int, grace_ns: int, idle_ns: int, tenants: TenantTable = NO_TENANTS
    ) -> None:
        self.max_sessions = max_sessions
        self.exclusive_because = ""
        """Why there is but one session at a time; "" where that is the operator's number."""
        self._tenants = tenants
        self._by_tenant: Counter[str] = Counter()
        self._grace_ns = grace_ns
        self._idle_ns = idle_ns
        self._by_client: dict[str, Session] = {}
        self._by_epoch: dict[int, Session] = {}
        self._tokens: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._by_client)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_client.values()))

    def open(self, client: str, instance: str, epoch: int, now_ns: int) -> tuple[Session, Session | None]:
        """Open a session; return it and the session that it replaces.

        Raises:
            SessionRefusedError: another process uses this client name, or all sessions that the client's
                tenant may have are taken.
        """
        tenant, old = self.check_open(client, instance, now_ns)
        if old is not None:
            self.close(old)
        session = Session(client, instance, epoch, tenant, opened_ns=now_ns, heard_ns=now_ns)
        self._by_client[client] = session
        self._by_tenant[tenant.name] += 1
        self._by_epoch[epoch] = session
        return session, old

    def check_open(self, client: str, instance: str, now_ns: int) -> tuple[Tenant, Session | None]:
        """Return the tenant of a client that may open a session, and the session that it would replace.

        Raises:
            SessionRefusedError: as `open` raises it.
        """
        tenant = self._tenants.of(client)
        old = self._by_client.get(client)
        if old is not None and old.instance != instance and self._is_in_use(old, now_ns):
            raise SessionRefusedError(
                EventCode.CLIENT_IN_USE.value,
                f"another process is connected as {client!r}; give each robot its own --name",
            )
        why_full = "" if old is not None else self._why_full(tenant)
        if why_full:
            raise SessionRefusedError(EventCode.SESSIONS_FULL.value, why_full)
        return tenant, old

    def _why_full(self, tenant: Tenant) -> str:
        """Return why this tenant gets no further session now; "": it gets one."""
        if tenant.max_sessions is not None and self._by_tenant[tenant.name] >= tenant.max_sessions:
            return (
                f"tenant {tenant.name!r} has taken all {tenant.max_sessions} of its sessions; end one, ask "
                "another replica, or raise the tenant's max_sessions"
            )
        if len(self) >= self.max_sessions and self.exclusive_because:
            return (
                f"this policy serves one robot at a time, because {self.exclusive_because}; for each further "
                "robot start one more `vagus serve`"
            )
        if len(self) >= self.max_sessions:
            return f"all {self.max_sessions} sessions are taken; ask another replica, or raise max_sessions"
        kept = self._tenants.kept(self.max_sessions)
        free = (
            self.max_sessions - len(self) - sum(most - self._by_tenant[name] for name, most in kept.items())
        )
        if tenant.name not in kept and free <= 0:
            return (
                f"the free ones of the {self.max_sessions} sessions are kept for other tenants than "
                f"{tenant.name!r}; ask another replica, or raise max_sessions"
            )
        return ""

    def count(self, tenant: str) -> int:
        """Return the number of open sessions of a tenant."""
        return self._by_tenant[tenant]

    def find(self, client: str, epoch: int) -> Session | Found:
        """Return the session of `client` if `epoch` is its epoch, otherwise the reason why not."""
        session = self._by_epoch.get(epoch)
        if session is None:
            return Found.UNKNOWN
        return session if session.client == client else Found.MISROUTED

    def is_open(self, session: Session) -> bool:
        """Return whether exactly this session is in the table, not a later one of the same client."""
        return self._by_client.get(session.client) is session

    def close(self, session: Session) -> bool:
        """Remove exactly this session; return False, without a change, if it is closed or was replaced."""
        if not self.is_open(session):
            return False
        del self._by_client[session.client]
        del self._by_epoch[session.epoch]
        self._by_tenant[session.tenant.name] -= 1
        if not self._by_tenant[session.tenant.name]:
            del self._by_tenant[session.tenant.name]  # without tenants, clients choose these names
        return True

    def token_changed(self, client: str, instance: str, now_ns: int, *, is_alive: bool) -> None:
        """Note that the token of a client process appeared or disappeared."""
        session = self._by_client.get(client)
        if session is not None and session.instance == instance:
            session.gone_ns = None if is_alive else now_ns
        if not is_alive:
            self._tokens.discard((client, instance))
        elif len(self._tokens) < MAX_TOKENS:
            self._tokens.add((client, instance))

    def gone(self, now_ns: int) -> list[Session]:
        """Return the sessions whose token is gone for the grace period; ask the network before a close."""
        return [
            session
            for session in self._by_client.values()
            if session.gone_ns is not None and now_ns - session.gone_ns >= self._grace_ns
        ]

    def silent(self, now_ns: int) -> list[Session]:
        """Return the sessions without a message for so long that their client must be looked for.

        A client with a token may be silent for long, for example a paused robot; a client whose token was
        never seen may not.
        """
        return [session for session in self._by_client.values() if self.is_silent(session, now_ns)]

    def looked_for(self, session: Session, now_ns: int, *, is_there: bool) -> str | None:
        """Note the network's answer about a token; return why the session is over, or None if it is not."""
        if is_there:
            session.confirmed_ns = now_ns
            return None
        if session.gone_ns is not None:
            return "gone"
        if not self.is_silent(session, now_ns):  # it was heard meanwhile
            return None
        return "idle" if self.has_token(session) else "no_token"

    def is_silent(self, session: Session, now_ns: int) -> bool:
        """Return whether the client of this session must be looked for."""
        patience_ns = self._idle_ns if self.has_token(session) else self._grace_ns
        return now_ns - max(session.heard_ns, session.confirmed_ns) >= patience_ns

    def has_token(self, session: Session) -> bool:
        """Return whether the token of this client process appeared and has not disappeared."""
        return (session.client, session.instance) in self._tokens

    def _is_in_use(self, session: Session, now_ns: int) -> bool:
        if self.has_token(session):
            return True
        was_heard_lately = now_ns - session.heard_ns < self._grace_ns
        return was_heard_lately and (session.gone_ns is None or session.heard_ns > session.gone_ns)


class Reminders:
    """Limiter of the events to unknown clients, with a limited memory."""

    def __init__(self, *, interval_ns: int, max_clients: int) -> None:
        self._interval_ns = interval_ns
        self._max_clients = max_clients
        self._told_ns: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._told_ns)

    def is_due(self, client: str, now_ns: int) -> bool:
        """Return whether to tell `client` now; if so, remember it."""
        told_ns = self._told_ns.get(client)
        if told_ns is not None and now_ns - told_ns < self._interval_ns:
            return False
        if told_ns is None and len(self._told_ns) >= self._max_clients:
            oldest, oldest_ns = next(iter(self._told_ns.items()))
            if now_ns - oldest_ns < self._interval_ns:
                return False  # more strangers than we remember: silence is cheaper than a storm
            del self._told_ns[oldest]
        self._told_ns[client] = now_ns
        self._told_ns.move_to_end(client)
        return True

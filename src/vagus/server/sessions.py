"""Table of sessions: one per client name, told apart by its epoch."""

from __future__ import annotations

import enum
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from vagus.errors import SessionRefusedError
from vagus.wire.schema import EventCode

__all__ = ["EpochSource", "Found", "Reminders", "Session", "SessionTable"]

MAX_TOKENS = 4096
"""Client tokens remembered; more come only from a mistake, and their clients are judged by their messages."""

EPOCHS = 2**32
HALF_BITS = 16
HALF_MASK = 2**HALF_BITS - 1
ROUNDS = 6


class EpochSource:
    """Session numbers that one server process never uses twice, and of which none tells of another.

    Args:
        key: random, of this process; it chooses one of the orders in which all numbers come.
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
        """Return where the order has `number`: a Feistel network, which maps no two numbers to one."""
        left, right = number >> HALF_BITS, number & HALF_MASK
        for round_number in range(ROUNDS):
            told = bytes((round_number,)) + right.to_bytes(2, "little")
            mixed = hashlib.blake2b(told, key=self._key, digest_size=2).digest()
            left, right = right, left ^ int.from_bytes(mixed, "little")
        return int(left * 2**HALF_BITS + right)


@dataclass(slots=True, eq=False)
class Session:
    """One robot's conversation.

    Attributes:
        client: segment of the client in its keys.
        instance: random per client process.
        epoch: random per session; never reused.
        opened_ns: when it was opened.
        heard_ns: when its client was last heard.
        gone_ns: since when the client's token is gone, or None.
        confirmed_ns: when the network was asked last and said that the token is there.
    """

    client: str
    instance: str
    epoch: int
    opened_ns: int
    heard_ns: int
    gone_ns: int | None = None
    confirmed_ns: int = 0

    @property
    def session_id(self) -> str:
        """The name of the session in logs and audit lines."""
        return f"{self.client}:{self.epoch:08x}"


class Found(enum.Enum):
    """Why no session was found for a message."""

    UNKNOWN = "unknown_session"
    """The epoch is of no session here."""
    MISROUTED = "misrouted"
    """The epoch is of the session of another client than the one that the key names."""


class SessionTable:
    """Open, replace, find and close sessions. Not thread-safe: its owner holds one lock around each call.

    Args:
        max_sessions: sessions at one time.
        grace_ns: how long a client may be without its token, and for how long it counts as recently heard.
        idle_ns: a client with a token is looked for when it was not heard for so long.
    """

    def __init__(self, *, max_sessions: int, grace_ns: int, idle_ns: int) -> None:
        self.max_sessions = max_sessions
        self.exclusive_because = ""
        """Why there is but one session at a time; "" where that is the operator's number."""
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
        """Return the new session and the one that it replaces.

        Raises:
            SessionRefusedError: another process uses this client name, or all sessions are taken.
        """
        old = self._by_client.get(client)
        if old is not None and old.instance != instance and self._is_in_use(old, now_ns):
            raise SessionRefusedError(
                EventCode.CLIENT_IN_USE.value,
                f"another process is connected as {client!r}; give each robot its own --name",
            )
        if old is None and len(self) >= self.max_sessions:
            raise SessionRefusedError(EventCode.SESSIONS_FULL.value, self._why_full())
        if old is not None:
            self.close(old)
        session = Session(client, instance, epoch, opened_ns=now_ns, heard_ns=now_ns)
        self._by_client[client] = session
        self._by_epoch[epoch] = session
        return session, old

    def _why_full(self) -> str:
        if self.exclusive_because:
            return (
                f"this policy serves one robot at a time, because {self.exclusive_because}; for each further "
                "robot start one more `vagus serve`"
            )
        return f"all {self.max_sessions} sessions are taken; ask another replica, or raise max_sessions"

    def find(self, client: str, epoch: int) -> Session | Found:
        """Return the session of `client` if `epoch` is its epoch, else why there is none."""
        session = self._by_epoch.get(epoch)
        if session is None:
            return Found.UNKNOWN
        return session if session.client == client else Found.MISROUTED

    def is_open(self, session: Session) -> bool:
        """Whether this very session is in the table, not a replacement of the same client."""
        return self._by_client.get(session.client) is session

    def close(self, session: Session) -> bool:
        """Take this very session out; False, and no change, if it is closed or was replaced."""
        if not self.is_open(session):
            return False
        del self._by_client[session.client]
        del self._by_epoch[session.epoch]
        return True

    def token_changed(self, client: str, instance: str, now_ns: int, *, is_alive: bool) -> None:
        """Note that the token of a client process appeared or vanished."""
        session = self._by_client.get(client)
        if session is not None and session.instance == instance:
            session.gone_ns = None if is_alive else now_ns
        if not is_alive:
            self._tokens.discard((client, instance))
        elif len(self._tokens) < MAX_TOKENS:
            self._tokens.add((client, instance))

    def gone(self, now_ns: int) -> list[Session]:
        """Return the sessions whose token has been gone for the grace period; ask before closing them."""
        return [
            session
            for session in self._by_client.values()
            if session.gone_ns is not None and now_ns - session.gone_ns >= self._grace_ns
        ]

    def silent(self, now_ns: int) -> list[Session]:
        """Return the sessions not heard for so long that their client is to be looked for.

        A client whose token is there may be silent for long, as a paused robot is; one whose token was
        never seen may not.
        """
        return [session for session in self._by_client.values() if self.is_silent(session, now_ns)]

    def looked_for(self, session: Session, now_ns: int, *, is_there: bool) -> str | None:
        """The network was asked for the client's token; return why the session is over, None if it is not."""
        if is_there:
            session.confirmed_ns = now_ns
            return None
        if session.gone_ns is not None:
            return "gone"
        if not self.is_silent(session, now_ns):  # it was heard meanwhile
            return None
        return "idle" if self.has_token(session) else "no_token"

    def is_silent(self, session: Session, now_ns: int) -> bool:
        """Whether the client of this session is to be looked for."""
        patience_ns = self._idle_ns if self.has_token(session) else self._grace_ns
        return now_ns - max(session.heard_ns, session.confirmed_ns) >= patience_ns

    def has_token(self, session: Session) -> bool:
        """Whether the token of this client process was seen, and not seen to vanish."""
        return (session.client, session.instance) in self._tokens

    def _is_in_use(self, session: Session, now_ns: int) -> bool:
        if self.has_token(session):
            return True
        was_heard_lately = now_ns - session.heard_ns < self._grace_ns
        return was_heard_lately and (session.gone_ns is None or session.heard_ns > session.gone_ns)


class Reminders:
    """Bounds how often each unknown client is told so, and how many of them are remembered."""

    def __init__(self, *, interval_ns: int, max_clients: int) -> None:
        self._interval_ns = interval_ns
        self._max_clients = max_clients
        self._told_ns: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._told_ns)

    def is_due(self, client: str, now_ns: int) -> bool:
        """Whether to tell `client` now; the answer yes is remembered."""
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

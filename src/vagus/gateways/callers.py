"""Table of those who call a gateway, by address; some of them have a conversation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.errors import SessionRefusedError, StateError
from vagus.server.fair_queue import Allowance

__all__ = ["MAX_STRANGERS", "SPARE_OPENS", "Caller", "Callers", "host_of"]

MAX_STRANGERS = 16
"""Most addresses, beyond one per place, that call without having a place."""
LEAVE_NS = 2 * NS_PER_S
"""A client that ended a call before its answer, and has not called for so long, has gone."""
SPARE_OPENS = 8
"""Sessions that one host may open at once, beyond two per place."""
OPENS_PER_S = 2.0
"""Sessions per second that it may open in the long run; a server grants each name a few."""
CLOSING = "the gateway is closing"


class Closeable(Protocol):
    """A conversation, as this table knows it."""

    def close(self) -> None:
        """End it, and free its place."""
        ...


TalkT = TypeVar("TalkT", bound=Closeable)


@dataclass
class Caller(Generic[TalkT]):
    """One address.

    Attributes:
        seen_ns: end of its last call.
        calls: its calls in progress.
        conversation: what it has introduced itself to; None: nothing.
        left_ns: when it ended a call before its answer; None: it has called since.
        is_introducing: it is being admitted.
    """

    seen_ns: int
    calls: int = 0
    conversation: TalkT | None = None
    left_ns: int | None = None
    is_introducing: bool = False


class Callers(Generic[TalkT]):
    """Callers by address. Any thread may call it.

    Args:
        clock: monotonic.
        max_calls: most calls of one address at a time.
        max_places: most conversations at a time, as the gateway bounds them.
        idle_ns: time without a call after which a caller has gone.
    """

    def __init__(self, clock: Clock, *, max_calls: int, max_places: int, idle_ns: int) -> None:
        self._clock = clock
        self._max_calls = max_calls
        self._max_strangers = max_places + MAX_STRANGERS
        self._idle_ns = idle_ns
        self._opens = Allowance(burst=2 * max_places + SPARE_OPENS, per_s=OPENS_PER_S)
        self._lock = threading.Lock()
        self._callers: dict[str, Caller[TalkT]] = {}
        self._strangers: set[str] = set()
        self._is_closed = False

    @contextmanager
    def calling(self, address: str) -> Iterator[None]:
        """Count a call of this address, as long as it lasts.

        Raises:
            SessionRefusedError: there are too many at a time.
        """
        with self._lock:
            caller = self._enter(address)
        try:
            yield
        finally:
            with self._lock:
                caller.calls -= 1
                caller.seen_ns = self._clock.now_ns()
                if not caller.calls and caller.conversation is None:
                    del self._callers[address]
                    self._strangers.discard(address)

    @contextmanager
    def introducing(self, address: str) -> Iterator[Caller[TalkT]]:
        """Hold the one introduction of an address that calls now.

        Raises:
            StateError: it is being introduced already, or the gateway closes.
        """
        with self._lock:
            caller = self._callers[address]
            if self._is_closed:
                raise StateError(CLOSING)
            if caller.is_introducing:
                raise StateError("this connection is being admitted; ask again in a moment")
            caller.is_introducing = True
        try:
            yield caller
        finally:
            caller.is_introducing = False

    def check_opens(self, address: str) -> None:
        """Count a session that is about to be opened for an address.

        Raises:
            SessionRefusedError: its host has opened too many.
        """
        with self._lock:
            is_allowed = self._opens.take(host_of(address), self._clock.now_ns())
        if not is_allowed:
            raise SessionRefusedError(
                "overloaded", "too many sessions of this host; ask again in some seconds"
            )

    def settle(self, caller: Caller[TalkT], address: str, conversation: TalkT) -> None:
        """Give a caller its conversation.

        Raises:
            StateError: the gateway closes; the conversation is ended.
        """
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                caller.conversation = conversation
                self._strangers.discard(address)
        if is_closed:
            conversation.close()
            raise StateError(CLOSING)

    def unsettle(self, caller: Caller[TalkT]) -> None:
        """End the conversation of a caller, if it has one."""
        with self._lock:
            conversation, caller.conversation = caller.conversation, None
        if conversation is not None:
            conversation.close()

    def conversation_of(self, address: str) -> TalkT | None:
        """Return the conversation of an address that calls now; None: it has none."""
        with self._lock:
            return self._callers[address].conversation

    def conversations(self) -> list[TalkT]:
        """Return all conversations."""
        with self._lock:
            found = [caller.conversation for caller in self._callers.values()]
        return [conversation for conversation in found if conversation is not None]

    def note_left(self, address: str) -> None:
        """Note that the client at this address ended a call before its answer."""
        with self._lock:
            self._callers[address].left_ns = self._clock.now_ns()

    def sweep(self) -> None:
        """End the conversations with clients that have gone."""
        now_ns = self._clock.now_ns()
        with self._lock:
            gone = [address for address, caller in self._callers.items() if self._is_gone(caller, now_ns)]
            ended = [self._callers.pop(address) for address in gone]
        for caller in ended:
            self.unsettle(caller)

    def close(self) -> None:
        """End all conversations, and begin no more."""
        with self._lock:
            self._is_closed = True
            callers = list(self._callers.values())
        for caller in callers:
            self.unsettle(caller)

    def _enter(self, address: str) -> Caller[TalkT]:
        caller = self._callers.get(address) or Caller(self._clock.now_ns())
        is_crowd = address not in self._callers and len(self._strangers) >= self._max_strangers
        if is_crowd or caller.calls >= self._max_calls:
            raise SessionRefusedError("overloaded", "too many calls at a time; wait for their answers")
        self._callers[address] = caller
        if caller.conversation is None:
            self._strangers.add(address)
        caller.calls += 1
        caller.left_ns = None
        return caller

    def _is_gone(self, caller: Caller[TalkT], now_ns: int) -> bool:
        if caller.calls or caller.conversation is None:
            return False
        has_left = caller.left_ns is not None and now_ns - caller.left_ns > LEAVE_NS
        return has_left or now_ns - caller.seen_ns > self._idle_ns


def host_of(address: str) -> str:
    """Return the host of a gRPC address, such as `ipv4:127.0.0.1:50123`."""
    return address.rpartition(":")[0]

"""Table of the conversations with robot clients, by the address that each comes from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from vagus.clock import NS_PER_S, Clock, seconds_to_ns
from vagus.errors import SessionRefusedError, SpecError, StateError
from vagus.gateways.gateway import Gateway
from vagus.integrations.lerobot_grpc.conversation import Conversation
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig
from vagus.integrations.lerobot_grpc.robot_setup import check_model, check_setup, listed_model
from vagus.server.fair_queue import Allowance

__all__ = ["MAX_CALLS", "MAX_STRANGERS", "Conversations"]

MAX_CALLS = 6
"""Most calls of one address at a time; a robot client has two."""
MAX_STRANGERS = 16
"""Most addresses, beyond one per place, that call without having a place."""
STREAM_TIMEOUT_NS = 10 * NS_PER_S
"""Longest time that one observation may take on its way."""
LEAVE_NS = 2 * NS_PER_S
"""A client that ended a call before its answer, and has not called for so long, has gone."""
SPARE_OPENS = 8
"""Sessions that one host may open at once, beyond two per place."""
OPENS_PER_S = 2.0
"""Sessions per second that it may open in the long run; a server grants each name a few."""
CLOSING = "the gateway is closing"
MAX_KEPT = 1024
"""Largest number of hosts, and of addresses, of which something is remembered."""

ValueT = TypeVar("ValueT")


@dataclass
class _Caller:
    seen_ns: int
    calls: int = 0
    conversation: Conversation | None = None
    left_ns: int | None = None
    is_introducing: bool = False


class Conversations:
    """Conversations by address. Any thread may call it.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._idle_ns = seconds_to_ns(gateway.config.idle_timeout_s)
        self._lock = threading.Lock()
        self._callers: dict[str, _Caller] = {}
        self._strangers: set[str] = set()
        self._heard: OrderedDict[str, RemotePolicyConfig | None] = OrderedDict()
        self._refused: OrderedDict[str, None] = OrderedDict()
        self._is_closed = False
        burst = 2 * gateway.config.max_peers + SPARE_OPENS
        self._opens = Allowance(burst=burst, per_s=OPENS_PER_S)

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

    def introduce(self, address: str, config: RemotePolicyConfig) -> Conversation:
        """Begin a conversation with a robot client, in the place of the one that it had.

        Raises:
            SpecError: its robot or its model is another than the gateway's.
            SessionRefusedError: there is no place for it.
            LinkError: no server answers.
            StateError: this address is being introduced already, or the gateway closes.
        """
        with self._introducing(address) as caller:
            if caller.conversation is not None and caller.conversation.config == config:
                caller.conversation.reset()
                return caller.conversation
            self._end(caller)
            conversation = self._admitted(address, config)
            with self._lock:
                if not self._is_closed:
                    caller.conversation = conversation
                    self._strangers.discard(address)
                    self._remember(address, config)
                    return conversation
        conversation.close()
        raise StateError(CLOSING)

    def find(self, address: str) -> Conversation:
        """Return the conversation with this address.

        LeRobot's client does not introduce itself again after its connection was lost. Where every client of
        its host has said the same, it is taken at that, unless it said something else itself.

        Raises:
            StateError: it is not known.
            VagusError: as `introduce`.
        """
        with self._lock:
            conversation = self._callers[address].conversation
            config = None if address in self._refused else self._heard.get(_host(address))
        if conversation is not None:
            return conversation
        if config is None:
            raise StateError(
                "wanted SendPolicyInstructions first, got a call of a connection that is not known; "
                "start the robot client again"
            )
        return self.introduce(address, config)

    def reset(self, address: str) -> None:
        """Begin a new episode of this address alone; of one without a conversation, nothing.

        Raises:
            VagusError: the server could not be told.
        """
        with self._lock:
            conversation = self._callers[address].conversation
        if conversation is not None:
            conversation.reset()

    def note_left(self, address: str) -> None:
        """Note that the client at this address ended a call before its answer."""
        with self._lock:
            self._callers[address].left_ns = self._clock.now_ns()

    def sweep(self) -> None:
        """End the conversations with clients that have gone, and streams that do not end."""
        now_ns = self._clock.now_ns()
        with self._lock:
            gone = [address for address, caller in self._callers.items() if self._is_gone(caller, now_ns)]
            ended = [self._callers.pop(address) for address in gone]
            rest = [caller.conversation for caller in self._callers.values()]
        for caller in ended:
            self._end(caller)
        for conversation in rest:
            if conversation is not None and conversation.cancel_slow_stream(STREAM_TIMEOUT_NS):
                self._gateway.metrics.count("slow_stream")

    def close(self) -> None:
        """End all conversations, and begin no more."""
        with self._lock:
            self._is_closed = True
            callers = list(self._callers.values())
        for caller in callers:
            self._end(caller)

    # -- parts ------------------------------------------------------------------------------------------

    def _enter(self, address: str) -> _Caller:
        caller = self._callers.get(address) or _Caller(self._clock.now_ns())
        most_strangers = self._gateway.config.max_peers + MAX_STRANGERS
        is_crowd = address not in self._callers and len(self._strangers) >= most_strangers
        if is_crowd or caller.calls >= MAX_CALLS:
            raise SessionRefusedError("overloaded", "too many calls at a time; wait for their answers")
        self._callers[address] = caller
        if caller.conversation is None:
            self._strangers.add(address)
        caller.calls += 1
        caller.left_ns = None
        return caller

    @contextmanager
    def _introducing(self, address: str) -> Iterator[_Caller]:
        with self._lock:
            caller = self._callers[address]
            if self._is_closed:
                raise StateError(CLOSING)
            if caller.is_introducing:
                raise StateError("this connection is being admitted; ask again in a moment")
            caller.is_introducing = True
        try:
            yield caller
        except SpecError:
            self._gateway.metrics.count("refused_setup")
            with self._lock:
                _keep(self._refused, address, None)
            raise
        finally:
            caller.is_introducing = False

    def _admitted(self, address: str, config: RemotePolicyConfig) -> Conversation:
        asked = config.pretrained_name_or_path
        check_setup(config, self._gateway.mapping.profile)
        model = listed_model(asked, self._gateway.config.models)
        with self._lock:
            is_allowed = self._opens.take(_host(address), self._clock.now_ns())
        if not is_allowed:
            raise SessionRefusedError(
                "overloaded", "too many sessions of this host; ask again in some seconds"
            )
        peer = self._gateway.admit(address, model=model)
        try:
            served = peer.open().capabilities
            if not model:
                check_model(asked, served)
        except BaseException:
            peer.close()
            raise
        max_age_ns = seconds_to_ns(self._gateway.config.answer_timeout_s)
        return Conversation(config, peer, max_age_ns=max_age_ns, clock=self._clock)

    def _end(self, caller: _Caller) -> None:
        conversation, caller.conversation = caller.conversation, None
        if conversation is not None:
            conversation.close()

    def _remember(self, address: str, config: RemotePolicyConfig) -> None:
        """Remember what the clients of a host say; None: not all of them the same."""
        host = _host(address)
        _keep(self._heard, host, config if self._heard.get(host, config) == config else None)
        self._refused.pop(address, None)

    def _is_gone(self, caller: _Caller, now_ns: int) -> bool:
        if caller.calls or caller.conversation is None:
            return False
        has_left = caller.left_ns is not None and now_ns - caller.left_ns > LEAVE_NS
        return has_left or now_ns - caller.seen_ns > self._idle_ns


def _keep(table: OrderedDict[str, ValueT], key: str, value: ValueT) -> None:
    """Set an entry, and forget the oldest where there are too many."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > MAX_KEPT:
        table.popitem(last=False)


def _host(address: str) -> str:
    """Return the host of a gRPC address, such as `ipv4:127.0.0.1:50123`."""
    return address.rpartition(":")[0]

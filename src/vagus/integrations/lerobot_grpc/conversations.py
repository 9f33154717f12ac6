"""Table of the conversations with robot clients, by the address that each comes from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import AbstractContextManager
from typing import TypeVar

from vagus.clock import NS_PER_S, Clock, seconds_to_ns
from vagus.errors import SpecError, StateError
from vagus.gateways.callers import Callers, host_of
from vagus.gateways.gateway import Gateway
from vagus.gateways.model_choice import check_model, listed_model
from vagus.integrations.lerobot_grpc.conversation import Conversation
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig
from vagus.integrations.lerobot_grpc.robot_setup import check_setup

__all__ = ["MAX_CALLS", "Conversations"]

MAX_CALLS = 6
"""Most calls of one address at a time; a robot client has two."""
STREAM_TIMEOUT_NS = 10 * NS_PER_S
"""Longest time that one observation may take on its way."""
HOW_TO_CHOOSE = "name one of these with --pretrained_name_or_path, or add yours to the gateway's models"
MAX_KEPT = 1024
"""Largest number of hosts, and of addresses, of which something is remembered."""

ValueT = TypeVar("ValueT")


class Conversations:
    """Conversations by address. Any thread may call it.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._callers: Callers[Conversation] = Callers(
            clock,
            max_calls=MAX_CALLS,
            max_places=gateway.config.max_peers,
            idle_ns=seconds_to_ns(gateway.config.idle_timeout_s),
        )
        self._lock = threading.Lock()
        self._heard: OrderedDict[str, RemotePolicyConfig | None] = OrderedDict()
        self._refused: OrderedDict[str, None] = OrderedDict()

    def calling(self, address: str) -> AbstractContextManager[None]:
        """Count a call of this address, as long as it lasts.

        Raises:
            SessionRefusedError: there are too many at a time.
        """
        return self._callers.calling(address)

    def introduce(self, address: str, config: RemotePolicyConfig) -> Conversation:
        """Begin a conversation with a robot client, in the place of the one that it had.

        Raises:
            SpecError: its robot or its model is another than the gateway's.
            SessionRefusedError: there is no place for it.
            LinkError: no server answers.
            StateError: this address is being introduced already, or the gateway closes.
        """
        with self._callers.introducing(address) as caller:
            if caller.conversation is not None and caller.conversation.config == config:
                caller.conversation.reset()
                return caller.conversation
            self._callers.unsettle(caller)
            conversation = self._admitted(address, config)
            self._callers.settle(caller, address, conversation)
            self._remember(address, config)
            return conversation

    def find(self, address: str) -> Conversation:
        """Return the conversation with this address.

        LeRobot's client does not introduce itself again after its connection was lost. Where every client of
        its host has said the same, it is taken at that, unless it said something else itself.

        Raises:
            StateError: it is not known.
            VagusError: as `introduce`.
        """
        conversation = self._callers.conversation_of(address)
        if conversation is not None:
            return conversation
        with self._lock:
            config = None if address in self._refused else self._heard.get(host_of(address))
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
        conversation = self._callers.conversation_of(address)
        if conversation is not None:
            conversation.reset()

    def note_left(self, address: str) -> None:
        """Note that the client at this address ended a call before its answer."""
        self._callers.note_left(address)

    def sweep(self) -> None:
        """End the conversations with clients that have gone, and streams that do not end."""
        self._callers.sweep()
        for conversation in self._callers.conversations():
            if conversation.cancel_slow_stream(STREAM_TIMEOUT_NS):
                self._gateway.metrics.count("slow_stream")

    def close(self) -> None:
        """End all conversations, and begin no more."""
        self._callers.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _admitted(self, address: str, config: RemotePolicyConfig) -> Conversation:
        try:
            return self._begun(address, config)
        except SpecError:
            self._gateway.metrics.count("refused_setup")
            with self._lock:
                _keep(self._refused, address, None)
            raise

    def _begun(self, address: str, config: RemotePolicyConfig) -> Conversation:
        asked = config.pretrained_name_or_path
        check_setup(config, self._gateway.mapping.profile)
        model = listed_model(asked, self._gateway.config.models, how=HOW_TO_CHOOSE)
        self._callers.check_opens(address)
        peer = self._gateway.admit(address, model=model)
        try:
            served = peer.open().capabilities
            if not model:
                check_model(asked, served, how=HOW_TO_CHOOSE)
        except BaseException:
            peer.close()
            raise
        max_age_ns = seconds_to_ns(self._gateway.config.answer_timeout_s)
        return Conversation(config, peer, max_age_ns=max_age_ns, clock=self._clock)

    def _remember(self, address: str, config: RemotePolicyConfig) -> None:
        """Remember what the clients of a host say; None: not all of them the same."""
        host = host_of(address)
        with self._lock:
            _keep(self._heard, host, config if self._heard.get(host, config) == config else None)
            self._refused.pop(address, None)


def _keep(table: OrderedDict[str, ValueT], key: str, value: ValueT) -> None:
    """Set an entry, and forget the oldest where there are too many."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > MAX_KEPT:
        table.popitem(last=False)

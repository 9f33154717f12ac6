"""Watches the replicas: liveliness tokens, and a background look at each server's status and load."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from vagus.edge.client.handshake import Contract, check_replica
from vagus.edge.client.replicas import (
    LinkReopened,
    ReplicaContradicts,
    ReplicaEvent,
    ReplicaSaid,
    ReplicaSilent,
    ReplicasListed,
    TokenChanged,
)
from vagus.edge.client.session import fetch_capabilities, living_servers, pinned
from vagus.errors import LinkError, ProtocolError, SpecError
from vagus.threads import Supervised
from vagus.transport.keys import ServerKey, ServiceKey, server_from_key
from vagus.transport.link import Declaration, Link
from vagus.wire.schema import READY

__all__ = ["ReplicaWatch"]

logger = logging.getLogger(__name__)

REFRESH_S = 5.0
"""Pause between two queries for living replicas."""
FIRST_LOOK_S = 0.5
"""Longest pause before the first query: whoever loses its server soon should know the load of the others."""
LIST_TIMEOUT_S = 1.0
JOIN_TIMEOUT_S = 5.0
"""Longest wait for the thread at the end."""


class ReplicaWatch:
    """Tells the worker which replicas live and which contradict the contract, on a thread of its own."""

    def __init__(
        self,
        link: Link,
        tell: Callable[[ReplicaEvent], None],
        service: ServiceKey,
        *,
        pin: str = "",
        refresh_s: float = REFRESH_S,
    ) -> None:
        """Prepare; nothing is watched before `start`.

        Args:
            link: the network.
            tell: takes each event, on any thread, without waiting.
            service: whose servers are watched.
            pin: the only server that may be used, "" for all.
            refresh_s: pause between two looks.
        """
        self._link = link
        self._refresh_s = refresh_s
        self._tell = tell
        self._service = service
        self._pin = pin
        self._stopping = threading.Event()
        self._watch: Declaration | None = None
        self._thread: threading.Thread | None = None

    def start(self, contract: Contract) -> None:
        """Begin to watch; each ready server is compared with `contract`."""
        self._watch = self._link.watch(self._service.all_alive, self._on_token)
        self._link.on_reopen(self._on_reopen)
        self._thread = Supervised(partial(self._refresh, contract), name="vagus-replicas")
        self._thread.start()

    def stop(self) -> None:
        """End watch and thread. Twice does nothing."""
        self._stopping.set()
        if self._watch is not None:
            self._watch.undeclare()
            self._watch = None
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
            self._thread = None

    # -- what the link tells ----------------------------------------------------------------------------

    def _on_token(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's callback
        try:
            servers = pinned(frozenset({server_from_key(key)}), self._pin)
        except ProtocolError:
            return  # a token of another program is none of our servers
        for server in servers:
            self._tell(TokenChanged(server, is_alive))

    def _on_reopen(self, generation: int) -> None:
        if not self._stopping.is_set():
            logger.warning("the transport was lost and reopened (generation %d)", generation)
            self._tell(LinkReopened())

    # -- in the background ------------------------------------------------------------------------------

    def _refresh(self, contract: Contract) -> None:
        pause_s = min(FIRST_LOOK_S, self._refresh_s)
        while not self._stopping.wait(pause_s):
            pause_s = self._refresh_s
            try:
                listed = living_servers(self._link, self._service.all_alive, timeout_s=LIST_TIMEOUT_S)
            except LinkError:
                continue  # the worker knows that the network is away
            servers = pinned(listed, self._pin)
            self._tell(ReplicasListed(servers))
            for server in servers:
                self._compare(server, contract)

    def _compare(self, server: ServerKey, contract: Contract) -> None:
        try:
            capabilities = fetch_capabilities(self._link, server)
            self._tell(ReplicaSaid(server, bool(capabilities.failing), capabilities.load))
            if capabilities.phase == READY:
                check_replica(capabilities, contract)
        except SpecError as error:
            self._tell(ReplicaContradicts(server, str(error)))
        except LinkError:
            if self._link.health().is_connected:  # else nobody answers
                self._tell(ReplicaSilent(server))
        except ProtocolError:
            return  # told by its answer when its turn comes

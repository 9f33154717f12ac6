"""Door of a gateway for LeRobot's remote inference: what is served now, and answers to who asks for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from vagus.clock import NS_PER_MS, NS_PER_S, Clock
from vagus.errors import SpecError, VagusError
from vagus.gateways.gateway import Gateway
from vagus.integrations.lerobot_zenoh.front import read_query
from vagus.integrations.lerobot_zenoh.robots import Admit
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType, encode_message
from vagus.integrations.lerobot_zenoh.v1.terms import deployment_of
from vagus.repeats import Repeats
from vagus.threads import Supervised
from vagus.transport.keys import ServiceKey
from vagus.transport.link import Query
from vagus.wire.contract import policy_spec_from

__all__ = ["Door"]

MAX_WAITING: Final = 64
"""Questions that may wait at once; one more is dropped."""
FRESH_NS: Final = NS_PER_S
"""For so long it is believed that a server is there."""
LOOK_NS: Final = 2 * NS_PER_S
"""Pause between two looks, where nobody asks."""
SEARCH_NS: Final = 500 * NS_PER_MS
"""Pause between two looks while no policy has been found yet."""
TOLD_EVERY_NS: Final = 30 * NS_PER_S

logger = logging.getLogger(__name__)


class Door:
    """Looks what the network serves, on a thread of its own, and answers `describe`.

    Args:
        gateway: knows the network.
        name: of the deployment.
        clock: monotonic.
        take: called on the thread with a deployment that is served, and with what admits a robot to just that
            policy; says whether it is taken. The one that was taken last stays, as long as another one is not
            taken.
    """

    def __init__(
        self, gateway: Gateway, name: str, clock: Clock, *, take: Callable[[Deployment, Admit], bool]
    ) -> None:
        self._gateway = gateway
        self._name = name
        self._clock = clock
        self._take = take
        self._taken: Deployment | None = None
        self._is_ready = False
        self._looked_ns: int | None = None
        self._waiting: queue.Queue[Query | None] = queue.Queue(MAX_WAITING)
        self._told: Repeats[str] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=16)
        self._is_closed = threading.Event()
        self._thread = Supervised(self._work, name="remote-door")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what waits is dropped."""
        self._is_closed.set()
        self._put(None)
        if self._thread.is_alive():
            self._thread.join()

    def describe(self, query: Query) -> None:
        """Answer, soon, what is served; any thread may call it."""
        if not self._put(query):
            query.drop()
            self._gateway.metrics.count("refused_describe")

    def _put(self, query: Query | None) -> bool:
        try:
            self._waiting.put_nowait(query)
        except queue.Full:
            return False
        return True

    def _work(self) -> None:
        query: Query | None = None
        while not self._is_closed.is_set():
            self._look_if_old()
            if query is not None:
                self._answer(query)
            query = self._next()
        if query is not None:
            query.drop()
        while not self._waiting.empty():
            query = self._waiting.get_nowait()
            if query is not None:
                query.drop()

    def _next(self) -> Query | None:
        """Return the next question, or None after a pause."""
        pause_ns = SEARCH_NS if self._taken is None else LOOK_NS
        try:
            return self._waiting.get(timeout=pause_ns / NS_PER_S)
        except queue.Empty:
            self._looked_ns = None
            return None

    def _look_if_old(self) -> None:
        now_ns = self._clock.now_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < FRESH_NS:
            return
        try:
            self._look()
        except VagusError as error:
            self._is_ready = False
            repeat = self._told.note(type(error).__name__, now_ns)
            if repeat is not None:
                logger.warning("deployment %s is not ready%s: %s", self._name, repeat.times, error)
        self._looked_ns = self._clock.now_ns()

    def _look(self) -> None:
        said = self._gateway.served()
        profile, rename = self._gateway.mapping.profile, self._gateway.config.rename
        found = deployment_of(self._name, profile, policy_spec_from(said), said.model_hash, rename)
        if self._taken is not None and found.artifact_identity == self._taken.artifact_identity:
            self._is_ready = True
            return
        why = self._gateway.trouble(said.model_hash)
        if why:
            raise SpecError("policy", wanted=f"one that fits the profile {profile.name}", got=why)
        service = ServiceKey.of(said.model, said.revision, said.service_name)
        if self._take(found, partial(self._gateway.admit, service=service, model_hash=said.model_hash)):
            self._taken = found
        self._is_ready = self._taken is not None and self._taken is found

    def _answer(self, query: Query) -> None:
        found = read_query(query, MessageType.DESCRIBE)
        if found is None:
            return
        if self._taken is None:
            query.drop()
            return
        head = replace(found[0].answered(MessageType.DESCRIPTOR), instance_id=self._taken.instance_id)
        query.reply(encode_message(head, replace(self._taken, is_ready=self._is_ready).to_wire()))

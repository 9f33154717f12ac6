"""Finds a ready server of a service, for callers that may wait."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from vagus.clock import MonotonicClock, seconds_to_ns
from vagus.edge.client.first_contact import CHOICES, Patience, Setback, keep_trying
from vagus.edge.client.handshake import Contract, check_pin, check_replica
from vagus.edge.client.pace import check_pace
from vagus.edge.client.session import (
    fetch_capabilities,
    find_service,
    living_servers,
    nobody_ready,
    parse_service,
    pinned,
)
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, SessionRefusedError, VagusError
from vagus.quoting import quoted
from vagus.specs import PolicySpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.contract import policy_spec_from
from vagus.wire.fill import emptiest
from vagus.wire.schema import READY, Capabilities, EventCode

__all__ = ["Endpoint", "find_server", "own_draw"]

own_draw: Callable[[], float] = random.SystemRandom().random
"""Random numbers of this process alone: a seed in the settings of a fleet, or `random.seed` in a program,
must not make all robots choose the same server."""

LEFT_BEHIND_S = 6.0
"""Time until the place of this robot's last process is free: the server waits 5 s for its token."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address of a service, and the settings to reach it.

    Attributes:
        endpoints: comma-separated, e.g. "tcp/gpu-server:7447"; empty: those of `zenoh`.
        service: model/revision or model/revision/name; empty: the only one on the network.
        zenoh: all other network settings.
        edge: settings of the conversation.
    """

    endpoints: str
    service: str
    zenoh: ZenohConfig
    edge: EdgeConfig

    @contextmanager
    def link(self) -> Iterator[ZenohLink]:
        """Yield an open link.

        Raises:
            LinkError: no endpoint answers.
        """
        endpoints = tuple(part.strip() for part in self.endpoints.split(",") if part.strip())
        config = replace(self.zenoh, connect=endpoints) if endpoints else self.zenoh
        with ZenohLink(config) as link:
            yield link

    def ask(self) -> PolicySpec:
        """Return the policy's spec, once a server is ready for a robot.

        No robot is connected yet: what can be refused now need not let an arm go limp later.

        Raises:
            LinkError: none is, within `connect_timeout_s`.
            SessionRefusedError: it is too slow for these settings, has not the pinned model, or stays full.
            ConfigError: several services and none chosen.
        """
        with self.link() as link:
            clock = MonotonicClock()
            begin_ns = clock.now_ns()
            patience = Patience(self.edge, begin_ns)

            def is_over(error: Setback, now_ns: int) -> bool:
                if not isinstance(error, SessionRefusedError):
                    return patience.is_over(error, now_ns)
                return now_ns - begin_ns >= seconds_to_ns(self._patience_s(error))

            never = threading.Event()
            return keep_trying(lambda: self._first(link), is_over, patience, clock=clock, stopping=never)

    def _first(self, link: Link) -> PolicySpec:
        said = self.find(link)[1]
        for warning in check_pace(said, self.edge):
            logger.warning("%s", warning)
        if said.load.sessions >= said.load.max_sessions:
            why = f", because {quoted(said.serving_reason)}" if said.serving_reason else ""
            reason = f"server {quoted(said.server)} has {said.load.sessions} robots and takes no more{why}"
            raise SessionRefusedError(EventCode.SESSIONS_FULL.value, reason)
        return policy_spec_from(said)

    def _patience_s(self, error: SessionRefusedError) -> float:
        """Return how long to wait for such an error to end by itself."""
        return (
            self.edge.connect_timeout_s + LEFT_BEHIND_S
            if error.code == EventCode.SESSIONS_FULL.value
            else 0.0
        )

    def find(self, link: Link) -> tuple[ServerKey, Capabilities]:
        """Return a ready server of the service; raises as `find_server` does."""
        return find_server(link, parse_service(self.service, setting="policy.service"), self.edge)


def find_server(
    link: Link,
    service: ServiceName | ServiceKey | None,
    config: EdgeConfig,
    contract: Contract | None = None,
    *,
    without: Container[ServerKey] = (),
    draw: Callable[[], float] = own_draw,
) -> tuple[ServerKey, Capabilities]:
    """Return a ready server of a service, with the pinned model, and equal to what was agreed before.

    The one with more room of two that have a free place, if there is any.

    Args:
        link: the network.
        service: whom to talk to: as a person names it, or a key, which is found sooner; None: the only
            service on the network.
        config: time limits, and the pinned server and model.
        contract: what the first session agreed on; None before it.
        without: servers that are not asked.
        draw: random number in [0, 1).

    Raises:
        LinkError: there is none now.
        SessionRefusedError: none that is ready has the pinned model.
        SpecError: none that is ready is what was agreed on.
        ConfigError: several services and none chosen.
    """
    timeout_s = config.handshake_timeout_s
    key = service if isinstance(service, ServiceKey) else find_service(link, service, timeout_s=timeout_s)
    alive = pinned(living_servers(link, key.all_alive, timeout_s=timeout_s), config.pin_server)
    pin = config.pin_server
    why: VagusError | None = None if alive else nobody_ready(link, key, pin=pin, timeout_s=timeout_s)
    full: tuple[ServerKey, Capabilities] | None = None
    free: list[tuple[ServerKey, Capabilities]] = []
    asked = (server for server in alive if server not in without)
    for server in sorted(sorted(asked, key=lambda k: k.path), key=lambda _: draw()):
        try:
            said = fetch_capabilities(link, server)
            _check(said, config, contract)
        except VagusError as error:
            why = error
            continue
        if said.load.sessions >= said.load.max_sessions:
            full = full or (server, said)  # it says itself that it is full, and why
            continue
        free.append((server, said))
        if len(free) == CHOICES:
            break
    if free:
        return free[emptiest([said.load for _, said in free], draw)]
    if full is not None:
        return full
    raise why or LinkError(f"no server of {key.text} is alive")


def _check(said: Capabilities, edge: EdgeConfig, contract: Contract | None) -> None:
    """Raise the reason against this server, if there is one."""
    if said.phase != READY or said.failing:
        what = f"fails: {quoted(said.failing)}" if said.failing else f"is {quoted(said.phase)}"
        raise LinkError(f"server {quoted(said.server)} {what}")
    check_pin(said, edge)
    if contract is not None:
        check_replica(said, contract)

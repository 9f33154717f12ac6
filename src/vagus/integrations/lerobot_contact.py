"""Reaching the served policy from inside LeRobot: what it is, and who we are to it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from vagus.clock import MonotonicClock, seconds_to_ns
from vagus.edge.config import EdgeConfig
from vagus.edge.handshake import Contract, Identity, check_pin, check_replica
from vagus.edge.opening import fetch_capabilities, find_service, living_servers, parse_service
from vagus.errors import LinkError, VagusError
from vagus.quoting import quoted
from vagus.specs import PolicySpec
from vagus.transport.host import host_id
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.contract import policy_spec_from
from vagus.wire.schema import Capabilities

__all__ = ["Contact", "identity_of", "policy_names"]

RETRY_S = 0.1
"""Pause between tries of the first contact."""
READY = "ready"


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a service.

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
        """Return what the policy wants and gives, once a server of it is ready.

        Raises:
            LinkError: none is, within `connect_timeout_s`.
            ConfigError: several services and none chosen.
        """
        with self.link() as link:
            clock, never = MonotonicClock(), threading.Event()
            deadline_ns = clock.now_ns() + seconds_to_ns(self.edge.connect_timeout_s)
            while True:
                try:
                    return policy_spec_from(self.find(link)[1])
                except LinkError:
                    if clock.now_ns() >= deadline_ns:
                        raise
                clock.wait_until_ns(clock.now_ns() + seconds_to_ns(RETRY_S), never)

    def find(self, link: Link, contract: Contract | None = None) -> tuple[ServerKey, Capabilities]:
        """Return a ready server of the service, with the pinned model, and equal to what was agreed before.

        Args:
            link: the network.
            contract: what the first session agreed on; None before it.

        Raises:
            LinkError: there is none now.
            SessionRefusedError: none that is ready has the pinned model.
            SpecError: none that is ready is what was agreed on.
            ConfigError: several services and none chosen.
        """
        timeout_s = self.edge.handshake_timeout_s
        service = parse_service(self.service, setting="policy.service") or find_service(
            link, timeout_s=timeout_s
        )
        why: VagusError = LinkError(f"no server of {service.path} is alive; start one with `vagus serve`")
        for server in sorted(
            living_servers(link, service.all_alive, timeout_s=timeout_s), key=lambda k: k.path
        ):
            said = fetch_capabilities(link, server)
            try:
                _check(said, self.edge, contract)
            except VagusError as error:
                why = error
            else:
                return server, said
        raise why


def _check(said: Capabilities, edge: EdgeConfig, contract: Contract | None) -> None:
    """Raise what speaks against asking this server."""
    if said.phase != READY or said.failing:
        what = f"fails: {quoted(said.failing)}" if said.failing else f"is {quoted(said.phase)}"
        raise LinkError(f"server {quoted(said.server)} {what}")
    check_pin(said, edge)
    if contract is not None:
        check_replica(said, contract)


def identity_of(name: str, tags: Mapping[str, str]) -> Identity:
    """Return who this process is to a server."""
    return Identity(name, secrets.token_hex(8), host_id(), {"program": "lerobot", **tags})


def policy_names(rename_map: Mapping[str, str]) -> dict[str, str]:
    """Return LeRobot's map of observation keys as one of names: robot name → policy name.

    "observation.images.front" is the camera "front" to us.
    """
    return {_name(own): _name(policy) for own, policy in rename_map.items()}


def _name(key: str) -> str:
    for prefix in ("observation.images.", "observation.state."):
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key

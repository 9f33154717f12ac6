"""Lists the servers on a network with their capabilities."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.edge.client.session import fetch_capabilities, find_services
from vagus.errors import LinkError, ProtocolError
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.wire.schema import Capabilities

__all__ = ["FoundServer", "survey"]

LIST_TIMEOUT_S = 3.0
"""Longest wait for the list of servers; it costs nothing where the network is quick."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """One server whose token is there.

    Attributes:
        key: its address.
        capabilities: what it says of itself; None if it does not answer.
        trouble: why it does not, or "".
    """

    key: ServerKey
    capabilities: Capabilities | None
    trouble: str = ""

    @property
    def service(self) -> str:
        """`<model>/<revision>/<name>`."""
        return self.key.service.text


def survey(link: Link, service: ServiceName | None, *, timeout_s: float = 1.0) -> list[FoundServer]:
    """Return every server (of the services that are meant), also those that still start, sorted by address.

    Raises:
        LinkError: the network is away, or nobody of that service is there though others are; they are listed.
    """
    there = find_services(link, timeout_s=max(timeout_s, LIST_TIMEOUT_S))
    keys = there.alive | there.starting
    meant = there.named(service)
    if service is not None and keys and not meant:
        raise LinkError(f"no server of {service.text!r} is there; on this network are: {there}")
    wanted = (key for key in keys if key.service in meant)
    return [_ask(link, key, timeout_s) for key in sorted(wanted, key=lambda key: key.path)]


def _ask(link: Link, key: ServerKey, timeout_s: float) -> FoundServer:
    try:
        return FoundServer(key, fetch_capabilities(link, key, timeout_s=timeout_s))
    except (LinkError, ProtocolError) as error:
        return FoundServer(key, None, str(error))

"""List of the servers on a network with their capabilities."""

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
"""Longest wait for the list of servers; a fast network needs much less."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """Server whose token is on the network.

    Attributes:
        key: key of the server.
        capabilities: capabilities of the server; None if it does not answer.
        trouble: reason why it does not answer, or "".
    """

    key: ServerKey
    capabilities: Capabilities | None
    trouble: str = ""

    @property
    def service(self) -> str:
        """Name of the service, `<model>/<revision>/<name>`."""
        return self.key.service.text


def survey(link: Link, service: ServiceName | None, *, timeout_s: float = 1.0) -> list[FoundServer]:
    """Return all servers (of the named services), also servers that still start, sorted by key.

    Raises:
        LinkError: the network is away, or only servers of other services were found; they are listed.
    """
    there = find_services(link, timeout_s=max(timeout_s, LIST_TIMEOUT_S))
    keys = there.alive | there.starting
    meant = there.named(service)
    if service is not None and keys and not meant:
        raise there.lacks(service)
    wanted = (key for key in keys if key.service in meant)
    return [_ask(link, key, timeout_s) for key in sorted(wanted, key=lambda key: key.path)]


def _ask(link: Link, key: ServerKey, timeout_s: float) -> FoundServer:
    try:
        return FoundServer(key, fetch_capabilities(link, key, timeout_s=timeout_s))
    except (LinkError, ProtocolError) as error:
        return FoundServer(key, None, str(error))

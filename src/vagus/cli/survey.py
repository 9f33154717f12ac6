"""Who is out there: the servers on a network and what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vagus.edge.opening import fetch_capabilities, living_servers
from vagus.errors import LinkError, ProtocolError
from vagus.transport.keys import ALL_SERVERS_ALIVE, ServerKey, ServiceKey
from vagus.transport.link import Link
from vagus.wire.schema import Capabilities

__all__ = ["Found", "survey"]


@dataclass(frozen=True, slots=True)
class Found:
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
        service = self.key.service
        return f"{service.model}/{service.revision}/{service.name}"


def survey(link: Link, service: ServiceKey | None, *, timeout_s: float = 1.0) -> list[Found]:
    """Return every server (of one service), sorted by address.

    Raises:
        LinkError: the network is away.
    """
    pattern = ALL_SERVERS_ALIVE if service is None else service.all_alive
    keys: Iterable[ServerKey] = living_servers(link, pattern, timeout_s=timeout_s)
    return [_ask(link, key, timeout_s) for key in sorted(keys, key=lambda key: key.path)]


def _ask(link: Link, key: ServerKey, timeout_s: float) -> Found:
    try:
        return Found(key, fetch_capabilities(link, key, timeout_s=timeout_s))
    except (LinkError, ProtocolError) as error:
        return Found(key, None, str(error))

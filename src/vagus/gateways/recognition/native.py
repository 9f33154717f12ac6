"""Recognition of vagus' own servers on a network, by their tokens and capabilities."""

from __future__ import annotations

from collections.abc import Iterator

from vagus.edge.client.session import fetch_capabilities, find_services
from vagus.errors import LinkError, ProtocolError
from vagus.gateways.recognition.findings import Check, Recognised, check_that
from vagus.quoting import quoted
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.wire.schema import SCHEMA_VERSION

__all__ = ["recognise_native"]

MOST_ASKED = 16
TIMEOUT_S = 1.0


def recognise_native(link: Link) -> Iterator[Recognised]:
    """Yield the servers of vagus.

    Raises:
        LinkError: the network is away.
    """
    there = find_services(link, timeout_s=TIMEOUT_S)
    for server in sorted(there.alive | there.starting, key=lambda key: key.path)[:MOST_ASKED]:
        yield _recognised(link, server)


def _recognised(link: Link, server: ServerKey) -> Recognised:
    seen = f"service {quoted(server.service.text, 120)}, server {quoted(server.server, 80)}"
    rule = "its answer to status is one that robots read"
    try:
        said = fetch_capabilities(link, server, timeout_s=TIMEOUT_S)
    except (LinkError, ProtocolError) as error:
        return Recognised("vagus", "", seen, (check_that(rule, is_kept=False, got=quoted(error)),))
    least, most = said.schema_min, said.schema_max
    versions = f"{least}" if least == most else f"{least}–{most}"
    checks = (
        Check(rule, is_kept=True),
        check_that(f"it speaks wire schema {SCHEMA_VERSION}", least <= SCHEMA_VERSION <= most, versions),
    )
    return Recognised("vagus", f"wire schema {versions}", seen, checks)

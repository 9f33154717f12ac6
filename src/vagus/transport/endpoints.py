"""Endpoints as a user writes them, and a check of their form (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vagus.errors import ConfigError
from vagus.setting_ranges import MAX_PORT

__all__ = ["bracketed", "check_endpoints"]

HOST_PROTOCOLS = ("tcp", "tls", "quic", "udp", "ws")
OTHER_PROTOCOLS = ("unixsock-stream", "unixpipe", "serial", "vsock")
"""Other protocols of Zenoh; no host and port follow their slash."""


def bracketed(host: str) -> str:
    """Return the host as written before a port: an IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host


def check_endpoints(endpoints: Iterable[str], *, is_secured: bool) -> None:
    """Raise ConfigError for an endpoint that is malformed, or not encrypted although certificates are given.

    Args:
        endpoints: as a user wrote them.
        is_secured: whether certificates are given.
    """
    for endpoint in endpoints:
        protocol, _, address = endpoint.partition("/")
        is_known = protocol in OTHER_PROTOCOLS or (protocol in HOST_PROTOCOLS and _has_host_and_port(address))
        if not is_known:
            raise ConfigError(
                "endpoint",
                wanted="protocol/host:port, e.g. tcp/10.0.0.5:7447 or tcp/[::1]:7447",
                got=endpoint,
                fix=f"protocols are {', '.join(HOST_PROTOCOLS)}, ports 0 to {MAX_PORT}",
            )
        if is_secured != (protocol in ("tls", "quic")):
            raise ConfigError(
                "endpoint",
                wanted="tls/host:port with certificates, tcp/host:port without",
                got=f"{endpoint} {'with' if is_secured else 'without'} certificates",
            )


def _has_host_and_port(address: str) -> bool:
    host, colon, port = re.split(r"[?#]", address, maxsplit=1)[0].rpartition(":")
    is_whole = host.startswith("[") == host.endswith("]") == (":" in host)
    is_port = re.fullmatch(r"[0-9]{1,5}", port) is not None and int(port) <= MAX_PORT
    return bool(host and colon and is_whole and is_port and "/" not in host)

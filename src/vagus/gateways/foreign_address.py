"""Addresses of foreign policy servers, as people type them: `openpi+ws://host:8000` (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.setting_ranges import MAX_PORT
from vagus.transport.endpoints import bracketed

__all__ = ["ForeignAddress", "is_host", "parse_address"]

MAX_LABEL: Final = 63
"""Longest part of a host's name between two dots; Python's resolver raises no OSError at a longer one."""
_ADDRESS = re.compile(
    r"(?P<protocol>[a-z0-9_]+)\+(?P<transport>[a-z]+)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})(?P<path>/[!-~]*)?"
)


@dataclass(frozen=True, slots=True)
class ForeignAddress:
    """Address of one server.

    Attributes:
        protocol: `openpi`, `gr00t`, `pointact` or `lerobot`.
        transport: what carries it: `ws`, `wss`, `tcp`, `http` or `grpc`.
        host: name or number of the host; an IPv6 number without its brackets.
        port: port of the server.
        path: path of a server of WebSockets or HTTP with its slash; "": none.
    """

    protocol: str
    transport: str
    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.protocol}+{self.url}"

    @property
    def url(self) -> str:
        """The address without the protocol: `ws://host:8000`."""
        return f"{self.transport}://{self.target}{self.path}"

    @property
    def target(self) -> str:
        """Host and port: `host:8000`, or `[::1]:8000`."""
        return f"{bracketed(self.host)}:{self.port}"


def parse_address(text: str) -> ForeignAddress:
    """Return the address in `text`.

    Raises:
        ConfigError: it is no address, or it has no port.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= MAX_PORT or not is_host(found["host"]):
        raise ConfigError(
            "address of a policy server",
            wanted="a protocol, a host and a port, such as openpi+ws://gpu-server:8000",
            got=quoted(text, 120),
        )
    host, path = found["host"].strip("[]"), found["path"] or ""
    return ForeignAddress(found["protocol"], found["transport"], host, int(found["port"]), path)


def is_host(host: str) -> bool:
    """Return whether a host as it is written, an IPv6 number in brackets, can be asked for."""
    return host.startswith("[") or all(
        0 < len(label) <= MAX_LABEL for label in host.removesuffix(".").split(".")
    )

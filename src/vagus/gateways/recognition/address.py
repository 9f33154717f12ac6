"""Addresses at which a protocol is looked for, in every form in which people type them (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vagus.errors import ConfigError
from vagus.gateways.foreign_address import is_host
from vagus.quoting import quoted
from vagus.setting_ranges import MAX_PORT
from vagus.transport.endpoints import bracketed

__all__ = ["SearchedAddress", "parse_searched"]

_FORM: Final = re.compile(
    r"(?:(?P<scheme>[a-z0-9_+.-]{1,40})://|(?P<link>tcp|tls)/)?"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253}):(?P<port>[0-9]{1,5})(?P<path>/[!-~]{0,1000})?"
)
_SECURED: Final = frozenset({"wss", "https", "tls", "grpcs"})


@dataclass(frozen=True, slots=True)
class SearchedAddress:
    """Where to look.

    Attributes:
        host: name or number of the host; an IPv6 number without its brackets.
        port: port to look at.
        path: path at which a WebSocket is opened.
        is_secured: whether to speak TLS.
    """

    host: str
    port: int
    path: str = "/"
    is_secured: bool = False

    @property
    def target(self) -> str:
        """Host and port: `host:8000`, or `[::1]:8000`."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The address as Zenoh writes it."""
        return f"{'tls' if self.is_secured else 'tcp'}/{self.target}"


def parse_searched(text: str) -> SearchedAddress:
    """Return the address in `text`: host:port, with or without a scheme, which tells whether TLS is spoken.

    Raises:
        ConfigError: it is no address, or it has no port.
    """
    found = _FORM.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= MAX_PORT or not is_host(found["host"]):
        raise ConfigError(
            "--dialect",
            wanted="an address such as gpu-server:8000, ws://gpu-server:8000 or tcp/gpu-server:7447",
            got=quoted(text, 120),
        )
    scheme = (found["scheme"] or found["link"] or "").rpartition("+")[2]
    return SearchedAddress(
        found["host"].strip("[]"), int(found["port"]), found["path"] or "/", scheme in _SECURED
    )

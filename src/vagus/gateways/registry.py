"""Gateways by protocol. The module of a protocol is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from vagus.errors import ConfigError
from vagus.gateways.gateway import Gateway
from vagus.import_path import load_brought

__all__ = ["PROTOCOLS", "ForeignProtocol", "Listener", "listener_of", "protocol_of"]


class Listener(Protocol):
    """Listens for the robots of one protocol, on threads of its own."""

    @property
    def address(self) -> str:
        """Address that it listens on, "127.0.0.1:8000"."""
        ...

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        ...

    def close(self) -> None:
        """Answer what is in progress, and stop; no thread and no socket is left. Twice does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ForeignProtocol:
    """A protocol that gateways speak.

    Attributes:
        place: module:class of its listener.
        port: port that its servers use.
        extra: extra of this package that brings what the listener needs.
        scheme: first words of an address, as its clients write it.
    """

    place: str
    port: int
    extra: str
    scheme: str


PROTOCOLS: Mapping[str, ForeignProtocol] = {
    "openpi": ForeignProtocol("vagus.integrations.openpi.gateway:OpenPiListener", 8000, "openpi", "ws://"),
    "gr00t": ForeignProtocol("vagus.integrations.gr00t.gateway:Gr00tListener", 5555, "gr00t", "tcp://"),
    "pointact": ForeignProtocol(
        "vagus.integrations.pointact.gateway:PointActListener", 17000, "pointact", "tcp:// or http://"
    ),
    "lerobot_grpc": ForeignProtocol(
        "vagus.integrations.lerobot_grpc.gateway:LeRobotGrpcListener", 8080, "lerobot-grpc", ""
    ),
    "astribot": ForeignProtocol(
        "vagus.integrations.astribot.gateway:AstribotListener", 50052, "astribot", ""
    ),
    "lerobot_zenoh": ForeignProtocol(
        "vagus.integrations.lerobot_zenoh.gateway:LeRobotZenohListener", 7447, "lerobot-zenoh", ""
    ),
    "lerobot_zenoh_draft": ForeignProtocol(
        "vagus.integrations.lerobot_zenoh.draft_gateway:LeRobotDraftListener", 7447, "lerobot-zenoh", "tcp/"
    ),
}
"""Name of a protocol → what listens for it."""


def protocol_of(name: str) -> ForeignProtocol:
    """Return the protocol called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError("protocol", wanted=f"one of {', '.join(PROTOCOLS)}", got=repr(name))
    return PROTOCOLS[name]


def listener_of(gateway: Gateway) -> Listener:
    """Return the listener of a gateway; it does not listen yet.

    Raises:
        ConfigError: an unknown protocol, or what it needs is not installed.
    """
    name = gateway.config.protocol
    protocol = protocol_of(name)
    place, _, attribute = protocol.place.partition(":")
    module = load_brought(place, subject=f"gateway {name!r}", extra=protocol.extra)
    return cast("Callable[[Gateway], Listener]", getattr(module, attribute))(gateway)

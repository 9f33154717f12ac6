"""Settings of one gateway: protocol, address, profile and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.setting_ranges import MAX_PORT, check_count, check_seconds

__all__ = ["LOOPBACK", "GatewayConfig"]

LOOPBACK = "127.0.0.1"
"""Address that only programs of this machine reach."""
OF_ZENOH = frozenset({"lerobot_zenoh", "lerobot_zenoh_draft"})
OF_REMOTE = frozenset({"lerobot_zenoh"})
ONLY_FOR: Mapping[str, frozenset[str]] = {
    "router": OF_ZENOH,
    "robots_ca": OF_ZENOH,
    "robots_certificate": OF_ZENOH,
    "robots_private_key": OF_ZENOH,
    "deployment": OF_REMOTE,
    "standby": OF_REMOTE,
    "token_path": frozenset({"openpi", "gr00t", "pointact", "lerobot_grpc"}),
    "models": frozenset({"openpi", "gr00t", "pointact", "lerobot_grpc", "astribot", "lerobot_zenoh_draft"}),
}
"""Setting → the protocols that use it, of those settings that not all do."""
MAX_NAME = 48
"""Longest name of a gateway, in characters: a number is appended for each robot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Settings of a gateway: one address, at which robots of one foreign protocol connect."""

    protocol: str = ""
    """Protocol of the robots: openpi, gr00t, pointact, lerobot_grpc, astribot, lerobot_zenoh or
    lerobot_zenoh_draft."""
    profile: str = ""
    """Profile, which says what the protocol's keys mean: the name of a shipped one, or a .yaml file."""
    listen: str = ""
    """Address to listen on, host:port; port 0 picks a free one. Empty: 127.0.0.1 and the protocol's port."""
    router: str = ""
    """Endpoint of a router to which the robots connect, too, e.g. tcp/127.0.0.1:7448, instead of an address
    to listen on; for protocols over Zenoh."""
    robots_ca: Path | None = None
    """PEM file of the authority that signed the robots' certificates; for protocols over Zenoh. With it,
    robots are reached by mutual TLS alone."""
    robots_certificate: Path | None = None
    """PEM file of the certificate that the gateway shows to robots, or to their router."""
    robots_private_key: Path | None = None
    """PEM file of the private key of that certificate."""
    deployment: str = ""
    """Name under which LeRobot's remote inference finds the policy (lerobot_zenoh). Empty: the profile's."""
    standby: bool = False
    """Answer robots only after the gateway that does it now is gone (lerobot_zenoh). Both have the same
    settings and the same router."""
    max_hold_s: float = 8.0
    """Longest time for which a robot is held when the policy does not answer, in seconds (lerobot_zenoh);
    after it, its run is ended."""
    name: str = ""
    """Name of the gateway; its robots are called <name>-1, <name>-2 …, and with `router` <name>-<4 hex digits
    of the process>-1 …. Empty: the protocol's name."""
    service: str = ""
    """Service that the robots are served by, model/revision/name; empty: the only one on the network."""
    models: dict[str, str] = field(default_factory=dict)
    """Model that a robot names → service, for a protocol whose robots name one; no other is accepted.
    lerobot_grpc, pointact, astribot: `*` is any other name; empty: a robot must name the gateway's one
    service. astribot: `name@checkpoint_dir` is that checkpoint of it alone.
    lerobot_zenoh_draft: model/revision/task, as slugs, with `*` for any task; one entry at least."""
    rename: dict[str, str] = field(default_factory=dict)
    """Name in the profile → name in the policy, for actions, state features and cameras."""
    instruction: str = ""
    """Instruction for requests that give none; empty: the policy's default."""
    version: str = ""
    """Version of the protocol for requests that do not show theirs (gr00t: n1.5, n1.6, n1.7)."""
    token_path: Path | None = None
    """File with the secret that each robot must send; unset: no secret is asked for."""
    max_peers: int = 16
    """Largest number of robots that are connected at once; each takes one session of the server."""
    max_message_mb: int = 64
    """Largest message of a robot, in MB."""
    answer_timeout_s: float = 5.0
    """Longest time from a request to its answer, in seconds; a failover to another server is within it."""
    idle_timeout_s: float = 60.0
    """Time without a message after which a robot loses its place, in seconds."""
    trust_units: bool = False
    """Accept units that profile or policy does not state; you take the responsibility."""

    def __post_init__(self) -> None:
        check_count("max_peers", self.max_peers, most=10_000)
        check_count("max_message_mb", self.max_message_mb, most=1024)
        check_seconds("answer_timeout_s", self.answer_timeout_s)
        check_seconds("idle_timeout_s", self.idle_timeout_s)
        check_seconds("max_hold_s", self.max_hold_s)
        self._check_protocol()
        if len(self.name) > MAX_NAME or not self.name.isprintable():
            raise ConfigError("name", wanted=f"at most {MAX_NAME} characters", got=repr(self.name))
        if self.listen:
            self.address(0)
        for field_name in ("models", "rename"):
            table = getattr(self, field_name)
            if not isinstance(table, Mapping):
                raise ConfigError(field_name, wanted="a mapping of texts to texts", got=repr(table))

    def _check_protocol(self) -> None:
        """Refuse a setting that the protocol does not use, and half a setting."""
        for name, protocols in ONLY_FOR.items():
            value = getattr(self, name)
            if value and self.protocol and self.protocol not in protocols:
                raise ConfigError(name, wanted=f"none for {self.protocol}", got=quoted(repr(value), 80))
        if self.router and self.listen:
            raise ConfigError(
                "router",
                wanted="a router, or an address to listen on",
                got=f"{self.router} and {self.listen}",
            )
        if self.standby and not self.router:
            raise ConfigError(
                "standby",
                wanted="a router that the robots and both gateways connect to",
                got="none",
                fix="robots that connect to a gateway itself lose it with its process: start a router, "
                "and name it with `router`",
            )

    @property
    def robot_prefix(self) -> str:
        """Start of the names of its robots."""
        return self.name or self.protocol

    def address(self, port: int) -> tuple[str, int]:
        """Return host and port to listen on.

        Args:
            port: port of the protocol, for an address without one.

        Raises:
            ConfigError: `listen` is no address.
        """
        if not self.listen:
            return LOOPBACK, port
        host, colon, given = self.listen.rpartition(":")
        is_bracketed = host.startswith("[") and host.endswith("]")
        is_port = given.isascii() and given.isdigit() and int(given) <= MAX_PORT
        if not (colon and host and is_port) or (":" in host and not is_bracketed):
            raise ConfigError(
                "listen", wanted="host:port, e.g. 0.0.0.0:8000 or [::1]:8000", got=repr(self.listen)
            )
        return host.strip("[]"), int(given)

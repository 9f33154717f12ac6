"""Host of the gateways of one process: any number of them on one link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import ModuleType, TracebackType

from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.exposition import gateway_families
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile_file import load_profile
from vagus.gateways.registry import Listener, listener_of, protocol_of
from vagus.quoting import quoted
from vagus.transport.link import Link

__all__ = ["GatewayHost"]


class GatewayHost:
    """Gateways that listen; a context manager of `start` and `close`.

    Args:
        configs: settings of each gateway.
        link: the network, shared by all; not closed by this object.

    Raises:
        ConfigError: a setting is wrong, or a package that a protocol needs is missing.
        SpecError: a profile converts between units that are not known.
    """

    def __init__(self, configs: Sequence[GatewayConfig], link: Link) -> None:
        for config in configs:
            protocol_of(config.protocol)
        profiles = [load_profile(config.profile, config.protocol) for config in configs]
        _check_names(configs)
        self._gateways = [Gateway(*one, link) for one in zip(configs, profiles, strict=True)]
        self._listeners: list[Listener] = [listener_of(gateway) for gateway in self._gateways]

    def start(self) -> None:
        """Start to listen, all of them or none.

        Raises:
            ConfigError: an address is in use or not of this machine.
        """
        with ExitStack() as stack:
            for listener in self._listeners:
                stack.callback(listener.close)
                listener.start()
            stack.pop_all()

    def close(self) -> None:
        """Answer what is in progress, and stop. Twice does nothing."""
        for listener in self._listeners:
            listener.close()

    def lines(self) -> list[str]:
        """Return one line about each gateway: protocol, address, profile, and who can reach it."""
        return [
            _line(gateway, listener)
            for gateway, listener in zip(self._gateways, self._listeners, strict=True)
        ]

    def troubles(self) -> list[str]:
        """Return one line about each gateway whose robots would get no actions now; asks the network."""
        found = [(gateway.config.robot_prefix, gateway.trouble()) for gateway in self._gateways]
        return [f"gateway {name}: robots get an error for now: {why}" for name, why in found if why]

    def families(self, core: ModuleType) -> Iterator[object]:
        """Yield the metric families of all gateways, made with the module prometheus_client.core."""
        return gateway_families([gateway.metrics for gateway in self._gateways], core)

    def __enter__(self) -> GatewayHost:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(gateway: Gateway, listener: Listener) -> str:
    config = gateway.config
    robots = f"{gateway.robot_prefix}-1 to {gateway.robot_prefix}-{config.max_peers}"
    reach = "only programs of this machine reach it" if _is_local(listener.address) else _reach(config)
    where, profile = _where(config, listener.address), quoted(config.profile, 80)
    return f"gateway {config.protocol} on {where}, profile {profile}: robots {robots}; {reach}"


def _where(config: GatewayConfig, address: str) -> str:
    """Return the address as a client of the protocol writes it."""
    if config.router:  # an endpoint, which is written whole
        return address
    scheme = protocol_of(config.protocol).scheme
    return f"{'tls/' if scheme == 'tcp/' and config.robots_ca is not None else scheme}{address}"


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _reach(config: GatewayConfig) -> str:
    if config.router:
        return "no secret is asked for: whoever the router lets in can ask the policy"
    if config.robots_ca is not None:
        return "encrypted: only robots with a certificate of its authority can ask the policy"
    if config.token_path is not None and config.protocol not in ("lerobot_grpc", "astribot"):
        return "not encrypted: whoever listens on the way reads the token"
    return "no secret is asked for: whoever reaches this port can ask the policy"


def _check_names(configs: Sequence[GatewayConfig]) -> None:
    """Raise ConfigError unless each gateway has a name of its own."""
    prefixes = [config.robot_prefix for config in configs]
    twice = sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1})
    if twice:
        raise ConfigError(
            "gateways",
            wanted="a name of its own for each gateway of a process",
            got=f"{twice[0]!r} twice",
            fix="give each a `name`",
        )

"""Link to the robots of a protocol of LeRobot over Zenoh: a listener of its own, or a router."""

from __future__ import annotations

from vagus.errors import ConfigError, LinkError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.registry import protocol_of
from vagus.transport.endpoints import bracketed
from vagus.transport.plain_link import PlainLink
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, TlsConfig, ZenohConfig

__all__ = ["open_robots_link", "robots_address"]


def robots_address(config: GatewayConfig) -> str:
    """Return the address that robots connect to, "127.0.0.1:7447", or the endpoint of their router."""
    if config.router:
        return config.router
    host, port = config.address(protocol_of(config.protocol).port)
    return f"{bracketed(host)}:{port}"


def open_robots_link(config: GatewayConfig) -> PlainLink:
    """Return the link to the robots, open.

    Raises:
        ConfigError: the address is in use or not of this machine, or it has port 0.
        LinkError: the router does not answer.
    """
    link = ZenohPlainLink(_zenoh_config(config))
    try:
        link.open()
    except LinkError as error:
        link.close()
        if config.router:
            raise
        raise ConfigError("listen", wanted="an address that is free", got=str(error)) from error
    return link


def _zenoh_config(config: GatewayConfig) -> ZenohConfig:
    tls = TlsConfig(config.robots_ca, config.robots_certificate, config.robots_private_key)
    if config.router:
        return ZenohConfig(mode=LinkMode.CLIENT, connect=(config.router,), tls=tls)
    if robots_address(config).endswith(":0"):
        raise ConfigError("listen", wanted="a port, since robots must be told one", got="port 0")
    scheme = "tls" if tls.is_on else "tcp"
    return ZenohConfig(mode=LinkMode.PEER, listen=(f"{scheme}/{robots_address(config)}",), tls=tls)

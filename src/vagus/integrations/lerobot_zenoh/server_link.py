"""Link to a server of LeRobot over Zenoh, or to the router that it is connected to."""

from __future__ import annotations

from vagus.gateways.foreign_address import ForeignAddress
from vagus.integrations.lerobot_zenoh.zenoh_options import ZenohServerOptions
from vagus.transport.plain_link import PlainLink
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["open_server_link"]


def open_server_link(address: ForeignAddress, options: ZenohServerOptions, timeout_s: float) -> PlainLink:
    """Return the link, open.

    Raises:
        LinkError: nobody answers within these seconds.
    """
    tls = options.tls()
    endpoint = f"{'tls' if tls.is_on else 'tcp'}/{address.target}"
    link = ZenohPlainLink(ZenohConfig(connect=(endpoint,), tls=tls, open_timeout_s=timeout_s))
    link.open()
    return link

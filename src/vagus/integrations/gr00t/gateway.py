"""The GR00T gateway: a ZeroMQ ROUTER for robots that speak GR00T's protocol of N1.5, N1.6 or N1.7."""

from __future__ import annotations

from vagus.clock import Clock
from vagus.errors import ConfigError
from vagus.gateways.batch_listener import BatchListener
from vagus.gateways.gateway import Gateway
from vagus.gateways.zmtp import RouterEnd
from vagus.integrations.gr00t.dialect import N1_5, N1_6, N1_7
from vagus.integrations.gr00t.wire_dialect import Gr00tDialect

__all__ = ["Gr00tListener"]

VERSIONS = (N1_5, N1_6, N1_7)


class Gr00tListener(BatchListener):
    """Address at which GR00T clients connect.

    Args:
        gateway: admits the robots.
        clock: monotonic.

    Raises:
        ConfigError: `version` is none of GR00T's.
    """

    def __init__(self, gateway: Gateway, *, clock: Clock | None = None) -> None:
        version = gateway.config.version
        if version and version not in VERSIONS:
            raise ConfigError("version", wanted=f"one of {', '.join(VERSIONS)}, or none", got=repr(version))
        dialect = Gr00tDialect(gateway.mapping.profile, version)
        super().__init__(gateway, dialect, lambda most: RouterEnd(max_bytes=most), clock=clock)

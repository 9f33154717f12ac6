"""Settings of a GR00T server as the brain; no ZeroMQ package is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.integrations.gr00t.dialect import N1_5, N1_6, N1_7

__all__ = ["VERSIONS", "Gr00tOptions"]

VERSIONS = (N1_5, N1_6, N1_7)


@dataclass(frozen=True, slots=True)
class Gr00tOptions(ForeignOptions):
    """Settings in `options` for `gr00t+tcp://host:port`."""

    version: str = ""
    """Version of the wire: n1.5, n1.6 or n1.7; empty: n1.5 or n1.6 by what the server says about its inputs.
    n1.6 is read by later servers of N1.7 too."""

    def __post_init__(self) -> None:
        ForeignOptions.__post_init__(self)
        if self.version not in ("", *VERSIONS):
            raise ConfigError("version", wanted=f"one of {', '.join(VERSIONS)}", got=repr(self.version))

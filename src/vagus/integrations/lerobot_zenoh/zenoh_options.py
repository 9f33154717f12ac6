"""Settings that servers of LeRobot over Zenoh have in common; nothing is imported to read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.transport.zenoh_config import TlsConfig

__all__ = ["ZenohServerOptions"]

ENCODINGS: Final = ("jpeg", "raw")


@dataclass(frozen=True, slots=True)
class ZenohServerOptions(ForeignOptions):
    """Settings in `options` for a server of LeRobot over Zenoh."""

    encoding: str = "jpeg"
    """How pictures are sent: jpeg, or raw, which needs about ten times the bandwidth."""
    ca: str = ""
    """PEM file of the authority that signed all certificates; empty: no TLS."""
    certificate: str = ""
    """PEM file of the own certificate."""
    private_key: str = ""
    """PEM file of its private key."""
    verify_name: bool = True
    """Refuse a server whose certificate is for another host name."""

    def __post_init__(self) -> None:
        ForeignOptions.__post_init__(self)
        if self.token_path:
            raise ConfigError("token_path", wanted="none: this protocol has no secret", got=self.token_path)
        if self.encoding not in ENCODINGS:
            raise ConfigError("encoding", wanted=f"one of {', '.join(ENCODINGS)}", got=repr(self.encoding))
        self.tls()

    def tls(self) -> TlsConfig:
        """Return the certificates.

        Raises:
            ConfigError: not all three files, or one is not there.
        """
        ca, certificate, key = (
            Path(path).expanduser() if path else None
            for path in (self.ca, self.certificate, self.private_key)
        )
        return TlsConfig(ca, certificate, key, self.verify_name)

"""Settings of a server of LeRobot's remote inference draft as the brain; nothing is imported to read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.transport.zenoh_config import TlsConfig

__all__ = ["LeRobotDraftOptions"]

CODECS: Final = ("jpeg", "raw")


@dataclass(frozen=True, slots=True)
class LeRobotDraftOptions(ForeignOptions):
    """Settings in `options` for `lerobot_draft+zenoh://host:port`."""

    model_repo: str = ""
    """Name of the model that the server was started with, e.g. lerobot/smolvla_base."""
    model_revision: str = "main"
    """Revision of the model."""
    task: str = ""
    """Task that the server was started with, e.g. "pick the cube"; part of its keys, whatever robots do."""
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
        for name in ("model_repo", "model_revision", "task"):
            if not getattr(self, name):
                raise ConfigError(name, wanted=f"it among the options: --options {name} …", got="none")
        if self.token_path:
            raise ConfigError("token_path", wanted="none: this protocol has no secret", got=self.token_path)
        if self.encoding not in CODECS:
            raise ConfigError("encoding", wanted=f"one of {', '.join(CODECS)}", got=repr(self.encoding))
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

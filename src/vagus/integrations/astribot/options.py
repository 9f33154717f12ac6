"""Settings of an Astribot policy server as the brain; no gRPC package is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.integrations.astribot.layout import WIDTHS

__all__ = ["AstribotOptions"]


@dataclass(frozen=True, slots=True)
class AstribotOptions(ForeignOptions):
    """Settings in `options` for `astribot+grpc://host:port` and `astribot_lerobot+grpc://host:port`."""

    config_name: str = ""
    """Name of the configuration that the server loads; for the LeRobot variant, path or name of the model."""
    checkpoint_dir: str = ""
    """Folder of its weights, as the server finds them; not for the LeRobot variant."""
    default_prompt: str = ""
    """What to do where the robot says nothing; not for the LeRobot variant."""
    device: str = "cuda"
    """Device on which the server runs it."""
    policy_type: str = ""
    """Kind of policy (act, diffusion, pi0 …), for the LeRobot variant; empty: the server finds out."""
    width: int = 0
    """Numbers that the server's model has, 16 or 22 of the profile's 22 or 25: it is sent so many of the
    state, and its actions are completed by the measured places of the other parts. 0: as in the profile."""
    encoding: Literal["jpeg", "png", "raw"] = "jpeg"
    """How pictures travel."""

    def __post_init__(self) -> None:
        ForeignOptions.__post_init__(self)
        if not self.config_name:
            wanted = "it among the options: --options config_name …"
            raise ConfigError("config_name", wanted=wanted, got="none")
        if self.width not in (0, *WIDTHS[:-1]):
            raise ConfigError("width", wanted="0, 16 or 22", got=repr(self.width))
        if self.token_path:
            raise ConfigError("token_path", wanted="none: this wire has no secret", got=repr(self.token_path))

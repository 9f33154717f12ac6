"""Settings of a LeRobot policy server as the brain; no gRPC package is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.setting_ranges import check_count

__all__ = ["LeRobotGrpcOptions"]


@dataclass(frozen=True, slots=True)
class LeRobotGrpcOptions(ForeignOptions):
    """Settings in `options` for `lerobot+grpc://host:port`."""

    policy_type: str = ""
    """Type of the policy that the server loads: act, smolvla, diffusion, pi0, pi05, groot …"""
    checkpoint: str = ""
    """Name or folder of its weights, as the server finds them."""
    device: str = "cuda"
    """Device on which the server runs it."""
    actions_per_chunk: int = 0
    """Actions in a chunk; 0: as the profile says."""

    def __post_init__(self) -> None:
        ForeignOptions.__post_init__(self)
        for name in ("policy_type", "checkpoint", "device"):
            if not getattr(self, name):
                raise ConfigError(name, wanted=f"it among the options: --options {name} …", got="none")
        check_count("actions_per_chunk", self.actions_per_chunk, least=0)

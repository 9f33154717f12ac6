"""A LeRobot policy server as the brain: `--policy lerobot+grpc://host:8080`."""

from __future__ import annotations

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.lerobot_grpc.client import LeRobotGrpcClient
from vagus.integrations.lerobot_grpc.options import LeRobotGrpcOptions

__all__ = ["LeRobotGrpcPolicy"]


class LeRobotGrpcPolicy(ForeignPolicy):
    """A policy that asks LeRobot's policy server, which loads the checkpoint that the options name.

    Args:
        address: `lerobot+grpc://host:port`.
        options: settings.
    """

    options_type = LeRobotGrpcOptions

    def __init__(self, address: str, *, options: LeRobotGrpcOptions) -> None:
        profile = load_profile(options.profile, "lerobot_grpc")
        super().__init__(LeRobotGrpcClient(parse_address(address), options, profile), profile, options)

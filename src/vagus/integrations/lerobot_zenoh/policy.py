"""A server of LeRobot's remote inference as the brain: `--policy lerobot+zenoh://host:7447`."""

from __future__ import annotations

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.lerobot_zenoh.client import LeRobotZenohClient
from vagus.integrations.lerobot_zenoh.options import LeRobotZenohOptions

__all__ = ["LeRobotZenohPolicy"]


class LeRobotZenohPolicy(ForeignPolicy):
    """A policy that asks a server of LeRobot's remote inference, version 1.

    Args:
        address: `lerobot+zenoh://host:port`, of the server itself or of the router that it is connected to.
        options: settings.
    """

    options_type = LeRobotZenohOptions

    def __init__(self, address: str, *, options: LeRobotZenohOptions) -> None:
        profile = load_profile(options.profile, "lerobot_zenoh")
        super().__init__(LeRobotZenohClient(parse_address(address), options, profile), profile, options)

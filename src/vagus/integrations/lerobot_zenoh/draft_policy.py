"""A server of LeRobot's remote inference draft as the brain: `--policy lerobot_draft+zenoh://host:7447`."""

from __future__ import annotations

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.lerobot_zenoh.draft_client import LeRobotDraftClient
from vagus.integrations.lerobot_zenoh.draft_options import LeRobotDraftOptions

__all__ = ["LeRobotDraftPolicy"]


class LeRobotDraftPolicy(ForeignPolicy):
    """A policy that asks a server of the draft.

    Args:
        address: `lerobot_draft+zenoh://host:port`, of the server or of its router.
        options: settings.
    """

    options_type = LeRobotDraftOptions

    def __init__(self, address: str, *, options: LeRobotDraftOptions) -> None:
        profile = load_profile(options.profile, "lerobot_zenoh_draft")
        super().__init__(LeRobotDraftClient(parse_address(address), options, profile), profile, options)

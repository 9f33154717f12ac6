"""An Astribot policy server as the brain: `--policy astribot+grpc://host:50052`, or its LeRobot variant."""

from __future__ import annotations

from typing import Final

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.astribot.client import AstribotClient
from vagus.integrations.astribot.options import AstribotOptions
from vagus.integrations.astribot.variants import LEROBOT, OPENPI

__all__ = ["AstribotPolicy"]

_VARIANTS: Final = {"astribot": OPENPI, "astribot_lerobot": LEROBOT}
"""Protocol of an address → its service."""


class AstribotPolicy(ForeignPolicy):
    """A policy that asks an Astribot policy server, which loads the model that the options name.

    Args:
        address: `astribot+grpc://host:port`, or `astribot_lerobot+grpc://host:port`.
        options: settings.
    """

    options_type = AstribotOptions

    def __init__(self, address: str, *, options: AstribotOptions) -> None:
        profile = load_profile(options.profile, "astribot")
        place = parse_address(address)
        client = AstribotClient(place, _VARIANTS[place.protocol], options, profile)
        super().__init__(client, profile, options)

"""A PointAct server as the brain: `--policy pointact+tcp://host:17000`, or `pointact+http://`."""

from __future__ import annotations

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_options import read_token
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.pointact.client import PointActClient
from vagus.integrations.pointact.dialect import PROTOCOL
from vagus.integrations.pointact.options import PointActOptions

__all__ = ["PointActPolicy"]


class PointActPolicy(ForeignPolicy):
    """A policy that asks a PointAct server, with joints as its profile says.

    Args:
        address: `pointact+tcp://host:port` or `pointact+http://host:port`.
        options: settings.
    """

    options_type = PointActOptions

    def __init__(self, address: str, *, options: PointActOptions) -> None:
        profile = load_profile(options.profile, PROTOCOL)
        client = PointActClient(parse_address(address), options, read_token(options.token_path))
        super().__init__(client, profile, options)

"""A GR00T server as the brain: `--policy gr00t+tcp://host:5555`."""

from __future__ import annotations

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_options import read_token
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.gr00t.client import Gr00tClient
from vagus.integrations.gr00t.options import Gr00tOptions

__all__ = ["Gr00tPolicy"]


class Gr00tPolicy(ForeignPolicy):
    """A policy that asks a GR00T server.

    Args:
        address: `gr00t+tcp://host:port`.
        options: settings.
    """

    options_type = Gr00tOptions

    def __init__(self, address: str, *, options: Gr00tOptions) -> None:
        profile = load_profile(options.profile, "gr00t")
        client = Gr00tClient(parse_address(address), options, read_token(options.token_path))
        super().__init__(client, profile, options)

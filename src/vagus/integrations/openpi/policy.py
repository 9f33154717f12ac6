"""An openpi server as the brain: `--policy openpi+ws://host:8000`."""

from __future__ import annotations

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_options import read_token
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.profile_file import load_profile
from vagus.integrations.openpi.client import OpenPiClient
from vagus.integrations.openpi.options import OpenPiOptions

__all__ = ["OpenPiPolicy"]


class OpenPiPolicy(ForeignPolicy):
    """A policy that asks an openpi server.

    Args:
        address: `openpi+ws://host:port`, or `openpi+wss://…`.
        options: settings.
    """

    options_type = OpenPiOptions

    def __init__(self, address: str, *, options: OpenPiOptions) -> None:
        profile = load_profile(options.profile, "openpi")
        client = OpenPiClient(parse_address(address), options, read_token(options.token_path), profile)
        super().__init__(client, profile, options)

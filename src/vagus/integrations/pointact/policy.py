"""A PointAct server as the brain: `--policy pointact+tcp://host:17000`, or `pointact+http://`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_options import read_token
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.foreign_server import ForeignServer
from vagus.gateways.profile_file import load_profile
from vagus.import_path import load_brought
from vagus.integrations.pointact.client import PointActClient
from vagus.integrations.pointact.dialect import PROTOCOL
from vagus.integrations.pointact.options import PointActOptions
from vagus.policies.policy import Policy

__all__ = ["PointActPolicy", "load_pointact"]

_POSES: Final = "vagus.integrations.pointact.ee_policy"
"""Imported with the option `urdf` alone: its library is large, and there is not one for every system."""


class PointActPolicy(ForeignPolicy):
    """A policy that asks a PointAct server, with joints as its profile says.

    Args:
        address: `pointact+tcp://host:port` or `pointact+http://host:port`.
        options: settings.
    """

    options_type = PointActOptions

    def __init__(self, address: str, *, options: PointActOptions) -> None:
        profile = load_profile(options.profile, PROTOCOL)
        super().__init__(_client(address, options), profile, options)


def load_pointact(address: str, *, options: PointActOptions) -> Policy[object]:
    """Return the policy at an address, connected: with the option `urdf` one of poses, else one of joints.

    Args:
        address: `pointact+tcp://host:port` or `pointact+http://host:port`.
        options: settings.

    Raises:
        VagusError: a file or setting is wrong, or the server cannot be reached.
    """
    if not options.urdf:
        return cast("Policy[object]", PointActPolicy(address, options=options))
    poses = load_brought(_POSES, subject="option urdf", extra=PROTOCOL)
    load = cast("Callable[[ForeignServer, PointActOptions], Policy[object]]", poses.load_ee_policy)
    return load(_client(address, options), options)


def _client(address: str, options: PointActOptions) -> PointActClient:
    return PointActClient(parse_address(address), options, read_token(options.token_path))

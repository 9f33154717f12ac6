"""A gateway on a network in memory, in front of the counting policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from server.raw_client import IMAGE, Stand
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation, WirePath
from vagus.gateways.profile import Profile, WireImage, WireSpan

PROFILE = Profile(
    name="counting",
    protocol="openpi",
    robot_type="test",
    rate_hz=10.0,
    horizon=4,
    state=(WireSpan(key=("place",), names=("x",), unit="1"),),
    actions=(
        WireSpan(key=("actions",), names=("state",), unit="1"),
        WireSpan(key=("actions",), names=("calls",), unit="1", range=(0.0, 1.0), wire_range=(0.0, 100.0)),
    ),
    images=(WireImage(key=("front",), name="front", height=8, width=12),),
    instruction=("prompt",),
)
"""Other names, another order and another scale than the policy's."""

CONFIG = GatewayConfig(protocol="openpi", profile="counting", max_peers=3, answer_timeout_s=2.0)


def gateway_on(stand: Stand, config: GatewayConfig = CONFIG, profile: Profile = PROFILE) -> Gateway:
    """Return a gateway with a link of its own."""
    return Gateway(config, profile, stand.network.link("gateway"))


def request(state: float, **changes: Value) -> ForeignRequest:
    """Return a canonical request; a change of None leaves the key out."""
    values: dict[str, Value] = {
        "place": np.array([state]),
        "front": IMAGE,
        "prompt": "count",
        **changes,
    }
    observation: dict[WirePath, Value] = {(key,): value for key, value in values.items() if value is not None}
    return ForeignRequest(Operation.INFER, Envelope("openpi"), observation)


def with_limits(**changes: object) -> GatewayConfig:
    """Return the settings with changes."""
    return replace(CONFIG, **changes)  # type: ignore[arg-type] # names and types are the caller's

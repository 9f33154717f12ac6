"""Gateways of one process: what is said of each when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.gateway_config import GatewayConfig
from vagus.gateways.host import GatewayHost
from vagus.transport.memory import MemoryNetwork

OPEN = "no secret is asked for: "


def line_of(**settings: object) -> str:
    """Return the line about one gateway."""
    given = {
        "protocol": "lerobot_zenoh_draft",
        "profile": "so101",
        "models": {"act/main/*": "act"},
        **settings,
    }
    if given["protocol"] != "lerobot_zenoh_draft":
        del given["models"]
    config = GatewayConfig(**given)  # type: ignore[arg-type] # by name
    (line,) = GatewayHost([config], MemoryNetwork().link()).lines()
    return line


@pytest.mark.parametrize(
    ("settings", "where", "reach"),
    [
        ({}, "tcp/127.0.0.1:7447", "only programs of this machine reach it"),
        (
            {"listen": "0.0.0.0:7000"},
            "tcp/0.0.0.0:7000",
            OPEN + "whoever reaches this port can ask the policy",
        ),
        (
            {"listen": "0.0.0.0:7000", "robots_ca": Path("ca.pem")},
            "tls/0.0.0.0:7000",
            "encrypted: only robots with a certificate of its authority can ask the policy",
        ),
        (
            {"router": "tcp/127.0.0.1:7448"},
            "tcp/127.0.0.1:7448",
            OPEN + "whoever the router lets in can ask the policy",
        ),
        (
            {"protocol": "lerobot_zenoh", "router": "tls/gpu:7448", "robots_ca": Path("ca.pem")},
            "tls/gpu:7448",
            OPEN + "whoever the router lets in can ask the policy",
        ),
    ],
)
def test_a_gateway_tells_its_address_as_clients_write_it_and_who_reaches_it(
    settings: dict[str, object], where: str, reach: str
) -> None:
    line = line_of(**settings)
    assert f" on {where}, profile so101: robots " in line
    assert line.endswith(f"; {reach}")

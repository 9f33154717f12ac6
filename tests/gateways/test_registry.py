"""Listeners by protocol: what is missing is named, with the command that installs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vagus.errors import ConfigError
from vagus.gateways.registry import PROTOCOLS, protocol_of


@pytest.mark.parametrize(
    ("protocol", "package", "extra"),
    [("openpi", "websockets", "openpi"), ("lerobot_grpc", "grpc", "lerobot-grpc")],
)
def test_a_package_that_is_missing_is_named(protocol: str, package: str, extra: str) -> None:
    profile = "so100" if protocol == "lerobot_grpc" else "droid"
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"  # as if it were not installed
        "from vagus.gateway_config import GatewayConfig\n"
        "from vagus.gateways.host import GatewayHost\n"
        "from vagus.transport.memory import MemoryNetwork\n"
        f"config = GatewayConfig(protocol={protocol!r}, profile={profile!r})\n"
        "GatewayHost([config], MemoryNetwork().link('gateway'))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    (last,) = ended.stderr.strip().splitlines()[-1:]
    assert f"gateway '{protocol}': wanted the package {package}" in last
    assert last.endswith(f'pip install "vagus[{extra}]"')


def test_a_protocol_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=f"one of {', '.join(PROTOCOLS)}, got 'ros'"):
        protocol_of("ros")

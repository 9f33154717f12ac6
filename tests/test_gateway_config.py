"""Settings of a gateway: an address is read once, and a wrong setting is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig

PLAIN = GatewayConfig(protocol="openpi", profile="droid")


def test_a_gateway_listens_on_loopback_unless_told_otherwise() -> None:
    assert PLAIN.address(8000) == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("0.0.0.0:9000", ("0.0.0.0", 9000)),  # noqa: S104 - a user may say so
        ("[::1]:0", ("::1", 0)),
        ("robot-lab.example:65535", ("robot-lab.example", 65535)),
    ],
)
def test_an_address_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert replace(PLAIN, listen=listen).address(8000) == address


@pytest.mark.parametrize(
    "listen", ["8000", ":8000", "host", "host:", "host:70000", "::1:80", "host:8000/x", "host:٣", "[::1:80"]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"listen: wanted host:port, e\.g\. 0\.0\.0\.0:8000"):
        replace(PLAIN, listen=listen)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_peers", 0),
        ("max_peers", 10_001),
        ("max_message_mb", 0),
        ("answer_timeout_s", 0.0),
        ("answer_timeout_s", float("nan")),
        ("idle_timeout_s", -1.0),
        ("max_hold_s", 0.0),
        ("name", "x" * 49),
        ("name", "a\nb"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        replace(PLAIN, **{setting: value})  # type: ignore[arg-type] # a wrong value of the right type


REMOTE = GatewayConfig(protocol="lerobot_zenoh", profile="so101", router="tcp/127.0.0.1:7447")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("router", "tcp/127.0.0.1:7447"),
        ("deployment", "arm"),
        ("standby", True),
        ("robots_ca", Path("ca.pem")),
    ],
)
def test_a_setting_that_the_protocol_does_not_use_is_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{setting}: wanted none for openpi"):
        replace(PLAIN, **{setting: value})  # type: ignore[arg-type] # a value of the right type


@pytest.mark.parametrize(("setting", "value"), [("token_path", Path("token")), ("models", {"a": "b"})])
def test_what_the_wire_of_remote_inference_has_no_place_for_is_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{setting}: wanted none for lerobot_zenoh"):
        replace(REMOTE, **{setting: value})  # type: ignore[arg-type] # a value of the right type


def test_a_robot_comes_by_a_router_or_by_an_address() -> None:
    with pytest.raises(ConfigError, match="router: wanted a router, or an address to listen on"):
        replace(REMOTE, listen="127.0.0.1:7447")


def test_a_standby_needs_a_router() -> None:
    assert replace(REMOTE, standby=True).standby
    with pytest.raises(ConfigError, match=r"standby: wanted a router .* name it with `router`"):
        replace(REMOTE, router="", standby=True)

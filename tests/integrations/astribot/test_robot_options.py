"""Settings of the robot `astribot` that cannot be meant are refused."""

from __future__ import annotations

import math

import pytest

from vagus.errors import ConfigError
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.robots.registry import EMBEDDED


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 17}, "width: wanted 16, 22 or 25, got 17"),
        ({"chassis": "position"}, "chassis: wanted off with a width of 16.*set width 25"),
        ({"chassis": "velocity", "width": 22}, "chassis: wanted off with a width of 22"),
        ({"rate_hz": 0.0}, "rate_hz: wanted a finite number above 0"),
        ({"rate_hz": math.nan}, "rate_hz"),
        ({"max_delta": 0.0}, "max_delta: wanted above 0 and up to 0.1 rad per command, got 0.0"),
        ({"max_delta": 3.0}, "max_delta"),
        ({"max_delta": math.nan}, "max_delta"),
        ({"average": 0}, "average: wanted 1 to 100 commands, got 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AstribotRobotOptions(**settings)  # type: ignore[arg-type] # the test's own


def test_every_setting_can_be_given_on_a_command_line() -> None:
    assert EMBEDDED["astribot"].options == set(AstribotRobotOptions.__slots__)

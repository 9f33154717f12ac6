"""Settings of the robot `astribot` (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vagus.errors import ConfigError
from vagus.integrations.astribot.layout import WIDTHS

__all__ = ["AstribotRobotOptions"]

MAX_DELTA_RAD = 0.1
"""Largest `max_delta`: 3 rad/s at 30 Hz, the maker's limit of a shoulder."""
MAX_AVERAGE = 100


@dataclass(frozen=True, slots=True)
class AstribotRobotOptions:
    """Settings of the robot `astribot`."""

    sdk: str = ""
    """The robot's SDK: simulated, maker (the maker's Python SDK on this machine), or a class of yours
    (package.module:Class, file.py:Class)."""
    width: int = 16
    """Numbers of an action: 16 (arms and grippers), 22 (these, head and torso), 25 (these and chassis)."""
    head: bool = True
    """The policy moves the head, with a width of 22 or 25; no: it is held where it is measured."""
    torso: bool = True
    """The policy moves the torso, with a width of 22 or 25; no: it is held where it is measured."""
    chassis: Literal["off", "position", "velocity"] = "off"
    """Numbers of the chassis, with a width of 25: position (x and y in m, turn in rad) or velocity (m/s and
    rad/s), as its policy and its SDK mean them. off: the chassis is never commanded."""
    gripper: Literal["fraction", "percent", "binary"] = "fraction"
    """Numbers of a gripper in policy and state: fraction (0 open, 1 closed), percent (0 open, 100 closed, the
    SDK's own), or binary (a policy's 0 or 1, or a probability: open or closed, nothing between)."""
    rate_hz: float = 30.0
    """Commands per second."""
    max_delta: float = 0.05
    """Largest change of an arm joint from one command to the next, in rad; 0.05 at 30 Hz is 1.5 rad/s."""
    average: int = 1
    """Targets of the plan whose mean is commanded; n of them make the robot (n − 1) / 2 commands later."""
    control_way: Literal["direct", "filter"] = "direct"
    """How the SDK takes a command: direct, or filter (smoothed by the robot: later, and not as recorded)."""
    limits_confirmed: bool = False
    """Yes: the limits (docs/astribot.md, or a mapping file) were checked against this robot. No real robot is
    driven without it."""
    mapping: str = ""
    """Mapping file (YAML, TOML, JSON) with limits, fallbacks and whatever else an action has."""

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise ConfigError("width", wanted="16, 22 or 25", got=repr(self.width))
        if self.chassis != "off" and self.width != WIDTHS[-1]:
            raise ConfigError(
                "chassis",
                wanted=f"off with a width of {self.width}, which has no numbers for it",
                got=self.chassis,
                fix="set width 25",
            )
        if not (math.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ConfigError("rate_hz", wanted="a finite number above 0", got=repr(self.rate_hz))
        if not 0 < self.max_delta <= MAX_DELTA_RAD:
            raise ConfigError(
                "max_delta",
                wanted=f"above 0 and up to {MAX_DELTA_RAD} rad per command",
                got=repr(self.max_delta),
            )
        if not 1 <= self.average <= MAX_AVERAGE:
            raise ConfigError("average", wanted=f"1 to {MAX_AVERAGE} commands", got=repr(self.average))

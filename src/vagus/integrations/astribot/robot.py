"""The robot `astribot`: an Astribot S1 with two arms, head, torso and chassis, driven through its SDK.

Limits, averaging, held parts and fallbacks are the control loop's. The adapter brings the numbers into the
SDK's order and units, and holds parts that are not in the action at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

import numpy as np

from vagus.errors import ConfigError, PolicyError, RobotError
from vagus.import_path import Option, construct, load_named
from vagus.integrations.astribot.layout import PARTS, WIDTHS, action_of, waypoint_of
from vagus.integrations.astribot.makers_sdk import MakersSdk
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.integrations.astribot.robot_spec import CLOSED, astribot_spec, load_astribot_mapping
from vagus.integrations.astribot.sdk import METHODS, AstribotSdk, sdk_names
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk
from vagus.policies.options import read_options
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["AstribotRobot", "make_astribot_robot"]

_GRIPPERS: Final = slice(PARTS["gripper_left"].start, PARTS["gripper_right"].stop)
_WHOLE: Final = WIDTHS[-1]
_STILL: Final = WIDTHS[1]
"""Numbers of a waypoint without chassis."""
_READINGS_OF_A_TICK: Final = 2
"""A tick in which an episode begins reads twice; a pause is longer than that."""


class AstribotRobot:
    """An Astribot S1 as a `Robot`.

    Every command has all parts but the chassis, which is commanded only if the options say so. Parts that are
    not in the action (head and torso with a width of 16) stay where they were measured when the driving
    began; they are measured anew after ticks without a command, because then somebody may have moved them.
    """

    def __init__(self, *, sdk: AstribotSdk, options: AstribotRobotOptions | None = None) -> None:
        """Make the robot; nothing is connected before `connect`.

        Args:
            sdk: what drives it.
            options: its settings.

        Raises:
            ConfigError: nobody has confirmed the limits of a robot that is not simulated; a mapping file that
                cannot be read or does not fit.
            SpecError: settings that contradict each other.
        """
        options = options or AstribotRobotOptions()
        if not (options.limits_confirmed or isinstance(sdk, SimulatedSdk)):
            raise ConfigError(
                "limits_confirmed",
                wanted="limits that somebody has checked against this robot, and limits_confirmed true",
                got="none",
                fix="read the limits in docs/astribot.md; set narrower ones with a mapping file",
            )
        self._sdk = sdk
        self._options = options
        mapping = load_astribot_mapping(Path(options.mapping)) if options.mapping else None
        self._spec = astribot_spec(options, mapping)
        self._scale = 1.0 if options.gripper == "percent" else CLOSED
        self._commanded_width = _WHOLE if options.chassis != "off" else _STILL
        self._names = sdk_names(self._commanded_width)
        self._measured: ActionArray | None = None
        self._rest: ActionArray | None = None
        """All numbers, as the SDK has them, when the driving began."""
        self._readings = 0
        """Readings since the last command."""
        self._is_stopped = False

    @property
    def spec(self) -> RobotSpec:
        """Spec of the robot: names, units, limits and cameras."""
        return self._spec

    def connect(self) -> None:
        """Connect the SDK and read the joints once.

        Raises:
            RobotError: the readings are not those of an Astribot S1.
        """
        self._sdk.connect()
        self._read()

    def read_state(self) -> FloatArray:
        """Return the measured numbers, (25,): rad, grippers as the options say, chassis in m, m, rad.

        Raises:
            RobotError: the readings are not those of an Astribot S1, or not finite.
        """
        self._readings += 1  # also one that fails: nobody was commanded in its tick
        self._measured = self._read()
        state = self._measured.astype(np.float32)
        state[_GRIPPERS] /= self._scale
        return state

    def read_images(self) -> Mapping[str, Image]:
        """Return the newest frames of head and wrists."""
        return self._sdk.read_images()

    def command(self, action: ActionArray) -> None:
        """Send one action, (16, 22 or 25,), as a waypoint.

        Raises:
            RobotError: after `stop`, before the first reading, or the numbers cannot be sent.
        """
        if self._is_stopped:
            raise RobotError("astribot: command() after stop()")
        if self._measured is None:
            raise RobotError("astribot: command() before the joints were read")
        if self._rest is None or self._readings > _READINGS_OF_A_TICK:
            self._rest = self._measured
        self._readings = 0
        numbers = self._rest.copy()
        numbers[: self._options.width] = action
        numbers[_GRIPPERS] *= self._scale
        try:
            waypoint = waypoint_of(numbers[: self._commanded_width])
        except PolicyError as error:
            raise RobotError(f"astribot: {error}") from error
        self._sdk.set_joints_position(
            self._names, waypoint, control_way=self._options.control_way, use_wbc=False
        )

    def stop(self) -> None:
        """Stop the robot through its SDK; no command is sent afterwards."""
        self._is_stopped = True
        self._sdk.stop()

    def close(self) -> None:
        """Stop, and give the robot back."""
        try:
            self.stop()
        finally:
            self._sdk.close()

    def _read(self) -> ActionArray:
        """Return all numbers, (25,), as the SDK has them."""
        names = sdk_names(_WHOLE)
        reading = self._sdk.get_current_joints_position(names)
        try:
            return action_of(reading)
        except (PolicyError, TypeError, ValueError) as error:
            raise RobotError(f"astribot: the SDK's reading of {', '.join(names)}: {error}") from error


def make_astribot_robot(**options: Option) -> AstribotRobot:
    """Return the robot with the options of a command line.

    Raises:
        ConfigError: no SDK, one that lacks a method, or an option that does not fit.
    """
    read = read_options("robot 'astribot'", AstribotRobotOptions, options)
    return AstribotRobot(sdk=_sdk(read), options=read)


def _sdk(options: AstribotRobotOptions) -> AstribotSdk:
    if not options.sdk:
        raise ConfigError(
            "sdk of robot 'astribot'",
            wanted="simulated, maker, or a class of yours (package.module:Class, file.py:Class)",
            got="none",
            fix="to try it: --options sdk simulated",
        )
    if options.sdk == "maker":
        return MakersSdk()
    if options.sdk == "simulated":
        return SimulatedSdk(chassis="velocity" if options.chassis == "velocity" else "position")
    subject = f"sdk {options.sdk!r}"
    _, found = load_named("sdk", options.sdk)
    if not callable(found):
        raise ConfigError(subject, wanted="a class, or a function that makes an SDK", got=repr(found))
    sdk = construct(subject, cast("Callable[..., object]", found), {})
    lacking = [name for name in METHODS if not callable(getattr(sdk, name, None))]
    if lacking:
        raise ConfigError(
            subject, wanted=f"an object with {', '.join(METHODS)}", got=f"no {', '.join(lacking)}"
        )
    return cast("AstribotSdk", sdk)

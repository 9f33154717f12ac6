"""Robot that drives any LeRobot robot by LeRobot's own driver.

LeRobot reads cameras and motors in one call, so a camera that hangs would take the joints with it. Its robots
keep their cameras in a public `cameras` table; after `connect` they are taken out of there, and read by the
camera thread, while `get_observation` reads what is left. A robot whose cameras cannot be taken is read as a
whole, and its frames are those of the last reading.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from vagus.control.fallback import Fallbacks, keeps_moving, rest_value
from vagus.control.frames import checked_depth, checked_frame
from vagus.errors import ConfigError, RobotError
from vagus.import_path import Option
from vagus.integrations.lerobot.robot.cameras import (
    DEPTH,
    DriverCamera,
    check_depth_scale,
    flat_depth,
    latest_depth,
)
from vagus.integrations.lerobot.robot.config import make_device
from vagus.integrations.lerobot.robot.features import DeviceMapping, load_device_mapping, parts_of, spec_of
from vagus.integrations.lerobot.robot.network import Freshness, limit_zmq_linger
from vagus.integrations.lerobot.version import check_lerobot
from vagus.robots.robot import robot_call
from vagus.specs import RobotSpec
from vagus.types import ActionArray, FloatArray, Frame

__all__ = ["LeRobotRobot", "make_lerobot_robot"]

logger = logging.getLogger(__name__)

UNTESTED = "untested_lerobot"
OWN = frozenset({"rate_hz", "mapping", UNTESTED})
"""Options of vagus; all others are fields of the robot's config."""


class RobotDevice(Protocol):
    """Interface of a LeRobot robot that is used here."""

    @property
    def observation_features(self) -> Mapping[str, object]:
        """Name → `float`, or the shape of a picture."""
        ...

    @property
    def action_features(self) -> Mapping[str, object]:
        """Name → `float`."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether the motors can be read."""
        ...

    def get_observation(self) -> Mapping[str, object]:
        """Read everything."""
        ...

    def send_action(self, action: dict[str, float]) -> object:
        """Command everything."""
        ...

    def connect(self) -> None:
        """Open the hardware."""
        ...

    def disconnect(self) -> None:
        """Release the hardware."""
        ...


def make_lerobot_robot(robot_type: str, options: Mapping[str, Option]) -> LeRobotRobot:
    """Return LeRobot's robot of this type, not connected.

    Args:
        robot_type: as LeRobot knows it, plug-ins included: "so101_follower".
        options: rate_hz, mapping (path of a mapping file), untested_lerobot (true: vouch for a release of
            LeRobot that vagus was not tested with); all others are fields of the robot's config.

    Raises:
        ConfigError: no such robot, an option that its config does not take, a missing package, or a mapping
            that does not fit.
    """
    check_lerobot(f"--options {UNTESTED} true", is_vouched=str(options.get(UNTESTED, "")).lower() == "true")
    rate_hz = options.get("rate_hz")
    if isinstance(rate_hz, (bool, str)):
        raise ConfigError("rate_hz", wanted="a number", got=repr(rate_hz))
    path = str(options.get("mapping", ""))
    mapping = load_device_mapping(Path(path)) if path else DeviceMapping()
    device = make_device(robot_type, {name: value for name, value in options.items() if name not in OWN})
    spec = spec_of(device, robot_type, mapping, rate_hz=rate_hz)
    return LeRobotRobot(cast("RobotDevice", device), spec)


class LeRobotRobot:
    """LeRobot robot as a `Robot`.

    Args:
        device: not connected yet; its driver is used as it is.
        spec: what it offers, in the names of its features.
    """

    def __init__(self, device: RobotDevice, spec: RobotSpec) -> None:
        self._device = device
        self._spec = spec
        self._names = tuple(feature.name for feature in spec.actions)
        self._cameras: dict[str, DriverCamera] = {}
        self._tables: list[tuple[object, dict[str, DriverCamera]]] = []
        self._seen: Mapping[str, object] = {}
        self._freshness = Freshness(self._what("get_observation"))
        self._sent: dict[str, float] | None = None
        self._is_connected = False
        self._is_stopped = False
        self._is_at_rest = False

    @property
    def spec(self) -> RobotSpec:
        """Names, units, kinds, limits and cameras."""
        return self._spec

    def connect(self) -> None:
        """Connect as LeRobot does, without questions: an arm without calibration is refused.

        Raises:
            RobotError: LeRobot could not connect, or the robot is not calibrated.
        """
        if self._is_connected:
            return
        try:
            with robot_call(self._what("connect")):
                self._connect_device()
                self._take_cameras()
                self._check_depth()
                self._check_calibrated()
                limit_zmq_linger(self._device)
        except BaseException:
            self._abandon()
            raise
        self._is_connected = True

    def read_state(self) -> FloatArray:
        """Return the present joints and other numbers, in the order of the spec.

        A reading that the driver merely repeats is refused after half a second.
        """
        self._check_connected("read_state")
        with robot_call(self._what("get_observation")):
            seen = self._device.get_observation()
            self._freshness.check(seen)
            self._seen = seen
            return np.array([seen[feature.name] for feature in self._spec.state], dtype=np.float32)

    def read_images(self) -> Mapping[str, Frame]:
        """Return the newest frame of every camera; LeRobot refuses one that is older than half a second."""
        self._check_connected("read_images")
        seen = self._seen
        frames: dict[str, Frame] = {}
        for camera in self._spec.cameras:
            with robot_call(self._what(f"camera {camera.name}")):
                taken = self._cameras.get(camera.name)
                found = seen[camera.name] if taken is None else taken.read_latest()
            frames[camera.name] = checked_frame(camera, found)
        for deep in self._spec.depth_cameras:
            with robot_call(self._what(f"depth camera {deep.name}")):
                taken = self._cameras.get(deep.name.removesuffix(DEPTH))
                found = flat_depth(seen[deep.name]) if taken is None else latest_depth(taken)
            frames[deep.name] = checked_depth(deep, found)
        return frames

    def command(self, action: ActionArray) -> None:
        """Send one action, in plain floats and the robot's own names."""
        self._check_connected("command")
        if self._is_stopped:
            raise RobotError(f"{self._what('command')}: after stop()")
        self._send(dict(zip(self._names, action.tolist(), strict=True)))

    def stop(self) -> None:
        """Accept no further command; actions by velocity are commanded to zero.

        Positions stay where they were commanded last: the motors hold them, until `close`.
        """
        self._is_stopped = True
        if self._is_connected and not self._is_at_rest:
            self._send_rest()
        self._is_at_rest = True

    def close(self) -> None:
        """Disconnect as LeRobot does, which by default switches off the torque of the motors.

        Raises:
            RobotError: the driver failed; what could be released is released.
        """
        if not self._is_connected:
            self._is_stopped = True
            return
        try:
            self.stop()
        finally:
            self._is_connected = False
            try:
                with robot_call(self._what("disconnect")):
                    self._device.disconnect()
            finally:
                self._release_cameras()

    def _connect_device(self) -> None:
        connect = self._device.connect
        takes = "calibrate" in inspect.signature(connect).parameters
        connect(**{"calibrate": False} if takes else {})

    def _check_calibrated(self) -> None:
        if getattr(self._device, "is_calibrated", None) is False:
            raise RobotError(
                f"{self._what('connect')}: the motors do not hold the calibration of this id; "
                f"run lerobot-calibrate --robot.type={self._spec.robot_type} … first"
            )

    def _take_cameras(self) -> None:
        """Take the cameras out of the robot, so that its motors can be read without them."""
        parts = list(parts_of(self._device))
        features = self._device.observation_features
        for prefix, part in parts:
            cameras = getattr(part, "cameras", None)
            if not isinstance(cameras, dict) or not _replace_cameras(part, {}):
                continue
            self._tables.append((part, cameras))
            if prefix == "" and len(parts) > 1:
                continue  # a second table of what its parts hold
            for name, camera in cameras.items():
                known = {f"{prefix}{name}", f"{prefix}{name}{DEPTH}"} & features.keys()
                self._cameras[f"{prefix}{name}" if known else name] = camera

    def _check_depth(self) -> None:
        for camera in self._spec.depth_cameras:
            check_depth_scale(camera.name, self._cameras.get(camera.name.removesuffix(DEPTH)))

    def _abandon(self) -> None:
        """Release the hardware that a failed `connect` has opened."""
        self._take_cameras()
        try:
            if self._device.is_connected:
                self._device.disconnect()
        except Exception:
            logger.exception("%s failed after a failed connect", self._what("disconnect"))
        self._release_cameras()

    def _release_cameras(self) -> None:
        """Close the cameras and give them back to the robot."""
        for name, camera in self._cameras.items():
            try:
                if getattr(camera, "is_connected", True):
                    camera.disconnect()
            except Exception:  # noqa: PERF203 - each on its own
                logger.exception("camera %s could not be released", name)
        for part, cameras in self._tables:
            _replace_cameras(part, cameras)
        self._cameras = {}
        self._tables = []

    def _send(self, action: dict[str, float]) -> None:
        with robot_call(self._what("send_action")):
            self._device.send_action(action)
        self._sent = action

    def _send_rest(self) -> None:
        fallbacks = Fallbacks()
        rest = {f.name: rest_value(f, fallbacks) for f in self._spec.actions if keeps_moving(f)}
        if rest and self._sent is not None:  # else it was never set in motion
            self._send({**self._sent, **rest})

    def _check_connected(self, what: str) -> None:
        if not self._is_connected:
            raise RobotError(f"{self._what(what)}: before connect()")

    def _what(self, what: str) -> str:
        return f"lerobot:{self._spec.robot_type} {what}"


def _replace_cameras(part: object, cameras: dict[str, DriverCamera]) -> bool:
    """Give a robot another table of cameras; False where it has a fixed one."""
    try:
        part.cameras = cameras  # type: ignore[attr-defined] # looked for before
    except AttributeError:
        return False
    return True

"""Which cameras a LeRobot robot has, and depth as LeRobot gives it; no LeRobot is needed."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import ConfigError, RobotError
from vagus.integrations.lerobot.robot.cameras import (
    check_depth_scale,
    colour_cameras,
    depth_cameras,
    flat_depth,
    latest_depth,
)
from vagus.specs import CameraSpec, DepthCameraSpec

FEATURES = {
    "pan.pos": float,
    "front": (480, 640, 3),
    "front_depth": (480, 640, 1),
    "odd": (3, 480, 640),
    "flat": (480, 640),
}
DEPTH = np.arange(6, dtype=np.uint16).reshape(2, 3)


def test_frames_of_three_channels_are_colour_and_of_one_are_depth_in_millimetres() -> None:
    assert [*colour_cameras(FEATURES)] == [CameraSpec("front", 480, 640)]
    assert [*depth_cameras(FEATURES)] == [DepthCameraSpec("front_depth", 480, 640, 1000.0)]


def test_a_camera_without_a_size_is_refused_with_the_options_of_its_config() -> None:
    with pytest.raises(ConfigError, match=r"camera front_depth: .* --options cameras\.front\.width 640"):
        [*depth_cameras({"front_depth": (None, None, 1)})]
    with pytest.raises(ConfigError, match=r"camera front: .* --options cameras\.front\.width 640"):
        [*colour_cameras({"front": (None, None, 3)})]


def test_depth_with_an_axis_of_one_channel_loses_it_and_anything_else_stays_for_the_check_of_frames() -> None:
    flat = flat_depth(DEPTH[:, :, None])
    assert isinstance(flat, np.ndarray)
    assert np.array_equal(flat, DEPTH)
    for other in (DEPTH, np.zeros((2, 3, 3), np.uint8), None):
        assert flat_depth(other) is other


class RealSense:
    """The parts of LeRobot's RealSense camera and of its driver that are asked."""

    def __init__(self, metres: float = float(np.float32(0.001))) -> None:
        self.rs_profile: RealSense | None = self
        self._metres = metres

    def get_device(self) -> RealSense:
        return self

    def first_depth_sensor(self) -> RealSense:
        return self

    def get_depth_scale(self) -> float:
        return self._metres

    def read_latest_depth(self) -> object:
        return DEPTH[:, :, None]

    def read_latest(self) -> object:
        return None

    def disconnect(self) -> None:
        pass


class Colour:
    def read_latest(self) -> object:
        return None

    def disconnect(self) -> None:
        pass


def test_a_camera_gives_its_newest_depth_or_says_that_it_has_none() -> None:
    assert np.array_equal(np.asarray(latest_depth(RealSense())), DEPTH)
    with pytest.raises(RobotError, match="Colour has no read_latest_depth"):
        latest_depth(Colour())


def test_a_camera_that_does_not_count_millimetres_is_refused() -> None:
    check_depth_scale("front_depth", RealSense())
    check_depth_scale("front_depth", Colour())
    check_depth_scale("front_depth", None)
    with pytest.raises(RobotError, match=r"depth camera front_depth: .* got 0\.0001 m to the unit; set its"):
        check_depth_scale("front_depth", RealSense(0.0001))

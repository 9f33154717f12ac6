"""A simulated arm with a camera that measures depth, for trying a PointAct policy without hardware.

vagus run --robot examples/pointact_arm/arm.py:Arm --policy pointact+tcp://HOST:17000 --policy-options …
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

import vagus
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.cameras.camera_file import load_extrinsics, load_intrinsics
from vagus.integrations.pointact.kinematics import load_arm
from vagus.specs import DepthCameraSpec
from vagus.types import DepthImage, Frame, Image

FOLDER = Path(__file__).resolve().parent
URDF = FOLDER / "arm.urdf"
FRAME = "gripper_frame_link"
LINKS = ("upper_arm_link", "lower_arm_link", "wrist_link", "gripper_link", FRAME)
HOME = (0.0, -40.0, 50.0, 60.0, 0.0, 20.0)
"""Joints in degrees, and the gripper from 0 (closed) to 100."""
SPEED = 120.0
"""Fastest motion of a joint, degrees per second, and of the gripper."""

CUBE_LOW, CUBE_HIGH = np.array([0.26, 0.06, 0.0]), np.array([0.30, 0.10, 0.04])
"""Corners of the cube, in m from the arm's base."""
BALL_M = 0.022
"""Radius of the balls that the arm is made of."""
FARTHEST_M = 5.0
SKY, TABLE, CUBE, ARM = (200, 215, 230), (150, 120, 90), (200, 30, 30), (60, 60, 70)

Floats: TypeAlias = NDArray[np.float64]


class Arm:
    """Five joints and a gripper that follow their setpoints at a bounded speed, and one camera.

    Args:
        rate_hz: commands per second.
        now_s: clock; default: the machine's.
    """

    def __init__(self, rate_hz: float = 30.0, now_s: Callable[[], float] = time.monotonic) -> None:
        self._links = [load_arm(URDF, link) for link in LINKS]
        self._arm = self._links[-1]
        camera = load_intrinsics(FOLDER / "intrinsics.yaml")
        self._scene = Scene(camera, load_extrinsics(FOLDER / "extrinsics.yaml", (0.0, 0.0, 0.0)))
        joints = [
            (f"{name}.pos", "deg", _limits(math.degrees(low), math.degrees(high)))
            for name, low, high in zip(self._arm.names, self._arm.lower, self._arm.upper, strict=True)
        ]
        numbers = [*joints, ("gripper.pos", "lerobot_norm", _limits(0.0, 100.0))]
        self.spec = vagus.RobotSpec(
            robot_type="pointact_arm",
            actions=tuple(vagus.ActionFeature(name, unit, limits=limits) for name, unit, limits in numbers),
            state=tuple(vagus.StateFeature(name, unit) for name, unit, _ in numbers),
            cameras=(vagus.CameraSpec("front", camera.height, camera.width, may_repeat=True),),
            rate_hz=rate_hz,
            depth_cameras=(DepthCameraSpec("front_depth", camera.height, camera.width, may_repeat=True),),
        )
        self._now_s = now_s
        self._lock = threading.Lock()
        self._measured = np.array(HOME)
        self._setpoint = np.array(HOME)
        self._seen_s = now_s()

    def connect(self) -> None:
        """Do nothing: there is no hardware."""

    def read_state(self) -> NDArray[np.float32]:
        """Return the joints in degrees and the gripper, (6,)."""
        return self._moved().astype(np.float32)

    def read_images(self) -> Mapping[str, Frame]:
        """Return colour and depth of this moment."""
        colour, depth = self._scene.seen(self._balls(np.radians(self._moved()[:5])))
        return {"front": colour, "front_depth": depth}

    def command(self, action: Floats) -> None:
        """Follow a new setpoint."""
        self._moved()
        with self._lock:
            self._setpoint = np.array(action, np.float64)

    def stop(self) -> None:
        """Stay where it is."""
        measured = self._moved()
        with self._lock:
            self._setpoint = measured

    def close(self) -> None:
        """Stop."""
        self.stop()

    def gripper_place(self) -> Floats:
        """Return where the gripper is, (3,), in m from the base."""
        return self._arm.pose(np.radians(self._moved()[:5])).position

    def _moved(self) -> Floats:
        """Return the joints as they are now."""
        with self._lock:
            now_s = self._now_s()
            most = SPEED * (now_s - self._seen_s)
            self._seen_s = now_s
            self._measured = self._measured + np.clip(self._setpoint - self._measured, -most, most)
            measured: Floats = self._measured.copy()
        return measured

    def _balls(self, joints: Floats) -> list[Floats]:
        """Return the places of balls along the links."""
        ends = [arm.pose(joints[: len(arm.names)]).position for arm in self._links]
        return [
            first + share * (second - first)
            for first, second in itertools.pairwise(ends)
            for share in (0.0, 0.33, 0.67, 1.0)
        ]


class Scene:
    """What one camera sees.

    Args:
        camera: its intrinsics.
        place: where it stands, from the arm's base.
        units_per_m: units of its depth.
    """

    def __init__(self, camera: Intrinsics, place: Extrinsics, units_per_m: float = 1000.0) -> None:
        columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        slopes = np.stack(
            ((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)), -1
        )
        self._units_per_m = units_per_m
        self._eye = place.translation
        self._rays: Floats = slopes @ place.rotation.T  # 1 m along the optical axis each
        self._still = self._table_and_cube()

    def seen(self, balls: Sequence[Floats]) -> tuple[Image, DepthImage]:
        """Return colour and depth with balls at these places (3,), in m from the arm's base."""
        depth, colour = self._still[0].copy(), self._still[1].copy()
        for ball in balls:
            hit = self._ball(ball)
            nearer = hit < depth
            depth[nearer] = hit[nearer]
            colour[nearer] = ARM
        measured = np.where(depth < FARTHEST_M, depth * self._units_per_m, 0.0)
        return colour, np.rint(measured).astype(np.uint16)

    def _table_and_cube(self) -> tuple[Floats, Image]:
        down = self._rays[..., 2]
        table = np.where(down < 0.0, -self._eye[2] / np.minimum(down, -1e-9), np.inf)
        cube = self._cube()
        depth: Floats = np.minimum(table, cube)
        colour = np.empty((*depth.shape, 3), np.uint8)
        colour[...] = SKY
        colour[table < FARTHEST_M] = TABLE
        colour[cube <= table] = CUBE
        colour[depth >= FARTHEST_M] = SKY
        return depth, colour

    def _cube(self) -> Floats:
        rays = np.where(np.abs(self._rays) < 1e-9, 1e-9, self._rays)
        first, second = (CUBE_LOW - self._eye) / rays, (CUBE_HIGH - self._eye) / rays
        enters = np.max(np.minimum(first, second), axis=-1)
        leaves = np.min(np.maximum(first, second), axis=-1)
        return np.where((enters <= leaves) & (enters > 0.0), enters, np.inf)

    def _ball(self, centre: Floats) -> Floats:
        start = self._eye - centre
        a = np.sum(self._rays**2, axis=-1)
        b = self._rays @ start
        inside = b * b - a * (start @ start - BALL_M**2)
        hit = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
        return np.where((inside >= 0.0) & (hit > 0.0), hit, np.inf)


def _limits(low: float, high: float) -> vagus.Limits:
    return vagus.Limits(lower=low, upper=high, velocity=SPEED, acceleration=8 * SPEED)

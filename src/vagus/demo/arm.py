"""Six-joint arm of the demo: geometry, limits of the joints, and the two cameras that see it.

Frame: x forward, y left, z up, metres, origin at the foot of the base. Joints: yaw of the base, pitch of
shoulder, elbow and wrist, sideways tilt of the tool, roll of the tool. At zero the arm points straight up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.specs import ActionFeature, ActionKind, CameraSpec, Limits, StateFeature

__all__ = [
    "ACTIONS",
    "CAMERAS",
    "DT_S",
    "HOME",
    "JOINTS",
    "LOWER",
    "POSE_POINTS",
    "REST",
    "STATE",
    "TARGET_RADIUS_M",
    "UPPER",
    "Camera",
    "Floats",
    "arm_points",
    "random_target",
    "tip_position",
]

Floats: TypeAlias = NDArray[np.float64]

JOINTS = tuple(f"joint_{i}" for i in range(1, 7))
LOWER: Floats = np.array([-2.4, -0.8, 0.0, -1.4, -1.5, -2.5])
UPPER: Floats = np.array([2.4, 1.7, 2.6, 2.0, 1.5, 2.5])
VELOCITY_RAD_S = 2.5
ACCELERATION_RAD_S2 = 15.0
JERK_RAD_S3 = 400.0
HOME: Floats = np.array([0.0, 0.1, 1.4, 0.7, 0.0, 0.0])
"""Joint angles of the arm when it is switched on."""
REST = HOME
"""Posture that the expert prefers among all postures with the tip on the target."""
DT_S = 1.0 / 30.0
"""Duration of one policy step."""

BASE_M, UPPER_ARM_M, FOREARM_M, WRIST_M, TOOL_M, JAW_M = 0.14, 0.26, 0.24, 0.05, 0.13, 0.022
POSE_POINTS = ("foot", "shoulder", "elbow", "wrist", "flange", "tip", "jaw_left", "jaw_right")
"""Names of the rows of `arm_points`."""

TARGET_RADIUS_M = 0.028

ACTIONS = tuple(
    ActionFeature(
        name=name,
        unit="rad",
        kind=ActionKind.POSITION,
        feedback=name,
        limits=Limits(
            lower=float(low),
            upper=float(high),
            velocity=VELOCITY_RAD_S,
            acceleration=ACCELERATION_RAD_S2,
            jerk=JERK_RAD_S3,
        ),
    )
    for name, low, high in zip(JOINTS, LOWER, UPPER, strict=True)
)
STATE = tuple(StateFeature(name, "rad") for name in JOINTS) + tuple(
    StateFeature(f"{name}.velocity", "rad/s") for name in JOINTS
)


def arm_points(joints: Floats) -> Floats:
    """Return the points of `POSE_POINTS` for joint angles (..., 6), shape (..., 8, 3)."""
    yaw, tilt, roll = joints[..., 0], joints[..., 4], joints[..., 5]
    pitch = np.cumsum(joints[..., 1:4], axis=-1)
    sin, cos = np.sin(pitch), np.cos(pitch)
    zero = np.zeros_like(yaw)
    reach = [zero, zero, UPPER_ARM_M * sin[..., 0]]
    height = [zero, zero + BASE_M, BASE_M + UPPER_ARM_M * cos[..., 0]]
    lateral = [zero] * 5
    for length, along in ((FOREARM_M, 1), (WRIST_M, 2)):
        reach.append(reach[-1] + length * sin[..., along])
        height.append(height[-1] + length * cos[..., along])
    for length, side in ((TOOL_M, 0.0), (TOOL_M - 0.02, JAW_M), (TOOL_M - 0.02, -JAW_M)):
        axial = length * np.cos(tilt) + side * np.cos(roll) * np.sin(tilt)
        across = side * np.sin(roll)
        reach.append(reach[4] + axial * sin[..., 2] + across * cos[..., 2])
        height.append(height[4] + axial * cos[..., 2] - across * sin[..., 2])
        lateral.append(-length * np.sin(tilt) + side * np.cos(roll) * np.cos(tilt))
    r, z, s = np.stack(reach, -1), np.stack(height, -1), np.stack(lateral, -1)
    sin_yaw, cos_yaw = np.sin(yaw)[..., None], np.cos(yaw)[..., None]
    points: Floats = np.stack([r * cos_yaw - s * sin_yaw, r * sin_yaw + s * cos_yaw, z], axis=-1)
    return points


def tip_position(joints: Floats) -> Floats:
    """Return the position of the tool's tip for joint angles (..., 6), shape (..., 3)."""
    tip: Floats = arm_points(joints)[..., 5, :]
    return tip


def random_target(generator: np.random.Generator) -> Floats:
    """Return a random position, (3,), that the tip can reach and that both cameras see."""
    azimuth = generator.uniform(-0.95, 0.95)
    radius = generator.uniform(0.28, 0.46)
    return np.array(
        [radius * np.cos(azimuth), radius * np.sin(azimuth), generator.uniform(0.08, 0.38)], dtype=np.float64
    )


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        spec: name and size of its frames.
        position: position of the lens, (3,).
        rotation: world → camera, (3, 3); camera x right, y down, z ahead.
        focal_px: focal length in pixels.
    """

    spec: CameraSpec
    position: Floats
    rotation: Floats
    focal_px: float

    @classmethod
    def looking_at(
        cls, spec: CameraSpec, *, position: tuple[float, ...], at: tuple[float, ...], focal_px: float
    ) -> Camera:
        """Return an upright camera at `position` whose middle pixel shows the point `at`."""
        eye = np.array(position, dtype=np.float64)
        ahead = np.array(at, dtype=np.float64) - eye
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, np.array([0.0, 0.0, 1.0]))
        right /= np.linalg.norm(right)
        return cls(spec, eye, np.stack([right, np.cross(ahead, right), ahead]), focal_px)

    def project(self, points: Floats) -> Floats:
        """Return (..., 3): column and row in pixels, and depth in metres, of `points` (..., 3)."""
        local = (points - self.position) @ self.rotation.T
        depth = local[..., 2:]
        middle = np.array([(self.spec.width - 1) / 2, (self.spec.height - 1) / 2])
        projected: Floats = np.concatenate([local[..., :2] / depth * self.focal_px + middle, depth], axis=-1)
        return projected

    def ray(self, column: float, row: float) -> Floats:
        """Return the unit vector, (3,), from the lens through a pixel."""
        x = (column - (self.spec.width - 1) / 2) / self.focal_px
        y = (row - (self.spec.height - 1) / 2) / self.focal_px
        direction: Floats = np.array([x, y, 1.0]) @ self.rotation
        return direction / np.linalg.norm(direction)


CAMERAS = (
    Camera.looking_at(
        CameraSpec("front", 480, 640), position=(1.35, -0.45, 0.6), at=(0.22, 0.0, 0.24), focal_px=700.0
    ),
    Camera.looking_at(
        CameraSpec("top", 480, 640), position=(0.75, 0.2, 1.35), at=(0.27, 0.0, 0.18), focal_px=700.0
    ),
)

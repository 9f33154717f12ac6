"""What the three cameras of the simulated Astribot S1 see of it: arms, grippers and a table (pure).

The arms have the axes and lengths of the maker's robot description; shoulders, neck and the scene are ours.
Frame of the body: x ahead, y left, z up, metres, origin between the shoulders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.integrations.astribot.layout import PARTS
from vagus.integrations.astribot.robot_spec import CAMERAS, CLOSED
from vagus.types import Image

__all__ = ["SimulatedCameras", "arm_chain"]

Numbers: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]

_QUARTER: Final = np.pi / 2
_LINKS: Final = (
    ((0.0, 0.0, 0.091), (0.0, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (_QUARTER, 0.0, 0.0)),
    ((0.0, 0.05, 0.0), (_QUARTER, 0.0, -_QUARTER)),
    ((0.03, 0.0, 0.309), (-_QUARTER, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (_QUARTER, 0.0, 0.0)),
    ((0.0, 0.0, 0.277), (-_QUARTER, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (0.0, _QUARTER, 0.0)),
)
"""Joint → place and roll, pitch, yaw of its frame in the frame of the joint before it."""
_TOOL_M: Final = np.array([0.0, -0.15, 0.0])
"""Tip of the gripper in the frame of the last joint."""
_SHOULDER_M: Final = {"arm_left": 0.12, "arm_right": -0.12}
_NECK_M: Final = np.array([0.05, 0.0, 0.25])
_TABLE_M: Final = -0.45
"""Height of the table's top."""
_HEAD_FOCAL_PX: Final = 700.0
_WRIST_FOCAL_PX: Final = 350.0
_JAW_M: Final = 0.04
"""Half of the way between the jaws of an open gripper."""
_NEAR_M: Final = 0.05
_WALL: Final[Colour] = (188, 196, 204)
_TABLE: Final[Colour] = (150, 118, 86)
_LINE: Final[Colour] = (126, 98, 70)
_CUBE: Final[Colour] = (196, 44, 40)
_SHELL: Final = {"arm_left": (232, 234, 238), "arm_right": (206, 212, 222)}
_JAW: Final[Colour] = (40, 42, 48)
_NOISE: Final = 6
"""Grey levels of noise: no two frames of a camera are the same."""


@dataclass(frozen=True, slots=True)
class _View:
    """A pinhole camera: its place, world → camera (x right, y down, z ahead), focal length and frame size."""

    place: Numbers
    turn: Numbers
    focal_px: float
    height: int
    width: int

    def see(self, points: Numbers) -> Numbers:
        """Return points (n, 3) of the world in the camera's frame, (n, 3)."""
        seen: Numbers = (points - self.place) @ self.turn.T
        return seen

    def project(self, seen: Numbers) -> Numbers:
        """Return columns and rows, (n, 2), of points (n, 3) that are ahead in the camera's frame."""
        middle = np.array([self.width / 2, self.height / 2])
        pixels: Numbers = middle + self.focal_px * seen[:, :2] / seen[:, 2:]
        return pixels


class SimulatedCameras:
    """Draws the frames of the three cameras. Belongs to one thread.

    Args:
        seed: of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        largest = max(camera.height * camera.width for camera in CAMERAS)
        self._noise = self._random.integers(0, _NOISE, (2 * largest, 3), dtype=np.uint8)

    def draw(self, body: Numbers) -> dict[str, Image]:
        """Return a new frame of each camera for the numbers of the body, (25,)."""
        frames = {}
        for camera in CAMERAS:
            frame = _frame(camera.name, body, camera.height, camera.width)
            first = int(self._random.integers(0, len(self._noise) - camera.height * camera.width))
            noise = self._noise[first : first + camera.height * camera.width].reshape(frame.shape)
            frames[camera.name] = np.add(frame, noise, out=frame)  # no colour is above 249
        return frames


def arm_chain(arm: str, joints: Numbers) -> tuple[Numbers, Numbers]:
    """Return where an arm is.

    Args:
        arm: arm_left or arm_right.
        joints: (7,), rad.

    Returns:
        Places of its joints and its tip, (8, 3), metres, and the rotation of its last link, (3, 3).
    """
    place = np.array([0.0, _SHOULDER_M[arm], 0.0])
    side = _QUARTER if arm == "arm_right" else -_QUARTER
    turn = _turned((0.0, -_QUARTER, 0.0)) @ _turned((side, 0.0, 0.0))  # the first axis points outwards
    places = []
    for (offset, angles), joint in zip(_LINKS, joints.tolist(), strict=True):
        place = place + turn @ np.array(offset)
        turn = turn @ _turned(angles) @ _about_z(joint)
        places.append(place)
    return np.array([*places, place + turn @ _TOOL_M]), turn


def _frame(camera: str, body: Numbers, height: int, width: int) -> Image:
    chains = {arm: arm_chain(arm, body[PARTS[arm]]) for arm in _SHOULDER_M}
    view = _head_view(body, height, width) if camera == "head" else _wrist_view(camera, chains, height, width)
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = _WALL
    _draw_table(frame, view)
    _draw_cube(frame, view)
    for arm, (places, turn) in chains.items():
        side = arm.removeprefix("arm_")
        if camera == "head":
            for first, last in pairwise(places):
                _draw_bar(frame, view, first, last, 0.04, _SHELL[arm])
        if camera in ("head", f"wrist_{side}"):
            _draw_gripper(frame, view, places[-1], turn, body[PARTS[f"gripper_{side}"]][0])
    return frame


def _head_view(body: Numbers, height: int, width: int) -> _View:
    yaw, pitch = body[PARTS["head"]].tolist()
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    return _View(_NECK_M, _looking(ahead, np.array([0.0, 0.0, 1.0])), _HEAD_FOCAL_PX, height, width)


def _wrist_view(camera: str, chains: Mapping[str, tuple[Numbers, Numbers]], height: int, width: int) -> _View:
    places, turn = chains[camera.replace("wrist", "arm")]
    back, up = turn @ (-0.3 * _TOOL_M), turn @ np.array([0.0, 0.0, 0.06])
    return _View(places[-2] + back + up, _looking(turn @ _TOOL_M, up), _WRIST_FOCAL_PX, height, width)


def _draw_table(frame: Image, view: _View) -> None:
    near, far, half = 0.15, 1.2, 0.8
    corners = ((near, -half), (far, -half), (far, half), (near, half))
    _fill(frame, view, np.array([[*corner, _TABLE_M] for corner in corners]), _TABLE)
    for y in np.linspace(-half, half, 9).tolist():
        _draw_bar(frame, view, np.array([near, y, _TABLE_M]), np.array([far, y, _TABLE_M]), 0.004, _LINE)


def _draw_cube(frame: Image, view: _View) -> None:
    low, high = _TABLE_M, _TABLE_M + 0.06
    top = [[0.42, -0.03, high], [0.48, -0.03, high], [0.48, 0.03, high], [0.42, 0.03, high]]
    front = [[0.42, -0.03, low], [0.42, 0.03, low], [0.42, 0.03, high], [0.42, -0.03, high]]
    _fill(frame, view, np.array(front), (150, 34, 32))
    _fill(frame, view, np.array(top), _CUBE)


def _draw_gripper(frame: Image, view: _View, tip: Numbers, turn: Numbers, closed: float) -> None:
    """Draw both jaws; the way between them is what the gripper's number says."""
    half = _JAW_M * (1.0 - min(max(closed / CLOSED, 0.0), 1.0)) + 0.006
    along = turn @ (0.35 * _TOOL_M)
    for sign in (-1.0, 1.0):
        aside = turn @ np.array([sign * half, 0.0, 0.0])
        _draw_bar(frame, view, tip - along + aside, tip + aside, 0.008, _JAW)


def _draw_bar(
    frame: Image, view: _View, first: Numbers, last: Numbers, radius_m: float, colour: Colour
) -> None:
    """Draw a bar between two points, as wide at each end as it is near."""
    seen = _ahead(view.see(np.stack([first, last])))
    if len(seen) < 2:
        return
    a, b = view.project(seen[:2])
    across = np.array([a[1] - b[1], b[0] - a[0]]) / max(float(np.hypot(*(b - a))), 1e-9)
    at_a, at_b = across * np.maximum(view.focal_px * radius_m / seen[:2, 2:], 0.75)
    _fill_polygon(frame, np.array([a + at_a, b + at_b, b - at_b, a - at_a]), colour)


def _fill(frame: Image, view: _View, corners: Numbers, colour: Colour) -> None:
    seen = _ahead(view.see(corners))
    if len(seen):
        _fill_polygon(frame, view.project(seen), colour)


def _ahead(seen: Numbers) -> Numbers:
    """Return the part of a polygon (n, 3) in a camera's frame that lies ahead of its lens."""
    kept = []
    for point, following in zip(seen, np.roll(seen, -1, axis=0), strict=True):
        if point[2] >= _NEAR_M:
            kept.append(point)
        if (point[2] >= _NEAR_M) != (following[2] >= _NEAR_M):
            share = (_NEAR_M - point[2]) / (following[2] - point[2])
            kept.append(point + share * (following - point))
    return np.array(kept).reshape(-1, 3)


def _fill_polygon(frame: Image, corners: Numbers, colour: Colour) -> None:
    """Fill a convex polygon, corners (n, 2) in order of column and row.

    Every side bounds the columns of a row from the left or from the right.
    """
    height, width = frame.shape[:2]
    top, bottom = np.clip([np.ceil(np.min(corners[:, 1])), np.floor(np.max(corners[:, 1])) + 1], 0, height)
    rows = np.arange(top, bottom)
    left, right = np.zeros(len(rows)), np.full(len(rows), width - 1.0)
    following = np.roll(corners, -1, axis=0)
    way = np.sign(np.sum(corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]))
    for (x0, y0), (x1, y1) in zip(corners.tolist(), following.tolist(), strict=True):
        if y0 == y1:
            continue
        bound = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
        if way * (y1 - y0) > 0:
            np.minimum(right, bound, out=right)
        else:
            np.maximum(left, bound, out=left)
    paint = np.array(colour, np.uint8)
    ends = zip(np.ceil(left).astype(int).tolist(), np.floor(right).astype(int).tolist(), strict=True)
    for row, (first, last) in enumerate(ends, start=int(top)):
        if first <= last:
            frame[row, first : last + 1] = paint


def _looking(ahead: Numbers, up: Numbers) -> Numbers:
    """Return the rotation world → camera of one that looks ahead with `up` above."""
    z = ahead / np.linalg.norm(ahead)
    x = np.cross(z, up)
    x /= max(float(np.linalg.norm(x)), 1e-9)
    return np.stack([x, np.cross(z, x), z])


def _turned(angles: tuple[float, float, float]) -> Numbers:
    """Return the rotation of roll, pitch and yaw, as a robot description counts them."""
    roll, pitch, yaw = angles
    about_x = _about_z(roll)[np.ix_([2, 0, 1], [2, 0, 1])]
    about_y = _about_z(pitch)[np.ix_([1, 2, 0], [1, 2, 0])]
    turn: Numbers = _about_z(yaw) @ about_y @ about_x
    return turn


def _about_z(angle: float) -> Numbers:
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])

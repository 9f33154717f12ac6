"""Arms for the tests: of two joints in a plane, and the one of the example."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME", "URDF", "planar", "product_of_transforms"]

URDF: Final = Path(__file__).resolve().parents[3] / "examples" / "pointact_arm" / "arm.urdf"
FRAME: Final = "gripper_frame_link"


def planar(
    first_m: float = 0.3,
    second_m: float = 0.2,
    *,
    kind: str = "revolute",
    limit: str = '<limit lower="-3" upper="3" effort="1" velocity="1"/>',
    visual: str = "",
) -> str:
    """Return a URDF of two links in the plane z = 0, with the end `tip`, and a finger beside it."""
    return f"""<robot name="planar">
      <link name="base"/><link name="one">{visual}</link><link name="two"/><link name="tip"/>
      <link name="finger"/>
      <joint name="a" type="{kind}"><parent link="base"/><child link="one"/><axis xyz="0 0 1"/>{limit}</joint>
      <joint name="b" type="revolute"><parent link="one"/><child link="two"/><origin xyz="{first_m} 0 0"/>
        <axis xyz="0 0 1"/><limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
      <joint name="end" type="fixed"><parent link="two"/><child link="tip"/>
        <origin xyz="{second_m} 0 0"/></joint>
      <joint name="grip" type="revolute"><parent link="two"/><child link="finger"/><axis xyz="0 0 1"/>
        <limit lower="0" upper="1" effort="1" velocity="1"/></joint>
    </robot>"""


def product_of_transforms(urdf: str, frame: str, joints: dict[str, float]) -> NDArray[np.float64]:
    """Return the place (4, 4) of a frame, multiplied joint by joint as the URDF's own page defines them."""
    by_child = {_link(one, "child"): one for one in ElementTree.fromstring(urdf).iter("joint")}  # noqa: S314
    place = np.eye(4)
    while frame in by_child:
        joint = by_child[frame]
        place = _origin(joint) @ _turn(joint, joints) @ place
        frame = _link(joint, "parent")
    return place


def _link(joint: ElementTree.Element, side: str) -> str:
    found = joint.find(side)
    return "" if found is None else found.get("link", "")


def _origin(joint: ElementTree.Element) -> NDArray[np.float64]:
    origin = joint.find("origin")
    xyz, rpy = (
        np.array([0.0] * 3) if origin is None else np.array(origin.get(key, "0 0 0").split(), float)
        for key in ("xyz", "rpy")
    )
    place = np.eye(4)
    place[:3, :3] = _about((0, 0, 1), rpy[2]) @ _about((0, 1, 0), rpy[1]) @ _about((1, 0, 0), rpy[0])
    place[:3, 3] = xyz
    return place


def _turn(joint: ElementTree.Element, joints: dict[str, float]) -> NDArray[np.float64]:
    place = np.eye(4)
    axis = joint.find("axis")
    if joint.get("type") != "fixed" and axis is not None:
        numbers = [float(number) for number in axis.get("xyz", "").split()]
        place[:3, :3] = _about((numbers[0], numbers[1], numbers[2]), joints[str(joint.get("name"))])
    return place


def _about(axis: tuple[float, float, float], angle: float) -> NDArray[np.float64]:
    """Return Rodrigues' matrix."""
    x, y, z = np.array(axis) / math.hypot(*axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix: NDArray[np.float64] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return matrix

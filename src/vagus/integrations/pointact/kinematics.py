"""Arm from a URDF: where its gripper is for joints, and how joints move it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
import pinocchio
from numpy.typing import NDArray

from vagus.errors import ConfigError
from vagus.integrations.pointact.pose import Pose
from vagus.quoting import quoted

__all__ = ["ArmModel", "load_arm"]

_MOST_BYTES: Final = 1 << 24
_MOST_NAMED: Final = 40
_TURNING: Final = "JointModelR"
"""How the library's names of joints begin that turn about one axis."""
_UNBOUNDED: Final = ("JointModelRUB", "JointModelRevoluteUnbounded")


class ArmModel:
    """Joints that turn, one after the other, from the base to one frame. For one thread only.

    Args:
        model: of the library, with no other joints.
        frame: name of the frame.

    Attributes:
        names: names of the joints in the URDF, from the base on.
        lower: least angle of each joint, (joints,) float64 rad; -infinity: none.
        upper: largest angle, likewise.
    """

    def __init__(self, model: pinocchio.Model, frame: str) -> None:
        self._model = model
        self._data = model.createData()
        self._frame = model.getFrameId(frame)
        self.names = tuple(model.names)[1:]
        self._is_unbounded = np.array(
            [joint.shortname().startswith(_UNBOUNDED) for joint in list(model.joints)[1:]], bool
        )
        self._places = np.array([joint.idx_q for joint in list(model.joints)[1:]], np.intp)
        self.lower = np.where(self._is_unbounded, -np.inf, model.lowerPositionLimit[self._places])
        self.upper = np.where(self._is_unbounded, np.inf, model.upperPositionLimit[self._places])

    def pose(self, joints: NDArray[np.float64]) -> Pose:
        """Return where the frame is for joints (joints,) in rad."""
        pinocchio.framesForwardKinematics(self._model, self._data, self._configuration(joints))
        return self._placed()

    def motion(self, joints: NDArray[np.float64]) -> tuple[Pose, NDArray[np.float64]]:
        """Return where the frame is, and how each joint moves it.

        The second is (6, joints): m/rad along the base's axes, then rad/rad around them.
        """
        jacobian: NDArray[np.float64] = pinocchio.computeFrameJacobian(
            self._model,
            self._data,
            self._configuration(joints),
            self._frame,
            pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED,
        )
        pinocchio.updateFramePlacement(self._model, self._data, self._frame)
        return self._placed(), jacobian

    def _placed(self) -> Pose:
        placement = self._data.oMf[self._frame]
        return Pose(np.array(placement.rotation), np.array(placement.translation))

    def _configuration(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the library's numbers: of a joint without limits they are cosine and sine."""
        numbers = np.zeros(self._model.nq)
        numbers[self._places] = np.where(self._is_unbounded, np.cos(joints), joints)
        numbers[self._places[self._is_unbounded] + 1] = np.sin(joints[self._is_unbounded])
        return numbers


def load_arm(path: Path, frame: str, joints: Sequence[str] = ()) -> ArmModel:
    """Return the arm in a URDF file. Its meshes are not looked for.

    Args:
        path: the file.
        frame: link or joint of the URDF whose place is asked for.
        joints: names of the joints that move the frame, from the base on; empty: as the URDF has them. Joints
            that do not move it, such as a gripper's, are not named.

    Raises:
        ConfigError: no such file, no URDF, no such frame, other joints, or one that does not turn.
    """
    subject = f"urdf {path}"
    model = _model_in(subject, path)
    if not model.existFrame(frame):
        frames = sorted({one.name for one in list(model.frames)[1:]})
        raise ConfigError(
            subject, wanted=f"the frame {frame!r}", got=f"frames {quoted(frames[:_MOST_NAMED], 800)}"
        )
    moving = _joints_to(model, frame)
    _check_joints(subject, model, frame, moving, joints)
    others = [number for number in range(1, model.njoints) if number not in moving]
    reduced = pinocchio.buildReducedModel(model, others, pinocchio.neutral(model))
    return ArmModel(reduced, frame)


def _model_in(subject: str, path: Path) -> pinocchio.Model:
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(subject, wanted="a file", got=f"{error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(subject, wanted=f"at most {_MOST_BYTES} bytes", got=f"{len(content)}")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - the operator's own file; expat bounds entities
    except ElementTree.ParseError as error:
        raise ConfigError(subject, wanted="XML", got=f"something else: {error}") from error
    if root.tag != "robot":
        fix = "xacro files are turned into URDF by the program xacro" if "xacro" in root.tag else ""
        raise ConfigError(subject, wanted="<robot> around everything", got=f"<{root.tag}>", fix=fix)
    try:
        return pinocchio.buildModelFromXML(ElementTree.tostring(root, encoding="unicode"))
    except Exception as error:  # the library raises what its parser raises
        raise ConfigError(subject, wanted="a URDF of one robot", got=quoted(error, 300)) from error


def _joints_to(model: pinocchio.Model, frame: str) -> list[int]:
    """Return the numbers of the joints between base and frame."""
    last = model.frames[model.getFrameId(frame)].parentJoint
    return [number for number in model.supports[last] if number != 0]


def _check_joints(
    subject: str, model: pinocchio.Model, frame: str, moving: Sequence[int], joints: Sequence[str]
) -> None:
    names = [model.names[number] for number in moving]
    if not names:
        raise ConfigError(subject, wanted=f"joints that move {frame!r}", got="none before it")
    if joints and list(joints) != names:
        raise ConfigError(
            subject,
            wanted=f"the joints that move {frame!r}, from the base on: {names}",
            got=f"{list(joints)}",
        )
    for number, name in zip(moving, names, strict=True):
        kind = model.joints[number].shortname()
        if not kind.startswith(_TURNING):
            raise ConfigError(subject, wanted="joints that turn about one axis", got=f"{name!r}, a {kind}")

"""Maps the robot's order of names to the policy's, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from vagus.control.frames import Sight
from vagus.errors import RobotError, SpecError
from vagus.specs import (
    ActionFeature,
    CameraSpec,
    DepthCameraSpec,
    PolicySpec,
    RobotSpec,
    rename_robot_spec,
)
from vagus.types import ActionArray, DepthImage, FloatArray, Image

__all__ = ["OrderMapping"]

CameraT = TypeVar("CameraT", CameraSpec, DepthCameraSpec)
FrameT = TypeVar("FrameT")


class OrderMapping:
    """Index arrays between a robot's own order and a policy's, by (renamed) name.

    Args:
        robot: the robot's spec in its own names and order.
        policy: the policy's spec; its action names must be the robot's, its state names among the robot's.
        rename: robot name → policy name.

    Raises:
        SpecError: a name of one side is missing on the other, or they declare different encodings.

    Attributes:
        actions: features in the policy's order and names, with the robot's kinds, limits and feedback, and
            the encoding that either declares.
        state_names: the robot's state features in the robot's order, in the policy's names.
        cameras: those that the policy looks at, in the robot's names and sizes; required where the policy
            requires them.
        depth_cameras: likewise.
    """

    def __init__(self, robot: RobotSpec, policy: PolicySpec, rename: Mapping[str, str] | None = None) -> None:
        renamed = rename_robot_spec(robot, rename or {})
        offered = [feature.name for feature in renamed.actions]
        wanted = [feature.name for feature in policy.actions]
        extra = sorted(set(offered) - set(wanted))
        if extra:
            raise SpecError(
                "actions",
                wanted=f"{wanted}",
                got=f"{extra} that the policy does not give",
                fix="map names with `rename`, or choose another policy",
            )
        self._policy_of_robot = _indices("actions", wanted=offered, among=wanted)
        self._robot_of_policy = _indices("actions", wanted=wanted, among=offered)
        self.actions: tuple[ActionFeature, ...] = tuple(
            _encoded(renamed.actions[i], said)
            for i, said in zip(self._robot_of_policy.tolist(), policy.actions, strict=True)
        )
        self.state_names: tuple[str, ...] = tuple(feature.name for feature in renamed.state)
        self._state_of_policy = _indices(
            "state", wanted=[feature.name for feature in policy.state], among=self.state_names
        )
        self._cameras = _sources(robot.cameras, renamed.cameras, policy.cameras, "cameras")
        self._depth_cameras = _sources(
            robot.depth_cameras, renamed.depth_cameras, policy.depth_cameras, "depth cameras"
        )
        self.cameras: tuple[CameraSpec, ...] = _looked_at(robot.cameras, self._cameras)
        self.depth_cameras: tuple[DepthCameraSpec, ...] = _looked_at(robot.depth_cameras, self._depth_cameras)

    def action_to_robot(self, action: ActionArray) -> ActionArray:
        """Return an action in the robot's order, (action_dim,), from one in the policy's."""
        return action[self._policy_of_robot]

    def actions_to_robot(self, actions: FloatArray) -> FloatArray:
        """Return actions in the robot's order, (n, action_dim), from those in the policy's."""
        return actions[:, self._policy_of_robot]

    def actions_to_policy(self, actions: FloatArray) -> FloatArray:
        """Return actions in the policy's order, (n, action_dim), from those in the robot's."""
        return actions[:, self._robot_of_policy]

    def state_to_policy(self, state: FloatArray) -> FloatArray:
        """Return the policy's state from the robot's state, a copy."""
        return state[self._state_of_policy]

    def images_to_policy(self, images: Mapping[str, Image]) -> dict[str, Image]:
        """Return the frames that the policy uses, by its names.

        Raises:
            RobotError: a required one is missing.
        """
        return _to_policy(images, self._cameras, "cameras")

    def depth_to_policy(self, depth: Mapping[str, DepthImage]) -> dict[str, DepthImage]:
        """Return the depth frames that the policy uses, by its names.

        Raises:
            RobotError: a required one is missing.
        """
        return _to_policy(depth, self._depth_cameras, "depth cameras")

    def sight_to_policy(self, sight: Sight) -> Sight:
        """Return the frames of both kinds that the policy uses, by its names.

        Raises:
            RobotError: a required one is missing.
        """
        return Sight(self.images_to_policy(sight.images), self.depth_to_policy(sight.depth))


class _Source(NamedTuple):
    """Where a camera of the policy gets its frames from."""

    name: str
    own: str
    is_required: bool


def _sources(
    own: Sequence[CameraT], renamed: Sequence[CameraT], wanted: Sequence[CameraT], what: str
) -> tuple[_Source, ...]:
    """Return the robot's camera for each camera of the policy; one that is not required may lack.

    Raises:
        SpecError: the robot lacks a required one.
    """
    source = {new.name: old.name for old, new in zip(own, renamed, strict=True)}
    missing = sorted(c.name for c in wanted if c.is_required and c.name not in source)
    if missing:
        raise SpecError(what, wanted=f"{missing}", got=f"{sorted(source)}", fix="map names with `rename`")
    return tuple(_Source(c.name, source[c.name], c.is_required) for c in wanted if c.name in source)


def _looked_at(own: Sequence[CameraT], sources: Sequence[_Source]) -> tuple[CameraT, ...]:
    by_name = {camera.name: camera for camera in own}
    return tuple(replace(by_name[each.own], is_required=each.is_required) for each in sources)


def _to_policy(frames: Mapping[str, FrameT], sources: Sequence[_Source], what: str) -> dict[str, FrameT]:
    missing = [each.own for each in sources if each.is_required and each.own not in frames]
    if missing:
        raise RobotError(f"no frame from the {what} {missing}")
    return {each.name: frames[each.own] for each in sources if each.own in frames}


def _encoded(ours: ActionFeature, theirs: ActionFeature) -> ActionFeature:
    """Return the robot's feature with the encoding that robot or policy declares."""
    if ours.encoding is None or theirs.encoding is None:
        return replace(ours, encoding=ours.encoding or theirs.encoding)
    if ours.encoding != theirs.encoding:
        raise SpecError(
            f"encoding of {ours.name}", wanted=f"the policy's: {theirs.encoding}", got=f"{ours.encoding}"
        )
    return ours


def _indices(what: str, *, wanted: Sequence[str], among: Sequence[str]) -> NDArray[np.intp]:
    missing = sorted(set(wanted) - set(among))
    if missing:
        raise SpecError(what, wanted=f"{missing}", got=f"{list(among)}", fix="map names with `rename`")
    place = {name: index for index, name in enumerate(among)}
    return np.array([place[name] for name in wanted], dtype=np.intp)

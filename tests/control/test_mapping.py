"""A robot and a policy that name the same things in another order still move the right joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.frames import Sight
from vagus.control.mapping import OrderMapping
from vagus.errors import RobotError, SpecError
from vagus.specs import (
    ActionFeature,
    CameraSpec,
    DepthCameraSpec,
    Limits,
    PolicySpec,
    RobotSpec,
    StateFeature,
)

NAMES = ("a", "b", "c", "d")


def robot_of(order: tuple[str, ...], cameras: tuple[str, ...] = ()) -> RobotSpec:
    actions = tuple(
        ActionFeature(f"{n}.cmd", "rad", feedback=n, limits=Limits(upper=float(NAMES.index(n) + 1)))
        for n in order
    )
    state = tuple(StateFeature(n, "rad") for n in sorted(order, reverse=True))
    return RobotSpec("r", actions, state, tuple(CameraSpec(c, 4, 4) for c in cameras), 100.0)


def policy_of(
    actions: tuple[str, ...], state: tuple[str, ...], cameras: tuple[CameraSpec, ...] = ()
) -> PolicySpec:
    return PolicySpec(
        "p",
        tuple(ActionFeature(f"{n}.cmd", "rad") for n in actions),
        tuple(StateFeature(n, "rad") for n in state),
        cameras,
        horizon=8,
        model_dim=4,
        rate_hz=30.0,
    )


@given(st.permutations(NAMES), st.permutations(NAMES), st.permutations(NAMES))
def test_every_number_arrives_under_its_name(robot: list[str], actions: list[str], state: list[str]) -> None:
    spec = robot_of(tuple(robot))
    mapping = OrderMapping(spec, policy_of(tuple(actions), tuple(state)))
    action = np.array([float(NAMES.index(name)) for name in actions])
    assert mapping.action_to_robot(action).tolist() == [float(NAMES.index(name)) for name in robot]
    reading = np.array([NAMES.index(feature.name) for feature in spec.state], dtype=np.float32)
    assert mapping.state_to_policy(reading).tolist() == [NAMES.index(name) for name in state]
    assert [feature.limits.upper for feature in mapping.actions] == [NAMES.index(n) + 1.0 for n in actions]
    assert mapping.state_names == tuple(feature.name for feature in spec.state)


def test_renamed_robots_speak_the_policys_names() -> None:
    rename = {"a.cmd": "x.cmd", "a": "x", "cam": "front"}
    front = CameraSpec("front", 4, 4)
    mapping = OrderMapping(
        robot_of(("a", "b"), ("cam",)), policy_of(("b", "x"), ("x", "b"), (front,)), rename
    )
    assert [(f.name, f.feedback) for f in mapping.actions] == [("b.cmd", "b"), ("x.cmd", "x")]
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    assert list(mapping.images_to_policy({"cam": image})) == ["front"]


def test_the_policys_state_may_be_a_part_of_the_robots() -> None:
    mapping = OrderMapping(robot_of(("a", "b")), policy_of(("a", "b"), ("a",)))
    assert mapping.state_to_policy(np.array([2.0, 1.0], dtype=np.float32)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (policy_of(("a", "b", "c"), ()), "c.cmd"),
        (policy_of(("a",), ()), "b.cmd"),
        (policy_of(("a", "b"), ("z",)), "'z'"),
        (policy_of(("a", "b"), (), (CameraSpec("top", 4, 4),)), "'top'"),
    ],
)
def test_a_name_that_is_missing_on_one_side_is_refused(policy: PolicySpec, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        OrderMapping(robot_of(("a", "b")), policy)


def test_a_camera_that_gives_no_frame_is_named_unless_the_policy_can_do_without() -> None:
    cameras = (CameraSpec("top", 4, 4), CameraSpec("side", 4, 4, is_required=False))
    mapping = OrderMapping(robot_of(("a", "b"), ("top", "side")), policy_of(("a", "b"), (), cameras))
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    assert list(mapping.images_to_policy({"top": image})) == ["top"]
    with pytest.raises(RobotError, match="top"):
        mapping.images_to_policy({"side": image})


def test_depth_reaches_the_policy_under_its_names_and_a_colour_camera_does_not_count() -> None:
    depth = DepthCameraSpec("cam_depth", 4, 4)
    wanted = replace(policy_of(("a", "b"), ()), depth_cameras=(DepthCameraSpec("front_depth", 4, 4),))
    robot = replace(robot_of(("a", "b"), ("front_depth",)), depth_cameras=(depth,))
    with pytest.raises(SpecError, match=r"depth cameras: wanted \['front_depth'\], got \['cam_depth'\]"):
        OrderMapping(robot, wanted)
    rename = {"cam_depth": "front_depth", "front_depth": "front"}
    mapping = OrderMapping(robot, wanted, rename)
    assert mapping.cameras == ()
    assert mapping.depth_cameras == (depth,)
    measured = np.full((4, 4), 812, np.uint16)
    assert mapping.depth_to_policy({"cam_depth": measured})["front_depth"] is measured
    assert mapping.sight_to_policy(Sight({}, {"cam_depth": measured})).depth == {"front_depth": measured}
    with pytest.raises(RobotError, match="no frame from the depth cameras"):
        mapping.depth_to_policy({})


def test_a_depth_camera_that_the_policy_can_do_without_may_lack() -> None:
    optional = DepthCameraSpec("front_depth", 4, 4, is_required=False)
    mapping = OrderMapping(
        robot_of(("a", "b")), replace(policy_of(("a", "b"), ()), depth_cameras=(optional,))
    )
    assert mapping.depth_cameras == ()
    assert mapping.depth_to_policy({}) == {}

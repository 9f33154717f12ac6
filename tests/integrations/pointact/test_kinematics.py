"""Where a gripper is: by hand, by the URDF's own definition, and by the library on another way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.pointact.arms import FRAME, URDF, planar, product_of_transforms
from vagus.errors import ConfigError

pytest.importorskip("pinocchio")

import pinocchio

from vagus.integrations.pointact.kinematics import ArmModel, load_arm

ARM = load_arm(URDF, FRAME)
angles = st.tuples(*(st.floats(low, high) for low, high in zip(ARM.lower, ARM.upper, strict=True)))


def written(folder: Path, urdf: str) -> Path:
    path = folder / "arm.urdf"
    path.write_text(urdf)
    return path


@pytest.fixture
def two(tmp_path: Path) -> ArmModel:
    return load_arm(written(tmp_path, planar()), "tip")


@pytest.mark.parametrize(
    ("a", "b", "x", "y"),
    [
        (0.0, 0.0, 0.5, 0.0),
        (90.0, 0.0, 0.0, 0.5),
        (0.0, 90.0, 0.3, 0.2),
        (90.0, -90.0, 0.2, 0.3),
        (-30.0, 60.0, 0.5 * math.cos(math.radians(30.0)), -0.05),
    ],
)
def test_two_links_in_a_plane_by_hand(two: ArmModel, a: float, b: float, x: float, y: float) -> None:
    pose = two.pose(np.radians([a, b]))
    np.testing.assert_allclose(pose.position, [x, y, 0.0], atol=1e-15)
    turn = math.radians(a + b)
    wanted = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    np.testing.assert_allclose(pose.rotation[:2, :2], wanted, atol=1e-15)
    np.testing.assert_allclose(pose.rotation[2], [0, 0, 1], atol=1e-15)


def test_two_links_move_as_by_hand(two: ArmModel) -> None:
    pose, motion = two.motion(np.radians([0.0, 90.0]))
    np.testing.assert_allclose(pose.position, [0.3, 0.2, 0.0], atol=1e-15)
    np.testing.assert_allclose(motion[:2], [[-0.2, -0.2], [0.3, 0.0]], atol=1e-15)
    np.testing.assert_allclose(motion[2:], [[0, 0], [0, 0], [0, 0], [1, 1]], atol=1e-15)


def test_known_poses_of_the_example_arm() -> None:
    ahead = ARM.pose(np.zeros(5))
    np.testing.assert_allclose(ahead.position, [0.352, 0.0, 0.233], atol=1e-15)
    np.testing.assert_allclose(ahead.rotation[:, 2], [1.0, 0.0, 0.0], atol=1e-15)
    down = ARM.pose(np.array([math.pi / 2, 0.0, 0.0, math.pi / 2, 0.0]))  # to the left, the gripper down
    np.testing.assert_allclose(down.position, [0.0, 0.03 + 0.028 + 0.135, 0.233 - 0.159], atol=1e-15)
    np.testing.assert_allclose(down.rotation[:, 2], [0.0, 0.0, -1.0], atol=1e-15)


@given(angles)
def test_it_is_the_product_of_the_transforms_in_the_urdf(joints: tuple[float, ...]) -> None:
    named = dict(zip(ARM.names, joints, strict=True))
    wanted = product_of_transforms(URDF.read_text(), FRAME, named)
    pose = ARM.pose(np.array(joints))
    np.testing.assert_allclose(pose.position, wanted[:3, 3], atol=1e-14)
    np.testing.assert_allclose(pose.rotation, wanted[:3, :3], atol=1e-14)


@given(angles)
def test_it_is_what_the_library_says_of_the_whole_robot(joints: tuple[float, ...]) -> None:
    model = pinocchio.buildModelFromUrdf(str(URDF))
    data = model.createData()
    configuration = pinocchio.neutral(model)
    for name, angle in zip(ARM.names, joints, strict=True):
        configuration[model.joints[model.getJointId(name)].idx_q] = angle
    configuration[model.joints[model.getJointId("gripper")].idx_q] = 1.0
    pinocchio.forwardKinematics(model, data, configuration)
    frame = model.frames[model.getFrameId(FRAME)]
    wanted = data.oMi[frame.parentJoint] * frame.placement
    pose = ARM.pose(np.array(joints))
    np.testing.assert_allclose(pose.position, wanted.translation, atol=1e-14)
    np.testing.assert_allclose(pose.rotation, wanted.rotation, atol=1e-14)


@given(angles)
def test_its_motion_is_the_difference_of_two_poses(joints: tuple[float, ...]) -> None:
    at = np.array(joints)
    _, motion = ARM.motion(at)
    small = 1e-6
    for joint in range(5):
        step = np.eye(5)[joint] * small
        after, before = ARM.pose(at + step), ARM.pose(at - step)
        np.testing.assert_allclose(
            motion[:3, joint], (after.position - before.position) / (2 * small), atol=1e-8
        )
        spin = (after.rotation - before.rotation) @ ARM.pose(at).rotation.T / (2 * small)
        np.testing.assert_allclose(motion[3:, joint], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-8)


def test_limits_are_those_of_the_urdf_and_other_joints_are_left_out() -> None:
    assert ARM.names == ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
    np.testing.assert_allclose(ARM.upper, [1.92, 1.75, 1.69, 1.66, 2.79])
    np.testing.assert_allclose(ARM.lower, -ARM.upper)
    assert load_arm(URDF, FRAME, ARM.names).names == ARM.names


def test_a_joint_without_limits_turns_all_around(tmp_path: Path) -> None:
    arm = load_arm(written(tmp_path, planar(kind="continuous", limit="")), "tip")
    assert arm.lower.tolist() == [-math.inf, -3.0]
    assert arm.upper.tolist() == [math.inf, 3.0]
    np.testing.assert_allclose(
        arm.pose(np.array([math.pi * 1.5, 0.0])).position, [0.0, -0.5, 0.0], atol=1e-15
    )


def test_meshes_that_are_not_there_do_not_matter(tmp_path: Path) -> None:
    mesh = '<visual><geometry><mesh filename="package://nowhere/no.stl"/></geometry></visual>'
    both = mesh + mesh.replace("visual", "collision")
    arm = load_arm(written(tmp_path, planar(visual=both)), "tip")
    np.testing.assert_allclose(arm.pose(np.zeros(2)).position, [0.5, 0.0, 0.0])


def test_a_urdf_without_the_frame_says_which_it_has() -> None:
    with pytest.raises(ConfigError, match=r"wanted the frame 'tool0', got frames \[.*'gripper_frame_link'"):
        load_arm(URDF, "tool0")


def test_no_file_is_no_urdf(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted a file, got No such file"):
        load_arm(tmp_path / "arm.urdf", FRAME)
    with pytest.raises(ConfigError, match="wanted a file, got Is a directory"):
        load_arm(tmp_path, FRAME)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("joints: [1, 2]", "wanted XML, got something else"),
        ("<robot", "wanted XML, got something else"),
        ("<mujoco/>", "wanted <robot> around everything, got <mujoco>"),
        ("<robot name='x'/>", "wanted a URDF of one robot"),
        ("<robot name='x'><link name='a'/><link name='b'/></robot>", "wanted a URDF of one robot"),
    ],
)
def test_what_is_no_urdf_is_refused(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        load_arm(written(tmp_path, text), "tip")


def test_joints_that_do_not_turn_or_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted joints that turn about one axis, got 'a', a JointModelP"):
        load_arm(written(tmp_path, planar(kind="prismatic")), "tip")
    with pytest.raises(ConfigError, match="wanted joints that move 'base', got none before it"):
        load_arm(written(tmp_path, planar()), "base")


@pytest.mark.parametrize("joints", [("b", "a"), ("a",), ("a", "b", "grip"), ("a", "c")])
def test_other_joints_than_those_that_move_the_frame_are_refused(
    tmp_path: Path, joints: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"wanted the joints that move 'tip', .* \['a', 'b'\]"):
        load_arm(written(tmp_path, planar()), "tip", joints)

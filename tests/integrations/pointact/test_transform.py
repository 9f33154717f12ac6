"""What is sent for a synthetic scene, and what comes back: numbers by hand, and bad inputs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from integrations.pointact.arms import FRAME, URDF
from vagus.cameras.axis_angle import rotation_of
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import FrameError, PolicyError
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation
from vagus.gateways.unit_conversion import Conversion
from vagus.integrations.pointact.arm_units import ArmUnits
from vagus.integrations.pointact.batches import rows_of
from vagus.integrations.pointact.inverse import UnreachableError
from vagus.integrations.pointact.joint_path import PathRules
from vagus.integrations.pointact.point_cloud import CloudRules, Workspace
from vagus.integrations.pointact.pose import PLAN_OFFSET
from vagus.integrations.pointact.transform import ArmTransform, TransformRules

pytest.importorskip("pinocchio")

from vagus.integrations.pointact.kinematics import load_arm

ARM = load_arm(URDF, FRAME)
NAMES = tuple(f"{name}.pos" for name in ARM.names)
UNITS = ArmUnits("deg", Conversion())
CAMERA = Intrinsics(width=96, height=72, fx=80.0, fy=80.0, cx=47.5, cy=35.5)
ABOVE = Extrinsics(rotation_of([math.pi, 0.0, 0.0]), np.array([0.0, 0.0, 0.6]))  # looks straight down
RULES = TransformRules(
    offset=PLAN_OFFSET,
    intrinsics=CAMERA,
    extrinsics=ABOVE,
    units_per_m=1000.0,
    cloud=CloudRules(most=2000),
    image_size=48,
    width=7,
    path=PathRules(),
)
TRANSFORM = ArmTransform(ARM, NAMES, UNITS, RULES)
STATE = np.array([10.0, -20.0, 30.0, 40.0, -50.0, 35.0], np.float32)
PICTURE = np.full((72, 96, 3), (51, 102, 204), np.uint8)
PLATE = np.full((72, 96), 500, np.uint16)  # 0.1 m above the table


def replies(count: int) -> np.ndarray:
    """Return poses of joints that move on by 1 degree per step, as a server writes them."""
    rows = []
    for step in range(1, count + 1):
        state = STATE + np.array([step] * 5 + [step * 2], np.float32)
        rows.append(TRANSFORM.sensed(state, PICTURE, PLATE, "").pose)
    return np.array(rows)


def test_the_state_is_the_pose_in_the_workspace_and_the_gripper() -> None:
    sent = TRANSFORM.sensed(STATE, PICTURE, PLATE, "stack")
    pose = ARM.pose(np.radians(STATE[:5].astype(np.float64)))
    assert sent.pose.dtype == np.float32
    np.testing.assert_allclose(sent.pose[:3], pose.position + PLAN_OFFSET, atol=1e-6)
    np.testing.assert_allclose(rotation_of(sent.pose[3:6]), pose.rotation, atol=1e-6)
    assert sent.pose[6] == 35.0
    np.testing.assert_allclose(sent.joints, np.radians(STATE[:5]), atol=1e-7)


def test_the_points_lie_on_the_plate_that_the_camera_sees() -> None:
    sent = TRANSFORM.sensed(STATE, PICTURE, PLATE, "stack")
    assert sent.points.dtype == np.float32
    np.testing.assert_allclose(sent.points[:, 2], 0.1, atol=1e-6)
    np.testing.assert_allclose(sent.points[:, 3:], np.tile([0.2, 0.4, 0.8], (len(sent.points), 1)), atol=1e-6)
    across, along = 0.5 * 48.0 / 80.0, 0.5 * 36.0 / 80.0  # half of what is seen, at 0.5 m
    assert float(np.max(sent.points[:, 0])) == pytest.approx(min(across, 0.23), abs=0.013)
    assert float(np.min(sent.points[:, 1])) == pytest.approx(-along, abs=0.01)


def test_the_request_has_what_pointact_wants() -> None:
    sent = TRANSFORM.sensed(STATE, PICTURE, PLATE, "stack the cubes")
    keys = [path[0] for path in sent.values]
    assert keys == [
        "observation.images.front_image",
        "observation.points",
        "observation.state",
        "task",
    ]
    assert sent.values[("task",)] == "stack the cubes"
    assert sent.picture.shape == (48, 48, 3)
    assert (sent.picture == (51, 102, 204)).all()


def test_a_chunk_comes_back_as_the_joints_that_it_was_made_of() -> None:
    wanted = TRANSFORM.wanted(replies(8))
    chunk = TRANSFORM.chunk(wanted, np.radians(STATE[:5].astype(np.float64)))
    assert chunk.path.refusal is None
    steps = np.arange(1, 9)[:, None]
    np.testing.assert_allclose(chunk.actions[:, :5], STATE[:5] + steps, atol=1e-3)
    np.testing.assert_allclose(chunk.actions[:, 5:], STATE[5:] + 2 * steps)


def test_a_quaternion_with_its_scalar_last_means_the_same() -> None:
    poses = replies(3)
    angles = np.linalg.norm(poses[:, 3:6], axis=1, keepdims=True)
    axes = poses[:, 3:6] / angles
    rows = np.hstack((poses[:, :3], axes * np.sin(angles / 2), np.cos(angles / 2), poses[:, 6:]))
    quaternions = ArmTransform(ARM, NAMES, UNITS, replace(RULES, width=8))
    joints = np.radians(STATE[:5].astype(np.float64))
    same = TRANSFORM.chunk(TRANSFORM.wanted(poses), joints).actions
    np.testing.assert_allclose(
        quaternions.chunk(quaternions.wanted(rows.astype(np.float32)), joints).actions, same, atol=1e-3
    )


def test_what_cannot_be_reached_cuts_the_chunk_before_it() -> None:
    poses = replies(6)
    poses[3, 0] += 1.0
    chunk = TRANSFORM.chunk(TRANSFORM.wanted(poses), np.radians(STATE[:5].astype(np.float64)))
    assert isinstance(chunk.path.refusal, UnreachableError)
    assert chunk.actions.shape == (3, 6)


def test_a_half_turn_keeps_the_sign_that_was_sent_before() -> None:
    down = np.array([0.0, 0.0, 0.0, 90.0, 0.0, 0.0], np.float32)
    pose = TRANSFORM.sensed(down, PICTURE, PLATE, "").pose
    assert float(np.linalg.norm(pose[3:6])) == pytest.approx(math.pi, abs=1e-6)
    other = pose.copy()
    other[3:6] *= -1.0
    again = TRANSFORM.sensed(down, PICTURE, PLATE, "", other).pose
    np.testing.assert_allclose(again[3:6], other[3:6], atol=1e-6)
    np.testing.assert_allclose(
        TRANSFORM.sensed(down, PICTURE, PLATE, "", pose).pose[3:6], pose[3:6], atol=1e-6
    )


def test_frames_of_another_size_than_the_intrinsics_are_refused() -> None:
    with pytest.raises(FrameError, match=r"wanted 96×72 .* got 48×36 of colour and 48×36 of depth"):
        TRANSFORM.sensed(STATE, PICTURE[::2, ::2], PLATE[::2, ::2], "")
    with pytest.raises(FrameError, match="got 96×72 of colour and 96×36 of depth"):
        TRANSFORM.sensed(STATE, PICTURE, PLATE[::2], "")


def test_depth_in_a_wrong_unit_is_refused() -> None:
    in_m = ArmTransform(ARM, NAMES, UNITS, replace(RULES, units_per_m=1.0))
    with pytest.raises(FrameError, match="mm were taken for m"):
        in_m.sensed(STATE, PICTURE, PLATE, "")


def test_a_camera_that_sees_nothing_of_the_workspace_is_refused() -> None:
    with pytest.raises(FrameError, match=r"wanted points in the workspace .* got none of 2304"):
        TRANSFORM.sensed(STATE, PICTURE, np.full_like(PLATE, 5000), "")
    small = CloudRules(most=10, workspace=Workspace((0.2, 0.2, 0.2), (0.21, 0.21, 0.21)))
    with pytest.raises(FrameError, match="got none of"):
        ArmTransform(ARM, NAMES, UNITS, replace(RULES, cloud=small)).sensed(STATE, PICTURE, PLATE, "")


def test_radians_taken_for_degrees_the_other_way_round_are_refused() -> None:
    radians = ArmTransform(ARM, NAMES, ArmUnits("rad", Conversion()), RULES)
    with pytest.raises(PolicyError, match=r"state: wanted wrist_roll.pos between -2.79 and 2.79 rad"):
        radians.sensed(STATE, PICTURE, PLATE, "")


@pytest.mark.parametrize("shape", [(3, 6), (3, 8), (0, 7), (7,), (1, 3, 7)])
def test_actions_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match=r"action: wanted \(horizon, 7\): x, y, z, axis-angle, gripper"):
        TRANSFORM.wanted(np.zeros(shape, np.float32))


def test_a_number_that_is_none_is_refused() -> None:
    for column in (0, 4):
        poses = replies(2)
        poses[1, column] = np.nan
        with pytest.raises(PolicyError, match="wanted"):
            TRANSFORM.wanted(poses)
    poses = replies(2)
    poses[1, 6] = np.nan
    with pytest.raises(PolicyError, match="wanted finite numbers"):
        TRANSFORM.chunk(TRANSFORM.wanted(poses), np.radians(STATE[:5].astype(np.float64)))


def test_the_observation_is_one_that_the_gateway_takes() -> None:
    values = TRANSFORM.sensed(STATE, PICTURE, PLATE, "stack").values
    request = ForeignRequest(
        Operation.INFER, Envelope("pointact"), {path: [value] for path, value in values.items()}
    )
    (row,) = rows_of(request, most=1)
    assert set(row.observation) == set(values)

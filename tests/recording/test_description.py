"""What is said of a run when its recording begins is what the reader makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from recording.rig import contract
from vagus.clock import monotonic_ns
from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.demo.robot import SimRobot
from vagus.edge.config import EdgeConfig
from vagus.recording.reader import read
from vagus.recording.registry import Run, open_recording
from vagus.recording.session import RecordedSession
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, StateFeature
from vagus.wire.schema import SCHEMA_VERSION

ROBOT = SimRobot()
JOINTS = tuple(reversed(ROBOT.spec.actions))
"""The policy's order is another."""
POLICY = PolicySpec(
    "p",
    tuple(ActionFeature(joint.name, joint.unit) for joint in JOINTS),
    tuple(StateFeature(joint.name, joint.unit) for joint in JOINTS),
    (CameraSpec("wrist", 480, 640),),
    10,
    6,
    20.0,
)
RUN = Run(
    "sim",
    "arm-1",
    "",
    {"site": "lab", "bytes": "\udcff"},
    ("joint_1: no limit",),
    {"front": "wrist"},
    {"edge": EdgeConfig(buffer_time_s=0.25), "loop": LoopConfig(duration_s=3.0), "network_extra": ("a",)},
)


@pytest.fixture
def session(tmp_path: Path) -> RecordedSession:
    mapping = OrderMapping(ROBOT.spec, POLICY, RUN.rename)
    config = RecorderConfig(directory=str(tmp_path))
    recording = open_recording(config, RUN, ROBOT, mapping, contract(POLICY))
    assert recording.recorder is not None
    recording.recorder.close(None)  # type: ignore[arg-type] # there was no loop
    return read(recording.place)


def test_robot_policy_and_terms_are_read_as_they_were(session: RecordedSession) -> None:
    info = session.info
    assert session.warnings == ()
    assert (info.format, info.robot, info.policy) == (2, ROBOT.spec, POLICY)
    assert (info.robot_label, info.robot_name, info.service) == ("sim", "arm-1", "reach/2/default")
    assert (info.model_hash, info.wire_version, info.image_codec) == ("ab12", SCHEMA_VERSION, "jpeg")
    assert info.continues_awaited
    assert (info.instruction, info.tick_rate_hz, info.step_rate_hz) == ("reach the ball", 100.0, 20.0)
    assert (info.tags, info.vouched) == ({"site": "lab", "bytes": "?"}, ("joint_1: no limit",))


def test_columns_have_units_and_limits_in_the_order_of_the_policy(session: RecordedSession) -> None:
    info = session.info
    assert info.actions == tuple(joint.name for joint in JOINTS)
    assert info.limits == tuple(joint.limits for joint in JOINTS)
    assert set(info.action_units) == {"rad"}
    assert info.state == tuple(feature.name for feature in ROBOT.spec.state)
    assert info.state_units == tuple(feature.unit for feature in ROBOT.spec.state)


def test_cameras_are_those_that_the_policy_uses_by_its_names_and_the_robots_sizes(
    session: RecordedSession,
) -> None:
    assert session.info.cameras == (CameraSpec("wrist", 480, 640, may_repeat=True),)


def test_every_setting_is_there(session: RecordedSession) -> None:
    settings = session.info.settings
    assert settings["rename"] == {"front": "wrist"}
    assert settings["network_extra"] == ["a"]
    edge, loop = settings["edge"], settings["loop"]
    assert isinstance(edge, dict)
    assert isinstance(loop, dict)
    assert (edge["buffer_time_s"], edge["merge"], loop["duration_s"]) == (0.25, "auto", 3.0)


def test_a_monotonic_time_has_a_time_of_day(session: RecordedSession) -> None:
    info = session.info
    assert info.began_ns is not None
    assert info.began_wall is not None
    assert info.began_wall.tzinfo is timezone.utc
    assert info.wall_at(info.began_ns + 1_500_000_000) == info.began_wall + timedelta(seconds=1.5)
    assert info.began_ns <= monotonic_ns()
    assert info.began_wall <= datetime.now(timezone.utc)

"""Numbers of a recording become joints, times of day and words."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from recording.rig import STATE, command
from vagus.integrations.mcap.messages import FoxgloveJoint, JointNames, WallClock, log_message
from vagus.recording.lines import StepLine
from vagus.types import LinkState, MotionState

BEGAN = datetime(2026, 11, 26, tzinfo=timezone.utc)


def test_velocities_and_efforts_belong_to_the_joint_that_they_name() -> None:
    names = ("elbow", "elbow.velocity", "elbow.effort", "wrist_vel", "gripper", "base")
    joints = JointNames(names, ("rad", "rad/s", "Nm", "rad/s", "lerobot_norm", "m/s"))
    found = joints.message(1_500_000_000, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (found.timestamp.sec, found.timestamp.nsec) == (1, 500_000_000)
    assert found.joints == [
        FoxgloveJoint("elbow", 1.0, 2.0, 3.0),
        FoxgloveJoint("wrist", velocity=4.0),
        FoxgloveJoint("gripper", 5.0),
        FoxgloveJoint("base", velocity=6.0),
    ]


def test_what_is_not_measured_is_left_out() -> None:
    found = JointNames(("a", "b"), ("rad", "rad")).message(0, [math.nan, None])
    assert msgspec.json.encode(found.joints) == b'[{"name":"a"},{"name":"b"}]'


def test_a_monotonic_time_becomes_a_time_of_day_to_the_nanosecond() -> None:
    clock = WallClock(BEGAN + timedelta(microseconds=3), 1_000)
    began = int(BEGAN.timestamp()) * 10**9
    assert clock.at(1_001) == began + 3_001
    assert clock.at(999) == began + 2_999
    assert clock.at(-(1 << 62)) == 0, "a time before 1970 is none that a file can hold"


def line(**changed: object) -> StepLine:
    made = StepLine.of(5, command(4), STATE)
    return msgspec.structs.replace(made, **changed)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (line(), None),
        (line(episode=2), (2, "episode 1 → 2")),
        (line(motion=MotionState.PAUSED), (2, "motion playing → paused")),
        (line(motion=MotionState.FALLBACK), (3, "motion playing → fallback")),
        (line(link=LinkState.RECONNECTING), (3, "link streaming → reconnecting")),
    ],
)
def test_a_change_of_state_is_told_once(now: StepLine, told: tuple[int, str] | None) -> None:
    found = log_message(0, line(), now)
    assert (None if found is None else (found.level, found.message)) == told


def test_the_first_command_tells_how_all_stands() -> None:
    stands = replace(command(4).provenance, link=LinkState.DEGRADED)
    found = log_message(0, None, StepLine.of(5, replace(command(4), provenance=stands), STATE))
    assert found is not None
    assert (found.level, found.message) == (3, "episode 1, link degraded, motion playing")

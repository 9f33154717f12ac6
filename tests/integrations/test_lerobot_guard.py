"""A command that is merely repeated moves nothing."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from vagus.integrations.lerobot_guard import GuardedRobot, WatchedStep

AT_REST = {"x.vel": 0.0, "grip.effort": 0.5}
ACTION: dict[str, object] = {"arm.pos": 3.0, "x.vel": 1.0, "grip.effort": 2.0}
RESTING: dict[str, object] = {"arm.pos": 3.0, "x.vel": 0.0, "grip.effort": 0.5}


class Wrapper:
    robot_type = "fake"

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []

    def send_action(self, action: dict[str, object]) -> object:
        self.sent.append(action)
        return action


def identity(transition: tuple[dict[str, object], Mapping[str, object]]) -> dict[str, object]:
    return transition[0]


def test_a_computed_action_is_sent_as_it_is() -> None:
    robot = Wrapper()
    guard = GuardedRobot(robot, AT_REST)
    step = WatchedStep(identity, guard.note_fresh)
    assert guard.send_action(step((ACTION, {}))) == ACTION
    assert robot.sent == [ACTION]


def test_a_repeated_action_has_its_velocities_at_rest() -> None:
    guard = GuardedRobot(Wrapper(), AT_REST)
    guard.note_fresh()
    assert guard.send_action(ACTION) == ACTION
    assert guard.send_action(ACTION) == RESTING
    assert ACTION["x.vel"] == 1.0


def test_what_was_computed_before_a_pause_is_a_repetition_after_it() -> None:
    guard = GuardedRobot(Wrapper(), AT_REST)
    guard.note_fresh()
    guard.note_pause()
    assert guard.send_action(ACTION) == RESTING


def test_everything_else_is_the_robots_own() -> None:
    guard = GuardedRobot(Wrapper(), AT_REST)
    assert guard.robot_type == "fake"
    assert WatchedStep(identity, guard.note_fresh).__name__ == "identity"


@given(st.lists(st.sampled_from(["compute", "pause", "send"]), max_size=30))
def test_no_velocity_is_sent_twice_for_one_computation(events: list[str]) -> None:
    robot = Wrapper()
    guard = GuardedRobot(robot, AT_REST)
    is_fresh = False
    for event in events:
        if event == "compute":
            guard.note_fresh()
            is_fresh = True
        elif event == "pause":
            guard.note_pause()
            is_fresh = False
        else:
            guard.send_action(ACTION)
            assert robot.sent[-1] == (ACTION if is_fresh else RESTING)
            is_fresh = False

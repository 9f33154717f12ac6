"""A command that is merely repeated moves nothing, and what nobody commands stands."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.rig import FakeClock
from vagus.errors import RobotError
from vagus.integrations.lerobot.rollout.guarded_robot import GuardedRobot, WatchedStep, watch_idle

AT_REST = {"x.vel": 0.0, "grip.effort": 0.5}
ACTION = {"arm.pos": 3.0, "x.vel": 1.0, "grip.effort": 2.0}
RESTING = {"arm.pos": 3.0, "x.vel": 0.0, "grip.effort": 0.5}
PATIENCE_S = 10.0
S = 1_000_000_000


class Wrapper:
    robot_type = "fake"

    def __init__(self) -> None:
        self.sent: list[dict[str, float]] = []
        self.failures = 0
        self.has_stood = threading.Event()
        self.is_connected = True

    @property
    def inner(self) -> Wrapper:
        return self

    def get_observation(self) -> dict[str, object]:
        return {"arm.pos": 2.9}

    def send_action(self, action: dict[str, float]) -> object:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no status packet")
        self.sent.append(action)
        if action == RESTING:
            self.has_stood.set()
        return action


def identity(transition: tuple[dict[str, float], Mapping[str, object]]) -> dict[str, float]:
    return transition[0]


class Cell:
    """A guarded robot, and what LeRobot does with it."""

    def __init__(self, at_rest: Mapping[str, float] = AT_REST) -> None:
        self.robot = Wrapper()
        self.clock = FakeClock()
        self.guard = GuardedRobot(self.robot, at_rest, clock=self.clock)
        self.step = WatchedStep(identity, self.guard.note_computed)

    def command(self, **values: float) -> dict[str, float]:
        """Send an action as a strategy does: computed, then sent."""
        action = {**ACTION, **values}
        self.guard.send_action(self.step((action, {})))
        return action

    @property
    def newest(self) -> dict[str, float]:
        return self.robot.sent[-1]


def test_a_computed_action_is_sent_as_it_is() -> None:
    cell = Cell()
    assert cell.guard.send_action(cell.step((ACTION, {}))) == ACTION
    assert cell.robot.sent == [ACTION]


def test_a_repeated_action_has_its_velocities_at_rest() -> None:
    cell = Cell()
    action = cell.command()
    assert cell.guard.send_action(action) == RESTING
    assert action["x.vel"] == 1.0


def test_an_action_that_lerobot_makes_up_right_after_a_computation_is_not_the_computed_one() -> None:
    cell = Cell()
    cell.step((dict(ACTION), {}))  # the pose of a leader, to which the robot is slid
    cell.guard.send_action(dict(ACTION))
    assert cell.newest == RESTING


def test_velocities_that_an_action_leaves_out_are_at_rest() -> None:
    cell = Cell()
    cell.command()
    cell.guard.send_action({"arm.pos": 1.0})
    assert cell.newest == {"arm.pos": 1.0, "x.vel": 0.0, "grip.effort": 0.5}
    cell.guard.send_action(cell.step(({"arm.pos": 2.0, "x.vel": 0.7}, {})))
    assert cell.newest == {"arm.pos": 2.0, "x.vel": 0.7, "grip.effort": 0.5}


def test_a_halt_leaves_the_joints_where_a_human_sent_them_last() -> None:
    cell = Cell()
    cell.command()
    cell.command(**{"arm.pos": 80.0})
    cell.guard.send_action({"arm.pos": 81.0})
    cell.guard.halt()
    assert cell.newest == {**RESTING, "arm.pos": 81.0}


def test_a_halt_is_an_action_that_reached_the_robot() -> None:
    cell = Cell()
    cell.command()
    cell.robot.failures = 1
    with pytest.raises(ConnectionError):
        cell.command(**{"arm.pos": 9.0})
    cell.guard.halt()
    assert cell.newest == RESTING


def test_what_was_computed_before_a_halt_is_a_repetition_after_it() -> None:
    cell = Cell()
    action = cell.step((ACTION, {}))
    cell.guard.halt()
    assert cell.robot.sent == []  # never commanded, so it stands
    cell.guard.send_action(action)
    assert cell.newest == RESTING


def test_a_robot_that_is_read_twice_without_a_command_stands() -> None:
    cell = Cell()
    for _ in range(3):
        cell.guard.get_observation()
        cell.command()
    cell.guard.get_observation()
    assert cell.newest == ACTION
    cell.guard.get_observation()
    assert cell.newest == RESTING


def test_a_robot_that_is_left_alone_stands() -> None:
    cell = Cell()
    cell.guard.halt_if_left()
    cell.command()
    cell.clock.now += S // 5
    cell.guard.halt_if_left()
    assert cell.newest == ACTION
    cell.clock.now += S // 10
    cell.guard.halt_if_left()
    cell.clock.now += S
    cell.guard.halt_if_left()
    assert cell.robot.sent == [ACTION, RESTING]


def test_one_that_stands_by_itself_is_left_alone() -> None:
    cell = Cell(at_rest={})
    cell.command()
    cell.clock.now += S
    for _ in range(3):
        cell.guard.get_observation()
        cell.guard.halt_if_left()
    cell.guard.halt()
    assert cell.robot.sent == [ACTION]


def test_the_watch_goes_on_when_a_command_fails(caplog: pytest.LogCaptureFixture) -> None:
    robot = Wrapper()
    guard = GuardedRobot(robot, AT_REST, left_after_s=0.0)
    guard.note_computed(ACTION)
    guard.send_action(ACTION)
    robot.failures = 1
    with caplog.at_level(logging.CRITICAL), watch_idle(guard):
        assert robot.has_stood.wait(PATIENCE_S)
    assert "could not be brought to a stand" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_never_reaches_a_motor(value: float) -> None:
    cell = Cell()
    with pytest.raises(RobotError, match=r"arm\.pos"):
        cell.command(**{"arm.pos": value})
    assert cell.robot.sent == []


def test_what_is_no_number_is_the_drivers_business() -> None:
    cell = Cell()
    cell.guard.send_action({"arm.pos": 1.0, "key": None})  # type: ignore[dict-item] # a keyboard sends this
    assert cell.newest["key"] is None


def test_every_reading_is_judged() -> None:
    guard = GuardedRobot(Wrapper(), AT_REST, judge=lambda read: {**read(), "b.pos": 1.0})
    assert guard.get_observation() == {"arm.pos": 2.9, "b.pos": 1.0}


def test_everything_else_is_the_robots_own() -> None:
    cell = Cell()
    assert cell.guard.robot_type == "fake"
    assert cell.step.__name__ == "identity"


@given(st.lists(st.sampled_from(["compute", "halt", "send", "read"]), max_size=30))
def test_no_velocity_is_sent_twice_for_one_computation(events: list[str]) -> None:
    cell = Cell()
    is_fresh, unanswered = False, 0
    for event in events:
        if event == "compute":
            cell.step((ACTION, {}))
            is_fresh = True
        elif event == "send":
            cell.guard.send_action(ACTION)
            assert cell.newest == (ACTION if is_fresh else RESTING)
            is_fresh, unanswered = False, 0
        elif event == "halt":
            cell.guard.halt()
            is_fresh = False
        else:
            cell.guard.get_observation()
            unanswered += 1
            is_fresh = is_fresh and unanswered < 2
        if cell.robot.sent and (event == "halt" or unanswered >= 2):
            assert cell.newest == RESTING

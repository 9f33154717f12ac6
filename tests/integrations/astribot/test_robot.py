"""The robot `astribot`: order, units, parts that are held, and stop on every way out."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest

from integrations.astribot.robot_stand import RobotStand
from vagus.errors import ConfigError, RobotError, SpecError
from vagus.integrations.astribot.layout import PARTS, names_of
from vagus.integrations.astribot.robot import AstribotRobot, make_astribot_robot
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.integrations.astribot.simulated_body import start_pose
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk
from vagus.robots.registry import load_robot
from vagus.robots.robot import check_callable

LEFT, RIGHT = [0.01 * at for at in range(1, 8)], [-0.01 * at for at in range(1, 8)]
SIXTEEN = [*LEFT, *RIGHT, 0.25, 0.5]
HEAD, TORSO, CHASSIS = [0.1, 0.2], [0.3, -0.4, 0.5, -0.6], [0.01, 0.02, 0.03]
START = start_pose()


def options(**settings: object) -> AstribotRobotOptions:
    return AstribotRobotOptions(**settings)  # type: ignore[arg-type] # the test's own


def test_a_waypoint_has_the_robots_order_and_names_and_the_grippers_its_unit() -> None:
    stand = RobotStand(options(width=22))
    stand.tick([*SIXTEEN, *HEAD, *TORSO])
    (waypoint,) = stand.sdk.waypoints
    assert list(waypoint.items()) == [
        ("astribot_torso", TORSO),
        ("astribot_arm_left", LEFT),
        ("astribot_gripper_left", [25.0]),
        ("astribot_arm_right", RIGHT),
        ("astribot_gripper_right", [50.0]),
        ("astribot_head", HEAD),
    ]


def test_the_chassis_is_in_a_waypoint_only_where_the_options_say_what_its_numbers_are() -> None:
    action = [*SIXTEEN, *HEAD, *TORSO, *CHASSIS]
    for chassis, wanted in (("off", None), ("position", CHASSIS), ("velocity", CHASSIS)):
        stand = RobotStand(options(width=25, chassis=chassis))
        stand.tick(action)
        assert stand.sdk.waypoints[0].get("astribot_chassis") == wanted


def test_percent_grippers_are_the_sdks_own() -> None:
    stand = RobotStand(options(gripper="percent"))
    stand.tick([*LEFT, *RIGHT, 25.0, 50.0])
    assert stand.sdk.waypoints[0]["astribot_gripper_left"] == [25.0]
    assert stand.sdk.waypoints[0]["astribot_gripper_right"] == [50.0]
    stand.clock.pass_s(3.0)
    assert stand.robot.read_state()[14:16].tolist() == pytest.approx([25.0, 50.0], abs=0.01)


def test_a_state_has_all_numbers_in_the_order_of_the_names() -> None:
    stand = RobotStand()
    stand.sdk.push("gripper_left", np.array([40.0]))
    state = stand.robot.read_state()
    assert state.dtype == np.float32
    expected = START.copy()
    expected[14] = 0.4
    np.testing.assert_allclose(state, expected, atol=1e-6)
    assert [feature.name for feature in stand.robot.spec.state] == list(names_of(25))


def test_parts_that_are_not_in_the_action_stay_where_they_were_measured() -> None:
    stand = RobotStand()
    stand.sdk.push("head", np.array([0.5, -0.25]))
    for _ in range(40):
        stand.tick(SIXTEEN)
    for waypoint in stand.sdk.waypoints:
        assert waypoint["astribot_head"] == [0.5, -0.25]
        assert waypoint["astribot_torso"] == START[PARTS["torso"]].tolist()
    np.testing.assert_allclose(stand.sdk.body[PARTS["head"]], [0.5, -0.25], atol=1e-9)


def test_a_part_that_sags_is_not_followed_down() -> None:
    stand = RobotStand()
    stand.tick(SIXTEEN)
    stand.sdk.push("torso", np.array([0.5, -1.0, 0.5, 0.1]))
    stand.tick(SIXTEEN)
    assert stand.sdk.waypoints[-1]["astribot_torso"] == START[PARTS["torso"]].tolist()


def test_a_part_that_sags_is_not_followed_down_where_an_episode_begins() -> None:
    stand = RobotStand()
    stand.tick(SIXTEEN)
    stand.sdk.push("torso", np.array([0.5, -1.0, 0.5, 0.1]))
    stand.robot.read_state()  # and once more in the same tick
    stand.tick(SIXTEEN)
    assert stand.sdk.waypoints[-1]["astribot_torso"] == START[PARTS["torso"]].tolist()


def test_a_part_that_somebody_moved_in_a_pause_is_held_where_it_is_then() -> None:
    stand = RobotStand()
    stand.tick(SIXTEEN)
    for _ in range(3):  # ticks of a pause: read, and not commanded
        stand.robot.read_state()
        stand.clock.pass_s(0.1)
    moved = [0.5, -1.0, 0.5, 0.1]
    stand.sdk.push("torso", np.array(moved))
    stand.tick(SIXTEEN)
    assert stand.sdk.waypoints[-1]["astribot_torso"] == pytest.approx(moved)


def test_a_part_that_somebody_moved_while_the_readings_failed_is_held_where_it_is_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = RobotStand()
    stand.tick(SIXTEEN)
    moved = [0.5, -1.0, 0.5, 0.1]
    with monkeypatch.context() as broken:
        broken.setattr(stand.sdk, "get_current_joints_position", lambda _: None)
        for _ in range(3):
            with pytest.raises(RobotError, match="reading of"):
                stand.robot.read_state()
        stand.sdk.push("torso", np.array(moved))
    stand.tick(SIXTEEN)
    assert stand.sdk.waypoints[-1]["astribot_torso"] == pytest.approx(moved)


def test_nothing_is_commanded_before_a_reading_nor_after_a_stop() -> None:
    sdk = SimulatedSdk(jitter_s=0.0)
    robot = AstribotRobot(sdk=sdk)
    robot.connect()
    with pytest.raises(RobotError, match="before the joints were read"):
        robot.command(np.array(SIXTEEN))
    robot.read_state()
    robot.stop()
    with pytest.raises(RobotError, match=r"command\(\) after stop"):
        robot.command(np.array(SIXTEEN))
    assert (sdk.commands, sdk.refusals) == (0, [])
    robot.stop()
    robot.close()
    robot.close()


def test_what_is_not_finite_or_too_short_never_reaches_the_sdk() -> None:
    stand = RobotStand()
    stand.robot.read_state()
    with pytest.raises(RobotError, match="finite"):
        stand.robot.command(np.array([*SIXTEEN[:-1], math.nan]))
    with pytest.raises(ValueError, match="broadcast"):
        stand.robot.command(np.array(SIXTEEN[:-1]))
    assert stand.sdk.waypoints == []


@pytest.mark.parametrize(
    "reading",
    [
        [[0.0] * 4],
        [[0.0] * 4, [0.0] * 7, [0.0], [0.0] * 7, [0.0], [math.nan] * 2, [0.0] * 3],
        [[0.0] * 4, [0.0] * 7, [0.0], [0.0] * 6, [0.0], [0.0] * 2, [0.0] * 3],
        None,
        [["a"] * 4, [0.0] * 7, [0.0], [0.0] * 7, [0.0], [0.0] * 2, [0.0] * 3],
    ],
)
def test_a_reading_that_is_not_one_of_this_robot_is_a_fault_of_the_robot(
    reading: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = RobotStand()
    monkeypatch.setattr(stand.sdk, "get_current_joints_position", lambda _: reading)
    with pytest.raises(RobotError, match=r"reading of astribot_torso, .*astribot_chassis"):
        stand.robot.read_state()


def test_a_stop_does_not_wait_for_a_call_that_hangs() -> None:
    stand = RobotStand()
    stand.sdk.hang("get_current_joints_position")
    hanging = threading.Thread(target=stand.robot.read_state)
    hanging.start()
    stand.robot.stop()
    assert hanging.is_alive()
    stand.clock.pass_s(1.0)
    assert stand.sdk.is_standing
    stand.robot.close()
    hanging.join(10.0)
    assert not hanging.is_alive()


def test_the_sdk_is_closed_even_if_it_cannot_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = RobotStand()

    def fails() -> None:
        raise RobotError("the bus is gone")

    monkeypatch.setattr(stand.sdk, "stop", fails)
    monkeypatch.setattr(stand.sdk, "close", lambda: stand.sdk.calls.append("close"))
    with pytest.raises(RobotError, match="the bus is gone"):
        stand.robot.close()
    assert stand.sdk.calls[-1] == "close"


# -- by name ----------------------------------------------------------------------------------------------

OWN = """
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk

class Own:
    def __init__(self): self._body = SimulatedSdk()
    def __getattr__(self, name): return getattr(self._body, name)

class Lacking:
    def connect(self): pass

number = 7
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own_astribot_sdk.py"
    path.write_text(OWN)
    return str(path)


def test_it_is_there_by_name_with_the_simulated_sdk() -> None:
    robot = load_robot("astribot", {"sdk": "simulated", "width": 22, "max_delta": 0.02})
    assert isinstance(robot, AstribotRobot)
    assert len(robot.spec.actions) == 22
    check_callable(robot)


def test_without_an_sdk_a_sentence_says_what_is_needed() -> None:
    with pytest.raises(
        ConfigError, match=r"sdk of robot 'astribot': wanted simulated, maker, or a class .* got none"
    ):
        load_robot("astribot")


def test_an_sdk_of_the_users_own_is_driven_once_its_limits_are_confirmed(own: str) -> None:
    with pytest.raises(ConfigError, match="limits_confirmed: wanted limits that somebody has checked"):
        make_astribot_robot(sdk=f"{own}:Own")
    robot = make_astribot_robot(sdk=f"{own}:Own", limits_confirmed=True)
    robot.connect()
    assert robot.read_state().shape == (25,)
    robot.close()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Lacking", "wanted an object with connect, .* got no get_current_joints_position, .*close"),
        ("number", "wanted a class, or a function that makes an SDK, got 7"),
        ("Missing", "wanted one of"),
    ],
)
def test_what_is_no_sdk_is_told(own: str, name: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        make_astribot_robot(sdk=f"{own}:{name}", limits_confirmed=True)


def test_an_option_of_another_type_is_told_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"options of robot 'astribot'.*width: int"):
        load_robot("astribot", {"sdk": "simulated", "width": "wide"})
    with pytest.raises(ConfigError, match="did you mean max_delta"):
        load_robot("astribot", {"sdk": "simulated", "max_deltas": 0.1})


def test_a_mapping_file_narrows_limits(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text(
        '{"limits": {"arm_left_1": {"velocity": 0.25}}, "fallback": {"arm_left_1": "repeat_last"}}'
    )
    robot = load_robot("astribot", {"sdk": "simulated", "mapping": str(path)})
    assert robot.spec.actions[0].limits.velocity == 0.25
    assert robot.spec.actions[1].limits.velocity == 1.5
    path.write_text('{"limits": {"head_1": {"velocity": 0.25}}}')
    with pytest.raises(ConfigError, match="mapping limits: wanted names of actions"):
        load_robot("astribot", {"sdk": "simulated", "mapping": str(path)})
    path.write_text('{"limits": {"arm_left_1": {"upper": -4.0}}}')
    with pytest.raises(SpecError, match="lower below upper"):
        load_robot("astribot", {"sdk": "simulated", "mapping": str(path)})

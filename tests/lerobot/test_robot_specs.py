"""What LeRobot's own robot classes become, read from their configs and classes; no hardware is opened."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vagus.control.robot_check import Admission, admitted
from vagus.errors import ConfigError, SpecError
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.import_path import Option
from vagus.integrations.lerobot.robot.config import make_device, nested
from vagus.integrations.lerobot.robot.features import DeviceMapping, load_device_mapping, spec_of
from vagus.robots.registry import load_robot
from vagus.specs import ActionKind, CameraSpec, Limits, RobotSpec

ARM = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
NAMES = [f"{joint}.pos" for joint in ARM]
CAMERA: dict[str, Option] = {
    "cameras.front.type": "opencv",
    "cameras.front.index_or_path": 0,
    "cameras.front.width": 640,
    "cameras.front.height": 480,
    "cameras.front.fps": 30,
}


def spec(robot_type: str, **options: Option) -> RobotSpec:
    return load_robot(f"lerobot:{robot_type}", options).spec


def units(found: RobotSpec) -> list[str]:
    assert [f.unit for f in found.actions] == [f.unit for f in found.state]
    return [feature.unit for feature in found.actions]


@pytest.mark.parametrize("robot_type", ["so100_follower", "so101_follower"])
def test_an_so_arm_is_six_positions_in_degrees_and_its_gripper_in_percent(robot_type: str) -> None:
    found = spec(robot_type, port="/dev/none", id="a", **CAMERA)
    assert found.robot_type == robot_type
    assert [f.name for f in found.actions] == [f.name for f in found.state] == NAMES
    assert {f.kind for f in found.actions} == {ActionKind.POSITION}
    assert units(found) == ["deg"] * 5 + ["lerobot_norm"]
    assert [f.feedback for f in found.actions] == NAMES
    assert found.cameras == (CameraSpec("front", 480, 640),)
    assert found.rate_hz == 30.0


@pytest.mark.parametrize("arm", ["so100", "so101"])
@pytest.mark.parametrize("protocol", ["gr00t", "lerobot_grpc"])
def test_an_so_arm_fits_the_profiles_of_gateways_as_it_is(protocol: str, arm: str) -> None:
    found = spec(f"{arm}_follower", port="/dev/none", id="a", **CAMERA)
    foreign = WireMapping(load_profile(arm, protocol)).robot_spec
    assert found.robot_type == foreign.robot_type
    assert [(f.name, f.unit, f.kind) for f in found.actions] == [
        (f.name, f.unit, f.kind) for f in foreign.actions
    ]
    assert (found.state, found.rate_hz) == (foreign.state, foreign.rate_hz)
    assert found.cameras[0] in foreign.cameras


def test_without_degrees_an_arm_counts_in_the_scale_of_lerobot() -> None:
    found = spec("so101_follower", port="/dev/none", use_degrees=False)
    assert units(found) == ["lerobot_norm"] * 6
    assert [(f.limits.lower, f.limits.upper) for f in found.actions] == [(-100.0, 100.0)] * 5 + [(0.0, 100.0)]


def test_a_koch_arm_counts_in_the_scale_of_lerobot_unless_it_is_told_otherwise() -> None:
    assert units(spec("koch_follower", port="/dev/none")) == ["lerobot_norm"] * 6
    found = spec("koch_follower", port="/dev/none", use_degrees=True)
    assert units(found) == ["deg"] * 5 + ["lerobot_norm"]
    assert [f.name for f in found.actions] == NAMES


def test_a_lekiwi_is_an_arm_and_a_base_that_drives_by_velocity() -> None:
    found = spec("lekiwi")
    base = ["x.vel", "y.vel", "theta.vel"]
    assert [f.name for f in found.actions] == [f"arm_{name}" for name in NAMES] + base
    assert [f.kind for f in found.actions] == [ActionKind.POSITION] * 6 + [ActionKind.VELOCITY] * 3
    assert units(found) == ["deg"] * 5 + ["lerobot_norm", "m/s", "m/s", "deg/s"]
    assert [f.limits.upper for f in found.actions[6:]] == [0.3, 0.3, 90.0]
    assert found.cameras == (CameraSpec("front", 480, 640), CameraSpec("wrist", 640, 480))


def test_a_lekiwi_that_is_far_away_does_not_say_what_its_arm_counts_in() -> None:
    found = spec("lekiwi_client", remote_ip="192.0.2.1")
    assert units(found) == [""] * 6 + ["m/s", "m/s", "deg/s"]


def test_two_arms_are_read_from_their_own_buses() -> None:
    found = spec(
        "bi_so_follower",
        **{"left_arm_config.port": "/dev/a", "right_arm_config": "{port: /dev/b, use_degrees: false}"},
    )
    assert [f.name for f in found.actions] == [f"left_{n}" for n in NAMES] + [f"right_{n}" for n in NAMES]
    assert units(found) == ["deg"] * 5 + ["lerobot_norm"] * 7


def test_the_calibrated_range_bounds_degrees(tmp_path: Path) -> None:
    joint = '"drive_mode": 0, "homing_offset": 0, "range_min": 1024, "range_max": 3072'
    full = '"drive_mode": 0, "homing_offset": 0, "range_min": 0, "range_max": 4095'
    entries = [
        f'"{name}": {{"id": {at + 1}, {full if name == "wrist_roll" else joint}}}'
        for at, name in enumerate(ARM)
    ]
    (tmp_path / "a.json").write_text(f"{{{', '.join(entries)}}}")
    found = spec("so101_follower", port="/dev/none", id="a", calibration_dir=str(tmp_path))
    bounds = {f.name: f.limits.upper for f in found.actions}
    assert bounds["elbow_flex.pos"] == pytest.approx(90.02, abs=0.01)
    assert bounds["wrist_roll.pos"] is None  # it may turn all the way
    assert bounds["gripper.pos"] == 100.0


def test_a_mapping_file_overrules_what_the_robot_says(tmp_path: Path) -> None:
    file = tmp_path / "arm.yaml"
    file.write_text(
        "rate_hz: 60\nlimits: {elbow_flex.pos: {upper: 45, velocity: 90}}\nunits: {gripper.pos: percent}\n"
    )
    found = spec("so101_follower", port="/dev/none", mapping=str(file))
    by_name = {f.name: f for f in found.actions}
    assert found.rate_hz == 60
    assert by_name["elbow_flex.pos"].limits == Limits(upper=45, velocity=90)
    assert by_name["shoulder_pan.pos"].limits == Limits(velocity=360)
    assert by_name["gripper.pos"].unit == "percent"
    assert spec("so101_follower", port="/dev/none", mapping=str(file), rate_hz=100).rate_hz == 100


def test_joints_in_rad_have_a_default_speed_and_those_in_a_unit_that_nobody_states_are_refused() -> None:
    class Humanoid:
        observation_features = {"waist.q": float}  # noqa: RUF012 - LeRobot's own form
        action_features = observation_features

    found = spec_of(Humanoid(), "unitree_g1", DeviceMapping())
    assert found.actions[0].limits == Limits(velocity=2 * math.pi)
    assert admitted(found, Admission()) == found
    unknown = spec_of(Humanoid(), "own", DeviceMapping())
    with pytest.raises(
        SpecError, match=r"no velocity limit for waist\.q.*`limits: {waist\.q: {velocity: …}}`"
    ):
        admitted(unknown, Admission())


def test_kinds_that_no_name_tells_are_stated() -> None:
    with pytest.raises(ConfigError, match=r"linear_velocity.*state `kinds`"):
        spec("earthrover_mini_plus")
    device = make_device("earthrover_mini_plus", {})
    kinds = dict.fromkeys(("linear_velocity", "angular_velocity"), ActionKind.VELOCITY)
    found = spec_of(device, "earthrover_mini_plus", DeviceMapping(kinds=kinds))
    assert [f.kind for f in found.actions] == [ActionKind.VELOCITY] * 2
    assert [f.feedback for f in found.actions] == [None, None]
    efforts = DeviceMapping(kinds=dict.fromkeys(kinds, ActionKind.EFFORT))
    with pytest.raises(SpecError, match="safe"):
        spec_of(device, "earthrover_mini_plus", efforts)


def test_actions_can_be_chosen() -> None:
    device = make_device(
        "openarm_follower", {"port": "can0", "side": "left", "use_velocity_and_torque": True}
    )
    assert [f.name for f in spec_of(device, "openarm_follower", DeviceMapping()).actions][:2] == [
        "joint_1.pos",
        "joint_1.vel",
    ]
    chosen = spec_of(device, "openarm_follower", DeviceMapping(actions=("joint_2.pos", "joint_1.pos")))
    assert [(f.name, f.unit) for f in chosen.actions] == [("joint_2.pos", "deg"), ("joint_1.pos", "deg")]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("units: {elbow.pos: deg}", ("mapping units", "elbow_flex.pos", "elbow.pos")),
        ("limits: {elbow_flex.pos: {uper: 3}}", ("limits.elbow_flex.pos.uper", "upper")),
        ("kinds: {elbow_flex.pos: posture}", ("posture",)),
        ("limit: {}", ("limits",)),
    ],
)
def test_a_wrong_mapping_is_said_in_words(tmp_path: Path, content: str, parts: tuple[str, ...]) -> None:
    file = tmp_path / "arm.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        spec("so101_follower", port="/dev/none", mapping=str(file))
    assert all(part in str(caught.value) for part in parts)


def test_a_config_file_is_overruled_by_options(tmp_path: Path) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(
        "type: so101_follower\nport: /dev/a\nuse_degrees: false\n"
        "cameras: {front: {type: opencv, index_or_path: 0, width: 640, height: 480, fps: 30}}\n"
    )
    found = spec("so101_follower", config=str(file), **{"cameras.front.width": 320, "use_degrees": True})
    assert found.cameras == (CameraSpec("front", 480, 320),)
    assert units(found)[0] == "deg"


@pytest.mark.parametrize(
    ("robot_type", "options", "parts"),
    [
        ("so10_follower", {}, ("so101_follower", "vsim", "lerobot_robot_")),
        ("so101_follower", {}, ("port", "Missing required field")),
        ("so101_follower", {"prt": "/dev/a"}, ("prt", "port", "disable_torque_on_disconnect")),
        ("so101_follower", {"port": "a", "cameras.front.type": "opencv"}, ("cameras", "index_or_path")),
        ("so101_follower", {"port": "a", "cameras": "{front: {type: nothing}}"}, ("nothing",)),
        ("so101_follower", {"port": "a", "cameras": "{front: ["}, ("YAML",)),
        ("so101_follower", {"port": "a", "rate_hz": "fast"}, ("rate_hz", "a number")),
        ("reachy2", {}, ("reachy2_sdk", "pip install")),
        ("so101_follower", {"config": "nowhere.yaml"}, ("nowhere.yaml",)),
    ],
)
def test_wrong_options_are_said_in_words(
    robot_type: str, options: dict[str, Option], parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_robot(f"lerobot:{robot_type}", options)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_dotted_options_reach_into_tables() -> None:
    assert nested({"a.b.c": 1, "a.b.d": "null", "e": "[1, 2]", "f": "x"}) == {
        "a": {"b": {"c": 1, "d": None}},
        "e": [1, 2],
        "f": "x",
    }
    for clash in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}):
        with pytest.raises(ConfigError, match="both"):
            nested(clash)


def test_a_mapping_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mapping"):
        load_device_mapping(tmp_path / "none.yaml")

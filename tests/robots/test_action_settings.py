"""Every field of an action can be set in a mapping file, for gym and for LeRobot robots alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from vagus.control.robot_check import Admission, admitted
from vagus.errors import ConfigError, SpecError
from vagus.integrations.gymnasium.mapping import GymMapping, Spaces, resolve
from vagus.integrations.gymnasium.mapping import load_mapping as load_gym
from vagus.integrations.lerobot.robot.features import DeviceMapping, load_device_mapping, spec_of
from vagus.robots.action_settings import ActionSettings
from vagus.specs import ActionFeature, ActionKind, BinaryEncoding, FallbackMode, Limits, RobotSpec, vouched

Reader = Callable[[Path, str], RobotSpec]
ACTIONS = ("joint", "yaw", "rx", "ry", "rz", "claw", "gripper", "suck", "push", "free")
SETTINGS = """
kinds: {suck: binary, push: effort}
limits:
  joint: {lower: -1, upper: 1, velocity: 2, acceleration: 8, jerk: 90}
  yaw: {velocity: 1}
  rx: {velocity: 1}
  ry: {velocity: 1}
  rz: {velocity: 1}
  claw: {velocity: 3}
  gripper: {velocity: 3}
  push: {lower: -5, upper: 5}
feedback: {joint: seen}
unmeasured: [push]
rotation: {rx: "wrist:rotvec", ry: "wrist:rotvec", rz: "wrist:rotvec"}
continuous: [yaw]
safe: {push: 0.5}
encodings: {suck: signed inverted}
fallback: {joint: repeat_last}
grippers: [claw]
no_grippers: [gripper]
vouch_unbounded: [free]
vouch_unmeasured: [yaw, rx, ry, rz, claw, gripper, free]
"""
UNITS = {
    "joint": "rad",
    "yaw": "rad",
    "rx": "rad",
    "ry": "rad",
    "rz": "rad",
    "claw": "m",
    "gripper": "m",
    "suck": "bool",
    "push": "N",
    "free": "m",
    "seen": "rad",
}
SPACES = Spaces(
    env_id="own/Arm-v0",
    parts={"seen": (1,)},
    images=frozenset(),
    low=[float("-inf")] * len(ACTIONS),
    high=[float("inf")] * len(ACTIONS),
    rate_hz=20.0,
    drawn=None,
)


class Device:
    """As much of a LeRobot robot as says what it is."""

    observation_features = {"seen": float}  # noqa: RUF012 - LeRobot's own form
    action_features = dict.fromkeys(ACTIONS, float)


def gym(folder: Path, text: str) -> RobotSpec:
    actions = "\n".join(f"  {name}: {UNITS[name]}" for name in ACTIONS)
    path = folder / "gym.yaml"
    path.write_text(f"actions:\n{actions}\nstate: {{seen: {{seen: rad}}}}\n{text}")
    return resolve(load_gym(path), SPACES).spec


def lerobot(folder: Path, text: str) -> RobotSpec:
    path = folder / "lerobot.yaml"
    kinds = ", ".join(f"{name}: position" for name in ACTIONS if name not in ("suck", "push"))
    text = text.replace("kinds: {", f"kinds: {{{kinds}, ")
    units = "\n".join(f"  {name}: {unit}" for name, unit in UNITS.items())
    path.write_text(f"units:\n{units}\n{text}")
    return spec_of(Device(), "own", load_device_mapping(path))


BOTH = pytest.mark.parametrize("read", [gym, lerobot])


@BOTH
def test_every_field_of_an_action_is_set_by_a_mapping_file(read: Reader, tmp_path: Path) -> None:
    spec = read(tmp_path, SETTINGS)
    speed = Limits(velocity=1.0)
    wrist = ActionFeature("", "rad", limits=speed, rotation="wrist:rotvec", vouch_unmeasured=True)
    blind = replace(wrist, is_measured=False, rotation=None)
    expected = (
        ActionFeature(
            "joint",
            "rad",
            feedback="seen",
            limits=Limits(-1.0, 1.0, velocity=2.0, acceleration=8.0, jerk=90.0),
            fallback=FallbackMode.REPEAT_LAST,
        ),
        replace(blind, name="yaw", continuous=True),
        *(replace(wrist, name=name, is_measured=False) for name in ("rx", "ry", "rz")),
        replace(blind, name="claw", unit="m", limits=Limits(velocity=3.0), is_gripper=True),
        replace(blind, name="gripper", unit="m", limits=Limits(velocity=3.0), is_gripper=False),
        ActionFeature(
            "suck",
            "bool",
            ActionKind.BINARY,
            is_measured=False,
            encoding=BinaryEncoding.parse("signed inverted"),
        ),
        ActionFeature("push", "N", ActionKind.EFFORT, None, Limits(-5.0, 5.0), safe=0.5, is_measured=False),
        replace(blind, name="free", unit="m", limits=Limits(), vouch_unbounded=True),
    )
    assert spec.actions == expected
    assert "free: no velocity limit" in vouched(admitted(spec, Admission()))


@BOTH
def test_what_is_a_gripper_is_said_once(read: Reader, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="grippers: wanted none that stands in no_grippers too, got gripper"
    ):
        read(tmp_path, SETTINGS.replace("grippers: [claw]", "grippers: [claw, gripper]"))


def test_a_camera_whose_size_nobody_states_is_refused_with_what_to_type() -> None:
    class Seeing:
        observation_features: Mapping[str, object] = {"seen": float, "eye": (None, None, 3)}
        action_features = Device.action_features

    mapping = DeviceMapping(kinds=dict.fromkeys(ACTIONS, ActionKind.POSITION))
    with pytest.raises(
        ConfigError, match=r"camera eye: wanted a width and a height .*cameras\.eye\.width 640"
    ):
        spec_of(Seeing(), "own", mapping)


def test_what_is_held_has_no_ends_and_what_is_averaged_keeps_them() -> None:
    settings = ActionSettings(held=("neck",), averaged_ticks={"arm": 5})
    usual = Limits(-1.0, 1.0, velocity=2.0)
    neck = ActionFeature("neck", "rad", limits=Limits(velocity=2.0), is_held=True)
    assert settings.feature("neck", "rad", usual) == neck
    assert settings.feature("arm", "rad", usual) == ActionFeature(
        "arm", "rad", limits=usual, averaged_ticks=5
    )


def test_every_field_of_an_action_has_a_setting() -> None:
    names = {
        "kind": "kinds",
        "encoding": "encodings",
        "is_measured": "unmeasured",
        "is_gripper": "grippers",
        "is_held": "held",
    }
    settings = {setting.name for setting in dataclasses.fields(ActionSettings)}
    for field in dataclasses.fields(ActionFeature):
        if field.name not in ("name", "unit"):
            assert names.get(field.name, field.name) in settings


@BOTH
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vouch_unbound: [free]", "did you mean vouch_unbounded"),
        ("encoding: {suck: signed}", "did you mean encodings"),
        ("limits: {joint: {speed: 3}}", r"got limits\.joint\.speed"),
        ("fallback: {joint: stop}", "Invalid enum value 'stop'"),
        ("continuous: [elbow]", "mapping continuous: wanted names of actions .*got elbow"),
        ("vouch_unmeasured: [elbow]", "mapping vouch_unmeasured: wanted names of actions"),
        ("rotation: {elbow: 'w:rotvec'}", "mapping rotation: wanted names of actions"),
    ],
)
def test_a_mistake_is_told(read: Reader, tmp_path: Path, text: str, message: str) -> None:
    kinds = "kinds: {suck: binary, push: effort}\nsafe: {push: 0}\n"
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, kinds + text)


@BOTH
def test_a_setting_that_contradicts_is_refused(read: Reader, tmp_path: Path) -> None:
    text = "kinds: {suck: binary, push: effort}\nsafe: {push: 0}\ncontinuous: [claw]\n"
    with pytest.raises(SpecError, match="continuous claw"):
        read(tmp_path, text)


def test_the_ends_of_an_action_space_bound_what_has_ends() -> None:
    spaces = replace(SPACES, low=[-1.0] * 3, high=[1.0, 3e38, 1.0])
    layout = resolve(
        GymMapping(
            actions={"a": "rad", "b": "rad", "c": ""},
            kinds={"c": ActionKind.BINARY},
            continuous=("a",),
        ),
        spaces,
    )
    assert [f.limits for f in layout.spec.actions] == [Limits(), Limits(lower=-1.0), Limits()]


def test_every_setting_has_its_line_in_the_documents() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lerobot" / "units.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    for setting in dataclasses.fields(ActionSettings):
        assert any(f"`{setting.name}`" in row for row in rows)

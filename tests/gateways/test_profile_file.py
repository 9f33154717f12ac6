"""Profiles that vagus brings are valid, and a mistake in one of a user's own is answered by what to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.gateways.profile import PROTOCOLS, ActionReference, FloatType, ImageLayout, ResizeRule
from vagus.gateways.profile_file import load_profile, shipped_profiles

SHIPPED = shipped_profiles()
ARM = """
protocol: openpi
robot_type: my_arm
rate_hz: 20
horizon: 10
identity: pi05 of May
instruction: [text, prompt]
images:
  - key: [images, front]
    name: front
    height: 224
    width: 200
    layout: CHW
    color: BGR
    resize: pad
    required: no
state:
  - {key: state, names: [base, elbow], unit: deg, wire_unit: rad, dtype: float64}
  - {key: state, names: [gripper], unit: lerobot_norm, range: [0, 100], wire_range: [1, 0], dtype: float64}
actions:
  - {key: actions, names: [base, elbow], unit: deg, wire_unit: rad, reference: relative}
  - {key: actions, names: [suction], unit: 0/1, kind: binary, encoding: signed inverted}
"""


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    return tmp_path / "my_arm.yaml"


def test_there_are_profiles_for_every_protocol() -> None:
    assert {name.partition("/")[0] for name in SHIPPED} == set(PROTOCOLS)
    assert {name for name in SHIPPED if name.startswith("openpi")} == {
        f"openpi/{name}" for name in ("aloha", "droid", "droid_position", "libero", "pi05_websocket")
    }
    assert {name for name in SHIPPED if name.startswith("lerobot_zenoh")} == {
        *(f"lerobot_zenoh/{name}" for name in ("so100", "so101", "so101_normalized")),
        *(f"lerobot_zenoh_draft/{name}" for name in ("so101", "so101_normalized")),
    }
    for protocol in ("gr00t", "lerobot_grpc"):
        assert {name for name in SHIPPED if name.startswith(protocol)} == {
            f"{protocol}/so100",
            f"{protocol}/so101",
        }


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_valid_and_says_where_its_facts_are_from(name: str) -> None:
    protocol, _, stem = name.partition("/")
    profile = load_profile(name)
    assert (profile.name, profile.protocol) == (stem, protocol)
    assert load_profile(stem, protocol) == load_profile(str(SHIPPED[name])) == profile
    comment = SHIPPED[name].read_text(encoding="utf-8")
    assert "# From " in comment
    assert "# Chosen here: " in comment


@pytest.mark.parametrize("protocol", ["gr00t", "lerobot_grpc", "lerobot_zenoh"])
def test_an_so101_differs_from_an_so100_in_its_name_alone(protocol: str) -> None:
    older, newer = (load_profile(name, protocol) for name in ("so100", "so101"))
    assert (older.robot_type, newer.robot_type) == ("so100_follower", "so101_follower")
    for part in ("actions", "state", "images", "instruction", "rate_hz", "horizon"):
        assert getattr(older, part) == getattr(newer, part)


def test_a_file_says_everything_that_a_profile_holds(arm: Path) -> None:
    arm.write_text(ARM, encoding="utf-8")
    profile = load_profile(str(arm), "openpi")
    assert (profile.name, profile.robot_type, profile.identity) == ("my_arm", "my_arm", "pi05 of May")
    assert profile.instruction == ("text", "prompt")
    (image,) = profile.images
    assert (image.shape, image.layout, image.resize) == ((3, 224, 200), ImageLayout.CHW, ResizeRule.PAD)
    assert not image.required
    assert profile.state[1].range == (0, 100)
    assert profile.state[0].dtype is FloatType.FLOAT64
    assert profile.actions[0].reference is ActionReference.RELATIVE
    assert profile.actions[1].encoding == "signed inverted"


def test_a_file_may_be_json_and_may_name_the_profile(tmp_path: Path) -> None:
    action = {"key": "actions", "names": ["a"], "unit": "rad"}
    file = tmp_path / "x.json"
    file.write_text(
        json.dumps(
            {
                "name": "arm",
                "protocol": "openpi",
                "robot_type": "x",
                "rate_hz": 20,
                "horizon": 1,
                "actions": [action],
            }
        ),
        encoding="utf-8",
    )
    profile = load_profile(str(file))
    assert (profile.name, profile.state, profile.images, profile.instruction) == ("arm", (), (), None)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rate_hz", "rate", r"profile my_arm.yaml: wanted settings among .*, got rate; did you mean rate_hz"),
        ("unit: deg, w", "units: deg, w", r"got state\[0\].units; did you mean .*unit"),
        ("layout: CHW", "layout: chw", "layout: wanted one of HWC, CHW, got 'chw'"),
        (
            "resize: pad",
            "resize: Pad",
            "resize: wanted one of refuse, stretch, pad, got 'Pad'; did you mean pad",
        ),
        ("kind: binary", "kind: switch", "kind: wanted one of position, velocity, .*, got 'switch'"),
        ("dtype: float64", "dtype: float16", "dtype: wanted one of float32, float64, got 'float16'"),
        ("horizon: 10", "horizon: ten", r"wanted values as in docs/gateways.md, got Expected `int`.*horizon"),
        ("names: [base, elbow]", "names: base", r"Expected `array`, got `str` - at `\$.state\[0\].names`"),
        ("names: [base, elbow]", "names: [1, 2]", r"Expected `str`, got `int` - at `\$.state\[0\].names"),
        ("key: state, names: [base", "names: [base", r"missing required field `key` - at `\$.state\[0\]`"),
        ("key: state", "key: {a: b}", r"Expected `array`, got `object` - at `\$.state\[0\].key`"),
        ("range: [0, 100], wire", "range: [0, 50, 100], wire", r"Expected `array` of length 2"),
        ("range: [0, 100], wire", "wire", "my_arm.yaml: wire_range at state: wanted range beside it"),
        (
            "wire_unit: rad, d",
            "wire_unit: ticks, d",
            "my_arm.yaml: units at state: wanted two units .*'ticks'",
        ),
        ("protocol: openpi", "protocol: opempi", "my_arm.yaml: protocol: wanted one of openpi, gr00t"),
        ("horizon: 10", "horizon: 10\nhorizon: 11", "wanted each key once in its table, got 'horizon' twice"),
        (
            "[base, elbow]",
            "[base, base]",
            "my_arm.yaml: state names: wanted each name once, got 'base' twice",
        ),
        ("required: no", "required: maybe", r"Expected `bool`, got `str` - at `\$.images\[0\].required`"),
        (
            "kind: binary",
            "kind: velocity",
            r"my_arm.yaml: unit of suction \(velocity\): wanted a unit of a speed",
        ),
        (
            "unit: lerobot_norm",
            f"unit: {'x' * 65}",
            "unit of 'gripper': wanted at most 64 characters, got 65",
        ),
        ("robot_type: my_arm", "", "missing required field `robot_type`"),
        (ARM, "[]", "profile my_arm.yaml: wanted a table of settings, got list"),
        (ARM, "a: [", "profile my_arm.yaml: wanted valid YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_what_was_wanted(arm: Path, old: str, new: str, named: str) -> None:
    assert old in ARM
    arm.write_text(ARM.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        load_profile(str(arm))


@pytest.mark.parametrize("wrong", ["actions: none", "actions: {key: actions}", "actions: [x]", "actions: 3"])
def test_a_list_that_is_none_is_refused(arm: Path, wrong: str) -> None:
    arm.write_text(f"protocol: openpi\n{wrong}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="wanted actions as a list of tables, each with a key"):
        load_profile(str(arm))


@pytest.mark.parametrize(
    ("name", "protocol", "named"),
    [
        (
            "so100",
            None,
            "did you mean gr00t/so100 or pointact/so100 or lerobot_grpc/so100 or lerobot_zenoh/so100",
        ),
        ("driod", "openpi", "wanted one of openpi/aloha, openpi/droid, .*or a path to a file .*got 'driod'"),
        ("so100", "openpi", "wanted one of openpi/aloha.*got 'so100'"),
        ("", None, "got ''"),
        ("../openpi/profiles/droid", "openpi", "got '../openpi/profiles/droid'"),
        (
            "droid",
            "opempi",
            "lerobot_grpc, astribot, lerobot_zenoh, lerobot_zenoh_draft, got 'opempi'",
        ),
        ("nowhere/x.yaml", None, "profile x.yaml: wanted a file, got nowhere/x.yaml"),
    ],
)
def test_a_profile_that_is_not_there_is_answered_by_those_that_are(
    name: str, protocol: str | None, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load_profile(name, protocol)


def test_a_file_for_another_protocol_is_refused(arm: Path) -> None:
    arm.write_text(ARM, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"profile my_arm.yaml: wanted one for gr00t, got one for openpi"):
        load_profile(str(arm), "gr00t")

"""What a mapping file says about an environment, and what is assumed without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus.errors import ConfigError, SpecError
from vagus.integrations.gymnasium.mapping import GymMapping, Layout, Spaces, load_mapping, resolve
from vagus.specs import ActionFeature, ActionKind, CameraSpec, Limits, StateFeature

INFINITE = float("inf")
SPACES = Spaces(
    env_id="ns/Arm-v0",
    parts={"pos": (2,), "depth": (), "wrist": (48, 64, 3)},
    images=frozenset({"wrist"}),
    low=(0.0, -INFINITE),
    high=(512.0, INFINITE),
    rate_hz=10,
    drawn=None,
)
DRAWN = replace(SPACES, parts={"observation": (3,)}, images=frozenset(), drawn=(500, 400))
FULL = """
rate_hz = 20

[actions]
x = "m"
push = "N"

[kinds]
push = "effort"

[feedback]
x = "pos.x"

[safe]
push = 0.0

[limits.x]
velocity = 2.0
upper = 100.0

[state.pos]
"pos.x" = "m"
"pos.y" = "m"

[cameras]
wrist = "cam_wrist"
"""


def read(tmp_path: Path, content: str, name: str = "mapping.toml") -> GymMapping:
    path = tmp_path / name
    path.write_text(content)
    return load_mapping(path)


def test_without_a_mapping_everything_is_taken_from_the_spaces() -> None:
    layout = resolve(GymMapping(), SPACES)
    spec = layout.spec
    assert (spec.robot_type, spec.rate_hz) == ("gym:ns/Arm-v0", 10.0)
    assert spec.actions == (
        ActionFeature("action.0", "env", limits=Limits(0.0, 512.0), is_measured=False),
        ActionFeature("action.1", "env", is_measured=False),
    )
    assert spec.state == (
        StateFeature("pos.0", "env"),
        StateFeature("pos.1", "env"),
        StateFeature("depth", "env"),
    )
    assert spec.cameras == (CameraSpec("wrist", 48, 64, may_repeat=True),)
    assert layout == Layout(spec, ("pos", "depth"), {"wrist": "wrist"})


def test_what_is_drawn_is_the_camera_where_no_picture_is_observed() -> None:
    assert resolve(GymMapping(), DRAWN).spec.cameras == (CameraSpec("render", 500, 400, may_repeat=True),)
    both = replace(SPACES, drawn=(500, 400))
    assert [camera.name for camera in resolve(GymMapping(), both).spec.cameras] == ["wrist"]


def test_an_environment_without_a_rate_is_stepped_thirty_times_a_second() -> None:
    assert resolve(GymMapping(), replace(SPACES, rate_hz=None)).spec.rate_hz == 30.0


@pytest.mark.parametrize("name", ["mapping.toml", "mapping.json"])
def test_a_mapping_says_names_units_kinds_feedback_limits_and_rate(tmp_path: Path, name: str) -> None:
    pytest.importorskip("tomllib")
    mapping = read(tmp_path, FULL)
    if name.endswith("json"):
        import msgspec  # noqa: PLC0415 - only to write the other spelling

        mapping = read(tmp_path, msgspec.json.encode(mapping).decode(), name)
    layout = resolve(mapping, SPACES)
    assert layout.spec.rate_hz == 20.0
    assert layout.spec.actions == (
        ActionFeature("x", "m", feedback="pos.x", limits=Limits(0.0, 100.0, velocity=2.0)),
        ActionFeature("push", "N", kind=ActionKind.EFFORT, safe=0.0, is_measured=False),
    )
    assert layout.spec.state == (StateFeature("pos.x", "m"), StateFeature("pos.y", "m"))
    assert layout.state == ("pos",)
    assert layout.cameras == {"cam_wrist": "wrist"}


def test_no_cameras_and_no_state_can_be_asked_for() -> None:
    layout = resolve(GymMapping(cameras={}, state={}), SPACES)
    assert (layout.spec.cameras, layout.spec.state) == ((), ())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (GymMapping(actions={"x": "m"}), r"actions: wanted 2 names, got \['x'\]"),
        (GymMapping(kinds={"z": ActionKind.DELTA}), r"kinds: wanted names of actions \(action.0, action.1\)"),
        (GymMapping(limits={"z": Limits()}), "limits: wanted names of actions"),
        (GymMapping(feedback={"z": "pos.0"}), "feedback: wanted names of actions"),
        (GymMapping(safe={"z": 0.0}), "safe: wanted names of actions"),
        (GymMapping(state={"wrist": {"a": "m"}}), r"state: wanted one of the keys \['depth', 'pos'\]"),
        (GymMapping(state={"pos": {"a": "m"}}), r"state.pos: wanted 2 names, got \['a'\]"),
        (GymMapping(cameras={"pos": "a"}), r"cameras: wanted one of the keys \['wrist'\], got 'pos'"),
        (GymMapping(cameras={"render": "a"}), "env_render_mode=rgb_array"),
        (GymMapping(cameras={"wrist": "a", "render": "a"}), "each name once"),
    ],
)
def test_what_does_not_fit_the_environment_is_told(mapping: GymMapping, message: str) -> None:
    spaces = replace(SPACES, drawn=(5, 5)) if "once" in message else SPACES
    with pytest.raises(ConfigError, match=message):
        resolve(mapping, spaces)


def test_an_effort_without_a_safe_value_is_refused() -> None:
    with pytest.raises(SpecError, match="safe"):
        resolve(GymMapping(kinds={"action.0": ActionKind.EFFORT}), SPACES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"rate": 3}', "did you mean rate_hz"),
        ('{"limits": {"x": {"speed": 3}}}', r"got limits.x.speed"),
        ('{"limits": 3}', "Expected `object`"),
        ('{"kinds": {"x": "torque"}}', "Invalid enum value 'torque'"),
        ("[]", "a table of settings"),
        ("{", "valid JSON"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, content, "mapping.json")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted a file"):
        load_mapping(tmp_path / "mapping.toml")


@pytest.mark.parametrize("huge", [INFINITE, 1.7976931348623157e308, 3.4028234663852886e38, 1e13])
def test_a_space_with_enormous_bounds_has_none(huge: float) -> None:
    spaces = replace(SPACES, low=(-huge, -1.0), high=(huge, huge))
    assert [f.limits for f in resolve(GymMapping(), spaces).spec.actions] == [Limits(), Limits(lower=-1.0)]

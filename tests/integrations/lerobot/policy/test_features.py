"""What a checkpoint and a manifest say together; what neither says is asked for with a manifest to paste."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.checkpoint import Checkpoint
from vagus.integrations.lerobot.policy.families import family_of
from vagus.integrations.lerobot.policy.features import Features, features_of, model_horizon, rtc_of
from vagus.policies.declare import SpecTable
from vagus.server.manifest import parse_manifest
from vagus.specs import ActionKind, CameraSpec, RtcSpec

ARM = {"pan": "lerobot_norm", "lift": "rad"}
FRONT = {"type": "VISUAL", "shape": [3, 48, 64]}
STATE = {"type": "STATE", "shape": [2]}
ACTION = {"type": "ACTION", "shape": [2]}


def checkpoint(path: Path = Path("none"), /, **changes: object) -> Checkpoint:
    config: dict[str, object] = {
        "type": "act",
        "chunk_size": 20,
        "input_features": {"observation.state": STATE, "observation.images.front": FRONT},
        "output_features": {"action": ACTION},
        **changes,
    }
    return Checkpoint(path, config, {"steps": []}, {"steps": []}, "")


def read(found: Checkpoint, table: SpecTable, rate_hz: float | None = 30.0) -> Features:
    return features_of(found, family_of(found.policy_type), table, model="me/act", trained_rate_hz=rate_hz)


WHOLE = SpecTable(actions=ARM, state=ARM)


def test_checkpoint_and_manifest_complete_each_other() -> None:
    actions = {**ARM, "lift": "rad/s"}
    table = SpecTable(actions=actions, state=ARM, kinds={"lift": "velocity"}, instruction="pick it up")
    found = read(checkpoint(), table)
    spec = found.spec
    assert [(a.name, a.unit) for a in spec.actions] == list(actions.items())
    assert [a.kind for a in spec.actions] == [ActionKind.POSITION, ActionKind.VELOCITY]
    assert [(s.name, s.unit) for s in spec.state] == list(ARM.items())
    assert spec.cameras == (CameraSpec("front", 48, 64),)
    assert found.cameras == {"front": "observation.images.front"}
    assert (spec.policy_type, spec.horizon, spec.model_dim, spec.rate_hz) == ("act", 20, 2, 30.0)
    assert spec.default_instruction == "pick it up"


@pytest.mark.parametrize(
    ("table", "rate_hz", "words"),
    [
        (SpecTable(), None, ["no trained rate", "no action named", "no state feature named"]),
        (WHOLE, None, ["no trained rate"]),
        (SpecTable(actions={"pan": "rad"}, state=ARM), 30.0, ["1 of 2 actions named"]),
        (SpecTable(actions=ARM, state={"pan": "rad", "lift": ""}), 30.0, ["no unit of state feature 'lift'"]),
    ],
)
def test_what_nobody_said_is_asked_for_with_a_manifest_that_then_is_enough(
    table: SpecTable, rate_hz: float | None, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(checkpoint(), table, rate_hz)
    assert all(word in caught.value.got for word in words)
    config = parse_manifest(caught.value.fix.partition("\n\n")[2].encode(), ".yaml")
    assert (config.policy, config.model) == ("lerobot", "me/act")
    assert config.options == {"allowed_sources": ("me/act",)}
    assert read(checkpoint(), config.spec, config.trained_rate_hz).spec.rate_hz == 30.0


@pytest.mark.parametrize(
    ("stated", "kinds"),
    [({}, {"x.vel": "velocity"}), ({"x.vel": "effort", "gone": "delta"}, {"x.vel": "effort"})],
)
def test_the_manifest_to_paste_says_which_actions_are_velocities(
    stated: dict[str, str], kinds: dict[str, str]
) -> None:
    found = checkpoint(action_feature_names=["pan.pos", "x.vel"])
    with pytest.raises(ConfigError) as caught:
        read(found, SpecTable(kinds=stated))
    config = parse_manifest(caught.value.fix.partition("\n\n")[2].encode(), ".yaml")
    assert config.spec.kinds == kinds
    with pytest.raises(ConfigError) as caught:
        read(checkpoint(), SpecTable())
    assert "kinds" not in caught.value.fix


@pytest.mark.parametrize("where", ["config", "step"])
def test_names_in_the_checkpoint_bind_the_manifest(where: str) -> None:
    named = checkpoint(action_feature_names=["lift", "pan"])
    if where == "step":
        step = {"registry_name": "relative_actions_processor", "config": {"action_names": ["lift", "pan"]}}
        named = Checkpoint(named.path, checkpoint().config, {"steps": [step]}, {}, "")
    with pytest.raises(ConfigError, match="in another order than the checkpoint's") as caught:
        read(named, WHOLE)
    block = caught.value.fix
    assert block.index('"lift": "rad"') < block.index('"pan": "lerobot_norm"')
    with pytest.raises(ConfigError, match="by other names"):
        read(named, SpecTable(actions={"a": "rad", "b": "rad"}, state=ARM))
    right = SpecTable(actions={"lift": "rad", "pan": "rad"}, state=ARM)
    assert [a.name for a in read(named, right).spec.actions] == ["lift", "pan"]


def test_names_of_another_number_of_joints_are_no_names() -> None:
    assert read(checkpoint(action_feature_names=["a", "b", "c"]), WHOLE).spec.action_dim == 2


@pytest.mark.parametrize(
    ("key", "name"), [("observation.image", "image"), ("observation.images.top", "top"), ("rgb", "rgb")]
)
def test_a_camera_has_the_last_part_of_its_key_as_name(key: str, name: str) -> None:
    found = read(checkpoint(input_features={"observation.state": STATE, key: FRONT}), WHOLE)
    assert found.cameras == {name: key}


def test_a_camera_that_never_was_is_not_asked_for() -> None:
    features = {"observation.state": STATE, "observation.images.front": FRONT}
    features["observation.images.empty_camera_0"] = FRONT
    assert list(read(checkpoint(input_features=features), WHOLE).cameras) == ["front"]


def test_a_checkpoint_that_looks_at_colour_frames_is_given_no_depth() -> None:
    table = SpecTable(actions=ARM, state=ARM, depth_cameras={"deep": (4, 6)})
    with pytest.raises(ConfigError, match=r"depth_cameras: wanted none, .* got \['deep'\]"):
        read(checkpoint(), table)


@pytest.mark.parametrize("setting", ["cameras", "optional_cameras"])
def test_a_camera_that_the_policy_does_not_have_is_refused(setting: str) -> None:
    given = {"cameras": {"top": (48, 64)}} if setting == "cameras" else {"optional_cameras": ("top",)}
    with pytest.raises(ConfigError, match=r"\['front'\].*\['top'\].*--rename"):
        read(checkpoint(type="pi0"), SpecTable(actions=ARM, state=ARM, **given))


def test_only_policies_that_mask_a_camera_can_do_without_it() -> None:
    table = SpecTable(actions=ARM, state=ARM, optional_cameras=("front",), cameras={"front": (480, 640)})
    assert read(checkpoint(type="pi0"), table).spec.cameras == (CameraSpec("front", 480, 640, False),)
    with pytest.raises(ConfigError, match="all of its cameras"):
        read(checkpoint(), table)


def test_a_size_that_the_network_was_not_made_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="sizes it was trained with"):
        read(checkpoint(), SpecTable(actions=ARM, state=ARM, cameras={"front": (480, 640)}))


@pytest.mark.parametrize("shape", [[48, 64, 3], [3, 48, 64]])
def test_frames_are_measured_channels_first_or_last(shape: list[int]) -> None:
    features = {"observation.images.front": {"type": "VISUAL", "shape": shape}}
    found = read(checkpoint(input_features=features), SpecTable(actions=ARM))
    assert found.spec.cameras == (CameraSpec("front", 48, 64),)
    assert found.spec.state_dim == 0


def test_a_policy_without_state_needs_none_in_the_manifest() -> None:
    with pytest.raises(ConfigError) as caught:
        read(checkpoint(input_features={"observation.images.front": FRONT}), SpecTable())
    assert "  state: {}" in caught.value.fix


def test_what_a_simulator_knows_follows_the_state_of_the_robot() -> None:
    seen = {"observation.environment_state": {"type": "ENV", "shape": [3]}, "observation.state": STATE}
    puck = {f"puck.{axis}": "m" for axis in "xyz"}
    found = read(checkpoint(input_features=seen), SpecTable(actions=ARM, state={**ARM, **puck}))
    assert [feature.name for feature in found.spec.state] == ["pan", "lift", "puck.x", "puck.y", "puck.z"]
    assert found.states == {"observation.state": slice(0, 2), "observation.environment_state": slice(2, 5)}
    with pytest.raises(ConfigError, match="2 of 5 state features named") as refused:
        read(checkpoint(input_features=seen), WHOLE)
    for name in ("state_0", "state_1", "environment_state_0", "environment_state_2"):
        assert f'    "{name}": ' in refused.value.fix


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"output_features": {}}, "output feature 'action'"),
        ({"input_features": {"observation.points": STATE}}, "also needs 'observation.points'"),
        ({"input_features": {"observation.state": {"type": "STATE", "shape": []}}}, "a type and a shape"),
        ({"input_features": {"observation.state": 3}}, "a type and a shape"),
        ({"input_features": {"depth": {"type": "VISUAL", "shape": [1, 48, 64]}}}, "RGB frames"),
        ({"chunk_size": None}, "length of its chunks"),
    ],
)
def test_what_cannot_be_served_is_said(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        read(checkpoint(**changes), WHOLE)


def test_the_length_of_a_chunk_is_the_familys() -> None:
    config = {"horizon": 16, "n_action_steps": 8, "chunk_size": 20}
    lengths = [model_horizon(config, family_of(name)) for name in ("diffusion", "act", "unheard_of")]
    assert lengths == [8, 20, 20]


@pytest.mark.parametrize(
    ("config", "rate_hz"), [({"env": {"fps": 50}}, 50.0), ({"env": None}, None), ({"env": {"fps": 0}}, None)]
)
def test_the_rate_of_a_simulator_is_in_the_checkpoint(
    tmp_path: Path, config: dict[str, object], rate_hz: float | None
) -> None:
    (tmp_path / "train_config.json").write_text(json.dumps(config))
    found = checkpoint(tmp_path)
    if rate_hz is None:
        with pytest.raises(ConfigError, match="no trained rate"):
            read(found, WHOLE, None)
    else:
        assert read(found, WHOLE, None).spec.rate_hz == rate_hz
    assert read(found, WHOLE, 10.0).spec.rate_hz == 10.0


@pytest.mark.parametrize(
    ("config", "rtc"),
    [
        ({}, RtcSpec(10, "linear", 10.0)),
        ({"rtc_config": None}, RtcSpec(10, "linear", 10.0)),
        (
            {
                "rtc_config": {
                    "execution_horizon": 40,
                    "prefix_attention_schedule": "EXP",
                    "max_guidance_weight": 5,
                }
            },
            RtcSpec(20, "exp", 5.0),
        ),
    ],
)
def test_lerobots_execution_horizon_is_our_prefix_horizon(config: dict[str, object], rtc: RtcSpec) -> None:
    assert rtc_of(config, 20) == rtc

"""How a function of your own says what it wants and gives."""

from __future__ import annotations

import pytest

from vagus.errors import ConfigError, SpecError
from vagus.policies.declare import SpecTable, declaration_of, policy
from vagus.specs import (
    ActionFeature,
    ActionKind,
    BinaryEncoding,
    CameraSpec,
    DepthCameraSpec,
    RtcSpec,
    StateFeature,
)


def test_a_table_becomes_a_spec_in_the_order_given() -> None:
    spec = SpecTable(
        actions={"b": "m/s", "a": "rad"},
        kinds={"b": "velocity"},
        state={"a": "rad"},
        cameras={"front": (96, 128)},
        horizon=16,
        rate_hz=10.0,
        prefix_horizon=4,
        instruction="push",
    ).to_spec()
    assert spec.actions == (
        ActionFeature("b", "m/s", kind=ActionKind.VELOCITY),
        ActionFeature("a", "rad"),
    )
    assert spec.state == (StateFeature("a", "rad"),)
    assert spec.cameras == (CameraSpec("front", 96, 128),)
    assert (spec.horizon, spec.model_dim, spec.rate_hz) == (16, 2, 10.0)
    assert spec.rtc == RtcSpec(4)
    assert spec.default_instruction == "push"


def test_a_policy_says_which_depth_it_wants_and_in_which_unit() -> None:
    @policy(
        actions={"a": "rad"},
        state={},
        horizon=2,
        rate_hz=5,
        depth_cameras={"wrist_depth": (480, 640)},
        depth_units_per_m=10_000.0,
    )
    def act(observation: object) -> object:
        return observation

    declared = declaration_of(act)
    assert declared is not None
    assert declared.spec.depth_cameras == (DepthCameraSpec("wrist_depth", 480, 640, 10_000.0),)
    table = SpecTable(
        actions={"a": "rad"},
        cameras={"front": (4, 4)},
        depth_cameras={"deep": (4, 6), "spare": (2, 2)},
        optional_cameras=("spare", "front"),
    )
    assert [(c.name, c.units_per_m, c.is_required) for c in table.to_spec().depth_cameras] == [
        ("deep", 1000.0, True),
        ("spare", 1000.0, False),
    ]
    assert [c.is_required for c in table.to_spec().cameras] == [False]
    with pytest.raises(ConfigError, match="optional_cameras: wanted names of cameras"):
        SpecTable(actions={"a": "rad"}, optional_cameras=("deep",)).to_spec()


def test_a_kind_that_does_not_exist_lists_the_kinds() -> None:
    with pytest.raises(ConfigError, match="velocity"):
        SpecTable(actions={"a": "rad"}, kinds={"a": "speed"}).to_spec()


def test_a_kind_of_no_action_is_refused() -> None:
    with pytest.raises(ConfigError, match="names of actions"):
        SpecTable(actions={"a": "rad"}, kinds={"b": "velocity"}).to_spec()


def test_a_policy_says_how_it_writes_its_binaries() -> None:
    @policy(
        actions={"a": "rad", "grip": "bool"},
        kinds={"grip": "binary"},
        encodings={"grip": "signed inverted"},
        state={},
        horizon=2,
        rate_hz=5,
    )
    def act(observation: object) -> object:
        return observation

    declared = declaration_of(act)
    assert declared is not None
    assert [f.encoding for f in declared.spec.actions] == [None, BinaryEncoding.parse("signed inverted")]


@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        ({"b": "signed"}, "encodings: wanted names of actions"),
        ({"a": "signed"}, "encoding of a: wanted an action of kind binary"),
        ({"grip": "plus_minus"}, "one of unit, signed, logit"),
    ],
)
def test_an_encoding_that_means_nothing_is_refused(encodings: dict[str, str], message: str) -> None:
    table = SpecTable(actions={"a": "rad", "grip": ""}, kinds={"grip": "binary"}, encodings=encodings)
    with pytest.raises((ConfigError, SpecError), match=message):
        table.to_spec()


def test_a_table_without_actions_is_no_spec() -> None:
    with pytest.raises(SpecError):
        SpecTable().to_spec()


def test_a_declared_function_stays_itself_and_carries_its_spec() -> None:
    @policy(actions={"a": "rad"}, state={}, horizon=2, rate_hz=5, version="3", shared=True)
    def act(observation: object) -> object:
        return observation

    declaration = declaration_of(act)
    assert act(7) == 7
    assert declaration is not None
    assert declaration.spec.horizon == 2
    assert declaration.spec.rtc is None
    assert (declaration.version, declaration.is_shared) == ("3", True)


def test_what_was_not_declared_has_no_declaration() -> None:
    assert declaration_of(len) is None

"""What a field is declared to be it is, or it is refused with what was wanted."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from vagus.errors import ConfigError, SpecError
from vagus.features import ActionFeature, ActionKind, Limits, StateFeature
from vagus.field_types import settle_fields
from vagus.specs import BinaryEncoding, BinaryForm, CameraSpec, PolicySpec, RobotSpec, RtcSpec


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    name: str = "part"

    def __post_init__(self) -> None:
        settle_fields(self, ConfigError)


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    text: str = ""
    is_on: bool = False
    count: int = 0
    size: float = 0.0
    colour: Colour = Colour.RED
    part: Part = Part()
    maybe: float | None = None
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        settle_fields(self, ConfigError)


WRONG: dict[str, tuple[object, ...]] = {
    "text": (None, 1, b"bytes", ["a"], np.float32(1)),
    "is_on": (None, 0, 1, "no", "yes", "", [], 1.0),
    "count": (None, 1.0, 1.5, "1", True, np.float32(2), np.bool_(True), math.nan),
    "size": (None, "1", True, np.bool_(False), 1j, np.zeros(1), [1.0]),
    "colour": (None, "red", "RED", 1, Colour),
    "part": (None, "part", {"name": "part"}, Part),
    "maybe": ("1", "none", True, [], np.zeros(())),
    "parts": (None, "ab", Part(), {"a": Part()}, (part for part in [Part()]), ("a",), [None], {Part()}),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=repr
)
def test_what_is_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} of Whole: wanted .*, got"):
        Whole(**{name: value})  # type: ignore[arg-type] # that is the point


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("is_on", np.bool_(True), True),
        ("count", np.int64(3), 3),
        ("size", np.float32(0.5), 0.5),
        ("size", np.int64(2), 2.0),
        ("size", Fraction(1, 2), 0.5),
        ("size", 3, 3),
        ("size", math.nan, math.nan),
        ("maybe", None, None),
        ("maybe", np.float64(1.5), 1.5),
        ("parts", [Part("a"), Part("b")], (Part("a"), Part("b"))),
    ],
)
def test_what_means_the_same_becomes_pythons_own(name: str, value: object, kept: object) -> None:
    settled = getattr(Whole(**{name: value}), name)  # type: ignore[arg-type] # that is the point
    assert type(settled) is type(kept)
    assert repr(settled) == repr(kept)


def test_the_choices_are_told() -> None:
    with pytest.raises(ConfigError, match=r"wanted Colour\.RED or Colour\.BLUE, got 'red'"):
        Whole(colour="red")  # type: ignore[arg-type] # that is the point


ARM = ActionFeature("a", "rad", limits=Limits(velocity=1.0))
SPECS: dict[object, dict[str, object]] = {
    ActionFeature: {"name": "a", "unit": "rad"},
    StateFeature: {"name": "a", "unit": "rad"},
    CameraSpec: {"name": "c", "height": 4, "width": 4},
    RtcSpec: {"prefix_horizon": 5},
    BinaryEncoding: {},
    RobotSpec: {"robot_type": "r", "actions": (ARM,), "state": (), "cameras": (), "rate_hz": 30.0},
    PolicySpec: {
        "policy_type": "p",
        "actions": (ARM,),
        "state": (),
        "cameras": (),
        "horizon": 4,
        "model_dim": 1,
        "rate_hz": 30.0,
    },
}
STRANGE = (object(), "strange", 1.5, ["x"], {"x": 1}, b"x", lambda: None)


def is_refused(kind: type, fields: dict[str, object]) -> bool:
    try:
        kind(**fields)
    except SpecError:
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, field.name) for kind in SPECS for field in dataclasses.fields(kind)],  # type: ignore[arg-type]
)
def test_every_field_of_every_spec_is_looked_at(kind: type, name: str) -> None:
    assert kind(**SPECS[kind])
    assert sum(is_refused(kind, {**SPECS[kind], name: value}) for value in STRANGE) >= len(STRANGE) - 1


@pytest.mark.parametrize("name", ["vouch_unbounded", "vouch_unmeasured", "continuous", "is_measured"])
@pytest.mark.parametrize("value", ["no", "false", "", 0, 1, None])
def test_nothing_is_vouched_for_by_a_text(name: str, value: object) -> None:
    with pytest.raises(SpecError, match=f"{name} of ActionFeature 'a': wanted True or False"):
        ActionFeature("a", "rad", **{name: value})  # type: ignore[arg-type] # that is the point


def test_a_kind_and_a_form_are_no_texts() -> None:
    with pytest.raises(SpecError, match=r"ActionKind\.VELOCITY"):
        ActionFeature("a", "rad", kind="velocity")  # type: ignore[arg-type] # that is the point
    with pytest.raises(SpecError, match=r"BinaryForm\.SIGNED"):
        BinaryEncoding("signed")  # type: ignore[arg-type] # that is the point
    assert BinaryEncoding(BinaryForm.SIGNED).form is BinaryForm.SIGNED
    assert ActionFeature("a", "rad", ActionKind.VELOCITY).kind is ActionKind.VELOCITY


@pytest.mark.parametrize("name", ["", "a\n", "\x1b[31m", "a\u202eb"])
def test_a_name_can_be_shown(name: str) -> None:
    named: dict[str, Callable[[], object]] = {
        "action": lambda: RobotSpec("r", (ActionFeature(name, "rad"),), (), (), 30.0),
        "state": lambda: RobotSpec("r", (ARM,), (StateFeature(name, "rad"),), (), 30.0),
        "camera": lambda: RobotSpec("r", (ARM,), (), (CameraSpec(name, 4, 4),), 30.0),
        "robot_type": lambda: RobotSpec(name, (ARM,), (), (), 30.0),
        "policy_type": lambda: PolicySpec(name, (ARM,), (), (), horizon=1, model_dim=1, rate_hz=30.0),
    }
    for what, make in named.items():
        with pytest.raises(SpecError, match=f"{what}.*a name that can be printed"):
            make()


@pytest.mark.parametrize("rtc", [(-1, 5.0), (5, -1.0), (5, math.nan), (5, math.inf)])
def test_a_guidance_is_a_finite_number(rtc: tuple[int, float]) -> None:
    with pytest.raises(SpecError, match="RtcSpec: wanted"):
        RtcSpec(rtc[0], max_guidance=rtc[1])

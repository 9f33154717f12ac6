"""A profile that contradicts itself or its protocol is never made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.errors import SpecError
from vagus.features import ActionKind
from vagus.gateways.profile import (
    PROTOCOLS,
    ActionReference,
    FloatType,
    ImageLayout,
    Profile,
    WireImage,
    WireSpan,
)
from vagus.gateways.wire_mapping import WireMapping

JOINTS = WireSpan(key=("state",), names=("a", "b"), unit="rad")
MOVES = replace(JOINTS, key=("actions",))
FRONT = WireImage(key=("images", "front"), name="front", height=48, width=64)
RELATIVE = ActionReference.RELATIVE


def profile(**changes: object) -> Profile:
    settings: dict[str, object] = {
        "name": "arm",
        "protocol": "openpi",
        "robot_type": "arm",
        "rate_hz": 20.0,
        "horizon": 4,
        "state": (JOINTS,),
        "actions": (MOVES,),
        "images": (FRONT,),
        "instruction": ("prompt",),
    }
    return Profile(**{**settings, **changes})  # type: ignore[arg-type] # settings of several types


def test_a_picture_has_the_shape_of_its_layout() -> None:
    assert FRONT.shape == (48, 64, 3)
    assert replace(FRONT, layout=ImageLayout.CHW).shape == (3, 48, 64)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"unit": ""}, "unit at state: wanted the unit of the numbers, or a word .*got ''"),
        ({"unit": "env"}, "unit at state: wanted the unit"),
        ({"names": ()}, "names at state: wanted a name for each number, got none"),
        ({"names": "ab"}, r"names of WireSpan: wanted a tuple, each of it a text"),
        ({"range": (0, 1)}, "range at state: wanted wire_range beside it: the same two values, got it alone"),
        ({"wire_range": (0, 1)}, "wire_range at state: wanted range beside it"),
        ({"range": (0, 1), "wire_range": (1, 1)}, r"range at state: wanted two finite numbers that differ"),
        ({"range": (0, 1, 2), "wire_range": (0, 1)}, r"range at state: wanted two .*got \[0, 1, 2\]"),
        ({"range": (0, float("nan")), "wire_range": (0, 1)}, r"range at state: wanted two finite numbers"),
        ({"reference": RELATIVE, "kind": ActionKind.VELOCITY}, "reference at .*relative for a velocity"),
        ({"relative_to": ("a", "b")}, "relative_to at state: wanted reference: relative beside it"),
        ({"reference": RELATIVE, "relative_to": ("a",)}, "wanted 2 state features, one per name, got 1"),
    ],
)
def test_a_span_that_says_too_little_or_too_much_is_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        replace(JOINTS, **changes)  # type: ignore[arg-type] # settings of several types


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"height": 0}, "camera front: wanted 1 to .* pixels a side, got 0×64"),
        ({"width": "64"}, "width of WireImage 'front': wanted a whole number"),
        ({"layout": "HWC"}, "layout of WireImage 'front': wanted ImageLayout.HWC or ImageLayout.CHW"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        replace(FRONT, **changes)  # type: ignore[arg-type] # settings of several types


def apart(key: str) -> tuple[WireSpan, ...]:
    return (JOINTS, replace(JOINTS, key=(key,), names=("c",)), replace(JOINTS, names=("d",)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"protocol": "opempi"},
            "protocol: wanted one of openpi, gr00t, .*, lerobot_zenoh_draft, got 'opempi'",
        ),
        ({"name": "a\nb"}, "name of a profile: wanted a name that can be printed"),
        ({"robot_type": ""}, "robot_type: wanted a name"),
        ({"rate_hz": 0.0}, "rate_hz: wanted a finite number above 0"),
        ({"rate_hz": float("nan")}, "rate_hz: wanted a finite number above 0"),
        ({"horizon": 0}, "horizon: wanted a finite number above 0"),
        ({"actions": ()}, "actions: wanted at least one, got none"),
        ({"actions": (MOVES, MOVES)}, "action names: wanted each name once, got 'a' twice"),
        ({"state": (JOINTS, replace(JOINTS, key=("x",)))}, "state names: wanted each name once"),
        ({"images": (FRONT, replace(FRONT, key=("x",)))}, "camera names: wanted each name once"),
        (
            {"images": (FRONT, replace(FRONT, name="side"))},
            r"keys of the observation: wanted a place of its own .*got \[images, front\] twice",
        ),
        (
            {"images": (FRONT, replace(FRONT, name="side", key=("images",)))},
            r"a place of its own for each value, got \[images, front\] and images",
        ),
        ({"instruction": ("state",)}, "a place of its own for each value, got state twice"),
        ({"instruction": ()}, r"key of instruction of openpi: wanted one text, or a list of texts, got \[\]"),
        ({"instruction": ("",)}, r"key of instruction of openpi: wanted one text"),
        ({"state": apart("x")}, "state at state: wanted the parts of one array one after the other"),
        (
            {"state": (JOINTS, replace(JOINTS, names=("c",), dtype=FloatType.FLOAT64))},
            "state at state: wanted one dtype for the whole array, got float32 and float64",
        ),
        (
            {"state": (replace(JOINTS, kind=ActionKind.POSITION),)},
            "state at state: wanted a state, which is only measured, got kind",
        ),
        (
            {"state": (replace(JOINTS, encoding="unit", reference=RELATIVE),)},
            "which is only measured, got encoding, reference",
        ),
        ({"actions": (JOINTS,)}, "key of actions of openpi: wanted actions, got state"),
        (
            {"actions": (replace(MOVES, names=("c", "d"), reference=RELATIVE),)},
            r"relative actions at actions: .*among \['a', 'b'\], got \['c', 'd'\]; name them with",
        ),
        ({"protocol": "gr00t"}, r"key of actions of gr00t: wanted \[action, \*\], got actions"),
        (
            {"protocol": "gr00t", "actions": (replace(MOVES, key=("action", "arm")),)},
            r"key of state of gr00t: wanted \[state, \*\], got state",
        ),
        ({"protocol": "lerobot_grpc"}, "key of state of lerobot_grpc: wanted observation.state, got state"),
        (
            {"protocol": "lerobot_grpc", "state": (replace(JOINTS, key=("observation.state",)),)},
            r"key of images of lerobot_grpc: wanted observation.images.\*, got \[images, front\]",
        ),
        (
            {"protocol": "lerobot_grpc", "state": (), "images": ()},
            "key of instruction of lerobot_grpc: wanted task, got prompt",
        ),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        profile(**changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"wire_unit": "percent"},
            "units at actions: wanted two units that convert .*'rad' here and 'percent'",
        ),
        ({"kind": ActionKind.VELOCITY}, r"unit of a \(velocity\): wanted a unit of a speed, got 'rad'"),
        ({"unit": "rad/s"}, r"unit of a \(position\): wanted a unit of a place .*is it of kind velocity"),
        ({"encoding": "signed"}, "encoding of a: wanted an action of kind binary"),
        ({"kind": ActionKind.BINARY, "unit": "0/1", "encoding": "no"}, "encoding of a binary: wanted one of"),
        ({"unit": "deg"}, "feedback of a: wanted a state feature in 'deg', as it is commanded"),
    ],
)
def test_units_that_contradict_their_kind_or_do_not_convert_are_refused(
    changes: dict[str, object], named: str
) -> None:
    moves = replace(MOVES, **changes)  # type: ignore[arg-type] # settings of several types
    with pytest.raises(SpecError, match=named):
        WireMapping(profile(actions=(moves,)))


def test_all_protocols_are_known() -> None:
    assert PROTOCOLS == (
        "openpi",
        "gr00t",
        "pointact",
        "lerobot_grpc",
        "astribot",
        "lerobot_zenoh",
        "lerobot_zenoh_draft",
    )

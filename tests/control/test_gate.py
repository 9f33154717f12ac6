"""What must not reach a driver does not, whatever made it."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.control.gate import Gate
from vagus.control.motion import Motion
from vagus.errors import GateError
from vagus.specs import ActionFeature, ActionKind, Limits
from vagus.types import Directive, LinkState, MotionState, Provenance

TICK_S = 0.01
ARM = ActionFeature("arm", "rad", feedback="arm", limits=Limits(-1.0, 2.0, velocity=3.0, acceleration=40.0))
FREE = ActionFeature("free", "rad")
BASE = ActionFeature("base", "m/s", ActionKind.VELOCITY, limits=Limits(-0.5, 0.5))
CLAW = ActionFeature("claw", "", ActionKind.BINARY, safe=0.0)
YAW = ActionFeature("yaw", "rad", continuous=True, limits=Limits(velocity=3.0))


def wrist(convention: str) -> list[ActionFeature]:
    return [
        ActionFeature(f"w{at}", "", rotation=f"w:{convention}")
        for at in range(3 + convention.startswith("q"))
    ]


def gate(*actions: ActionFeature) -> Gate:
    return Gate(actions, tick_s=TICK_S)


def test_a_command_inside_its_bounds_passes() -> None:
    one = gate(ARM, FREE, BASE, CLAW)
    one.check(np.array([2.0, 1e30, -0.5, 1.0]))
    one.check(np.array([1.97, -1e30, 0.5, 0.0]))


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39, -1.7e308])
def test_what_is_not_finite_for_a_driver_is_refused_by_name(column: int, value: float) -> None:
    action = np.zeros(4)
    action[column] = value
    name = (ARM, FREE, BASE, CLAW)[column].name
    with pytest.raises(
        GateError, match=f"^{name}: wanted .* got {re.escape(str(value))}; nothing was commanded"
    ):
        gate(ARM, FREE, BASE, CLAW).check(action)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (ARM, math.nextafter(2.0, 3.0)),
        (ARM, math.nextafter(-1.0, -2.0)),
        (BASE, 0.51),
        (CLAW, 0.37),
        (CLAW, -1.0),
        (CLAW, 2.0),
        (YAW, -math.pi),
        (YAW, math.nextafter(math.pi, 4.0)),
    ],
)
def test_what_is_outside_is_refused_with_its_name_and_number(feature: ActionFeature, value: float) -> None:
    with pytest.raises(GateError, match=f"^{feature.name}: wanted .* got {value}"):
        gate(feature).check(np.array([value]))


@pytest.mark.parametrize("value", [math.pi, math.nextafter(-math.pi, 0.0), 0.0])
def test_an_angle_without_ends_lies_in_one_half_open_turn(value: float) -> None:
    gate(YAW).check(np.array([value]))


@pytest.mark.parametrize(
    "action",
    [
        np.zeros(2),
        np.zeros((1, 1)),
        np.float64(0.0),
        np.zeros(1, dtype=np.float32),
        np.zeros(1, dtype=np.int64),
        np.array([None]),
        [0.0],
        None,
    ],
)
def test_another_form_is_refused(action: object) -> None:
    with pytest.raises(GateError, match=r"a command: wanted float64 \(1,\), got"):
        gate(ARM).check(action)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_what_began_outside_may_come_back_and_not_go_away_again(side: float) -> None:
    feature = replace(ARM, limits=Limits(-1.0, 1.0))
    one = gate(feature, FREE)
    one.check(side * np.array([1.5, 0.0]), begins_at=side * np.array([1.5, math.nan]))
    one.check(side * np.array([1.2, 0.0]))
    with pytest.raises(GateError, match="arm"):
        one.check(side * np.array([1.21, 0.0]))
    one.check(side * np.array([1.2, 0.0]))
    one.check(side * np.array([0.9, 0.0]))
    with pytest.raises(GateError, match="arm"):
        one.check(side * np.array([1.01, 0.0]))
    with pytest.raises(GateError, match="arm"):
        one.check(side * np.array([-1.01, 0.0]))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_single_axis_comes_back_in_as_many_steps_as_it_takes(side: float) -> None:
    one = gate(ActionFeature("arm", "rad", limits=Limits(-1.0, 1.0)))
    one.check(np.array([side * 1.5]), begins_at=np.array([side * 1.5]))
    for place in (1.4, 1.3, 1.3, 1.1, 1.0, 0.5):
        one.check(np.array([side * place]))
    with pytest.raises(GateError, match=r"arm: wanted -1 to 1, got"):
        one.check(np.array([side * 1.1]))


def test_a_position_does_not_jump_from_where_it_stood_or_was_sent() -> None:
    one = gate(ARM, YAW, FREE)
    with pytest.raises(GateError, match=r"arm: wanted at most 0.03 from 0.5 in one tick, got 0.54"):
        one.check(np.array([0.54, 0.0, 0.0]), begins_at=np.array([0.5, 0.0, 0.0]))
    one.check(np.array([0.53, 0.03, 9.0]))
    one.check(np.array([0.50, 0.0, 0.0]))
    with pytest.raises(GateError, match="arm"):
        one.check(np.array([0.46, 0.0, 0.0]))
    with pytest.raises(GateError, match="yaw"):
        one.check(np.array([0.5, 0.04, 0.0]))


def test_what_is_held_does_not_move_however_slowly() -> None:
    neck = ActionFeature("neck", "rad", feedback="neck", is_held=True, limits=Limits(velocity=3.0))
    one = gate(replace(neck, name="yaw", continuous=True), neck)
    begin = np.array([math.pi, 0.5])
    one.check(begin.copy(), begin)
    one.check(np.array([math.pi, 0.5]))
    with pytest.raises(GateError, match=r"neck: wanted at most 0 from 0\.5 in one tick, got 0\.501"):
        one.check(np.array([math.pi, 0.501]))
    moved = np.array([math.pi, 0.25])
    one.check(moved, moved)  # by somebody in a pause


def test_far_from_zero_the_smallest_step_that_there_is_is_no_jump() -> None:
    one = gate(ActionFeature("far", "m", limits=Limits(velocity=1e-7)))
    one.check(np.array([math.nextafter(1e9, 2e9)]), begins_at=np.array([1e9]))
    with pytest.raises(GateError, match="far"):
        one.check(np.array([1e9 + 1e-4]))


@pytest.mark.parametrize("turns", [0, 3, -2])
def test_an_angle_across_the_seam_is_no_jump(turns: int) -> None:
    one = gate(YAW)
    one.check(np.array([math.pi - 0.01]), begins_at=np.array([math.pi - 0.02 + turns * math.tau]))
    one.check(np.array([-math.pi + 0.01]))
    with pytest.raises(GateError, match="yaw"):
        one.check(np.array([math.pi - 0.03]))


def test_what_nothing_measures_goes_on_from_its_last_command() -> None:
    one = gate(ARM)
    one.check(np.array([1.0]), begins_at=np.array([math.nan]))
    with pytest.raises(GateError, match="arm"):
        one.check(np.array([1.5]), begins_at=np.array([math.nan]))


def test_a_driver_that_writes_into_its_command_does_not_move_the_gate() -> None:
    one, action = gate(ARM), np.array([0.5])
    one.check(action, begins_at=np.array([0.5]))
    action[:] = 9.0
    one.check(np.array([0.5]))


@pytest.mark.parametrize(
    ("convention", "values"),
    [
        ("rotvec", [0.0, 0.0, 3.15]),
        ("quat_xyzw", [0.0, 0.0, 0.0, 1.001]),
        ("quat_xyzw", [0.0, 0.0, 0.0, 1.0000015]),
        ("rotvec", [0.0, 0.0, math.pi + 1.5e-6]),
        ("quat_xyzw", [0.0, 0.0, 0.0, 0.0]),
        ("quat_wxyz", [0.999, 0.0, 0.0, 0.0]),
    ],
)
def test_numbers_that_are_no_orientation_as_it_is_written_are_refused(
    convention: str, values: list[float]
) -> None:
    with pytest.raises(GateError, match=f"w:{convention}: wanted a .* of norm"):
        gate(*wrist(convention)).check(np.array(values))


@pytest.mark.parametrize(
    ("convention", "values"),
    [
        ("rotvec", [0.0, 0.0, math.pi]),
        ("quat_xyzw", [0.0, 0.6, 0.0, 0.8]),
        ("quat_wxyz", [-1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_orientations_pass(convention: str, values: list[float]) -> None:
    gate(*wrist(convention)).check(np.array(values, dtype=np.float32).astype(np.float64))


KINDS = [
    ARM,
    YAW,
    replace(ARM, name="blind", feedback=None),
    ActionFeature("slow", "m", feedback="slow", limits=Limits(0.0, 0.1, 0.5, 2.0, 30.0)),
    replace(BASE, limits=Limits(-0.5, 0.5, acceleration=2.0)),
    ActionFeature("nudge", "m", ActionKind.DELTA, limits=Limits(-0.2, 0.2, velocity=3.0)),
    ActionFeature("push", "N", ActionKind.EFFORT, limits=Limits(-2.0, 2.0, velocity=9.0), safe=0.5),
]
NAMES = ("arm", "slow")
MOTIONS = [MotionState.PLAYING] * 3 + [MotionState.FALLBACK, MotionState.PAUSED, MotionState.WAITING]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(MOTIONS),
            st.booleans(),
            st.lists(st.floats(-1e4, 1e4), min_size=7, max_size=7),
            st.lists(st.floats(-4.0, 4.0), min_size=2, max_size=2),
            st.integers(1, 6),
        ),
        max_size=12,
    )
)
def test_it_never_stops_what_the_limiter_makes_of_a_plan(
    story: list[tuple[MotionState, bool, list[float], list[float], int]],
) -> None:
    one, motion = gate(*KINDS), Motion(KINDS, NAMES, tick_s=TICK_S)
    provenance = Provenance(None, None, 0, None, None, None, LinkState.STREAMING, MotionState.FALLBACK)
    for state, reseed, knot, measured, ticks in story:
        for tick in range(ticks):
            directive = Directive(
                state,
                provenance,
                knot=np.array(knot),
                begin=tick / ticks,
                end=(tick + 1) / ticks,
                step_s=ticks * TICK_S,
                reseed=reseed and tick == 0,
            )
            command = motion.advance(directive, np.array(measured, dtype=np.float32))
            if command.action is not None:
                one.check(command.action, command.begins_at)

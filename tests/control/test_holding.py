"""A held object is not dropped, and a binary is told 0 or 1: through plans, fallbacks and pauses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.fallback import FallbackMode, Fallbacks
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.errors import PolicyError, SpecError
from vagus.specs import (
    ActionFeature,
    ActionKind,
    BinaryEncoding,
    Limits,
    PolicySpec,
    RobotSpec,
    StateFeature,
)
from vagus.types import Command, Directive, LinkState, MotionState, Provenance

TICK_S, STEP_S = 0.01, 0.04
ARM = ActionFeature("arm", "deg", limits=Limits(-100.0, 100.0, velocity=90.0))
GRIPPER = ActionFeature("gripper.pos", "lerobot_norm", limits=Limits(0.0, 100.0, velocity=300.0))
SWITCH = ActionFeature("vacuum", "", ActionKind.BINARY)
BASE = ActionFeature("base", "m/s", ActionKind.VELOCITY, limits=Limits(-1.0, 1.0))
STATE = ("arm", "gripper.pos")
FINGERS, TOLD = 35.0, 5.0
"""The fingers stand at an object and are told to go further."""


def provenance(motion: MotionState) -> Provenance:
    return Provenance(1, 2, 0, 3, 4, 5, LinkState.STREAMING, motion)


class Arm:
    """A motion and where its joints are measured."""

    def __init__(self, *actions: ActionFeature, fallbacks: Fallbacks | None = None) -> None:
        self.motion = Motion(actions, STATE, tick_s=TICK_S, fallbacks=fallbacks)
        self.measured = np.array([0.0, FINGERS], dtype=np.float32)

    def play(self, *knot: float, steps: int = 1, reseed: bool = False) -> list[float]:
        for tick in range(4 * steps):
            phase = tick % 4 / 4
            command = self.motion.advance(
                Directive(
                    MotionState.PLAYING,
                    provenance(MotionState.PLAYING),
                    knot=np.array(knot),
                    begin=phase,
                    end=phase + 0.25,
                    step_s=STEP_S,
                    reseed=reseed and tick == 0,
                ),
                self.measured,
            )
        assert command.action is not None
        return [float(value) for value in command.action]

    def idle(self, motion: MotionState, *, reseed: bool = False) -> Command:
        directive = Directive(motion, provenance(motion), step_s=STEP_S, reseed=reseed)
        return self.motion.advance(directive, self.measured)

    def fall_back(self) -> list[float]:
        command = self.idle(MotionState.FALLBACK)
        assert command.action is not None
        return [float(value) for value in command.action]


def holding(**settings: Fallbacks) -> Arm:
    arm = Arm(ARM, GRIPPER, **settings)
    assert arm.play(0.0, TOLD, steps=20) == [0.0, TOLD]
    return arm


def test_every_fallback_command_to_a_gripper_is_its_last_one() -> None:
    arm = holding()
    arm.measured[0] = -2.0
    assert {arm.fall_back()[1] for _ in range(200)} == {TOLD}
    assert arm.motion.position[0] == -2.0  # the arm holds where it is


def test_a_gripper_may_be_told_to_hold_where_it_is_and_an_arm_to_repeat_its_last_command() -> None:
    features = {"gripper.pos": FallbackMode.HOLD, "arm": FallbackMode.REPEAT_LAST}
    arm = holding(fallbacks=Fallbacks(features=features))
    arm.measured[0] = -2.0
    for _ in range(100):
        told = arm.fall_back()
    assert told == [0.0, FINGERS]


def test_a_fallback_of_an_action_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match=r"fallback\.features"):
        Arm(ARM, fallbacks=Fallbacks(features={"claw": FallbackMode.HOLD}))


def test_a_pause_does_not_open_a_gripper() -> None:
    arm = holding()
    for _ in range(50):
        assert arm.idle(MotionState.PAUSED).action is None
    assert arm.play(0.0, TOLD, reseed=True)[1] == TOLD


def test_a_gripper_that_somebody_opened_in_a_pause_goes_on_from_there() -> None:
    arm = holding()
    arm.idle(MotionState.PAUSED)
    arm.measured[1] = 80.0
    first = arm.idle(MotionState.PAUSED)
    assert first.action is None
    tick = arm.play(0.0, TOLD, reseed=True)[1]
    assert 80.0 - 4 * 300.0 * TICK_S - 1e-9 <= tick < 80.0  # within its speed, from where it is


def test_the_way_back_to_the_start_keeps_what_is_held() -> None:
    arm = holding()
    start = arm.motion.measured(np.array([10.0, 90.0], dtype=np.float32))
    assert np.isnan(start[1])
    for _ in range(50):
        command = arm.motion.go(np.array([10.0, 90.0]), provenance(MotionState.FALLBACK))
    assert command.action is not None
    assert command.action.tolist() == [10.0, TOLD]


def test_a_binary_keeps_its_value_without_a_plan_and_over_a_pause() -> None:
    arm = Arm(ARM, SWITCH)
    assert arm.play(0.0, 0.9) == [0.0, 1.0]
    assert arm.fall_back()[1] == 1.0
    arm.idle(MotionState.PAUSED)
    assert arm.play(0.0, 0.55, reseed=True)[1] == 1.0  # within the hysteresis: it is still on


def test_a_binary_is_never_limited_and_never_a_reason_to_stop() -> None:
    arm = Arm(ARM, SWITCH)
    for _ in range(1000):
        arm.play(0.0, -4.2)
    assert arm.motion.stop_reason is None
    assert arm.motion.limited_counts == {}
    assert len(arm.motion.take_notices()) == 1


def test_a_binary_that_is_measured_between_is_told_0_or_1_before_the_first_plan() -> None:
    measured = ActionFeature("vacuum", "", ActionKind.BINARY, feedback="gripper.pos")
    arm = Arm(BASE, measured)
    arm.measured[1] = 0.37
    assert arm.fall_back() == [0.0, 0.0]


def test_a_binary_that_is_no_number_is_refused() -> None:
    with pytest.raises(PolicyError, match="vacuum"):
        Arm(ARM, SWITCH).play(0.0, float("nan"))


Event = tuple[str, float]
EVENTS = st.lists(
    st.tuples(st.sampled_from(["play", "fall_back", "pause", "reset"]), st.floats(-10.0, 10.0)), max_size=30
)


@given(EVENTS, st.sampled_from(["unit", "signed", "logit inverted"]), st.sampled_from([None, "gripper.pos"]))
def test_whatever_happens_a_binary_is_told_0_or_1(
    events: list[Event], encoding: str, feedback: str | None
) -> None:
    said = BinaryEncoding.parse(encoding)
    switch = ActionFeature("vacuum", "", ActionKind.BINARY, feedback=feedback, encoding=said, safe=1.0)
    arm, told = Arm(BASE, switch), []
    for event, value in events:
        arm.measured[1] = value
        if event == "play":
            told.append(arm.play(0.1, value)[1])
            continue
        motion = MotionState.PAUSED if event == "pause" else MotionState.FALLBACK
        action = arm.idle(motion, reseed=event == "reset").action
        told += [] if action is None else [float(action[1])]
    assert set(told) <= {0.0, 1.0}


@given(EVENTS)
def test_a_gripper_that_nobody_moves_is_told_nothing_but_its_plan(events: list[Event]) -> None:
    arm = holding()
    for event, _ in events:
        if event == "play":
            assert arm.play(0.0, TOLD)[1] == TOLD
            continue
        motion = MotionState.PAUSED if event == "pause" else MotionState.FALLBACK
        action = arm.idle(motion, reseed=event == "reset").action
        assert action is None or action[1] == TOLD


# --- who declares an encoding ---


def mapped(ours: str, theirs: str) -> BinaryEncoding | None:
    def switch(text: str) -> ActionFeature:
        encoding = BinaryEncoding.parse(text) if text else None
        return ActionFeature("vacuum", "", ActionKind.BINARY, encoding=encoding)

    robot = RobotSpec("r", (switch(ours),), (StateFeature("x", "m"),), (), 100.0)
    policy = PolicySpec("p", (switch(theirs),), (), (), horizon=1, model_dim=1, rate_hz=10.0)
    return OrderMapping(robot, policy).actions[0].encoding


def test_an_encoding_is_that_of_whoever_declares_one() -> None:
    assert mapped("", "") is None
    assert mapped("", "signed") == mapped("signed", "") == mapped("signed", "signed")


def test_two_different_encodings_are_refused() -> None:
    with pytest.raises(SpecError, match="encoding of vacuum: wanted the policy's: signed, got logit"):
        mapped("logit", "signed")

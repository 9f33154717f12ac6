"""Chunks of GR00T in each of its forms, as an SO-100 takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import PolicyError, SpecError
from vagus.gateways.msgpack import AnyArray
from vagus.gateways.neutral import ForeignReply, Operation
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.gr00t.dialect import decode_reply
from vagus.integrations.gr00t.so100 import SO100_ACTIONS, so100_actions

ARM = np.arange(15, dtype=np.float32).reshape(3, 5)
GRIPPER = np.array([[90.0], [91.0], [92.0]], np.float32)
STEPS = [[0, 1, 2, 3, 4, 90], [5, 6, 7, 8, 9, 91], [10, 11, 12, 13, 14, 92]]


@pytest.mark.parametrize(
    "actions",
    [
        {"action.single_arm": ARM, "action.gripper": GRIPPER},
        {"action.gripper": GRIPPER[:, 0], "action.single_arm": ARM.astype(np.float64)},
        {"single_arm": ARM[None], "gripper": GRIPPER[None]},
        {"single_arm": ARM, "gripper": GRIPPER, "base": ARM},
    ],
    ids=["N1.5", "N1.5 without a width", "N1.6 and N1.7", "more than the arm"],
)
def test_a_whole_chunk_becomes_one_action_per_step(actions: dict[str, AnyArray]) -> None:
    steps = so100_actions(actions)
    assert [list(step) for step in steps] == [list(SO100_ACTIONS)] * 3
    assert [list(step.values()) for step in steps] == STEPS
    assert all(type(number) is float for number in steps[0].values())


@pytest.mark.parametrize("name", ["n15_03_REP", "n16_03_REP", "n17_03_REP"])
def test_a_captured_reply_moves_the_motors_that_it_names(name: str) -> None:
    frame = (Path(__file__).parent / "golden" / f"{name}.bin").read_bytes()
    actions = decode_reply(frame, Operation.INFER).actions
    arm, gripper = (array.reshape(2, -1) for array in actions.values())
    steps = so100_actions(actions)
    assert [[step[motor] for motor in SO100_ACTIONS[:5]] for step in steps] == arm.tolist()
    assert [step["gripper.pos"] for step in steps] == gripper[:, 0].tolist()


@given(order=st.permutations(SO100_ACTIONS))
def test_each_motor_has_its_own_number_in_any_order_of_the_robot(order: list[str]) -> None:
    for step, numbers in zip(
        so100_actions({"single_arm": ARM, "gripper": GRIPPER}, order), STEPS, strict=True
    ):
        assert list(step) == order
        assert step == dict(zip(SO100_ACTIONS, numbers, strict=True))


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ({}, "wanted single_arm, got none"),
        ({"single_arm": ARM}, "wanted gripper, got single_arm"),
        ({"single_arm": ARM, "gripper": GRIPPER[:2]}, "equal horizons, got 3 of the arm, 2"),
        ({"single_arm": ARM[:, :4], "gripper": GRIPPER}, r"single_arm: wanted floats \(horizon, 5\)"),
        ({"single_arm": ARM[:0], "gripper": GRIPPER[:0]}, "single_arm: wanted"),
        ({"single_arm": ARM[0], "gripper": GRIPPER[0]}, "single_arm: wanted"),
        ({"single_arm": np.stack([ARM, ARM]), "gripper": GRIPPER}, r"got \(2, 3, 5\)"),
        ({"single_arm": ARM, "gripper": np.hstack([GRIPPER, GRIPPER])}, r"gripper: wanted floats"),
        ({"single_arm": ARM.astype(np.int64), "gripper": GRIPPER}, "of int64"),
        ({"single_arm": ARM, "gripper": GRIPPER * np.nan}, "finite"),
    ],
)
def test_a_chunk_that_is_not_the_arms_moves_nothing(actions: dict[str, AnyArray], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        so100_actions(actions)


@pytest.mark.parametrize(
    "order", [SO100_ACTIONS[:5], [*SO100_ACTIONS, "gripper.pos"], ["a", *SO100_ACTIONS[1:]]]
)
def test_another_arm_is_refused(order: list[str]) -> None:
    with pytest.raises(SpecError, match=r"wanted the names shoulder_pan\.pos"):
        so100_actions({"single_arm": ARM, "gripper": GRIPPER}, order)


@pytest.mark.parametrize("name", ["gr00t/so100", "gr00t/so101"])
def test_the_shipped_profile_says_the_same_about_the_arm(name: str) -> None:
    mapping = WireMapping(load_profile(name))
    order = [feature.name for feature in mapping.robot_spec.actions]
    mapped = mapping.actions_from(
        ForeignReply({"single_arm": ARM, "gripper": GRIPPER}), np.zeros(len(order), np.float32)
    )
    assert mapped.tolist() == [
        list(step.values()) for step in so100_actions({"single_arm": ARM, "gripper": GRIPPER}, order)
    ]

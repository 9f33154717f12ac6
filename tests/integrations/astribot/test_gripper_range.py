"""A gripper that counts from 0 to 100 is never taken for one that counts from 0 to 1."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.errors import ProtocolError
from vagus.gateways.profile import WireSpan
from vagus.gateways.profile_file import load_profile
from vagus.integrations.astribot.gripper_range import check_fractions, fractions_of
from vagus.integrations.astribot.messages import AstribotObservation, StatusCode
from vagus.integrations.astribot.session import AstribotModel, AstribotSession

GRIPPERS = {14: "gripper_left", 15: "gripper_right"}
SDK_SPAN = WireSpan(
    key=("state",), names=("gripper_left",), unit="fraction_closed", range=(0.0, 1.0), wire_range=(0.0, 100.0)
)


@pytest.mark.parametrize("name", ["astribot_s1", "astribot_s1_22", "astribot_s1_16"])
def test_the_grippers_of_every_profile_are_fractions(name: str) -> None:
    profile = load_profile(name, "astribot")
    assert fractions_of(profile.state) == fractions_of(profile.actions) == GRIPPERS


def test_a_number_that_the_profile_converts_is_no_fraction_on_the_wire() -> None:
    percent = WireSpan(key=("state",), names=("gripper_right",), unit="percent_closed")
    assert fractions_of([SDK_SPAN, percent]) == {}


@pytest.mark.parametrize("beyond", [100.0, 1.6, -0.6, -100.0])
@pytest.mark.parametrize("place", GRIPPERS)
def test_what_is_far_beyond_is_refused_with_the_way_out(place: int, beyond: float) -> None:
    numbers = np.zeros((3, 25), np.float32)
    numbers[1, place] = beyond
    with pytest.raises(
        ProtocolError, match=rf"state: wanted {GRIPPERS[place]} from 0 to 1.* got {beyond:g}; "
    ):
        check_fractions(numbers, GRIPPERS, "state")
    with pytest.raises(ProtocolError, match=r"wire_range: \[0, 100\]"):
        check_fractions(numbers[1], GRIPPERS, "state")


def test_a_little_beyond_other_numbers_and_none_are_let_pass() -> None:
    numbers = np.full((2, 25), 3.0)
    numbers[:, 14:16] = [[-0.1, 1.2], [0.0, 1.0]]
    check_fractions(numbers, GRIPPERS, "state")
    check_fractions(numbers[:, :14], GRIPPERS, "state")
    check_fractions(np.zeros((0, 25)), GRIPPERS, "state")


def test_a_robot_whose_state_counts_as_the_sdk_gets_no_action() -> None:
    session = AstribotSession(
        AstribotModel(name="m", state_dim=25, action_dim=25, horizon=4, fractions=GRIPPERS)
    )
    state = np.zeros(25, np.float32)
    assert session.refusal_of(AstribotObservation(state)) is None
    state[15] = 100.0
    refusal = session.refusal_of(AstribotObservation(state))
    assert refusal is not None
    assert refusal.status is StatusCode.INVALID_INPUT
    assert "gripper_right from 0 to 1, as the profile says, got 100" in refusal.message

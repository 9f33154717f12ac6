from __future__ import annotations

from vagus.types import LinkState, MotionState
from vagus.viewing.palette import STATE_COLOURS, colour_of, is_dark, rgb_of


def test_every_state_has_a_colour_and_two_of_one_lane_have_two() -> None:
    for lane in (LinkState, MotionState):
        colours = [STATE_COLOURS[state.value] for state in lane]
        assert len(set(colours)) == len(colours)


def test_what_is_no_state_has_the_colour_of_a_limit() -> None:
    assert colour_of("velocity") == colour_of("jerk") not in STATE_COLOURS.values()


def test_text_can_be_read_on_a_colour() -> None:
    assert rgb_of("#0072b2") == (0, 114, 178)
    assert is_dark("#0072b2")
    assert not is_dark("#f0e442")

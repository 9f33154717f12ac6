"""The Astribot S1's numbers in 16, 22 and 25, and in the order of a waypoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import PolicyError
from vagus.integrations.astribot.layout import PARTS, WIDTHS, action_of, expanded, names_of, waypoint_of

LEFT, RIGHT = [float(at) for at in range(1, 8)], [float(at) for at in range(11, 18)]
SIXTEEN = [*LEFT, *RIGHT, 0.1, 0.2]
HEAD, TORSO, CHASSIS = [21.0, 22.0], [31.0, 32.0, 33.0, 34.0], [41.0, 42.0, 43.0]


def test_every_number_belongs_to_one_part() -> None:
    taken = [at for part in PARTS.values() for at in range(25)[part]]
    assert taken == list(range(25))
    for width in WIDTHS:
        assert width in {part.stop for part in PARTS.values()}


def test_every_number_has_a_name_that_tells_its_part_and_its_place() -> None:
    arms = [f"arm_{side}_{joint}" for side in ("left", "right") for joint in range(1, 8)]
    sixteen = (*arms, "gripper_left", "gripper_right")
    more = ("head_1", "head_2", "torso_1", "torso_2", "torso_3", "torso_4")
    assert names_of(16) == sixteen
    assert names_of(22) == (*sixteen, *more)
    assert names_of(25) == (*sixteen, *more, "chassis_1", "chassis_2", "chassis_3")
    for part, span in PARTS.items():
        assert all(name.startswith(part) for name in names_of(25)[span])
    with pytest.raises(PolicyError, match=r"names: wanted a width of \(16, 22, 25\), got 17"):
        names_of(17)


def test_16_numbers_become_22_and_25() -> None:
    assert expanded(SIXTEEN, [*HEAD, *TORSO]).tolist() == [*SIXTEEN, *HEAD, *TORSO]
    assert expanded(expanded(SIXTEEN, [*HEAD, *TORSO]), CHASSIS).tolist() == [
        *SIXTEEN,
        *HEAD,
        *TORSO,
        *CHASSIS,
    ]
    rows = expanded([SIXTEEN, [0.0] * 16], [*HEAD, *TORSO, *CHASSIS])
    assert rows.shape == (2, 25)
    assert rows[:, 16:].tolist() == [[*HEAD, *TORSO, *CHASSIS]] * 2


def test_a_waypoint_has_the_parts_in_the_robots_order() -> None:
    parts = [TORSO, LEFT, [0.1], RIGHT, [0.2], HEAD]
    assert waypoint_of([*SIXTEEN, *HEAD, *TORSO]) == parts
    assert waypoint_of([*SIXTEEN, *HEAD, *TORSO, *CHASSIS]) == [*parts, CHASSIS]


@given(st.sampled_from([22, 25]), st.data())
def test_any_action_comes_back_from_its_waypoint(width: int, data: st.DataObject) -> None:
    action = data.draw(st.lists(st.floats(-9, 9), min_size=width, max_size=width))
    assert action_of(waypoint_of(action)).tolist() == action


@pytest.mark.parametrize(
    ("actions", "rest", "wanted"),
    [
        (SIXTEEN, [0.0] * 5, r"rest: wanted \[6, 9\] numbers for actions of 16, got 5"),
        ([0.0] * 22, [0.0] * 6, r"rest: wanted \[3\] numbers for actions of 22, got 6"),
        ([0.0] * 25, [0.0] * 3, r"rest: wanted \[\] numbers for actions of 25, got 3"),
        (SIXTEEN, [], "actions: wanted"),
        ([0.0] * 14, [0.0] * 2, "actions: wanted"),
        (SIXTEEN, [[0.0] * 6], "actions: wanted"),
        ([[SIXTEEN]], [0.0] * 6, "actions: wanted"),
        (0.0, [0.0] * 6, "actions: wanted"),
        (SIXTEEN, [np.nan] * 6, "actions: wanted finite numbers"),
    ],
)
def test_widths_that_do_not_go_together_are_refused(
    actions: list[float], rest: list[float], wanted: str
) -> None:
    with pytest.raises(PolicyError, match=wanted):
        expanded(actions, rest)


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        (SIXTEEN, "expand 16 numbers first"),
        ([[0.0] * 22], "waypoint: wanted"),
        ([np.inf] * 22, "finite numbers"),
    ],
)
def test_what_is_no_waypoint_is_refused(action: list[float], wanted: str) -> None:
    with pytest.raises(PolicyError, match=wanted):
        waypoint_of(action)


@pytest.mark.parametrize(
    ("waypoint", "wanted"),
    [
        ([LEFT, RIGHT], "wanted .* numbers for torso, arm_left"),
        ([TORSO, LEFT, [0.1], RIGHT, [0.2], [*HEAD, 0.0]], r"got \[4, 7, 1, 7, 1, 3\]"),
        ([TORSO, LEFT, [0.1], RIGHT, [0.2], HEAD, HEAD], r"got \[4, 7, 1, 7, 1, 2, 2\]"),
        ([TORSO, LEFT, [np.nan], RIGHT, [0.2], HEAD], "finite numbers"),
    ],
)
def test_a_waypoint_of_other_parts_is_refused(waypoint: list[list[float]], wanted: str) -> None:
    with pytest.raises(PolicyError, match=f"waypoint: .*{wanted}"):
        action_of(waypoint)

"""Servos of the simulated body: they arrive, keep their drives' limits, and stop where they are told to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.integrations.astribot.layout import PARTS
from vagus.integrations.astribot.simulated_body import GRID_S, MAKERS, SimulatedBody, start_pose

ARM = PARTS["arm_left"]
NEAR = start_pose()[ARM] + 0.1


def run(body: SimulatedBody, seconds: float) -> None:
    for _ in range(round(seconds / GRID_S)):
        body.advance()


def test_a_setpoint_is_reached_and_the_rest_stays() -> None:
    body = SimulatedBody()
    body.drive_to("arm_left", NEAR)
    run(body, 2.0)
    np.testing.assert_allclose(body.position[ARM], NEAR, atol=1e-4)
    rest = np.delete(np.arange(25), np.arange(25)[ARM])
    assert body.position[rest].tolist() == start_pose()[rest].tolist()


@given(st.lists(st.floats(-4, 4), min_size=7, max_size=7))
@settings(max_examples=20)
def test_no_drive_is_faster_than_it_can_and_no_end_stop_is_passed(target: list[float]) -> None:
    body = SimulatedBody()
    body.drive_to("arm_left", np.array(target))
    speed, acceleration = MAKERS["arm_left"]
    before = body.velocity.copy()
    for _ in range(300):
        body.advance()
        assert np.abs(body.velocity[ARM]).max() <= speed + 1e-9
        assert np.abs(body.velocity - before)[ARM].max() <= acceleration * GRID_S + 1e-9
        before = body.velocity.copy()
    run(body, 3.0)
    assert (body.position[ARM] <= np.array([1.517, 0.25, 1.517, 2.55, 2.37, 0.75, 1.55]) + 1e-3).all()
    assert (body.position[ARM] >= np.array([-3.01, -1.5, -3.08, 0.001, -2.37, -0.75, -1.55]) - 1e-3).all()


def test_a_body_that_brakes_comes_to_a_stand_and_follows_nothing_more() -> None:
    body = SimulatedBody()
    body.drive_to("arm_left", NEAR + 1.0)
    run(body, 0.2)
    body.brake()
    run(body, 1.0)
    assert not body.velocity.any()
    there = body.position.copy()
    body.drive_to("arm_left", NEAR)
    run(body, 1.0)
    assert body.position.tolist() == there.tolist()


def test_a_chassis_takes_a_place_or_a_velocity_that_it_keeps() -> None:
    chassis = PARTS["chassis"]
    place, rolling = SimulatedBody(), SimulatedBody("velocity")
    for body in (place, rolling):
        body.drive_to("chassis", np.array([0.1, 0.0, -0.1]))
        run(body, 4.0)
    np.testing.assert_allclose(place.position[chassis], [0.1, 0.0, -0.1], atol=1e-3)
    assert rolling.position[chassis].tolist() == pytest.approx([0.4, 0.0, -0.4], abs=0.02)
    rolling.drive_to("chassis", np.zeros(3))
    run(rolling, 1.0)
    assert np.abs(rolling.velocity[chassis]).max() == pytest.approx(0.0, abs=1e-9)


def test_what_is_pushed_by_hand_stays_there() -> None:
    body = SimulatedBody()
    body.push("head", np.array([0.3, 9.0]))
    run(body, 1.0)
    assert body.position[PARTS["head"]].tolist() == [0.3, 1.0]

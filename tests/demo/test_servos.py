"""The simulated servos."""

from __future__ import annotations

import numpy as np

from vagus.demo.arm import HOME, UPPER
from vagus.demo.servos import (
    BRAKE_RAD_S2,
    DRIVE_ACCELERATION_RAD_S2,
    DRIVE_VELOCITY_RAD_S,
    STEP_S,
    Joints,
)


def path(joints: Joints, steps: int) -> tuple[list[float], list[float]]:
    positions, velocities = [], []
    for _ in range(steps):
        joints.advance()
        positions.append(float(joints.position[0]))
        velocities.append(float(joints.velocity[0]))
    return positions, velocities


def test_a_servo_reaches_its_setpoint_without_overshoot_worth_speaking_of_and_stands_there() -> None:
    joints = Joints()
    joints.drive_to(HOME + 0.005)
    positions, _ = path(joints, 500)
    assert max(positions) < HOME[0] + 0.005 * 1.02
    assert joints.is_still()
    np.testing.assert_allclose(joints.position, HOME + 0.005, atol=1e-6)


def test_speed_and_torque_are_limited() -> None:
    joints = Joints()
    joints.drive_to(HOME + 2.0)
    _, velocities = path(joints, 500)
    assert max(velocities) <= DRIVE_VELOCITY_RAD_S
    assert np.abs(np.diff(velocities)).max() <= DRIVE_ACCELERATION_RAD_S2 * STEP_S * (1 + 1e-9)


def test_a_slow_setpoint_is_trailed_by_twenty_five_milliseconds() -> None:
    joints = Joints()
    speed = 0.5
    for step in range(500):
        joints.drive_to(HOME + speed * step * STEP_S)
        joints.advance()
    lag_s = (HOME[0] + speed * 499 * STEP_S - joints.position[0]) / speed
    assert 0.02 < lag_s < 0.03


def test_the_end_stops_bound_a_setpoint() -> None:
    joints = Joints()
    joints.drive_to(HOME + 100.0)
    path(joints, 3000)
    np.testing.assert_allclose(joints.position, UPPER, atol=1e-6)


def test_braking_slows_down_evenly_and_ends_at_rest_whatever_is_asked_for() -> None:
    joints = Joints()
    joints.drive_to(HOME + 2.0)
    path(joints, 100)
    joints.brake()
    _, velocities = path(joints, 300)
    joints.drive_to(HOME)
    assert np.abs(np.diff(velocities)).max() <= BRAKE_RAD_S2 * STEP_S * (1 + 1e-9)
    assert velocities[-1] == 0.0
    assert joints.is_still()


def test_a_push_moves_the_joints_as_far_as_the_end_stops_and_stays() -> None:
    joints = Joints()
    joints.push(np.full(6, 0.3))
    np.testing.assert_allclose(joints.position, HOME + 0.3)
    assert joints.is_still()
    joints.push(np.full(6, 100.0))
    assert (joints.position == UPPER).all()

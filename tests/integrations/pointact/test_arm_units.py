"""Numbers of a robot as angles and gripper, both ways, and measurements that cannot be."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from vagus.errors import ConfigError, PolicyError
from vagus.gateways.unit_conversion import Conversion
from vagus.integrations.pointact.arm_units import ArmUnits, check_measured

LIMITS = SimpleNamespace(lower=np.array([-1.0, -math.inf]), upper=np.array([2.0, math.inf]))
SAME = Conversion()


def test_degrees_and_a_gripper_of_another_scale() -> None:
    units = ArmUnits("deg", Conversion(-100.0, 100.0))  # 1 is closed there, 0 is closed here
    state = np.array([90.0, -180.0, 25.0], np.float32)
    np.testing.assert_allclose(units.joints(state), [math.pi / 2, -math.pi])
    assert units.gripper_there(state) == pytest.approx(0.75)
    back = units.actions(units.joints(state)[None], np.array([0.75]))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, [state], rtol=1e-6)


def test_radians_and_a_gripper_that_both_count_alike() -> None:
    units = ArmUnits("rad", SAME)
    state = np.array([0.5, -0.25, 40.0], np.float32)
    np.testing.assert_array_equal(units.joints(state), [0.5, -0.25])
    assert units.gripper_there(state) == 40.0
    assert units.actions(np.zeros((0, 2)), np.zeros(0)).shape == (0, 3)


@pytest.mark.parametrize("unit", ["", "lerobot_norm", "m", "DEG"])
def test_numbers_that_are_no_angles_are_refused(unit: str) -> None:
    with pytest.raises(ConfigError, match=r"unit: wanted deg or rad.*use_degrees=true"):
        ArmUnits(unit, SAME)


@pytest.mark.parametrize("gripper", [math.nan, math.inf, 1e300])
def test_a_gripper_number_that_is_none_is_refused(gripper: float) -> None:
    with pytest.raises(PolicyError, match="actions: wanted finite numbers"):
        ArmUnits("rad", SAME).actions(np.zeros((1, 2)), np.array([gripper]))


@pytest.mark.parametrize("joints", [(0.0, 0.0), (2.1, 100.0), (-1.15, -100.0)])
def test_joints_within_or_a_little_beyond_their_limits_are_taken(joints: tuple[float, ...]) -> None:
    check_measured(np.array(joints), LIMITS, ("pan", "roll"), "rad")


@pytest.mark.parametrize("joint", [90.0, -1.3, 2.3, math.nan])
def test_joints_that_the_arm_cannot_have_are_refused(joint: float) -> None:
    with pytest.raises(PolicyError, match=r"state: wanted pan between -1 and 2 rad.*unit or its zero"):
        check_measured(np.array([joint, 0.0]), LIMITS, ("pan", "roll"), "rad")

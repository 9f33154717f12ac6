from __future__ import annotations

import pytest

from benchmarks.tick_cost import Arm


@pytest.mark.parametrize("uses_rtc", [False, True])
def test_the_arm_plays_a_plan_all_the_time(uses_rtc: bool) -> None:
    arm = Arm(6, uses_rtc)
    arm.take_turn(1000)
    assert arm.plan_ticks == 1000
    assert len(arm.engine_us) == len(arm.motion_us) == 1000

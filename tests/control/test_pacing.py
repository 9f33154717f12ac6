"""How closely commands may follow each other when ticks come late."""

from __future__ import annotations

import itertools

import pytest

from control.rig import Rig
from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.types import FloatArray

PERIOD_S = 0.01
LATE_TICK = 30


@pytest.mark.parametrize("waking_late", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("held_up", [0.3, 0.86, 1.9, 6.0])
def test_a_command_that_comes_late_is_not_followed_closely(
    waking_late: float, held_up: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(rate_hz=1 / PERIOD_S, config=LoopConfig(duration_s=0.6))
    read_state = rig.robot.read_state

    def read_slowly() -> FloatArray:
        if rig.clock.ticks == LATE_TICK:
            rig.clock.stall(held_up * PERIOD_S)
        return read_state()

    monkeypatch.setattr(rig.robot, "read_state", read_slowly)
    rig.at(LATE_TICK, lambda: rig.clock.stall(waking_late * PERIOD_S))
    rig.loop.run()
    gaps_s = [(later - earlier) / NS_PER_S for earlier, later in itertools.pairwise(rig.robot.command_ns)]
    assert max(gaps_s) > 1.2 * PERIOD_S, "nothing was late, so this shows nothing"
    assert min(gaps_s) >= PERIOD_S / 4

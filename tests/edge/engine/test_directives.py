from __future__ import annotations

import numpy as np

from edge.rig import EPOCH
from vagus.edge.engine.plan import PlanAction
from vagus.edge.engine.playback import Playing, hold_directive, play_directive
from vagus.edge.handoff import Source
from vagus.types import LinkState, MotionState, Provenance


def test_a_played_action_names_its_source_and_age() -> None:
    knot = np.array([1.0, 2.0])
    action = PlanAction(12, 4, knot, np.zeros(3, dtype=np.float32), Source(EPOCH, 9, 1000))
    made = play_directive(
        Playing(action, None, 0.25, 0.5),
        now_ns=1600,
        episode=2,
        link=LinkState.DEGRADED,
        step_s=0.1,
        reseed=True,
    )
    assert made.provenance == Provenance(EPOCH, 9, 2, 12, 4, 600, LinkState.DEGRADED, MotionState.PLAYING)
    assert made.knot is knot
    assert (made.next_knot, made.begin, made.end, made.step_s, made.reseed) == (None, 0.25, 0.5, 0.1, True)


def test_a_hold_names_no_action() -> None:
    made = hold_directive(MotionState.FALLBACK, episode=2, link=LinkState.STREAMING, step_s=0.1, reseed=False)
    assert made.provenance == Provenance(
        None, None, 2, None, None, None, LinkState.STREAMING, MotionState.FALLBACK
    )
    assert made.knot is None
    assert (made.motion, made.step_s, made.reseed) == (MotionState.FALLBACK, 0.1, False)

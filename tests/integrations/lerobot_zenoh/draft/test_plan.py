from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.gateways.neutral import ForeignRtc
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk
from vagus.integrations.lerobot_zenoh.draft.plan import told_plan

ROBOT = np.arange(12, dtype=np.float32).reshape(6, 2)
MODEL = -np.arange(18, dtype=np.float32).reshape(6, 3)
LAST = DraftChunk(attachment=DraftAttachment(DraftMessage.CHUNK, 1, 0, 0, 0), model=MODEL, robot=ROBOT)


def rtc(rows: np.ndarray, delay: int | None = 1) -> ForeignRtc:
    return ForeignRtc(is_enabled=True, prefix=rows.astype(np.float64), inference_delay=delay)


@given(st.integers(0, 6), st.integers(1, 6))
def test_a_prefix_that_is_shorter_than_the_horizon_is_never_told(begin: int, least: int) -> None:
    plan = told_plan(LAST, rtc(ROBOT[begin:]), least=least)
    assert (plan is None) == (6 - begin < least)
    if plan is not None:
        assert plan.model.tolist() == MODEL[begin:].tolist()
        assert plan.robot.tolist() == ROBOT[begin:].tolist()


@pytest.mark.parametrize(("delay", "told"), [(1, 1), (99, 4), (None, 0)])
def test_the_delay_stays_within_the_prefix(delay: int | None, told: int) -> None:
    plan = told_plan(LAST, rtc(ROBOT[2:], delay), least=2)
    assert plan is not None
    assert plan.inference_delay == told


@pytest.mark.parametrize(
    ("last", "said", "least"),
    [
        (None, rtc(ROBOT), 2),
        (DraftChunk(attachment=LAST.attachment), rtc(ROBOT), 2),
        (LAST, None, 2),
        (LAST, ForeignRtc(), 2),
        (LAST, rtc(ROBOT + 1), 2),
        (LAST, rtc(MODEL), 2),
        (LAST, rtc(ROBOT), 0),
    ],
)
def test_what_the_server_did_not_give_is_not_told(
    last: DraftChunk | None, said: ForeignRtc | None, least: int
) -> None:
    assert told_plan(last, said, least=least) is None

"""A policy is waited for as long as it usually takes, within what a client can bear."""

from __future__ import annotations

import pytest

from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules
from vagus.integrations.lerobot_zenoh.v1.patience import AnswerTimes

MS = 1_000_000
RULES = HoldRules(patience_ns=100 * MS)


@pytest.mark.parametrize(
    ("took_ms", "patience_ms"),
    [
        ([], 100),
        ([20, 20], 100),
        ([400], 550),
        ([400, 400, 9000], 550),  # one failover is no rule
        ([2000], 800),
        ([900] * 10 + [100] * 16, 175),  # it has become faster
    ],
)
def test_the_usual_time_and_a_little_more(took_ms: list[int], patience_ms: int) -> None:
    times = AnswerTimes()
    for took in took_ms:
        times = times.with_one(took * MS)
    assert times.patience_ns(RULES, has_rows=True, is_starting=False) == patience_ms * MS


def test_a_client_without_rows_cannot_wait_as_long() -> None:
    times = AnswerTimes().with_one(900 * MS)
    assert times.patience_ns(RULES, has_rows=False, is_starting=False) == 350 * MS


def test_a_robot_that_stands_anyway_can_wait_for_its_first_action() -> None:
    assert AnswerTimes().patience_ns(RULES, has_rows=False, is_starting=True) == 4000 * MS
    assert AnswerTimes().patience_ns(RULES, has_rows=True, is_starting=True) == 100 * MS

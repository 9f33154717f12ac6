"""A policy is waited for as long as it usually takes, within what a client can bear."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.gateways.profile_file import load_profile
from vagus.gateways.profile_specs import policy_spec_of
from vagus.integrations.lerobot_zenoh.v1.alignment import Turnarounds
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge, ChunkSettings
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules, hold_due_ns
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.patience import AnswerTimes
from vagus.integrations.lerobot_zenoh.v1.terms import deployment_of

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


ARM = load_profile("so101", "lerobot_zenoh")
TERMS = AcceptedSession(
    deployment_of("arm", ARM, policy_spec_of(ARM, "act"), "ab12", {}),
    InferenceMode.CHUNK,
    ChunkSettings(ChunkMerge.ALIGNED),
)
INTERVAL_S = 1 / 30


def asked(rows: int) -> RemoteObservation:
    continuation = np.zeros((rows, 6), np.float32) if rows else None
    return RemoteObservation(
        sequence=1,
        identity=FrameIdentity("a", "o", 0.0, "", 0),
        features={},
        canonical_continuation=continuation,
        model_continuation=continuation,
        observation_cursor=0,
    )


@pytest.mark.parametrize("took_ms", [50, 300, 450, 600, 700])
def test_a_slow_policy_moves_a_robot_without_a_hold(took_ms: int) -> None:
    """The client asks as early as answers took, and a hold would have taught it to ask later."""
    times, turnarounds = AnswerTimes(), Turnarounds()
    for answers in range(50):
        early_s = max(0.5, turnarounds.longest_s + INTERVAL_S)
        rows = 0 if not answers else int(early_s / INTERVAL_S)
        patience_ns = times.patience_ns(RULES, has_rows=rows > 0, is_starting=not answers)
        due_ns = hold_due_ns(asked(rows), TERMS, HoldRules(patience_ns=patience_ns), 0)
        assert due_ns is None or due_ns > took_ms * MS, (answers, due_ns)
        assert not answers or rows * INTERVAL_S * 1000 >= took_ms, (answers, rows)
        times, turnarounds = times.with_one(took_ms * MS), turnarounds.with_one(took_ms / 1000)

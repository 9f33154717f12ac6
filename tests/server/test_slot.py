"""When an answer is due, and which boundary a request needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS
from vagus.server.mailbox import QueuedRequest
from vagus.server.request import DecodedRequest
from vagus.server.slot import MAX_SLACK_MS, EpisodeState, ReadyRequest, gain_s
from vagus.types import Observation
from vagus.wire.schema import Header, Kind

REQUEST = DecodedRequest(
    observation=Observation(np.zeros(1, np.float32), {}, "", 0),
    step=0,
    prefix=None,
    inference_delay=0,
    prefix_horizon=0,
    seed=0,
    is_episode_start=False,
    slack_ms=0.0,
    traceparent=None,
)


def ready_of(slack_ms: float, network_ms: float, arrived_ns: int) -> ReadyRequest:
    asked = replace(REQUEST, slack_ms=slack_ms, network_ms=network_ms)
    queued = QueuedRequest(Header(Kind.OBSERVATION, 1, 0, 0, 1), b"", arrived_ns)
    return ReadyRequest(queued, asked, decode_ns=0, ready_ns=arrived_ns)


@pytest.mark.parametrize(
    ("slack_ms", "network_ms", "wanted_ms"),
    [
        (200.0, 30.0, 170),  # the way to the server has been gone, and the answer still has to travel
        (20.0, 30.0, 0),  # too late already
        (0.0, 0.0, 0),  # a client that waits cannot say, and is due when it comes
        (200.0, -30.0, 200),  # no network saves time
    ],
)
def test_an_answer_is_due_when_it_must_leave_to_come_before_the_plan_ends(
    slack_ms: float, network_ms: float, wanted_ms: int
) -> None:
    assert ready_of(slack_ms, network_ms, 7).due_ns == 7 + wanted_ms * NS_PER_MS


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.integers(0, 10**18))
def test_whatever_a_robot_says_its_answer_is_not_due_before_it_asks_nor_in_an_age(
    slack_ms: float, network_ms: float, arrived_ns: int
) -> None:
    due_ns = ready_of(slack_ms, network_ms, arrived_ns).due_ns
    assert arrived_ns <= due_ns <= arrived_ns + MAX_SLACK_MS * NS_PER_MS


@pytest.mark.parametrize(
    ("slack_ms", "rate_hz", "gained_s"),
    [(0.0, 20.0, 0.5), (200.0, 20.0, 0.3), (900.0, 20.0, 0.0), (-900.0, 20.0, 0.5), (0.0, 0.0, 0.0)],
)
def test_an_answer_adds_a_chunk_to_what_a_robot_can_play_less_what_it_had(
    slack_ms: float, rate_hz: float, gained_s: float
) -> None:
    assert gain_s(replace(REQUEST, slack_ms=slack_ms), horizon=10, rate_hz=rate_hz) == pytest.approx(gained_s)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_whatever_a_robot_says_its_gain_is_at_most_a_minute(slack_ms: float, rate_hz: float) -> None:
    assert 0 <= gain_s(replace(REQUEST, slack_ms=slack_ms), horizon=50, rate_hz=rate_hz) <= 60


@pytest.mark.parametrize(
    ("slack_ms", "rate_hz", "plays_s"),
    [(0.0, 20.0, 0.5), (200.0, 20.0, 0.5), (-9.0, 20.0, 0.5), (0.0, 0.0, 0.0)],
)
def test_a_whole_chunk_is_played_as_long_whatever_the_robot_still_had(
    slack_ms: float, rate_hz: float, plays_s: float
) -> None:
    ready = ready_of(slack_ms, 0.0, 7)
    ready = replace(ready, gain_s=gain_s(ready.request, horizon=10, rate_hz=rate_hz))
    assert ready.plays_ns == pytest.approx(plays_s * 1e9)


def test_an_episode_that_has_begun_begins_anew_only_for_a_robot_that_has_no_chunk_of_it() -> None:
    state: EpisodeState[None] = EpisodeState(None)
    assert not state.has_begun(0, is_start=False)
    state.episode, state.is_fresh = 2, True
    assert state.has_begun(2, is_start=True)
    assert not state.has_begun(1, is_start=False)
    state.is_fresh = False
    assert state.has_begun(2, is_start=False)
    assert not state.has_begun(2, is_start=True)

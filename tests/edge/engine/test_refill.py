from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.rig import EPOCH, MS, STEP_NS, S, chunk
from vagus.edge.config import EdgeConfig, MergeMode, PlanClock
from vagus.edge.engine.playback import Playback
from vagus.edge.engine.refill import Refill
from vagus.edge.handoff import EngineContract, LinkView, Source
from vagus.types import FloatArray, LinkState

PLAIN = EngineContract(30.0, 30.0, uses_rtc=False, prefix_horizon=0)
RTC = EngineContract(30.0, 30.0, uses_rtc=True, prefix_horizon=10)


def view(ticket: int, latency_ns: int = 0) -> LinkView:
    return LinkView(LinkState.STREAMING, EPOCH, ticket, latency_ns)


def head(length: int = 20) -> Playback:
    made = Playback(EdgeConfig(), step_rate_hz=30.0, tick_rate_hz=30.0)
    made.merge(chunk(0, length), Source(EPOCH, 1, 0), MergeMode.SWITCH, 0)
    return made


def draft(refill: Refill, view: LinkView, state: Sequence[float] | FloatArray = (1.0, 2.0)) -> None:
    refill.draft(view, head(), S, np.asarray(state, dtype=np.float32), episode=3, slack_ns=5)


def test_each_ask_is_answered_once() -> None:
    refill = Refill(EdgeConfig(), PLAIN)
    assert not refill.wants(0)
    assert refill.wants(1)
    draft(refill, view(1))
    assert not refill.wants(1)
    assert refill.take() is not None
    assert refill.take() is None
    refill.withdraw()
    assert not refill.wants(1)
    assert refill.wants(2)


def test_a_draft_that_is_not_taken_gives_its_ask_back() -> None:
    refill = Refill(EdgeConfig(), PLAIN)
    draft(refill, view(4))
    refill.withdraw()
    assert refill.take() is None
    assert refill.wants(4)
    assert not refill.wants(3)


def test_a_draft_owns_its_state_and_says_where_the_plan_is() -> None:
    refill = Refill(EdgeConfig(), PLAIN)
    state = np.array([1.0, 2.0], dtype=np.float32)
    draft(refill, view(1), state)
    state[:] = 99
    made = refill.take()
    assert made is not None
    assert made.state.tolist() == [1.0, 2.0]
    assert (made.ticket, made.episode, made.step, made.captured_ns) == (1, 3, 0, S)
    assert (made.episode_start, made.slack_ns) == (True, 5)
    assert (made.prefix, made.inference_delay, made.prefix_horizon) == (None, 0, 0)


def test_with_rtc_a_draft_carries_the_running_plan() -> None:
    refill = Refill(EdgeConfig(), RTC)
    draft(refill, view(1, 99 * MS))
    made = refill.take()
    assert made is not None
    assert made.prefix is not None
    assert (len(made.prefix), made.inference_delay, made.prefix_horizon) == (10, 3, 10)


def test_a_plan_is_short_by_buffer_time_or_by_what_was_executed() -> None:
    by_time = Refill(EdgeConfig(), PLAIN)
    assert by_time.is_plan_short(executed=0, playback_left_ns=0)
    assert by_time.is_plan_short(executed=0, playback_left_ns=500 * MS)
    assert not by_time.is_plan_short(executed=10**6, playback_left_ns=500 * MS + 1)
    by_count = Refill(EdgeConfig(execute_horizon=8), PLAIN)
    assert by_count.is_plan_short(executed=8, playback_left_ns=S)
    assert not by_count.is_plan_short(executed=7, playback_left_ns=S)


def test_a_reply_that_cannot_be_there_before_the_plan_ends_is_not_asked_for() -> None:
    refill = Refill(EdgeConfig(buffer_time_s=0.5, execute_horizon=10), PLAIN)
    for fastest_ms, left_ms, executed, is_short in (
        (0, 600, 0, False),
        (0, 500, 0, True),  # nobody knows better
        (500, 500, 0, True),
        (501, 500, 0, False),
        (501, 0, 10, False),
        (600, 900, 10, True),
    ):
        asked = refill.is_plan_short(
            executed=executed, playback_left_ns=left_ms * MS, fastest_ns=fastest_ms * MS
        )
        assert asked is is_short


def test_a_draft_is_of_an_episodes_start_until_a_chunk_of_it_was_merged() -> None:
    refill = Refill(EdgeConfig(), PLAIN)
    starts = []
    for event in (None, refill.note_merge, None, refill.begin_episode):
        if event is not None:
            event()
        draft(refill, view(1))
        made = refill.take()
        assert made is not None
        starts.append(made.episode_start)
    assert starts == [True, False, False, True]


def test_the_step_of_the_first_draft_is_due_at_its_tick() -> None:
    playback = Playback(EdgeConfig(plan_clock=PlanClock.TIME), step_rate_hz=30.0, tick_rate_hz=30.0)
    Refill(EdgeConfig(), PLAIN).draft(view(1), playback, S, np.zeros(2, np.float32), episode=0, slack_ns=0)
    playback.follow_clock(S + 3 * STEP_NS)
    assert playback.step == 3

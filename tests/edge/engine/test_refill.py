from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.rig import EPOCH, MS, STEP_NS, S, chunk
from vagus.edge.config import EdgeConfig, MergeMode, PlanClock
from vagus.edge.engine.playback import Playback
from vagus.edge.engine.refill import Refill, RequestRule
from vagus.edge.handoff import EngineContract, LinkView, Source
from vagus.types import FloatArray, LinkState

SOURCE = Source(EPOCH, 4, S)
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


def test_rtc_is_told_its_own_estimate_of_the_delay() -> None:
    refill = Refill(EdgeConfig(), RTC)
    draft(refill, replace(view(1, 99 * MS), delay_ns=33 * MS))
    made = refill.take()
    assert made is not None
    assert made.inference_delay == 1


def rule(config: EdgeConfig, *, continues_plan: bool = False) -> RequestRule:
    return RequestRule.of(config, step_rate_hz=20.0, continues_plan=continues_plan)


def is_due(
    rule: RequestRule,
    link: LinkView | None = None,
    *,
    horizon: int = 16,
    executed: int = 0,
    left_ms: int = 0,
    since_ms: int | None = None,
) -> bool:
    return rule.is_due(
        link or view(1),
        horizon=horizon,
        executed=executed,
        playback_left_ns=left_ms * MS,
        since_request_ns=None if since_ms is None else since_ms * MS,
    )


def test_a_plan_is_short_by_buffer_time_or_by_what_was_executed() -> None:
    by_time = rule(EdgeConfig(execute_horizon=None))
    assert is_due(by_time)
    assert is_due(by_time, left_ms=500)
    assert not is_due(by_time, left_ms=501, executed=10**6)
    by_count = rule(EdgeConfig(execute_horizon=8))
    assert is_due(by_count, left_ms=1000, executed=8)
    assert not is_due(by_count, left_ms=1000, executed=7)


def test_a_reply_that_cannot_be_there_before_the_plan_ends_is_not_asked_for() -> None:
    tested = rule(EdgeConfig(buffer_time_s=0.5, execute_horizon=10))
    for fastest_ms, left_ms, executed, is_short in (
        (0, 600, 0, False),
        (0, 500, 0, True),  # nobody knows better
        (500, 500, 0, True),
        (501, 500, 0, False),
        (501, 0, 10, False),
        (600, 900, 10, True),
    ):
        link = replace(view(1), fastest_ns=fastest_ms * MS)
        assert is_due(tested, link, left_ms=left_ms, executed=executed) is is_short


def test_the_agreed_horizon_is_executed_before_the_next_request() -> None:
    tested = rule(EdgeConfig(execute_horizon=2))
    link = replace(view(1, 100 * MS), least_executed=6)
    assert not is_due(tested, link, executed=5, left_ms=900)
    assert is_due(tested, link, executed=6, left_ms=900)
    assert is_due(tested, view(1, 100 * MS), executed=2, left_ms=900)


def test_the_agreed_horizon_alone_makes_no_request_due() -> None:
    link = replace(view(1), least_executed=3)
    assert not is_due(
        rule(EdgeConfig(buffer_time_s=0.2, execute_horizon=None)), link, executed=4, left_ms=201
    )


def test_no_agreed_horizon_lets_a_plan_run_dry() -> None:
    tested = rule(EdgeConfig())
    link = replace(view(1, 100 * MS), least_executed=10**9)
    assert not is_due(tested, link, left_ms=151)  # the answer takes 100 ms, a step 50 ms
    assert is_due(tested, link, left_ms=150)


def test_the_servers_interval_holds_a_request_back_until_it_is_over() -> None:
    tested = rule(EdgeConfig())
    link = replace(view(1), min_interval_ns=400 * MS)
    assert not is_due(tested, link, since_ms=399)
    assert is_due(tested, link, since_ms=400)
    assert is_due(tested, link)  # the first of an episode


def test_no_interval_of_a_server_counts_beyond_the_age_of_the_oldest_action() -> None:
    tested = rule(EdgeConfig(max_action_age_s=2.0))
    link = replace(view(1), min_interval_ns=10**18)
    assert not tested.may_ask_again(link, 1999 * MS)
    assert tested.may_ask_again(link, 2000 * MS)


AUTOMATIC = EdgeConfig(execute_horizon="auto")


def test_an_automatic_robot_asks_when_its_observation_is_an_eighth_of_a_chunk_old_if_chunks_continue() -> (
    None
):
    """At 20 Hz an eighth of 16 actions is 100 ms, a quarter 200 ms; a tick may be half a step early."""
    for continues_plan, horizon, due_ms in ((True, 16, 75), (False, 16, 175), (True, 17, 125), (True, 1, 25)):
        tested = rule(AUTOMATIC, continues_plan=continues_plan)
        assert is_due(tested, horizon=horizon, left_ms=700, since_ms=due_ms)
        assert not is_due(tested, horizon=horizon, left_ms=700, since_ms=due_ms - 1)


def test_what_was_executed_of_a_chunk_does_not_matter_to_an_automatic_robot() -> None:
    tested = rule(AUTOMATIC, continues_plan=True)
    assert is_due(tested, executed=0, left_ms=700, since_ms=100)
    assert not is_due(tested, executed=16, left_ms=700, since_ms=50)


def test_an_automatic_robot_leaves_the_others_their_part_of_the_device() -> None:
    tested = rule(AUTOMATIC, continues_plan=True)
    link = replace(view(1), share_ns=350 * MS)
    assert not is_due(tested, link, left_ms=700, since_ms=349)
    assert is_due(tested, link, left_ms=700, since_ms=350)
    by_count = rule(EdgeConfig(execute_horizon=1))
    assert is_due(by_count, link, executed=1, left_ms=700, since_ms=50)


@given(
    link=st.builds(
        LinkView,
        st.just(LinkState.STREAMING),
        st.just(EPOCH),
        st.just(1),
        st.integers(0, 2 * S),
        fastest_ns=st.integers(0, 2 * S),
        least_executed=st.integers(0, 100),
        min_interval_ns=st.integers(0, 10 * S),
        share_ns=st.integers(0, 10**18),
    ),
    executed=st.integers(0, 60),
    left_ms=st.integers(0, 3000),
    since_ms=st.none() | st.integers(0, 5000),
    continues_plan=st.booleans(),
)
def test_whenever_a_robot_without_it_asks_an_automatic_one_does(
    link: LinkView, executed: int, left_ms: int, since_ms: int | None, *, continues_plan: bool
) -> None:
    """So no plan runs dry because of it, whatever the server says."""
    by_buffer, automatic = (
        is_due(tested, link, executed=executed, left_ms=left_ms, since_ms=since_ms)
        for tested in (
            rule(EdgeConfig(execute_horizon=None)),
            rule(AUTOMATIC, continues_plan=continues_plan),
        )
    )
    assert automatic or not by_buffer


def test_the_time_since_the_last_request_counts_after_the_first_chunk_of_an_episode() -> None:
    refill = Refill(EdgeConfig(), PLAIN)
    assert refill.since_request_ns(S) is None
    refill.note_merge()
    assert refill.since_request_ns(S) is None
    draft(refill, view(1))
    refill.take()
    assert refill.since_request_ns(S + 7) == 7
    refill.begin_episode()
    assert refill.since_request_ns(S + 8) is None
    refill.note_merge()
    assert refill.since_request_ns(S + 9) == 9


def test_a_draft_that_is_not_taken_is_no_request() -> None:
    refill = Refill(EdgeConfig(), PLAIN)
    refill.note_merge()
    draft(refill, view(1))
    refill.withdraw()
    assert refill.since_request_ns(S + 7) is None


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


def test_a_draft_says_which_chunk_of_the_session_was_settled_last() -> None:
    refill = Refill(EdgeConfig(), RTC)
    for settled, expected in (
        (None, 0),
        (SOURCE, 4),
        (Source(EPOCH, 3, S), 4),
        (Source(EPOCH + 1, 9, S), 0),
    ):
        if settled is not None:
            refill.note_settled(settled)
        draft(refill, view(1))
        made = refill.take()
        assert made is not None
        assert made.settled_seq == expected


def test_while_a_reply_is_under_way_only_freshness_asks_for_another() -> None:
    link, short = replace(view(1), in_flight=1, fastest_ns=S), {"executed": 9, "left_ms": 100}
    automatic = rule(AUTOMATIC, continues_plan=True)
    assert not is_due(rule(EdgeConfig(execute_horizon=None)), link, **short, since_ms=9_000)
    assert not is_due(automatic, link, **short, since_ms=30)
    assert is_due(automatic, link, **short, since_ms=9_000), "the reply under way makes the plan longer"
    assert not is_due(automatic, replace(link, in_flight=0), **short, since_ms=9_000), "it would be in vain"
    busy = replace(link, share_ns=2 * S)
    assert not is_due(automatic, busy, **short, since_ms=1_900), "the device has no room for more"
    assert is_due(automatic, busy, **short, since_ms=2_000)


def test_so_many_steps_as_the_server_wants_executed_lie_between_requests_that_are_under_way() -> None:
    """Several requests fall between two merges: what was executed since the last merge says too little."""
    automatic = rule(AUTOMATIC, continues_plan=True)  # a step takes 50 ms; two are worth a request
    link = replace(view(1), least_executed=6, in_flight=1)
    for left_ms in (0, 900):
        assert not is_due(automatic, link, executed=9, left_ms=left_ms, since_ms=200)
        assert is_due(automatic, link, executed=0, left_ms=left_ms, since_ms=300), "a merge was in between"


def test_a_reply_that_acts_after_the_plan_is_expected_where_others_make_it_longer() -> None:
    refill = Refill(EdgeConfig(), RTC)
    delays = []
    for in_flight in (0, 1):
        link = replace(view(1, latency_ns=30 * STEP_NS), in_flight=in_flight)
        refill.draft(link, head(20), S, np.zeros(2, np.float32), episode=3, slack_ns=5)
        made = refill.take()
        assert made is not None
        assert made.prefix is not None
        delays.append((len(made.prefix), made.inference_delay))
    assert delays == [(20, 20), (20, 30)]


def test_the_step_of_the_first_draft_is_due_at_its_tick() -> None:
    playback = Playback(EdgeConfig(plan_clock=PlanClock.TIME), step_rate_hz=30.0, tick_rate_hz=30.0)
    Refill(EdgeConfig(), PLAIN).draft(view(1), playback, S, np.zeros(2, np.float32), episode=0, slack_ns=0)
    playback.follow_clock(S + 3 * STEP_NS)
    assert playback.step == 3

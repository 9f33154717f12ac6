from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest

from edge.rig import EPOCH, HORIZON, MS, OTHER, POLICY, SERVER, S, chunk_payload, draft, echo, event_payload
from vagus.edge.client.inflight import LatencyWindow, Request
from vagus.edge.client.protocol import (
    FIRST_PAUSE_NS,
    MAX_PAUSE_NS,
    MAX_TOLD_PAUSE_NS,
    REFUSALS_UNTIL_LOST,
    REMEMBERED_EPOCHS,
    ClientProtocol,
    SessionRef,
)
from vagus.edge.client.server_part import LONGEST_NS
from vagus.edge.config import DelayEstimate, EdgeConfig, MergeMode
from vagus.edge.handoff import LinkView, PlanView, Proposal, Source
from vagus.errors import StateError
from vagus.types import LinkState, MotionState, Prefix, RequestDraft, Snapshot
from vagus.wire.codec import decode, encode, encode_tensor
from vagus.wire.schema import ChunkMessage, EventCode, EventMessage, Header, Kind

PLAN = PlanView(motion=MotionState.PLAYING)


class Talk:
    """An uplink, its time, and a plan that does what the test says."""

    def __init__(self, *, is_open: bool = True, config: EdgeConfig | None = None) -> None:
        self.latency = LatencyWindow(initial_ns=100 * MS)
        self.protocol = ClientProtocol(config or EdgeConfig(), POLICY, self.latency)
        self.now_ns = S
        self.plan = PLAN
        if is_open:
            self.protocol.opened(SessionRef(SERVER, EPOCH), self.now_ns)

    def turn(self, elapsed_ns: int = 0, **plan: object) -> LinkView:
        self.now_ns += elapsed_ns
        self.plan = replace(self.plan, **plan)  # type: ignore[arg-type]
        self.protocol.follow(self.plan)
        self.protocol.advance(self.now_ns)
        return self.protocol.view

    def draft(self, *, step: int = 0, slack_ns: int = 0, episode: int | None = None) -> RequestDraft:
        ticket = self.protocol.view.ticket
        number = self.plan.episode if episode is None else episode
        return draft(ticket=ticket, episode=number, step=step, captured_ns=self.now_ns, slack_ns=slack_ns)

    def send(self, *, step: int = 0, slack_ns: int = 0) -> Request:
        self.turn()
        request = self.protocol.offer(Snapshot(self.draft(step=step, slack_ns=slack_ns), {}), self.now_ns)
        assert request is not None, "an ask was open"
        return request

    def receive(self, header: Header, payload: bytes, elapsed_ns: int = 50 * MS) -> Proposal | None:
        self.now_ns += elapsed_ns
        return self.protocol.receive(header, payload, self.now_ns)

    def answer(self, request: Request, elapsed_ns: int = 50 * MS) -> Proposal | None:
        return self.receive(echo(request.header), chunk_payload(request.draft.step), elapsed_ns)

    def event(self, request: Request, code: str) -> None:
        assert self.receive(echo(request.header, Kind.EVENT), event_payload(code)) is None

    def count(self, name: str) -> int:
        return self.protocol.counters[name]


# -- asking -----------------------------------------------------------------------------------------------


def test_before_a_session_nothing_is_asked_for() -> None:
    talk = Talk(is_open=False)
    assert talk.turn() == LinkView(LinkState.CONNECTING, None, 0, 100 * MS, delay_ns=100 * MS)
    assert talk.protocol.offer(Snapshot(draft(), {}), 0) is None
    assert talk.count("snapshots_unwanted") == 1


def test_one_snapshot_is_asked_for_at_a_time() -> None:
    talk = Talk()
    assert talk.turn() == LinkView(LinkState.STREAMING, EPOCH, 1, 100 * MS, delay_ns=100 * MS)
    assert talk.turn(S).ticket == 1
    request = talk.send()
    assert talk.protocol.outstanding is request
    assert talk.turn().ticket == 1
    talk.answer(request)
    assert talk.protocol.outstanding is None
    assert talk.turn().ticket == 2


@pytest.mark.parametrize("estimate", DelayEstimate)
def test_time_outs_and_the_buffer_count_with_the_worst_whatever_chunking_is_told(
    estimate: DelayEstimate,
) -> None:
    talk = Talk(config=EdgeConfig(delay_estimate=estimate))
    for elapsed_ns in (90 * MS, 900 * MS, 110 * MS, 100 * MS):
        talk.answer(talk.send(), elapsed_ns)
    view = talk.turn()
    assert (view.latency_ns, view.fastest_ns) == (900 * MS, 90 * MS)
    is_worst = estimate in (DelayEstimate.MAX, DelayEstimate.Q90)
    assert view.delay_ns == (900 * MS if is_worst else talk.latency.estimate_ns(estimate))
    assert is_worst or view.delay_ns <= 110 * MS
    request = talk.send()
    assert request.deadline_ns - request.sent_ns == 3 * 900 * MS


def test_a_snapshot_of_another_ask_is_unwanted() -> None:
    talk = Talk()
    talk.turn()
    stale = replace(talk.draft(), ticket=0)
    assert talk.protocol.offer(Snapshot(stale, {}), talk.now_ns) is None
    talk.send()
    assert talk.protocol.offer(Snapshot(talk.draft(), {}), talk.now_ns) is None
    assert talk.count("snapshots_unwanted") == 2
    assert talk.count("requests") == 1


def test_a_snapshot_that_the_plan_made_void_is_asked_for_again() -> None:
    talk = Talk()
    talk.turn()
    void = talk.draft()
    talk.protocol.follow(replace(PLAN, not_before_ns=talk.now_ns))
    assert talk.protocol.offer(Snapshot(void, {}), talk.now_ns) is None
    talk.plan = replace(PLAN, not_before_ns=talk.now_ns)
    assert talk.turn(1).ticket == 2
    assert talk.protocol.offer(Snapshot(talk.draft(episode=9), {}), talk.now_ns) is None
    assert talk.count("snapshots_void") == 2
    assert talk.turn().ticket == 3


def test_a_pause_ends_every_ask_and_resuming_asks_anew() -> None:
    talk = Talk()
    request = talk.send()
    assert talk.turn(motion=MotionState.PAUSED).ticket == 1
    assert talk.protocol.outstanding is None
    assert talk.turn(10 * S).state is LinkState.STREAMING  # nothing is waited for
    assert talk.turn(motion=MotionState.WAITING, not_before_ns=talk.now_ns).ticket == 2
    talk.answer(request)
    assert talk.protocol.view.ticket == 2


def test_a_new_episode_ends_what_was_asked_in_the_old_one() -> None:
    talk = Talk()
    talk.send()
    assert talk.turn(episode=1).ticket == 2
    assert talk.protocol.outstanding is None


def test_a_request_is_void_once_the_robot_has_moved() -> None:
    talk = Talk()
    request = talk.send()
    assert talk.turn(not_before_ns=request.draft.captured_ns).ticket == 2
    assert talk.protocol.outstanding is None


def test_after_the_end_nothing_is_asked_for() -> None:
    talk = Talk()
    talk.send()
    assert talk.turn(motion=MotionState.STOPPED).ticket == 1
    assert talk.protocol.outstanding is None
    assert talk.protocol.state is LinkState.STREAMING


def test_a_failed_draft_is_asked_for_again_after_a_pause_that_grows() -> None:
    talk = Talk()
    talk.turn()
    talk.protocol.draft_failed(99, talk.now_ns)
    assert talk.count("drafts_failed") == 0
    for pause_ns in (100 * MS, 200 * MS, 400 * MS, 800 * MS, MAX_PAUSE_NS, MAX_PAUSE_NS):
        ticket = talk.protocol.view.ticket
        talk.protocol.draft_failed(ticket, talk.now_ns)
        assert talk.protocol.state is LinkState.DEGRADED
        assert talk.turn(pause_ns - 1).ticket == ticket
        assert talk.turn(1).ticket == ticket + 1
    assert talk.protocol.session is not None  # a camera of ours is not the server's fault


# -- several replies under way ------------------------------------------------------------------------------

AHEAD = EdgeConfig(execute_horizon="auto", max_in_flight=3)
PLANNED = Prefix(np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32))


class AskingAhead(Talk):
    """A talk with a server that continues what is under way; one request was answered already."""

    def __init__(self, config: EdgeConfig = AHEAD, *, continues_awaited: bool = True) -> None:
        super().__init__(is_open=False, config=config)
        self.protocol.opened(SessionRef(SERVER, EPOCH, continues_awaited=continues_awaited), self.now_ns)
        self.answer(self.send(), 400 * MS)

    def ask(self, *, continues: int = 1, prefix: Prefix | None = PLANNED) -> Request | None:
        """Send a request if one is asked for."""
        self.turn(MS)
        made = replace(self.draft(step=self.now_ns // MS), prefix=prefix, settled_seq=continues)
        return self.protocol.offer(Snapshot(made, {}), self.now_ns)

    def ask_all(self, *, continues: int = 1, prefix: Prefix | None = PLANNED) -> list[Request]:
        """Send as many as are asked for."""
        return list(iter(partial(self.ask, continues=continues, prefix=prefix), None))


def test_a_robot_that_plays_asks_while_replies_are_under_way() -> None:
    talk = AskingAhead()
    requests = talk.ask_all()
    assert [request.awaited for request in requests] == [(), (2,), (2, 3)]
    assert talk.protocol.view.in_flight == 3
    assert talk.answer(requests[0]) is not None
    fourth = talk.ask()
    assert fourth is not None
    assert fourth.awaited == (2, 3, 4), "what was handed over is merged only at the next tick"
    assert talk.answer(requests[1]) is not None
    fifth = talk.ask(continues=3)
    assert fifth is not None
    assert fifth.awaited == (4, 5)


@pytest.mark.parametrize(
    "config",
    [
        EdgeConfig(execute_horizon="auto", max_in_flight=1),
        EdgeConfig(execute_horizon=4),
        EdgeConfig(execute_horizon=None),
        EdgeConfig(execute_horizon="auto", merge=MergeMode.FINISH),
    ],
)
def test_other_settings_ask_one_after_the_other(config: EdgeConfig) -> None:
    assert len(AskingAhead(config).ask_all()) == 1


def test_a_server_that_continues_nothing_is_asked_one_after_the_other() -> None:
    (request,) = AskingAhead(continues_awaited=False).ask_all()
    assert request.awaited == ()


def test_nobody_asks_ahead_before_the_first_answer_of_a_session_tells_what_it_costs() -> None:
    talk = AskingAhead()
    talk.protocol.lost("x")
    talk.protocol.opened(SessionRef(OTHER, EPOCH + 1, continues_awaited=True), talk.now_ns)
    first = talk.ask_all(continues=0)
    assert len(first) == 1
    assert first[0].awaited == ()


@pytest.mark.parametrize("motion", [MotionState.WAITING, MotionState.FALLBACK])
def test_a_robot_that_stands_asks_one_after_the_other(motion: MotionState) -> None:
    talk = AskingAhead()
    talk.turn(motion=motion)
    requests = talk.ask_all(prefix=None)
    assert [request.awaited for request in requests] == [()]


def test_a_robot_that_is_invited_elsewhere_awaits_nothing_more() -> None:
    talk = AskingAhead()
    talk.protocol.invited_to = "other"
    assert len(talk.ask_all()) == 1


def test_a_robot_that_moves_awaits_nothing_more_so_that_it_can_go() -> None:
    talk = AskingAhead()
    requests = talk.ask_all()
    talk.protocol.is_moving = True
    for request in requests:
        talk.answer(request)
        talk.turn()
    assert talk.protocol.may_move(talk.draft(slack_ns=S))
    assert len(talk.ask_all()) == 1


def test_after_a_miss_one_request_proves_the_link_before_others_follow() -> None:
    talk = AskingAhead()
    requests = talk.ask_all()
    talk.turn(max(request.deadline_ns for request in requests) - talk.now_ns)
    assert (talk.count("timeouts"), talk.count("sessions_lost")) == (1, 0), "one outage is one miss"
    (alone,) = talk.ask_all()
    assert alone.awaited == ()
    assert talk.answer(requests[2]) is not None, "late, and newer than what is played"
    assert talk.answer(requests[1]) is None
    assert talk.count("superseded") == 1
    assert talk.answer(alone) is not None
    talk.turn(merges=talk.plan.merges + 1)
    assert len(talk.ask_all()) == 3


def test_the_plan_lasts_as_long_as_what_is_under_way_lets_it() -> None:
    """So the server does not hurry for a robot that has enough to play, and nobody gives up too soon."""
    talk = AskingAhead()
    requests = talk.ask_all()
    first, second, third = (request.slack_ns for request in requests)
    chunk_ns = round(HORIZON / 30 * S)
    assert first == 0, "as the engine says"
    assert (second, third) == (chunk_ns - 1 * MS, chunk_ns - 1 * MS)
    assert requests[2].deadline_ns - requests[2].sent_ns == 3 * talk.latency.windowed_ns


def test_a_reply_ends_the_wait_for_those_before_it() -> None:
    talk = AskingAhead()
    requests = talk.ask_all()
    assert talk.answer(requests[2]) is not None
    assert talk.protocol.view.in_flight == 0
    assert talk.answer(requests[0]) is None
    assert talk.count("superseded") == 1


def test_a_request_that_is_put_off_costs_no_reply_that_is_under_way() -> None:
    """A server looks at the quota of a request at once, and may still be at work for the one before it."""
    talk = AskingAhead()
    requests = talk.ask_all()
    talk.event(requests[2], EventCode.OVERLOADED.value)
    assert talk.protocol.view.in_flight == 2
    assert talk.protocol.state is LinkState.DEGRADED
    assert talk.answer(requests[0]) is not None
    assert talk.answer(requests[1]) is not None


def test_a_reply_under_way_ends_no_pause_that_the_server_asked_for() -> None:
    talk = AskingAhead()
    requests = talk.ask_all()
    event = event_payload(EventCode.OVERLOADED.value, pause_ms=2_000.0)
    assert talk.receive(echo(requests[2].header, Kind.EVENT), event) is None
    assert talk.answer(requests[0], 0) is not None
    assert talk.answer(requests[1], 0) is not None
    ticket = talk.protocol.view.ticket
    assert talk.turn(2 * S - 1, merges=1).ticket == ticket
    assert talk.turn(1).ticket == ticket + 1


def test_a_pause_of_one_server_is_none_of_the_next() -> None:
    talk = AskingAhead()
    (request, *_) = talk.ask_all()
    event = event_payload(EventCode.OVERLOADED.value, pause_ms=2_000.0)
    assert talk.receive(echo(request.header, Kind.EVENT), event) is None
    ticket = talk.protocol.view.ticket
    talk.protocol.lost("x")
    talk.protocol.opened(SessionRef(OTHER, EPOCH + 1), talk.now_ns)
    assert talk.turn().ticket == ticket + 1


def test_a_draft_that_fails_costs_no_reply_that_is_under_way() -> None:
    """No frame came in time, or it could not be encoded: what was sent before is answered all the same."""
    talk = AskingAhead()
    first = talk.ask()
    assert first is not None
    talk.turn()
    talk.protocol.draft_failed(talk.protocol.view.ticket, talk.now_ns)
    assert talk.protocol.outstanding is first
    second = talk.ask()
    assert second is None, "one request proves the link before others follow"
    assert talk.answer(first) is not None
    third = talk.ask()
    assert third is not None
    assert third.awaited == (first.seq,), "handed over, and not merged yet"
    talk.protocol.draft_failed(third.draft.ticket, talk.now_ns)
    assert talk.protocol.outstanding is None, "it was not sent"
    assert talk.protocol.view.in_flight == 0


def test_what_is_under_way_when_a_draft_fails_is_missed_if_it_never_comes() -> None:
    talk = AskingAhead()
    first = talk.ask()
    assert first is not None
    talk.turn()
    talk.protocol.draft_failed(talk.protocol.view.ticket, talk.now_ns)
    talk.turn(first.deadline_ns - talk.now_ns)
    assert talk.count("timeouts") == 1


def test_what_the_robot_was_moved_out_of_is_not_awaited() -> None:
    talk = AskingAhead()
    requests = talk.ask_all()
    talk.answer(requests[0])
    talk.turn(motion=MotionState.PAUSED)
    talk.turn(motion=MotionState.PLAYING, not_before_ns=talk.now_ns)
    assert [request.awaited for request in talk.ask_all(continues=1)] == [(), (5,), (5, 6)]


# -- replies ----------------------------------------------------------------------------------------------


def test_a_good_reply_becomes_a_proposal() -> None:
    talk = Talk()
    request = talk.send(step=5)
    made = talk.answer(request)
    assert made is not None
    assert made.source == Source(EPOCH, 1, request.draft.captured_ns)
    assert made.draft is request.draft
    assert (made.chunk.step, len(made.chunk)) == (5, HORIZON)
    assert talk.latency.newest_ns == 50 * MS


def test_a_duplicate_is_dropped() -> None:
    talk = Talk()
    request = talk.send()
    assert talk.answer(request) is not None
    assert talk.answer(request) is None
    assert talk.count("duplicated") == 1


def test_a_reply_to_nothing_we_asked_is_dropped() -> None:
    talk = Talk()
    request = talk.send()
    head = echo(request.header)
    for seq in (0, 2):
        wrong = Header(head.kind, seq, head.episode, head.client_mono_ns, head.epoch)
        assert talk.receive(wrong, chunk_payload(0)) is None
    assert talk.count("unknown_seq") == 2


def test_seq_zero_counts_as_unknown_whatever_was_sent() -> None:
    talk = Talk()
    assert talk.receive(Header(Kind.CHUNK, 0, 0, 0, EPOCH), chunk_payload(0)) is None
    assert talk.count("unknown_seq") == 1


def test_a_reply_must_echo_the_capture_stamp_and_the_episode() -> None:
    talk = Talk()
    head = echo(talk.send().header)
    for wrong in (
        Header(head.kind, head.seq, head.episode, head.client_mono_ns + 1, head.epoch),
        Header(head.kind, head.seq, head.episode + 1, head.client_mono_ns, head.epoch),
    ):
        assert talk.receive(wrong, chunk_payload(0)) is None
    assert talk.count("wrong_echo") == 2


def test_a_reply_of_an_old_episode_is_dropped() -> None:
    talk = Talk()
    request = talk.send()
    talk.turn(episode=1)
    assert talk.answer(request) is None
    assert talk.count("old_episode") == 1


def test_a_reply_of_an_old_epoch_is_told_from_one_that_was_misrouted() -> None:
    talk = Talk()
    request = talk.send()
    talk.protocol.lost("token gone")
    assert talk.answer(request) is None
    talk.protocol.opened(SessionRef(OTHER, EPOCH + 1), talk.now_ns)
    assert talk.answer(request) is None
    assert talk.count("old_epoch") == 2
    stranger = Header(Kind.CHUNK, 1, 0, 0, EPOCH + 2)
    assert talk.receive(stranger, b"not even looked at") is None
    assert talk.count("misrouted") == 1
    assert talk.count("rejected_malformed") == 0


def test_old_epochs_are_remembered_within_bounds() -> None:
    talk = Talk(is_open=False)
    for epoch in range(1, REMEMBERED_EPOCHS + 2):
        talk.protocol.opened(SessionRef(SERVER, epoch), talk.now_ns)
        talk.protocol.lost("x")
    talk.receive(Header(Kind.CHUNK, 1, 0, 0, 1), b"")
    assert talk.count("misrouted") == 1
    talk.receive(Header(Kind.CHUNK, 1, 0, 0, 2), b"")
    assert talk.count("old_epoch") == 1


def test_an_observation_is_nothing_a_client_receives() -> None:
    talk = Talk()
    request = talk.send()
    assert talk.receive(request.header, chunk_payload(0)) is None
    assert talk.count("unexpected_kind") == 1
    assert talk.protocol.outstanding is request


def nan_payload() -> bytes:
    rows = np.full((3, 2), np.nan, dtype=np.float32)
    model = np.zeros((3, 3), dtype=np.float32)
    message = ChunkMessage(
        step=0, chunk_model=encode_tensor(model), chunk_robot=encode_tensor(rows), valid_len=3
    )
    return encode(message)


@pytest.mark.parametrize(
    ("payload", "counter"),
    [
        (b"garbage", "rejected_malformed"),
        (chunk_payload(0, HORIZON + 1), "rejected_shape"),
        (chunk_payload(1), "rejected_step"),
        (nan_payload(), "rejected_not_finite"),
    ],
)
def test_a_refused_chunk_degrades_the_link_and_is_asked_for_again(payload: bytes, counter: str) -> None:
    talk = Talk()
    request = talk.send()
    assert talk.receive(echo(request.header), payload) is None
    assert talk.count(counter) == 1
    assert talk.count("rejected_chunks") == 1
    assert talk.protocol.state is LinkState.DEGRADED
    assert talk.turn().ticket == 1
    assert talk.turn(100 * MS).ticket == 2
    assert talk.answer(request) is None  # answered, if badly


def test_a_late_reply_of_the_same_epoch_is_proposed_if_nothing_newer_was_answered() -> None:
    talk = Talk()
    first = talk.send()
    talk.turn(5 * S)
    assert talk.count("timeouts") == 1
    second = talk.send()
    late = talk.answer(first)
    assert late is not None
    assert late.source.seq == 1
    assert talk.protocol.outstanding is second
    assert talk.answer(second) is not None


def test_the_newest_answer_wins_over_a_late_one() -> None:
    talk = Talk()
    first = talk.send()
    talk.turn(5 * S)
    second = talk.send()
    assert talk.answer(second) is not None
    assert talk.answer(first) is None
    assert talk.count("superseded") == 1


def test_where_the_time_of_a_reply_went_is_known() -> None:
    talk = Talk()
    request = talk.send()
    body = encode(
        msgspec.structs.replace(decode(chunk_payload(0), ChunkMessage), queue_wait_ms=10.0, inference_ms=25.0)
    )
    assert talk.receive(echo(request.header), body, 50 * MS) is not None
    newest = talk.protocol.latency.newest
    assert newest is not None
    assert newest.as_ms == {"total": 50.0, "network": 15.0, "queue": 10.0, "decode": 0.0, "inference": 25.0}


# -- events -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [EventCode.OVERLOADED, EventCode.POLICY_ERROR, EventCode.INVALID_INPUT])
def test_an_event_degrades_the_link_and_the_request_is_made_again(code: EventCode) -> None:
    talk = Talk()
    talk.event(talk.send(), code.value)
    assert talk.count(f"event_{code.value}") == 1
    assert talk.count("requests_refused") == 1
    assert talk.protocol.state is LinkState.DEGRADED
    assert talk.turn(100 * MS).ticket == 2
    made = talk.answer(talk.send())
    assert made is not None
    assert talk.turn(merges=1).state is LinkState.STREAMING


def put_off(talk: Talk, pause_ms: float) -> None:
    """Answer a request by an event that asks for a pause."""
    request = talk.send()
    event = EventMessage(code="overloaded", message="lab-a is above its quota", seq=1, pause_ms=pause_ms)
    assert talk.receive(echo(request.header, Kind.EVENT), encode(event)) is None


def test_a_robot_that_is_put_off_asks_again_after_the_pause_and_stays_however_often() -> None:
    talk = Talk()
    talk.protocol.has_alternative = True
    for times in range(1, 3 * REFUSALS_UNTIL_LOST):
        put_off(talk, 2_500.0)
        assert talk.turn(2_499 * MS).ticket == times
        assert talk.turn(MS).ticket == times + 1
    assert talk.protocol.session == SessionRef(SERVER, EPOCH)
    assert talk.protocol.state is LinkState.DEGRADED
    assert talk.count("requests_deferred") == 3 * REFUSALS_UNTIL_LOST - 1
    assert talk.count("requests_refused") == 0
    assert "lab-a is above its quota" in talk.protocol.refusals.newest
    assert talk.answer(talk.send()) is not None
    assert talk.turn(merges=1).state is LinkState.STREAMING


def test_a_robot_that_was_put_off_asks_no_sooner_than_its_quota_for_a_minute() -> None:
    talk = Talk()
    talk.answer(talk.send())
    assert talk.turn().share_ns < 100 * MS
    talk.turn(250 * MS)
    put_off(talk, 600.0)
    assert talk.turn().share_ns == 900 * MS, "since the last answer, and for the pause"
    talk.turn(600 * MS)
    for _ in range(20):
        talk.answer(talk.send())
    assert talk.turn().share_ns == 900 * MS
    talk.turn(S)
    put_off(talk, 100.0)
    assert talk.turn().share_ns == 1150 * MS
    talk.turn(100 * MS)
    talk.answer(talk.send())
    assert talk.turn(60 * S).share_ns < 100 * MS, "others may have left"
    talk.protocol.lost("x")
    talk.protocol.opened(SessionRef(OTHER, EPOCH + 1), talk.now_ns)
    assert talk.turn().share_ns == 0


def test_no_server_brings_a_robot_to_ask_for_less_than_the_bound() -> None:
    talk = Talk()
    put_off(talk, 1e12)
    assert talk.turn().share_ns == LONGEST_NS


def test_a_robot_without_a_plan_leaves_a_server_that_only_puts_it_off_for_another_one() -> None:
    talk = Talk()
    talk.protocol.has_alternative = True
    for _ in range(REFUSALS_UNTIL_LOST):
        assert talk.protocol.session is not None
        put_off(talk, 200.0)
        talk.turn(200 * MS, motion=MotionState.FALLBACK)
    assert talk.protocol.session is None
    assert talk.protocol.state is LinkState.RECONNECTING
    assert "put off" in talk.protocol.lost_reason


def test_a_robot_that_is_put_off_by_the_only_server_stays() -> None:
    talk = Talk()
    for _ in range(3 * REFUSALS_UNTIL_LOST):
        put_off(talk, 200.0)
        talk.turn(200 * MS, motion=MotionState.FALLBACK)
    assert talk.protocol.session == SessionRef(SERVER, EPOCH)


@pytest.mark.parametrize("pause_ms", [1e-9, 1.0])
def test_a_server_that_puts_off_for_no_time_is_not_hammered(pause_ms: float) -> None:
    talk = Talk()
    put_off(talk, pause_ms)
    assert talk.turn(FIRST_PAUSE_NS - 1).ticket == 1
    assert talk.turn(1).ticket == 2


def test_no_server_puts_a_robot_off_for_longer_than_the_bound() -> None:
    talk = Talk()
    put_off(talk, 1e9)
    assert talk.turn(MAX_TOLD_PAUSE_NS - 1).ticket == 1
    assert talk.turn(1).ticket == 2


@pytest.mark.parametrize("code", [EventCode.UNKNOWN_SESSION, EventCode.DRAINING])
def test_some_events_end_the_session_at_once(code: EventCode) -> None:
    talk = Talk()
    talk.event(talk.send(), code.value)
    assert talk.protocol.state is LinkState.RECONNECTING
    assert talk.protocol.session is None
    assert code.value in talk.protocol.lost_reason


def test_an_event_about_the_session_fails_no_request() -> None:
    talk = Talk()
    request = talk.send()
    talk.receive(Header(Kind.EVENT, 0, 0, 0, EPOCH), event_payload("overloaded"))
    assert talk.protocol.outstanding is request
    assert talk.protocol.state is LinkState.STREAMING


def test_an_event_about_a_request_given_up_fails_nothing() -> None:
    talk = Talk()
    first = talk.send()
    talk.turn(5 * S)
    second = talk.send()
    talk.event(first, "overloaded")
    assert talk.protocol.outstanding is second
    assert talk.count("requests_refused") == 0


def test_a_code_from_the_future_is_a_failed_request_and_names_no_counter() -> None:
    talk = Talk()
    talk.event(talk.send(), "warp_core_breach")
    assert talk.count("event_unknown_code") == 1
    assert talk.count("requests_refused") == 1


def test_a_malformed_event_is_counted() -> None:
    talk = Talk()
    request = talk.send()
    assert talk.receive(echo(request.header, Kind.EVENT), b"\xff") is None
    assert talk.count("rejected_malformed") == 1
    assert talk.protocol.outstanding is request


@pytest.mark.parametrize("is_event", [True, False])
def test_a_server_that_only_refuses_is_left(is_event: bool) -> None:
    talk = Talk()
    for number in range(1, REFUSALS_UNTIL_LOST + 1):
        request = talk.send()
        if is_event:
            talk.event(request, "policy_error")
        else:
            talk.receive(echo(request.header), b"garbage")
        is_left = number == REFUSALS_UNTIL_LOST
        assert talk.protocol.state is (LinkState.RECONNECTING if is_left else LinkState.DEGRADED)
        talk.now_ns += S


def refuse(talk: Talk, code: str = "policy_error") -> LinkState:
    """Refuse a request that is made as soon as it may be."""
    talk.event(talk.send(), code)
    return talk.protocol.state


@pytest.mark.parametrize("code", ["policy_error", "overloaded", "not_ready"])
def test_with_a_replica_the_second_refusal_in_a_row_is_the_last_and_nothing_pauses(code: str) -> None:
    talk = Talk()
    talk.protocol.has_alternative = True
    assert refuse(talk, code) is LinkState.DEGRADED
    assert refuse(talk, code) is LinkState.RECONNECTING  # without a pause, or there would have been no ask
    assert talk.protocol.lost_reason == f"2 requests in a row refused, the last with {code}: why"


def test_with_a_replica_one_bad_chunk_is_asked_for_again_and_the_second_is_the_last() -> None:
    talk = Talk()
    talk.protocol.has_alternative = True
    for state in (LinkState.DEGRADED, LinkState.RECONNECTING):
        talk.receive(echo(talk.send().header), nan_payload())
        assert talk.protocol.state is state
    assert "rejected_not_finite" in talk.protocol.lost_reason


def test_one_bad_row_does_not_drive_a_robot_from_a_healthy_server() -> None:
    talk = Talk()
    talk.protocol.has_alternative = True
    for _ in range(5):
        assert refuse(talk) is LinkState.DEGRADED
        assert talk.answer(talk.send()) is not None
    assert talk.protocol.session is not None


def test_what_is_wrong_with_the_request_itself_is_no_reason_to_ask_somebody_else() -> None:
    talk = Talk()
    talk.protocol.has_alternative = True
    for _ in range(REFUSALS_UNTIL_LOST - 1):
        assert refuse(talk, "invalid_input") is LinkState.DEGRADED
        talk.now_ns += S


def test_who_gives_up_says_what_the_server_said() -> None:
    talk = Talk()
    refuse(talk)
    talk.turn(gave_up="no chunk could be merged for 8 s")
    assert talk.protocol.dead_reason == "no chunk could be merged for 8 s; the server said: policy_error: why"


def test_what_the_server_said_before_a_merge_is_not_the_reason() -> None:
    talk = Talk()
    refuse(talk)
    talk.turn(merges=1)
    talk.turn(gave_up="no chunk could be merged for 8 s")
    assert talk.protocol.dead_reason == "no chunk could be merged for 8 s"


def test_a_good_answer_forgets_the_refusals() -> None:
    talk = Talk()
    for _ in range(3):
        for _ in range(REFUSALS_UNTIL_LOST - 1):
            talk.event(talk.send(), "overloaded")
            talk.now_ns += S
        talk.answer(talk.send())
    assert talk.protocol.session is not None


# -- time -------------------------------------------------------------------------------------------------


def test_a_request_that_is_late_is_made_again_and_the_second_miss_loses_the_server() -> None:
    talk = Talk()
    talk.answer(talk.send())  # from now on the latency is known
    talk.send()
    assert talk.turn(249 * MS).ticket == 2
    assert talk.turn(1 * MS).ticket == 3
    assert talk.protocol.state is LinkState.STREAMING  # not yet a second
    talk.send()
    assert talk.turn(300 * MS).state is LinkState.RECONNECTING
    assert talk.count("timeouts") == 2
    assert "2 requests in a row" in talk.protocol.lost_reason


def test_the_link_is_degraded_when_a_request_is_older_than_the_bound() -> None:
    talk = Talk()
    for _ in range(3):
        talk.answer(talk.send(), 2 * S)
    request = talk.send()
    assert talk.turn(1 * S).state is LinkState.STREAMING
    assert talk.turn(1).state is LinkState.DEGRADED
    assert talk.turn(1 * S).state is LinkState.DEGRADED
    assert talk.answer(request) is not None
    assert talk.turn().state is LinkState.DEGRADED  # only a merge heals
    assert talk.turn(merges=1).state is LinkState.STREAMING


def test_an_answer_ends_the_row_of_misses() -> None:
    talk = Talk()
    for merges in range(4):
        late = talk.send()
        talk.turn((5 << merges) * S)  # what answers late is waited for longer
        assert talk.answer(late) is not None
        talk.turn(merges=merges + 1)
    assert talk.count("timeouts") == 4
    assert talk.protocol.session is not None


def test_a_short_playback_shortens_the_patience() -> None:
    talk = Talk()
    assert talk.send(slack_ns=400 * MS).deadline_ns == talk.now_ns + 400 * MS


# -- sessions ---------------------------------------------------------------------------------------------


def test_a_session_that_is_lost_voids_its_requests_and_a_new_one_counts_afresh() -> None:
    talk = Talk()
    talk.send()
    talk.protocol.lost("token gone")
    assert talk.protocol.view == LinkView(LinkState.RECONNECTING, None, 1, 100 * MS, delay_ns=100 * MS)
    assert talk.turn(S).ticket == 1
    talk.protocol.lost("again")
    assert talk.count("sessions_lost") == 1
    assert talk.protocol.lost_reason == "token gone"
    talk.protocol.opened(SessionRef(OTHER, 8), talk.now_ns)
    assert talk.send().seq == 1
    assert talk.count("sessions_opened") == 2


def test_a_merge_seen_while_reconnecting_does_not_pretend_a_link() -> None:
    talk = Talk()
    talk.protocol.lost("x")
    assert talk.turn(merges=1).state is LinkState.RECONNECTING


def test_before_a_session_there_is_nothing_to_lose() -> None:
    talk = Talk(is_open=False)
    talk.protocol.lost("x")
    assert talk.turn(merges=1).state is LinkState.CONNECTING


def test_dead_is_final() -> None:
    talk = Talk()
    request = talk.send()
    talk.protocol.kill("first")
    talk.protocol.kill("second")
    assert talk.protocol.dead_reason == "first"
    assert talk.answer(request) is None
    talk.protocol.lost("x")
    talk.protocol.draft_failed(1, talk.now_ns)
    assert talk.turn(10 * S, merges=1).state is LinkState.DEAD
    with pytest.raises(StateError):
        talk.protocol.opened(SessionRef(SERVER, 9), talk.now_ns)
    assert talk.protocol.session is None


def test_an_engine_that_gave_up_makes_the_link_dead() -> None:
    talk = Talk()
    talk.turn(motion=MotionState.STOPPED, gave_up="no chunk for 60 s")
    assert talk.protocol.state is LinkState.DEAD
    assert talk.protocol.dead_reason == "no chunk for 60 s"


def test_an_accepted_session_is_opened_once() -> None:
    talk = Talk()
    with pytest.raises(StateError):
        talk.protocol.opened(SessionRef(OTHER, 8), talk.now_ns)
    assert talk.protocol.session == SessionRef(SERVER, EPOCH)


def test_a_new_uplink_has_no_reason_to_be_lost_or_dead() -> None:
    protocol = Talk(is_open=False).protocol
    assert (protocol.lost_reason, protocol.dead_reason) == ("", "")


def test_a_new_session_is_asked_at_once_and_pays_for_no_failure_of_the_last() -> None:
    talk = Talk()
    for _ in range(REFUSALS_UNTIL_LOST):
        talk.now_ns += S
        talk.event(talk.send(), "policy_error")
    assert talk.protocol.session is None
    talk.protocol.opened(SessionRef(OTHER, EPOCH + 1), talk.now_ns)
    for number in range(REFUSALS_UNTIL_LOST - 1):
        talk.event(talk.send(), "policy_error")  # the first without a pause
        assert talk.protocol.session is not None
        talk.now_ns += 100 * MS << number


def test_a_good_answer_ends_a_pause() -> None:
    talk = Talk()
    late = talk.send()
    ticket = talk.turn(5 * S).ticket
    talk.protocol.draft_failed(ticket, talk.now_ns)
    assert talk.turn().ticket == ticket
    assert talk.answer(late, 0) is not None
    assert talk.turn().ticket == ticket + 1


def test_an_ask_that_a_lost_session_leaves_unanswered_is_made_again_in_the_next() -> None:
    talk = Talk()
    talk.turn()
    made = talk.draft()
    talk.protocol.lost("token gone")
    assert talk.protocol.offer(Snapshot(made, {}), talk.now_ns) is None
    talk.protocol.opened(SessionRef(OTHER, EPOCH + 1), talk.now_ns)
    assert talk.turn().ticket == made.ticket + 1


def test_a_request_says_what_part_of_the_last_round_trips_was_not_the_servers() -> None:
    talk = Talk()
    request = talk.send()
    assert request.network_ns == 0, "nobody knows yet"
    for round_trip_ms, network_ms in ((80, 20), (90, 20), (260, 30), (95, 30)):
        payload = chunk_payload(request.draft.step, queue_ms=30, decode_ms=10, inference_ms=20)
        talk.receive(echo(request.header), payload, round_trip_ms * MS)
        request = talk.send()
        assert request.network_ns == network_ms * MS


def test_the_robots_part_of_the_device_is_known_from_the_newest_answers_of_the_session() -> None:
    talk = Talk()
    for inference_ms, batch_size, sessions, share_ms in (
        (20, 1, 4, 160),
        (40, 2, 4, 160),
        (80, 1, 4, 160),
        (80, 1, 4, 160),
        (80, 1, 4, 640),
    ):
        request = talk.send()
        payload = chunk_payload(
            request.draft.step, inference_ms=inference_ms, batch_size=batch_size, sessions=sessions
        )
        talk.receive(echo(request.header), payload, 100 * MS)
        assert talk.turn().share_ns == share_ms * MS
    talk.protocol.lost("for the test")
    assert talk.protocol.view.share_ns == 0


def test_a_robot_among_many_at_a_server_whose_decoding_is_dear_asks_no_oftener_than_its_part() -> None:
    """By the time that the server said at session open, or else by that of the answer itself."""
    for processor_s, decode_ms, share_ms in (
        (0.05, 400, 1600),
        (0.0, 49.7, 1600),
        (0.001, 400, 64),
        (0, 0, 64),
    ):
        talk = Talk(is_open=False)
        talk.protocol.opened(SessionRef(SERVER, EPOCH, processor_s=processor_s), talk.now_ns)
        request = talk.send()
        payload = chunk_payload(request.draft.step, inference_ms=2, decode_ms=decode_ms, sessions=16)
        talk.receive(echo(request.header), payload, 100 * MS)
        assert talk.turn().share_ns == pytest.approx(share_ms * MS)


@pytest.mark.parametrize("inference_ms", [math.nan, math.inf, -math.inf, -1.0, 1e308, 0.0, 5.0])
@pytest.mark.parametrize("decode_ms", [math.nan, -1.0, 1e308, 0.0])
@pytest.mark.parametrize("batch_size", [0, -3, 2**62])
@pytest.mark.parametrize("sessions", [0, -1, 10**9, 2**62])
def test_no_number_that_a_server_says_of_itself_ends_the_robot_or_makes_it_wait_for_less_than_nothing(
    inference_ms: float, decode_ms: float, batch_size: int, sessions: int
) -> None:
    talk = Talk()
    request = talk.send()
    payload = chunk_payload(
        request.draft.step,
        inference_ms=inference_ms,
        decode_ms=decode_ms,
        batch_size=batch_size,
        sessions=sessions,
    )
    assert talk.receive(echo(request.header), payload) is not None
    share_ns = talk.protocol.view.share_ns
    assert isinstance(share_ns, int)
    assert share_ns >= 0


# -- what the server asks for -----------------------------------------------------------------------------


def slowed(talk: Talk, min_interval_ms: float = 400.0) -> int:
    """Return the interval in the view after a chunk with this one."""
    request = talk.send()
    payload = chunk_payload(request.draft.step, min_interval_ms=min_interval_ms)
    assert talk.receive(echo(request.header), payload) is not None
    return talk.turn().min_interval_ns


def test_the_interval_of_a_chunk_holds_until_the_next_chunk() -> None:
    talk = Talk()
    assert slowed(talk) == 400 * MS
    talk.turn(S)
    assert talk.protocol.view.min_interval_ns == 400 * MS
    assert slowed(talk, 0.0) == 0


@pytest.mark.parametrize("interval_ms", [math.nan, math.inf, -1.0, -1e300, 1e300])
def test_an_interval_that_is_no_time_is_none(interval_ms: float) -> None:
    assert slowed(Talk(), interval_ms) == 0


def test_a_request_without_an_answer_is_repeated_without_an_interval() -> None:
    talk = Talk()
    slowed(talk)
    talk.send()
    assert talk.turn(10 * S).min_interval_ns == 0
    slowed(talk)
    talk.event(talk.send(), "policy_error")
    assert talk.turn().min_interval_ns == 0


def test_the_interval_of_a_server_is_not_that_of_the_next() -> None:
    talk = Talk()
    slowed(talk)
    talk.protocol.lost("gone")
    assert talk.protocol.view.min_interval_ns == 0
    talk.protocol.opened(SessionRef(SERVER, EPOCH + 1, least_executed=7), talk.now_ns)
    view = talk.turn()
    assert (view.min_interval_ns, view.least_executed) == (0, 7)
    talk.protocol.lost("gone")
    assert talk.turn().least_executed == 0


# -- a move to another server -----------------------------------------------------------------------------


def test_a_move_is_made_with_a_request_that_is_wanted_and_has_twice_the_time() -> None:
    talk = Talk()
    talk.turn()
    assert not talk.protocol.may_move(talk.draft(slack_ns=10 * S))  # nobody knows how long an answer takes
    talk.answer(talk.send())
    talk.turn()
    assert talk.protocol.may_move(talk.draft(slack_ns=100 * MS))
    assert not talk.protocol.may_move(talk.draft(slack_ns=99 * MS))
    assert not talk.protocol.may_move(talk.draft(slack_ns=S, episode=1))
    assert not talk.protocol.may_move(replace(talk.draft(slack_ns=S), ticket=talk.protocol.view.ticket - 1))
    made = talk.draft(slack_ns=S)
    talk.send(slack_ns=S)
    assert not talk.protocol.may_move(made)  # its answer is awaited


def test_only_a_link_that_works_moves() -> None:
    talk = Talk()
    talk.answer(talk.send())
    talk.turn()
    talk.protocol.draft_failed(talk.protocol.view.ticket, talk.now_ns)
    talk.turn(S)
    assert talk.protocol.state is LinkState.DEGRADED
    assert not talk.protocol.may_move(talk.draft(slack_ns=S))
    with pytest.raises(StateError):
        talk.protocol.moved(SessionRef(OTHER, EPOCH + 1))


def test_after_a_move_the_ask_stands_and_the_old_session_is_void() -> None:
    talk = Talk()
    first = talk.send()
    talk.answer(first)
    ticket = talk.turn().ticket
    talk.protocol.moved(SessionRef(OTHER, EPOCH + 1))
    view = talk.turn()
    assert (view.state, view.epoch, view.ticket) == (LinkState.STREAMING, EPOCH + 1, ticket)
    request = talk.send()
    assert (request.epoch, request.seq) == (EPOCH + 1, 1)
    assert talk.answer(first) is None
    assert talk.count("old_epoch") == 1
    assert talk.answer(request) is not None
    assert talk.count("moves") == 1
    assert talk.count("sessions_lost") == 0


def test_an_invitation_is_kept_for_the_worker_and_answers_no_request() -> None:
    talk = Talk()
    request = talk.send()
    message = encode(EventMessage(code=EventCode.MOVE.value, target="two", seq=request.seq))
    assert talk.receive(echo(request.header, Kind.EVENT), message) is None
    assert talk.protocol.invited_to == "two"
    assert talk.protocol.outstanding is request
    assert talk.count("requests_refused") == 0
    other = replace_epoch(echo(request.header, Kind.EVENT), EPOCH + 5)
    talk.receive(other, encode(EventMessage(code=EventCode.MOVE.value, target="evil")))
    assert talk.protocol.invited_to == "two"


def replace_epoch(header: Header, epoch: int) -> Header:
    return msgspec.structs.replace(header, epoch=epoch)

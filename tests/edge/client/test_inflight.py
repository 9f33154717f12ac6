from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge.rig import EPOCH, MS, S, draft, echo
from vagus.edge.client.inflight import REMEMBERED_REQUESTS, InFlight, LatencyWindow, Mismatch, Request
from vagus.wire.schema import Header, Kind


def inflight(latency_ms: int | None = 100) -> InFlight:
    window = LatencyWindow()
    if latency_ms is not None:
        window.add(latency_ms * MS)
    return InFlight(window)


def sent(f: InFlight, now_ns: int = 0, *, slack_ns: int = 0, captured_ns: int = 0) -> Request:
    return f.send(EPOCH, draft(captured_ns=captured_ns, slack_ns=slack_ns, episode=2), now_ns)


def test_the_header_carries_what_the_reply_must_echo() -> None:
    request = sent(inflight(), captured_ns=55)
    assert request.header == Header(Kind.OBSERVATION, 1, 2, 55, EPOCH)


def test_a_reply_is_matched_once() -> None:
    f = inflight()
    request = sent(f)
    assert f.match(echo(request.header)) is request
    assert f.settle(request)
    assert f.outstanding is None
    assert f.match(echo(request.header)) is Mismatch.DUPLICATED


def test_numbers_never_sent_are_unknown() -> None:
    f = inflight()
    request = sent(f)
    for seq in (0, 2, 10**12):
        assert f.match(replace_seq(request, seq)) is Mismatch.UNKNOWN_SEQ


def replace_seq(request: Request, seq: int) -> Header:
    head = request.header
    return Header(Kind.CHUNK, seq, head.episode, head.client_mono_ns, head.epoch)


def test_a_reply_must_echo_episode_and_capture_stamp() -> None:
    f = inflight()
    sent(f, captured_ns=5)
    assert f.match(Header(Kind.CHUNK, 1, 3, 5, EPOCH)) is Mismatch.WRONG_ECHO
    assert f.match(Header(Kind.CHUNK, 1, 2, 6, EPOCH)) is Mismatch.WRONG_ECHO


def test_a_late_reply_is_still_matched_after_a_miss() -> None:
    f = inflight()
    first = sent(f)
    f.miss()
    second = sent(f, 10)
    assert f.misses == 1
    assert f.match(echo(first.header)) is first
    assert not f.settle(first)
    assert f.outstanding is second
    assert f.misses == 0


def test_an_answer_to_an_older_request_is_superseded() -> None:
    f = inflight()
    first = sent(f)
    f.miss()
    second = sent(f, 10)
    assert not f.is_superseded(first)
    f.settle(second)
    assert f.is_superseded(first)


def test_the_timeout_is_three_times_the_latency_within_bounds() -> None:
    for latency_ms, slack_ns, wanted_ms in (
        (100, 0, 300),
        (10, 0, 250),
        (3000, 0, 5000),
        (200, 400 * MS, 400),  # playback left
        (200, 10 * S, 600),
        (100, 5 * MS, 250),
        (200, 5 * MS, 300),  # nobody answers sooner
        (7000, 5 * MS, 10_500),
    ):
        assert sent(inflight(latency_ms), S, slack_ns=slack_ns).deadline_ns == S + wanted_ms * MS


def test_before_the_first_reply_there_is_a_second_of_patience() -> None:
    assert sent(inflight(None)).deadline_ns == S


def test_the_timeout_grows_after_each_miss_and_shrinks_after_an_answer() -> None:
    f = inflight(100)
    timeouts = []
    for now_ns in range(6):
        request = sent(f, now_ns)
        timeouts.append((request.deadline_ns - now_ns) // MS)
        f.miss()
    assert timeouts == [300, 600, 1200, 2400, 4800, 5000]
    f.settle(request)
    assert sent(f).deadline_ns == 300 * MS


def test_playback_left_bounds_a_grown_timeout_less() -> None:
    f = inflight(400)
    assert sent(f, slack_ns=700 * MS).deadline_ns == 700 * MS
    f.miss()
    assert sent(f, slack_ns=700 * MS).deadline_ns == 1400 * MS


def test_a_server_that_was_measured_to_be_slow_is_waited_for() -> None:
    slow = InFlight(LatencyWindow(initial_ns=12 * S))
    assert sent(slow).deadline_ns == 18 * S
    assert sent(slow, slack_ns=MS).deadline_ns == 18 * S


def test_patience_with_a_server_that_nobody_measured_grows_from_session_to_session() -> None:
    f, patience_s = inflight(None), []
    for _ in range(6):
        for _ in range(2):  # misses until a server counts as lost
            request = sent(f)
            patience_s.append(request.deadline_ns / S)
            f.miss()
        f.begin_session()
    assert patience_s == [1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 64]
    f.settle(sent(f))
    f.begin_session()
    assert sent(f).deadline_ns == S


def test_waiting_counts_from_the_oldest_request_without_an_answer() -> None:
    f = inflight()
    assert f.waited_ns(5) == 0
    first = sent(f, 10)
    f.miss()
    sent(f, 50)
    assert f.waited_ns(100) == 90
    f.settle(first)
    assert f.waited_ns(100) == 50
    f.abandon()
    assert f.waited_ns(100) == 0
    assert f.outstanding is None


def test_a_session_begins_with_number_one_and_knows_nothing_of_the_last() -> None:
    f = inflight()
    old = sent(f)
    f.miss()
    f.begin_session()
    assert f.match(echo(old.header)) is Mismatch.UNKNOWN_SEQ
    assert f.misses == 0
    assert sent(f).seq == 1


def test_only_so_many_requests_are_remembered() -> None:
    f = inflight()
    requests = [sent(f, now) for now in range(REMEMBERED_REQUESTS + 1)]
    assert f.match(echo(requests[0].header)) is Mismatch.DUPLICATED
    assert f.match(echo(requests[1].header)) is requests[1]


@given(st.integers(0, 10**11), st.integers(-(10**9), 10**11), st.integers(0, 100))
def test_the_timeout_never_leaves_its_bounds(latency_ns: int, slack_ns: int, misses: int) -> None:
    window = LatencyWindow()
    window.add(latency_ns)
    f = InFlight(window)
    f.misses = misses
    made = replace(draft(), slack_ns=slack_ns)
    assert 250 * MS <= f.send(EPOCH, made, 0).deadline_ns <= max(5 * S, latency_ns * 3 // 2)


def test_only_a_session_that_was_asked_and_never_answered_makes_the_next_one_more_patient() -> None:
    f = inflight(None)
    for _ in range(3):  # opened and lost, and nothing was asked
        f.begin_session()
    assert sent(f).deadline_ns == S
    f.settle(sent(f))
    sent(f)
    f.miss()
    f.begin_session()  # it did answer
    assert sent(f).deadline_ns == S
    f.miss()
    f.begin_session()  # one miss is enough
    assert sent(f).deadline_ns == 2 * S


def test_nothing_is_in_flight_after_a_miss_or_in_a_session_that_begins() -> None:
    f = inflight()
    sent(f, 10)
    f.miss()
    assert f.outstanding is None
    sent(f, 20)
    f.begin_session()
    assert f.outstanding is None
    assert f.waited_ns(100) == 0


def test_no_answer_supersedes_itself() -> None:
    f = inflight()
    request = sent(f)
    f.settle(request)
    assert not f.is_superseded(request)

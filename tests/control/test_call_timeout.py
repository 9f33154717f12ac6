"""CallTimeout ends when it should, and time in which nobody ran is not held against a call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.control.call_timeout import GAP_LOOKS, NOTE_NS, CallTimeout, Span, Verdict

LOOK_NS = 100_000_000
SPAN = Span(serial=1, patience_ns=1_000_000_000, asked_ns=250_000_000, signals=0)
LONG = Span(serial=2, patience_ns=60_000_000_000, asked_ns=250_000_000, signals=0)


def verdicts(span: Span | None, looks: int, *, signals: int = 0) -> list[Verdict]:
    patience = CallTimeout(LOOK_NS)
    return [patience.look(number * LOOK_NS, span, signals) for number in range(looks)]


def test_a_call_that_takes_too_long_is_overdue_and_not_before() -> None:
    assert verdicts(SPAN, 12) == [Verdict.FINE] * 10 + [Verdict.OVERDUE] * 2


def test_nothing_is_never_overdue() -> None:
    assert set(verdicts(None, 1000)) == {Verdict.FINE}


def test_a_signal_makes_what_may_take_its_time_due() -> None:
    assert verdicts(LONG, 5, signals=1) == [Verdict.FINE] * 3 + [Verdict.ASKED] * 2


def test_a_signal_from_before_does_not() -> None:
    after = Span(serial=1, patience_ns=LONG.patience_ns, asked_ns=0, signals=3)
    assert set(verdicts(after, 5, signals=3)) == {Verdict.FINE}


def test_what_takes_its_time_is_spoken_of_now_and_then() -> None:
    said = verdicts(LONG, 301)
    assert said.count(Verdict.LONG) == 30 * 1_000_000_000 // NOTE_NS
    assert Verdict.OVERDUE not in said


def test_every_span_has_its_own_time() -> None:
    patience = CallTimeout(LOOK_NS)
    for number in range(100):
        span = Span(number // 5, SPAN.patience_ns, SPAN.asked_ns, 0)
        assert patience.look(number * LOOK_NS, span, 0) is Verdict.FINE


@given(st.integers(0, 10**15))
def test_a_process_that_was_stopped_does_not_hang(asleep_ns: int) -> None:
    patience = CallTimeout(LOOK_NS)
    patience.look(0, SPAN, 0)
    patience.look(LOOK_NS, SPAN, 0)
    assert patience.look(LOOK_NS + asleep_ns, SPAN, 0) is Verdict.FINE
    assert patience.lasted_ns <= (1 + GAP_LOOKS) * LOOK_NS


@given(st.lists(st.integers(1, LOOK_NS), min_size=400, max_size=400))
def test_no_call_lasts_unnoticed(gaps_ns: list[int]) -> None:
    patience, now_ns, began_ns = CallTimeout(LOOK_NS), 0, None
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        began_ns = now_ns if began_ns is None else began_ns
        verdict = patience.look(now_ns, SPAN, 0)
        assert (verdict is Verdict.OVERDUE) == (now_ns - began_ns >= SPAN.patience_ns)


def test_a_call_keeps_the_end_from_coming_once_it_lasts_as_long_as_it_may() -> None:
    exact = Span(serial=1, patience_ns=60_000_000_000, asked_ns=2 * LOOK_NS, signals=0)
    assert verdicts(exact, 4, signals=1) == [Verdict.FINE] * 2 + [Verdict.ASKED] * 2


def test_a_gap_between_two_looks_counts_as_three() -> None:
    span = Span(serial=1, patience_ns=3 * LOOK_NS + 1, asked_ns=0, signals=0)
    patience = CallTimeout(LOOK_NS)
    patience.look(0, span, 0)
    assert patience.look(1000 * LOOK_NS, span, 0) is Verdict.FINE
    assert patience.lasted_ns == 3 * LOOK_NS

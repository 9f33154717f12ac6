"""One slot per session that keeps the newest request only."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.server.mailbox import Mailbox, QueuedRequest
from vagus.wire.schema import Header, Kind


def request(seq: int, arrived_ns: int = 0, superseded: int = 0) -> QueuedRequest:
    return QueuedRequest(Header(Kind.OBSERVATION, seq, 0, 0, 1), b"", arrived_ns, superseded)


def test_the_newest_request_wins_and_knows_how_many_it_replaced() -> None:
    mailbox = Mailbox()
    assert mailbox.is_empty
    for seq in (1, 2, 3):
        assert mailbox.deposit(request(seq, seq * 10))
    assert mailbox.take() == request(3, 30, superseded=2)
    assert mailbox.is_empty
    assert mailbox.take() is None


def test_an_older_or_repeated_request_is_not_taken_in() -> None:
    mailbox = Mailbox()
    assert mailbox.deposit(request(2, 0))
    assert not mailbox.deposit(request(1, 1))
    assert not mailbox.deposit(request(2, 2))
    mailbox.take()
    assert not mailbox.deposit(request(2, 3))


def test_a_request_that_is_passed_over_is_counted_by_the_one_that_is_served() -> None:
    mailbox = Mailbox()
    mailbox.deposit(request(1, 0))
    first = mailbox.take()
    assert first is not None
    mailbox.pass_over(first)
    mailbox.deposit(request(2, 1))
    second = mailbox.take()
    assert second is not None
    assert second.superseded == 1
    mailbox.deposit(request(3, 2))
    mailbox.pass_over(second)
    third = mailbox.take()
    assert third is not None
    assert third.superseded == 2


@given(st.lists(st.sampled_from(["deposit", "take", "serve", "pass_over"])))
def test_no_request_is_lost_without_being_counted(actions: list[str]) -> None:
    mailbox = Mailbox()
    seq, accounted = 0, 0
    held: QueuedRequest | None = None
    for action in actions:
        if action == "deposit":
            seq += 1
            mailbox.deposit(request(seq))
        elif action == "take" and held is None:
            held = mailbox.take()
        elif action == "serve" and held is not None:
            accounted += 1 + held.superseded
            held = None
        elif action == "pass_over" and held is not None:
            mailbox.pass_over(held)
            held = None
    if held is not None:
        mailbox.pass_over(held)
    seq += 1
    mailbox.deposit(request(seq))
    last = mailbox.take()
    assert last is not None
    assert accounted + 1 + last.superseded == seq

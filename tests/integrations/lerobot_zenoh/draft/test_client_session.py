from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.client_session import (
    DraftClientSession,
    DraftPresence,
    DraftRequest,
    Tenancy,
)

FRESH = DraftClientSession.opened("id", 0)
IDLE_NS = 60 * NS_PER_S


def head(sequence: int, *, episode: int = 0, epoch: int = 0) -> DraftAttachment:
    return DraftAttachment(DraftMessage.OBSERVATION, sequence, episode, 0, epoch)


def observed(session: DraftClientSession, asked: DraftAttachment, now_ns: int = 0) -> DraftClientSession:
    after = session.observe(asked, b"", now_ns)
    assert after is not None
    return after


def taken(session: DraftClientSession) -> tuple[DraftClientSession, DraftRequest]:
    after, asked = session.taken()
    assert asked is not None
    return after, asked


def test_the_first_observation_teaches_the_epoch_and_a_later_one_may_raise_it() -> None:
    session = observed(FRESH, head(5, epoch=0))
    assert (session.epoch, session.last_sequence) == (0, 5)
    assert observed(FRESH, head(5, epoch=9)).epoch == 9
    session = observed(session, head(3, epoch=1))  # counted anew
    assert (session.epoch, session.last_sequence) == (1, 3)
    assert session.observe(head(9, epoch=0), b"", 0) is None


@pytest.mark.parametrize("sequence", [5, 4, 0])
def test_an_observation_that_is_not_newer_is_not_taken(sequence: int) -> None:
    assert observed(FRESH, head(5)).observe(head(sequence), b"", 0) is None


def test_an_older_observation_is_told_from_the_last_one_again() -> None:
    session = observed(FRESH, head(5, epoch=1))
    assert session.is_overtaken(head(4, epoch=1))
    assert session.is_overtaken(head(9, epoch=0))
    assert not session.is_overtaken(head(5, epoch=1))
    session, asked = taken(session)
    assert not session.is_overtaken(head(5, epoch=1))
    assert session.finished(asked).is_overtaken(head(5, epoch=1))


def test_the_newest_waits_and_says_how_many_it_has_replaced() -> None:
    session = FRESH
    for sequence in (1, 2, 3):
        session = observed(session, head(sequence))
    session, asked = taken(session)
    assert (asked.attachment.sequence, asked.superseded) == (3, 2)
    assert session.taken() == (session, None)
    session = observed(session, head(4))
    assert not session.is_current(asked)  # its client has given it up
    session = session.finished(asked)
    session, asked = taken(session)
    assert (asked.attachment.sequence, asked.superseded) == (4, 1)
    assert session.is_current(asked)


def test_a_reset_ends_what_is_asked_and_begins_one_episode() -> None:
    session, asked = taken(observed(FRESH, head(1)))
    assert not asked.begins_episode
    session = observed(session, head(2)).reset(1, NS_PER_S)
    assert session.taken()[1] is None
    assert not session.is_current(asked)
    assert session.finished(asked) is session
    session, asked = taken(observed(session, head(3, episode=1)))
    assert asked.begins_episode
    session, asked = taken(observed(session, head(4, episode=1)))
    assert not asked.begins_episode
    assert taken(observed(session, head(5, episode=2)))[1].begins_episode


def test_a_uuid_is_held_by_its_token_or_by_being_heard() -> None:
    assert not FRESH.is_held(0)
    alive = FRESH.token(is_alive=True, now_ns=0)
    assert alive.is_held(10**18)
    gone = alive.token(is_alive=False, now_ns=NS_PER_S)
    assert not gone.is_held(NS_PER_S)
    returned = gone.token(is_alive=True, now_ns=2 * NS_PER_S)
    assert not returned.is_held(3 * NS_PER_S)  # whose token is it?
    assert observed(returned, head(1), 3 * NS_PER_S).is_held(10**18)
    heard = observed(gone, head(1), 2 * NS_PER_S)
    assert heard.is_held(11 * NS_PER_S)
    assert not heard.is_held(12 * NS_PER_S)
    assert gone.token(is_alive=False, now_ns=9) is gone


@pytest.mark.parametrize(
    ("presence", "quiet_s", "becomes"),
    [
        (DraftPresence.ALIVE, 59, Tenancy.STAYS),
        (DraftPresence.ALIVE, 60, Tenancy.RESTS),
        (DraftPresence.ALIVE, 10**6, Tenancy.RESTS),
        (DraftPresence.UNSEEN, 59, Tenancy.STAYS),
        (DraftPresence.UNSEEN, 60, Tenancy.ENDS),
        (DraftPresence.GONE, 1, Tenancy.STAYS),
        (DraftPresence.GONE, 2, Tenancy.RESTS),
        (DraftPresence.GONE, 9, Tenancy.RESTS),
        (DraftPresence.GONE, 10, Tenancy.ENDS),
    ],
)
def test_what_becomes_of_a_place(presence: DraftPresence, quiet_s: int, becomes: Tenancy) -> None:
    session = replace(FRESH, presence=presence)
    assert session.tenancy(quiet_s * NS_PER_S, IDLE_NS) is becomes
    heard = observed(session, head(1), NS_PER_S)
    assert heard.tenancy((quiet_s + 1) * NS_PER_S, IDLE_NS) is becomes


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), st.integers(0, 9), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("take")),
        st.tuples(st.just("finish")),
        st.tuples(st.just("reset"), st.integers(0, 2)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_no_observation_is_answered_twice_and_none_of_an_older_epoch_after_a_newer_one(
    events: list[tuple[str, int, int, int]],
) -> None:
    session, at_work = FRESH, None
    answered: list[DraftAttachment] = []
    for what, *numbers in events:
        if what == "observe":
            sequence, episode, epoch = numbers
            session = session.observe(head(sequence, episode=episode, epoch=epoch), b"", 0) or session
        elif what == "reset":
            session = session.reset(numbers[0], 0)
        elif what == "take" and at_work is None:
            session, at_work = session.taken()
        elif what == "finish" and at_work is not None:
            if session.is_current(at_work):
                answered.append(at_work.attachment)
            session, at_work = session.finished(at_work), None
    order = [(one.epoch, one.sequence) for one in answered]
    assert order == sorted(set(order))

"""What a scheduler is told of each request, and for how long it stays true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vagus.clock import NS_PER_S
from vagus.server.candidates import SAME_SHARE, Candidates
from vagus.server.mailbox import QueuedRequest
from vagus.server.request import DecodedRequest
from vagus.server.request_slots import RequestSlots
from vagus.server.scheduler import Candidate, expected_after
from vagus.server.sessions import Session
from vagus.server.slot import EpisodeState, ReadyRequest, Slot
from vagus.server.tenants import Tenant
from vagus.server.validate import Terms
from vagus.types import Observation
from vagus.wire.schema import Header, Kind

TERMS = Terms(uses_rtc=False, image_codec="raw", max_pixels=0, instruction="", is_pinned=False, rate_hz=20.0)
HEAVY = Tenant(name="lab", clients=("lab-*",), weight=4.0)


def slot_of(epoch: int, tenant: Tenant | None = None) -> Slot[None]:
    owner = tenant or Tenant(name=f"arm{epoch}")
    return Slot(Session(f"arm{epoch}", "i", epoch, owner, opened_ns=0, heard_ns=0), TERMS, last_served=0)


def ready_of(seq: int = 1, *, slack_ms: float = 0.0) -> ReadyRequest:
    request = DecodedRequest(
        observation=Observation(np.zeros(1, np.float32), {}, "", 0),
        step=0,
        prefix=None,
        inference_delay=0,
        prefix_horizon=0,
        seed=0,
        is_episode_start=False,
        slack_ms=slack_ms,
        traceparent=None,
    )
    queued = QueuedRequest(Header(Kind.OBSERVATION, seq, 0, 0, 1), b"", arrived_ns=5)
    return ReadyRequest(queued, request, decode_ns=0, ready_ns=9, batch_key="k", gain_s=0.4)


def one(made: Candidates[None], slot: Slot[None], ready: ReadyRequest, now_ns: int = 0) -> Candidate:
    return made.of({slot.session.epoch: (slot, ready)}, now_ns)[slot.session.epoch]


def test_a_candidate_says_who_asks_for_what_and_until_when() -> None:
    assert one(Candidates(RequestSlots()), slot_of(7, HEAVY), ready_of(slack_ms=20.0)) == Candidate(
        7, 0, 9, 5 + 20_000_000, "k", tenant="lab", weight=4.0, share=0.0, rate_hz=20.0, gain_s=0.4
    )


@pytest.mark.parametrize(
    ("waits_for_answers", "slack_ms", "is_blocked"),
    [(False, 0.0, False), (True, 0.0, True), (True, 20.0, False)],
)
def test_a_client_is_blocked_that_asks_by_no_rule_and_has_nothing_to_play(
    waits_for_answers: bool, slack_ms: float, is_blocked: bool
) -> None:
    slot = slot_of(7)
    slot.terms = replace(slot.terms, waits_for_answers=waits_for_answers)
    assert one(Candidates(RequestSlots()), slot, ready_of(slack_ms=slack_ms)).is_blocked is is_blocked


def test_robots_of_one_tenant_share_what_it_used_and_its_weight_makes_it_less() -> None:
    made: Candidates[None] = Candidates(RequestSlots())
    first, second, single = slot_of(1, HEAVY), slot_of(2, HEAVY), slot_of(3)
    for slot in (first, second, single):
        made.charge(slot.session, NS_PER_S // 2, 0)
    ready = {slot.session.epoch: (slot, ready_of()) for slot in (first, second, single)}
    shares = {epoch: candidate.share for epoch, candidate in made.of(ready, 0).items()}
    assert shares == pytest.approx({1: 0.25, 2: 0.25, 3: 0.5}), "seconds of the device"


def test_a_candidate_is_kept_while_its_request_waits_and_its_share_is_as_good_as_the_same() -> None:
    made: Candidates[None] = Candidates(RequestSlots())
    slot, ready = slot_of(1), ready_of()
    made.charge(slot.session, NS_PER_S, 0)
    first = one(made, slot, ready)
    assert one(made, slot, ready, NS_PER_S // 100) is first
    later = one(made, slot, ready, NS_PER_S)
    assert later.share < (1 - SAME_SHARE) * first.share
    assert one(made, slot, ready_of(2), NS_PER_S) is not later


def test_a_robot_for_which_the_policy_raised_last_shares_no_batch() -> None:
    made: Candidates[None] = Candidates(RequestSlots())
    slot, other = slot_of(1), slot_of(2)
    slot.episode_state = EpisodeState(None, is_alone=True)
    alone, together = one(made, slot, ready_of()), one(made, other, ready_of())
    assert alone.batch_key != together.batch_key == "k"
    slot.episode_state.is_alone = False
    assert one(made, slot, ready_of(2)).batch_key == "k"


def test_after_an_answer_the_next_request_is_expected_until_it_comes_or_its_time_has_passed() -> None:
    slots: RequestSlots[None] = RequestSlots()
    slots.open(slot_of(1).session, TERMS)
    made: Candidates[None] = Candidates(slots)
    slot, ready = slot_of(1), ready_of()
    made.answered(1, 0)
    assert made.expected(0) == (), "nobody knows of what"
    served = one(made, slot, ready)
    made.answered(1, NS_PER_S)
    assert made.expected(NS_PER_S) == (), "it asks now"
    made.of({}, NS_PER_S)
    (guess,) = made.expected(NS_PER_S)
    assert guess == expected_after(served, NS_PER_S)
    assert made.expected(guess.ready_ns - 1) == (guess,)
    assert made.expected(guess.ready_ns) == made.expected(NS_PER_S) == ()


def test_a_robot_that_was_asked_for_a_pause_is_expected_after_it() -> None:
    """What an answer asks for is decided when it leaves, after its batch was noted."""
    slots: RequestSlots[None] = RequestSlots()
    slot = slot_of(1)
    slots.open(slot.session, TERMS)
    made: Candidates[None] = Candidates(slots)
    served = one(made, slot, ready_of())
    made.answered(1, NS_PER_S)
    slot.session.min_interval_ns = 5 * NS_PER_S
    made.of({}, NS_PER_S)
    (guess,) = made.expected(NS_PER_S)
    assert guess.ready_ns == served.ready_ns + 5 * NS_PER_S


def test_nothing_is_expected_of_a_session_that_is_closed() -> None:
    slots: RequestSlots[None] = RequestSlots()
    slots.open(slot_of(1).session, TERMS)
    made: Candidates[None] = Candidates(slots)
    one(made, slot_of(1), ready_of())
    made.answered(1, NS_PER_S)
    made.of({}, NS_PER_S)
    assert len(made.expected(NS_PER_S)) == 1
    slots.close(1)
    assert made.expected(NS_PER_S) == ()

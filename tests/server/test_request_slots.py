"""The rules by which requests move."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vagus.server.mailbox import QueuedRequest
from vagus.server.request import DecodedRequest
from vagus.server.request_slots import Disposition, RequestSlots
from vagus.server.sessions import Session
from vagus.server.slot import ReadyRequest, Slot, Stage
from vagus.server.tenants import Tenant
from vagus.server.validate import Terms
from vagus.types import Observation
from vagus.wire.schema import Header, Kind

TERMS = Terms(uses_rtc=False, image_codec="raw", max_pixels=0, instruction="", is_pinned=False)
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


def slots(*epochs: int) -> RequestSlots[None]:
    made: RequestSlots[None] = RequestSlots()
    for epoch in epochs:
        made.open(Session(f"c{epoch}", "i", epoch, Tenant(name=f"c{epoch}"), opened_ns=0, heard_ns=0), TERMS)
    return made


def chosen_of(made: RequestSlots[None], max_batch: int) -> list[tuple[Slot[None], ReadyRequest]]:
    """Start the batch that round robin chooses."""
    waiting = [(slot, slot.ready) for slot in made if slot.ready is not None]
    waiting.sort(key=lambda row: (row[0].last_served, row[1].ready_ns))
    made.start(waiting[:max_batch])
    return waiting[:max_batch]


def slot_of(made: RequestSlots[None], epoch: int) -> Slot[None]:
    slot = made.slot(epoch)
    assert slot is not None
    return slot


def queued(seq: int, episode: int = 0, epoch: int = 1) -> QueuedRequest:
    return QueuedRequest(Header(Kind.OBSERVATION, seq, episode, 0, epoch), b"", 0)


def decode(made: RequestSlots[None], slot: Slot[None]) -> tuple[Disposition, ReadyRequest]:
    request = made.take(slot)
    assert request is not None
    ready = ReadyRequest(request, REQUEST, decode_ns=0, ready_ns=0)
    return made.decoded(slot, ready), ready


def test_a_request_goes_from_mailbox_to_answer() -> None:
    made = slots(1)
    slot = slot_of(made, 1)
    assert made.submit(slot, queued(1)) is Disposition.DECODE
    assert (made.waiting, made.is_idle, made.has_work) == (1, False, False)
    assert decode(made, slot)[0] is Disposition.READY
    assert made.has_work
    ((chosen, ready),) = chosen_of(made, 4)
    assert chosen is slot
    assert ready.header.seq == 1
    assert made.inferred(slot, 0) is Disposition.PUBLISH
    assert made.release(slot) is Disposition.WAIT
    assert made.is_idle
    assert chosen_of(made, 4) == []


def test_a_request_waits_while_the_one_before_it_is_in_the_policy() -> None:
    made = slots(1)
    slot = slot_of(made, 1)
    made.submit(slot, queued(1))
    decode(made, slot)
    chosen_of(made, 1)
    assert made.submit(slot, queued(2)) is Disposition.WAIT
    assert chosen_of(made, 1) == []
    assert made.release(slot) is Disposition.DECODE


def test_a_newer_request_replaces_one_that_is_ready() -> None:
    made = slots(1)
    slot = slot_of(made, 1)
    made.submit(slot, queued(1))
    decode(made, slot)
    assert made.submit(slot, queued(2)) is Disposition.DECODE
    assert not made.has_work
    assert decode(made, slot)[1].queued.superseded == 1


def test_a_newer_request_replaces_one_that_is_being_decoded() -> None:
    made = slots(1)
    slot = slot_of(made, 1)
    made.submit(slot, queued(1))
    request = made.take(slot)
    assert request is not None
    assert made.submit(slot, queued(2)) is Disposition.WAIT
    assert made.decoded(slot, ReadyRequest(request, REQUEST, 0, 0)) is Disposition.SUPERSEDED
    assert made.release(slot) is Disposition.DECODE
    assert decode(made, slot)[1].queued.superseded == 1


def test_what_is_old_repeated_or_of_a_closed_session_is_not_taken() -> None:
    made = slots(1)
    slot = slot_of(made, 1)
    made.submit(slot, queued(2, episode=1))
    assert made.submit(slot, queued(2, episode=1)) is Disposition.DUPLICATE
    assert made.submit(slot, queued(1, episode=1)) is Disposition.DUPLICATE
    assert made.submit(slot, queued(3, episode=0)) is Disposition.OLD_EPISODE
    made.close(1)
    made.close(1)
    assert made.submit(slot, queued(4, episode=1)) is Disposition.CLOSED
    assert made.slot(1) is None
    assert len(made) == 0


def test_a_new_episode_takes_back_what_waits_of_the_old_one() -> None:
    made = slots(1, 2, 3)
    in_mailbox, ready, running = (slot_of(made, epoch) for epoch in (1, 2, 3))
    made.submit(running, queued(1))
    decode(made, running)
    chosen_of(made, 1)
    made.submit(ready, queued(1))
    decode(made, ready)
    made.submit(in_mailbox, queued(1))
    for slot in (in_mailbox, ready, running):
        assert made.begin_episode(slot, 1)
        assert made.begin_episode(slot, 1)
        assert not made.begin_episode(slot, 0)
    assert made.take(in_mailbox) is None
    assert in_mailbox.stage is Stage.IDLE
    assert not made.has_work
    assert made.inferred(running, 0) is Disposition.OLD_EPISODE
    assert made.submit(ready, queued(2, episode=1)) is Disposition.DECODE


def test_a_request_of_a_new_episode_survives_the_reset_that_announces_it() -> None:
    made = slots(1)
    slot = slot_of(made, 1)
    made.submit(slot, queued(1, episode=1))
    assert made.begin_episode(slot, 1)
    assert decode(made, slot)[0] is Disposition.READY
    made.submit(slot, queued(2, episode=2))
    assert slot.episode == 2


def test_a_request_decoded_after_its_episode_or_session_ended_is_dropped() -> None:
    made = slots(1, 2)
    for epoch, end in ((1, Disposition.OLD_EPISODE), (2, Disposition.CLOSED)):
        slot = slot_of(made, epoch)
        made.submit(slot, queued(1))
        request = made.take(slot)
        assert request is not None
        if end is Disposition.CLOSED:
            made.close(epoch)
        else:
            made.begin_episode(slot, 1)
        assert made.decoded(slot, ReadyRequest(request, REQUEST, 0, 0)) is end


def test_a_newcomer_waits_for_those_who_were_ready_before_it() -> None:
    made = slots(1)
    first = slot_of(made, 1)
    for seq in (1, 2):
        made.submit(first, queued(seq))
        decode(made, first)
        chosen_of(made, 1)
        made.release(first)
    made.submit(first, queued(3))
    decode(made, first)
    made.open(Session("new", "i", 9, Tenant(name="new"), opened_ns=0, heard_ns=0), TERMS)
    newcomer = slot_of(made, 9)
    made.submit(newcomer, queued(1, epoch=9))
    request = made.take(newcomer)
    assert request is not None
    made.decoded(newcomer, ReadyRequest(request, REQUEST, decode_ns=0, ready_ns=1))
    assert chosen_of(made, 1)[0][0] is first


class Movement(RuleBasedStateMachine):
    """Whatever arrives in whatever order: every request is accounted for, the newest is the one served."""

    def __init__(self) -> None:
        super().__init__()
        self.made = slots(1, 2)
        self.slots = [slot_of(self.made, 1), slot_of(self.made, 2)]
        self.sent = [0, 0]
        self.taken: dict[int, QueuedRequest] = {}
        self.running: dict[int, ReadyRequest] = {}
        self.queue: list[int] = []
        self.accounted = [0, 0]
        self.served: list[list[int]] = [[], []]

    def count(self, which: int, request: QueuedRequest) -> None:
        self.accounted[which] += 1 + request.superseded

    def wake(self, which: int, what: Disposition) -> None:
        if what is Disposition.DECODE:
            assert which not in self.queue
            assert which not in self.taken
            self.queue.append(which)

    @rule(which=st.integers(0, 1), is_new_episode=st.booleans())
    def submit(self, which: int, is_new_episode: bool) -> None:
        slot = self.slots[which]
        self.sent[which] += 1
        episode = slot.episode + is_new_episode
        self.wake(which, self.made.submit(slot, queued(self.sent[which], episode, which + 1)))

    @rule(which=st.integers(0, 1))
    def reset(self, which: int) -> None:
        assert self.made.begin_episode(self.slots[which], self.slots[which].episode + 1)

    @precondition(lambda self: self.queue)
    @rule()
    def take(self) -> None:
        which = self.queue.pop(0)
        request = self.made.take(self.slots[which])
        if request is not None:
            self.taken[which] = request

    @precondition(lambda self: self.taken)
    @rule(is_readable=st.booleans())
    def decoded(self, is_readable: bool) -> None:
        which, request = self.taken.popitem()
        slot = self.slots[which]
        if not is_readable:
            self.count(which, request)
            self.wake(which, self.made.release(slot))
            return
        verdict = self.made.decoded(slot, ReadyRequest(request, REQUEST, 0, 0))
        if verdict is Disposition.READY:
            return
        if verdict is Disposition.OLD_EPISODE:
            self.count(which, request)
        self.wake(which, self.made.release(slot))

    @precondition(lambda self: not self.running)
    @rule(max_batch=st.integers(1, 2))
    def choose(self, max_batch: int) -> None:
        for slot, ready in chosen_of(self.made, max_batch):
            which = self.slots.index(slot)
            assert which not in self.taken
            assert ready.header.episode == slot.episode
            assert slot.mailbox.is_empty
            self.running[which] = ready

    @precondition(lambda self: self.running)
    @rule()
    def finish(self) -> None:
        which, ready = self.running.popitem()
        slot = self.slots[which]
        verdict = self.made.inferred(slot, ready.header.episode)
        assert (verdict is Disposition.PUBLISH) == (ready.header.episode == slot.episode)
        self.count(which, ready.queued)
        self.served[which].append(ready.header.seq)
        self.wake(which, self.made.release(slot))

    @invariant()
    def requests_are_served_in_order_and_none_twice(self) -> None:
        for seqs in self.served:
            assert seqs == sorted(set(seqs))

    @invariant()
    def at_most_one_request_per_session_is_past_the_mailbox(self) -> None:
        for which, slot in enumerate(self.slots):
            past = (which in self.taken) + (which in self.running) + (slot.ready is not None)
            assert past <= 1
            assert (slot.stage is Stage.READY) == (slot.ready is not None)
            assert (slot.stage is Stage.INFERRING) == (which in self.running)

    @invariant()
    def what_is_in_work_is_what_has_a_stage(self) -> None:
        in_work = [slot for slot in self.slots if slot.stage is not Stage.IDLE]
        assert {id(slot) for slot in self.made} == {id(slot) for slot in in_work}
        assert self.made.is_idle == (not in_work)

    def teardown(self) -> None:
        while self.queue or self.taken or self.running or self.made.has_work:
            if self.queue:
                self.take()
            elif self.taken:
                self.decoded(is_readable=True)
            elif self.running:
                self.finish()
            else:
                self.choose(max_batch=2)
        for which, slot in enumerate(self.slots):
            self.sent[which] += 1
            assert (
                self.made.submit(slot, queued(self.sent[which], slot.episode, which + 1))
                is Disposition.DECODE
            )
            request = self.made.take(slot)
            assert request is not None
            self.count(which, request)
            assert self.accounted[which] == self.sent[which]


TestMovement = Movement.TestCase

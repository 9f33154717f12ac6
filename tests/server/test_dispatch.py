"""What the policy does next: batches that are due, and then boundaries, which can wait."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.errors import PolicyError
from vagus.server.batch_profile import BatchProfile
from vagus.server.deadline import deadline
from vagus.server.decision import Fault
from vagus.server.dispatch import LEAST_WAIT_NS, Dispatcher, Preparation, Work
from vagus.server.executor import BatchRun, PolicyCall
from vagus.server.mailbox import QueuedRequest
from vagus.server.options import PipelineOptions
from vagus.server.preparations import PATIENCE_NS, REST
from vagus.server.replies import RowCost
from vagus.server.request import DecodedRequest
from vagus.server.request_slots import Disposition, RequestSlots
from vagus.server.scheduler import Batch, Candidate, Decision, Scheduler, Wait, round_robin
from vagus.server.sessions import Session
from vagus.server.slot import EpisodeState, PendingReset, Slot
from vagus.server.slot import ReadyRequest as Ready
from vagus.server.tenants import Tenant
from vagus.server.validate import Terms
from vagus.types import ActionChunk, Observation
from vagus.wire.schema import Header, Kind, LatencyRow

MS = NS_PER_MS
TERMS = Terms(uses_rtc=False, image_codec="raw", max_pixels=0, instruction="", is_pinned=False, rate_hz=20.0)
OBSERVATION = Observation(np.zeros(1, np.float32), {}, "", 0)
FAILURE = PolicyError("KeyError: 'gripper'")
CHUNK = ActionChunk(0, np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))


class Watching:
    """Round robin that remembers what it was asked with; or another decision first."""

    def __init__(self, *first: Decision) -> None:
        self.first = list(first)
        self.asked: list[tuple[Candidate, ...]] = []
        self.expected: list[tuple[Candidate, ...]] = []

    def __call__(
        self,
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        self.asked.append(tuple(ready))
        self.expected.append(tuple(expected))
        return self.first.pop(0) if self.first else round_robin(ready, profile, now_ns, max_batch=max_batch)


def _session(epoch: int, tenant: Tenant) -> Session:
    return Session(f"arm{epoch}", "i", epoch, tenant, opened_ns=0, heard_ns=0)


@dataclass
class Desk:
    """Slots, a dispatcher, and a policy thread whose work takes as long as the test says."""

    scheduler: Scheduler = round_robin
    batch_ms: int = 60
    max_batch: int = 8
    slots: RequestSlots[None] = field(default_factory=RequestSlots)
    faults: list[Fault] = field(default_factory=list)
    now_ns: int = 0
    seq: int = 0

    def __post_init__(self) -> None:
        rows = [LatencyRow(batch_size=8, p50_ms=float(self.batch_ms), max_ms=float(self.batch_ms))]
        self.profile = BatchProfile(rows)
        options = PipelineOptions(
            max_batch=self.max_batch,
            max_sessions=64,
            decode_workers=1,
            profile=self.profile,
            scheduler=self.scheduler,
        )
        self.dispatcher: Dispatcher[None] = Dispatcher(self.slots, options, self.faults.append)

    def robot(self, epoch: int, *, is_prepared: bool = True, tenant: Tenant | None = None) -> Slot[None]:
        self.slots.open(
            _session(epoch, tenant or Tenant(name=f"arm{epoch}")),
            TERMS,
        )
        slot = self.slots.slot(epoch)
        assert slot is not None
        if is_prepared:
            slot.episode_state = EpisodeState(None, episode=0, is_fresh=True)
        return slot

    def ask(self, slot: Slot[None], *, slack_ms: float = 0.0, key: Hashable = None) -> Ready:
        """Let a request of the robot's present episode come, and be decoded at once."""
        self.seq += 1
        header = Header(Kind.OBSERVATION, self.seq, slot.episode, 0, slot.session.epoch)
        assert self.slots.submit(slot, QueuedRequest(header, b"", self.now_ns)) is Disposition.DECODE
        queued = self.slots.take(slot)
        assert queued is not None
        request = DecodedRequest(OBSERVATION, 0, None, 0, 0, 0, False, slack_ms, None)
        ready = Ready(queued, request, decode_ns=0, ready_ns=self.now_ns, batch_key=key, gain_s=0.4)
        assert self.slots.decoded(slot, ready) is Disposition.READY
        return ready

    def reset(self, slot: Slot[None], episode: int) -> None:
        assert self.slots.begin_episode(slot, episode)
        self.slots.put_reset(slot, PendingReset(episode, lambda _: None))

    def next(self) -> Work[None]:
        return self.dispatcher.next(self.now_ns)

    def epochs(self) -> list[int]:
        """Return the epochs of the next batch."""
        work = self.next()
        assert not isinstance(work, Preparation | Wait)
        return [slot.session.epoch for slot, _ in work]

    def prepare(self, work: Preparation[None], took_ms: int = 0) -> None:
        begin_ns, self.now_ns = self.now_ns, self.now_ns + took_ms * MS
        state = work.slot.episode_state or EpisodeState(None)
        state.episode, state.is_fresh = work.episode, True
        work.slot.episode_state = state
        self.dispatcher.prepared(work, begin_ns, self.now_ns)

    def run(
        self,
        batch: Sequence[tuple[Slot[None], Ready]],
        took_ms: int,
        *,
        is_complete: bool = True,
        failed: Sequence[int] = (),
    ) -> None:
        """Let a batch take so long; the rows of the epochs in `failed` fail."""
        begin_ns, self.now_ns = self.now_ns, self.now_ns + took_ms * MS
        costs = tuple(RowCost(begin_ns, took_ms * MS, len(batch)) for _ in batch)
        calls = (PolicyCall(len(batch), took_ms, is_complete=is_complete and not failed),)
        results = tuple(FAILURE if slot.session.epoch in failed else CHUNK for slot, _ in batch)
        self.dispatcher.ran(batch, BatchRun(results, costs, calls), self.now_ns)
        for slot, _ in batch:
            if slot.episode_state is not None:
                slot.episode_state.is_fresh = False
            self.slots.release(slot)


def prepared(work: Work[None]) -> Preparation[None]:
    assert isinstance(work, Preparation)
    return work


def waited(work: Work[None]) -> int | None:
    assert isinstance(work, Wait)
    return work.until_ns


# candidates


def test_a_scheduler_knows_when_answers_are_due_who_asks_and_what_each_has_used() -> None:
    scheduler = Watching()
    desk = Desk(scheduler)
    often, seldom = desk.robot(1), desk.robot(2)
    desk.ask(often)
    desk.run([(often, row_of(desk))], took_ms=500)
    desk.ask(often, slack_ms=300.0, key="k")
    desk.ask(seldom)
    desk.epochs()
    first, second = scheduler.asked[-1]
    assert (first.epoch, first.tenant, first.batch_key) == (1, "arm1", "k")
    assert (first.due_ns, first.ready_ns, first.last_served) == (800 * MS, 500 * MS, 1)
    assert (first.share, second.share) == (0.5, 0.0), "seconds of the device"
    assert second.due_ns == 500 * MS
    assert (first.rate_hz, first.gain_s) == (20.0, 0.4)


def row_of(desk: Desk) -> Ready:
    work = desk.next()
    assert not isinstance(work, Preparation | Wait)
    return work[0][1]


def test_a_batch_is_charged_to_its_rows_in_equal_parts_and_a_boundary_to_its_robot() -> None:
    scheduler = Watching()
    desk = Desk(scheduler)
    robots = [desk.robot(epoch) for epoch in (1, 2)]
    desk.run([(robot, desk.ask(robot)) for robot in robots], took_ms=400)
    desk.reset(robots[1], 1)
    desk.prepare(prepared(desk.next()), took_ms=300)
    for robot in robots:
        desk.ask(robot)
    desk.epochs()
    used = {candidate.epoch: candidate.share for candidate in scheduler.asked[-1]}
    assert used == {1: pytest.approx(0.2, rel=0.2), 2: pytest.approx(0.5, rel=0.2)}


def test_who_asks_again_and_again_keeps_its_place_among_those_who_waited_too_long() -> None:
    """A robot gives up a request after its timeout and asks anew; twelve others are worth more always."""
    desk = Desk(deadline, max_batch=2)
    poor = desk.robot(1, tenant=Tenant(name="poor", weight=0.01))
    rich = [desk.robot(epoch, tenant=Tenant(name=f"rich-{epoch}", weight=10.0)) for epoch in range(2, 14)]
    for robot in (poor, *rich):
        desk.ask(robot)
    asked_ns, served = 0, []
    while desk.now_ns < 10 * NS_PER_S:
        if desk.now_ns - asked_ns > 400 * MS:
            asked_ns = desk.now_ns
            desk.ask(poor)
        work = desk.next()
        assert not isinstance(work, Preparation)
        if isinstance(work, Wait):
            assert work.until_ns is not None
            desk.now_ns = work.until_ns
            continue
        served.append([slot.session.epoch for slot, _ in work])
        desk.run(work, took_ms=60)
        for slot, _ in work:
            desk.ask(slot)
    assert 3 <= sum(1 in epochs for epochs in served) < len(served) / 13
    assert poor.waits_since_ns is not None


def charged(desk: Desk, watching: Watching, *robots: Slot[None]) -> dict[int, float]:
    """Return what each robot has used of the device, in seconds."""
    for robot in robots:
        desk.ask(robot)
    desk.epochs()
    return {candidate.epoch: candidate.share for candidate in watching.asked[-1]}


def test_a_batch_that_is_slow_by_chance_is_nobodys_debt() -> None:
    """A robot with luck could claim to be urgent until it has used as much as those without."""
    scheduler = Watching()
    desk = Desk(scheduler)
    lucky, unlucky = (desk.robot(epoch) for epoch in (1, 2))
    for number in range(30):
        for robot in (lucky, unlucky):
            is_unlucky = robot is unlucky and number % 5 == 0
            desk.run([(robot, desk.ask(robot))], took_ms=100 if is_unlucky else 10)
    used = charged(desk, scheduler, lucky, unlucky)
    assert used[2] == pytest.approx(used[1], rel=0.05)


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_robot_whose_batches_are_slow_as_a_rule_is_charged_what_they_take(*, is_complete: bool) -> None:
    scheduler = Watching()
    desk = Desk(scheduler)
    fast, slow = [desk.robot(epoch) for epoch in (1, 2, 3)], desk.robot(4)
    for _ in range(20):
        for robot in fast:
            desk.run([(robot, desk.ask(robot))], took_ms=10)
        desk.run([(slow, desk.ask(slow))], took_ms=100, is_complete=is_complete)
    used = charged(desk, scheduler, *fast, slow)
    assert used[4] == pytest.approx(10 * used[1], rel=0.3)


@pytest.mark.parametrize("failed", [(3,), (2, 3), (1, 2, 3)])
def test_rows_that_fail_pay_for_the_calls_that_they_cost_and_the_others_what_batches_cost(
    failed: Sequence[int],
) -> None:
    """A robot that alternates good and bad observations gets into a batch each time."""
    scheduler = Watching()
    desk = Desk(scheduler, batch_ms=60)
    robots = [desk.robot(epoch) for epoch in (1, 2, 3)]
    desk.run([(robot, desk.ask(robot)) for robot in robots], took_ms=300, failed=failed)
    good_s = desk.profile.ms(3) / 1000 / 3
    bad_s = (0.3 - good_s * (3 - len(failed))) / len(failed)
    used = charged(desk, scheduler, *robots)
    assert used == {epoch: pytest.approx(bad_s if epoch in failed else good_s) for epoch in (1, 2, 3)}


def test_the_robots_of_a_tenant_have_one_share_which_its_weight_divides() -> None:
    scheduler = Watching()
    desk = Desk(scheduler)
    lab, other = Tenant(name="lab", weight=4.0), Tenant(name="other")
    robots = [desk.robot(1, tenant=lab), desk.robot(2, tenant=lab), desk.robot(3, tenant=other)]
    desk.run([(robot, desk.ask(robot)) for robot in robots], took_ms=600)
    for robot in robots:
        desk.ask(robot)
    desk.epochs()
    told = scheduler.asked[-1]
    assert [(candidate.tenant, candidate.weight) for candidate in told] == [
        ("lab", 4.0),
        ("lab", 4.0),
        ("other", 1.0),
    ]
    shares = [candidate.share for candidate in told]
    assert shares == [pytest.approx(used, rel=0.2) for used in (0.1, 0.1, 0.2)]


def test_a_robot_that_made_the_policy_raise_gets_a_batch_of_its_own() -> None:
    desk = Desk()
    good, bad, other = (desk.robot(epoch) for epoch in (1, 2, 3))
    assert bad.episode_state is not None
    bad.episode_state.is_alone = True
    for slot in (good, bad, other):
        desk.ask(slot, key="same")
    assert desk.epochs() == [1, 3]
    assert desk.epochs() == [2]


def test_a_scheduler_is_told_whose_next_request_is_to_be_expected() -> None:
    scheduler = Watching()
    desk = Desk(scheduler)
    first, second = desk.robot(1), desk.robot(2)
    desk.ask(first)
    desk.run([(first, row_of(desk))], took_ms=60)
    desk.ask(second)
    desk.run([(second, row_of(desk))], took_ms=60)
    assert [one.epoch for one in scheduler.expected[-1]] == [1]
    assert scheduler.expected[-1][0].ready_ns > 60 * MS
    desk.ask(first)
    desk.epochs()
    assert [one.epoch for one in scheduler.expected[-1]] == [2]


# the profile


def test_the_profile_follows_what_batches_take_and_not_those_that_failed() -> None:
    desk = Desk(batch_ms=60)
    robots = [desk.robot(epoch) for epoch in range(1, 9)]
    for _ in range(4):
        rows = [(robot, desk.ask(robot, key="k")) for robot in robots]
        desk.slots.start(rows)
        desk.run(rows, took_ms=5, is_complete=False)
    assert desk.profile.ms(8) == 60
    for _ in range(4):
        rows = [(robot, desk.ask(robot, key="k")) for robot in robots]
        desk.slots.start(rows)
        desk.run(rows, took_ms=180)
    assert desk.profile.ms(8) == desk.profile.ms(8, "k") == 180


# waiting


def test_a_scheduler_that_waits_is_not_asked_before_its_time_unless_something_changes() -> None:
    scheduler = Watching(Wait(50 * MS), Wait(), Wait(-7))
    desk = Desk(scheduler)
    first, second = desk.robot(1), desk.robot(2)
    desk.ask(first)
    assert waited(desk.next()) == 50 * MS
    desk.now_ns = 49 * MS
    assert waited(desk.next()) == 50 * MS
    assert len(scheduler.asked) == 1
    desk.now_ns = 50 * MS
    assert waited(desk.next()) is None
    desk.now_ns = 10 * NS_PER_S
    assert waited(desk.next()) is None
    assert len(scheduler.asked) == 2, "for ever is until something changes"
    desk.ask(second)
    assert waited(desk.next()) == desk.now_ns + LEAST_WAIT_NS
    desk.now_ns += LEAST_WAIT_NS
    assert desk.epochs() == [1, 2]
    assert waited(desk.next()) is None


def test_what_is_wrong_with_a_decision_is_told_and_robots_are_served() -> None:
    stranger = Candidate(99, 0, 0, 0)
    desk = Desk(Watching(Batch((stranger,))))
    desk.ask(desk.robot(1))
    assert desk.epochs() == [1]
    assert [fault.reason for fault in desk.faults] == ["not_ready"]


# preparations


def test_a_new_robot_is_prepared_before_its_first_batch() -> None:
    desk = Desk()
    slot = desk.robot(1, is_prepared=False)
    ready = desk.ask(slot)
    work = prepared(desk.next())
    assert (work.slot, work.episode, work.ready, work.reset, work.is_new) == (slot, 0, ready, None, True)
    desk.prepare(work)
    assert desk.epochs() == [1]


def test_a_reset_comes_before_the_request_of_its_own_robot_which_needs_no_other() -> None:
    desk = Desk()
    slot = desk.robot(1)
    desk.reset(slot, 1)
    desk.ask(slot)
    work = prepared(desk.next())
    assert (work.episode, work.ready, work.is_new) == (1, None, False)
    assert work.reset is not None
    assert slot.reset is None
    desk.prepare(work)
    assert desk.epochs() == [1]


def test_the_boundaries_of_a_tenants_many_robots_put_off_no_other_tenant() -> None:
    desk = Desk()
    flood = [desk.robot(epoch, tenant=Tenant(name="flood")) for epoch in range(1, 21)]
    other = desk.robot(99)
    for slot in flood:
        desk.reset(slot, 1)
    desk.prepare(prepared(desk.next()), took_ms=25)
    desk.reset(other, 1)
    served = []
    for _ in range(3):
        work = prepared(desk.next())
        served.append(work.slot.session.epoch)
        desk.prepare(work, took_ms=25)
    assert served == [2, 99, 3]


def known_long(desk: Desk, slot: Slot[None], took_ms: int) -> None:
    """Let the robot begin an episode that takes so long, and rest."""
    desk.reset(slot, slot.episode + 1)
    desk.prepare(prepared(desk.next()), took_ms)
    desk.now_ns += 10 * NS_PER_S


def test_a_long_boundary_waits_for_requests_that_are_due_and_holds_its_own_robot_only() -> None:
    desk = Desk()
    slow, due, other = (desk.robot(epoch) for epoch in (1, 2, 3))
    known_long(desk, slow, 300)
    desk.reset(slow, slow.episode + 1)
    desk.ask(slow)
    desk.ask(due)
    work = desk.next()
    assert not isinstance(work, Preparation | Wait)
    assert [slot for slot, _ in work] == [due]
    desk.run(work, took_ms=60)
    desk.ask(other, slack_ms=361.0)  # its batch takes 60 ms, which leaves 301
    assert prepared(desk.next()).slot is slow


def test_a_scheduler_that_waits_does_not_keep_boundaries_waiting() -> None:
    desk = Desk(Watching(Wait()))
    slow, due = desk.robot(1), desk.robot(2)
    known_long(desk, slow, 300)
    desk.ask(due)
    desk.reset(slow, slow.episode + 1)
    until_ns = waited(desk.next())
    assert until_ns == desk.now_ns + PATIENCE_NS
    desk.now_ns = until_ns
    assert prepared(desk.next()).slot is slow


@pytest.mark.parametrize(("slack_ms", "pause_ms"), [(0.0, 200), (400.0, 200), (0.0, 0)])
def test_a_robot_that_loads_a_processor_every_second_makes_others_late_by_one_loading_at_most(
    slack_ms: float, pause_ms: int
) -> None:
    """Eight robots in batches of 60 ms; one more begins an episode every second, each for 300 ms."""
    desk = Desk()
    robots = [desk.robot(epoch) for epoch in range(1, 9)]
    loader = desk.robot(9)
    known_long(desk, loader, 300)
    waited_ns, late_ns = [0], [0]
    begin_ns = reset_ns = resets_due_ns = desk.now_ns
    asked_ns = {robot.session.epoch: 0 for robot in robots}
    while desk.now_ns < begin_ns + 20 * NS_PER_S:
        for robot in robots:
            if robot.stage.value == "idle" and desk.now_ns >= asked_ns[robot.session.epoch]:
                desk.ask(robot, slack_ms=slack_ms)
                asked_ns[robot.session.epoch] = desk.now_ns + pause_ms * MS
        if loader.reset is None and desk.now_ns >= resets_due_ns:
            desk.reset(loader, loader.episode + 1)
            reset_ns, resets_due_ns = desk.now_ns, desk.now_ns + NS_PER_S
        work = desk.next()
        if isinstance(work, Preparation):
            waited_ns.append(desk.now_ns - reset_ns)
            desk.prepare(work, took_ms=300)
        elif isinstance(work, Wait):
            desk.now_ns += MS
        else:
            late_ns += [desk.now_ns + 60 * MS - ready.due_ns for _, ready in work]
            desk.run(work, took_ms=60)
    assert len(waited_ns) > 15
    assert max(late_ns) <= (300 + 2 * 60) * MS - slack_ms * MS
    assert max(waited_ns) <= PATIENCE_NS + (1 + REST) * 300 * MS + 60 * MS
    if not pause_ms:  # somebody always waits
        assert len(waited_ns) * 300 * MS <= 20 * NS_PER_S // (1 + REST) + 2 * 300 * MS

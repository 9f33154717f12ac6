"""Several gateway processes of one instance: one answers, whatever is killed, stopped or cut off."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.v1.standby import (
    Election,
    ElectionTimes,
    GatewayRole,
    StandbyKeys,
    StandbyToken,
)

MS = 1_000_000
TIMES = ElectionTimes()
FIRST, SECOND = StandbyToken("a", 1), StandbyToken("b", 2)
KEYS = StandbyKeys("pick", "i1")


def waiting(process_id: str = "m") -> Election:
    return Election(process_id=process_id).joined(0)


def behind(leader: StandbyToken, process_id: str = "m") -> Election:
    return waiting(process_id).token_changed(leader, 0, is_alive=True)


def passed(election: Election, until_ns: int) -> Election:
    """Return the election after `advance` at each beat until a time."""
    for now_ns in range(election.advanced_ns, until_ns, TIMES.beat_ns):
        election = election.advance(now_ns).election
    return election.advance(until_ns).election


def active() -> Election:
    return passed(waiting(), TIMES.silence_ns)


def test_a_process_that_is_alone_answers_after_it_listened_for_a_moment() -> None:
    early = passed(waiting(), TIMES.silence_ns - 1).advance(TIMES.silence_ns - 1)
    assert (early.election.role, early.beat) == (GatewayRole.WAITING, None)
    step = early.election.advance(TIMES.silence_ns)
    assert step.election.role is GatewayRole.ACTIVE
    assert step.beat == step.election.token == StandbyToken("m", 1)


def test_nothing_is_claimed_while_the_network_is_away() -> None:
    assert passed(Election(process_id="m"), 900 * MS).role is GatewayRole.WAITING
    away = active().separated()
    assert (away.role, away.term, away.leader) == (GatewayRole.WAITING, 0, None)
    assert passed(away, 900 * MS).role is GatewayRole.WAITING
    back = away.joined(1000 * MS)
    assert passed(back, 1000 * MS + TIMES.silence_ns - 1).role is GatewayRole.WAITING
    assert passed(back, 1000 * MS + TIMES.silence_ns).token == StandbyToken("m", 2)


def test_a_leader_that_beats_keeps_its_place() -> None:
    election = behind(FIRST)
    for now_ns in range(0, 5000 * MS, TIMES.beat_ns):
        election = election.heard(FIRST, now_ns).advance(now_ns).election
    assert election.role is GatewayRole.WAITING


def test_who_waits_answers_at_once_when_the_token_of_the_leader_goes() -> None:
    election = passed(behind(FIRST), TIMES.silence_ns - 1).heard(FIRST, TIMES.silence_ns - 1)
    now_ns = TIMES.silence_ns + MS
    step = election.token_changed(FIRST, now_ns, is_alive=False).advance(now_ns)
    assert (step.election.role, step.beat) == (GatewayRole.ACTIVE, StandbyToken("m", 2))


def test_who_waits_claims_the_place_of_a_silent_leader_and_answers_a_little_later() -> None:
    assert passed(behind(FIRST), TIMES.silence_ns - 1).role is GatewayRole.WAITING
    election = passed(behind(FIRST), TIMES.silence_ns)
    assert (election.role, election.term) == (GatewayRole.CLAIMING, 2)
    assert passed(election, TIMES.silence_ns + TIMES.claim_ns - 1).role is GatewayRole.CLAIMING
    assert passed(election, TIMES.silence_ns + TIMES.claim_ns).role is GatewayRole.ACTIVE
    gone = election.token_changed(FIRST, TIMES.silence_ns + 1, is_alive=False)
    assert gone.advance(TIMES.silence_ns + 1).election.role is GatewayRole.ACTIVE


@pytest.mark.parametrize("is_beat", [False, True])
def test_a_process_steps_down_at_once_when_it_learns_of_a_higher_term(is_beat: bool) -> None:
    now_ns = TIMES.silence_ns + 1
    election = active()
    learned = (
        election.heard(SECOND, now_ns) if is_beat else election.token_changed(SECOND, now_ns, is_alive=True)
    )
    assert (learned.role, learned.term, learned.highest) == (GatewayRole.WAITING, 0, 2)
    assert learned.advance(now_ns).beat is None


def test_of_two_with_one_term_the_smaller_id_goes_on() -> None:
    smaller, larger = StandbyToken("a", 1), StandbyToken("z", 1)
    assert active().token_changed(larger, 1, is_alive=True).role is GatewayRole.ACTIVE
    assert active().token_changed(smaller, 1, is_alive=True).role is GatewayRole.WAITING


def test_of_several_that_wait_one_claims_and_the_next_one_later() -> None:
    first = behind(FIRST, "b").token_changed(StandbyToken("c"), 0, is_alive=True)
    second = behind(FIRST, "c").token_changed(StandbyToken("b"), 0, is_alive=True)
    gone_ns = 2 * TIMES.silence_ns
    for now_ns in range(0, gone_ns, TIMES.beat_ns):
        first = first.heard(FIRST, now_ns).advance(now_ns).election
        second = second.heard(FIRST, now_ns).advance(now_ns).election
    first = first.token_changed(FIRST, gone_ns, is_alive=False).advance(gone_ns).election
    second = second.token_changed(FIRST, gone_ns, is_alive=False).advance(gone_ns).election
    assert (first.role, second.role) == (GatewayRole.ACTIVE, GatewayRole.WAITING)
    assert passed(second, gone_ns + TIMES.silence_ns).role is GatewayRole.ACTIVE


def test_who_was_away_itself_takes_nobody_for_silent_or_gone() -> None:
    late = passed(behind(FIRST), MS).advance(5000 * MS).election
    assert late.role is GatewayRole.WAITING
    assert passed(late.heard(FIRST, 5001 * MS), 5200 * MS).role is GatewayRole.WAITING
    gone = passed(behind(FIRST), MS).token_changed(FIRST, 5000 * MS, is_alive=False)
    assert passed(gone.advance(5000 * MS).election, 5199 * MS).role is GatewayRole.WAITING
    assert passed(gone.advance(5000 * MS).election, 5200 * MS).role is GatewayRole.ACTIVE


def test_own_tokens_and_beats_change_nothing() -> None:
    election = active()
    assert election.heard(StandbyToken("m", 9), 1) is election
    assert election.token_changed(StandbyToken("m", 9), 1, is_alive=True) is election


def test_no_flood_of_tokens_fills_the_memory_and_no_term_is_too_high_to_go_on() -> None:
    election = waiting()
    for index in range(1000):
        election = election.token_changed(StandbyToken(f"p{index}", 10**15 - 1), 0, is_alive=True)
    assert len(election.others) < 1000
    assert passed(election, 1000 * MS).token == StandbyToken("m", 10**15 - 1)


def test_tokens_and_keys_are_read_back() -> None:
    key = KEYS.token_key(SECOND)
    assert key == "lerobot/inference/v1/deployments/pick/instances/i1/gateways/b/2"
    assert KEYS.token_at(key) == SECOND
    assert KEYS.beats == "lerobot/inference/v1/deployments/pick/instances/i1/gateways/beats"
    assert KEYS.tokens.endswith("/gateways/*/*")


@pytest.mark.parametrize(
    "text",
    ["", "b", "b/", "/1", "b/01", "b/-1", "b/1.0", "b/1/2", "b/" + "9" * 16, "b/\u0661", "b*/1", "b/ 1"],
)
def test_a_foreign_text_is_no_token(text: str) -> None:
    with pytest.raises(ProtocolError, match="wanted a token"):
        StandbyToken.from_text(text)
    with pytest.raises(ProtocolError, match="wanted a token"):
        KEYS.token_at(f"other/gateways/{text}")


@dataclass(order=True)
class Event:
    at_ns: int
    order: int
    kind: str = field(compare=False)
    process: int = field(compare=False)
    what: object = field(default=None, compare=False)


@dataclass
class Process:
    election: Election
    is_alive: bool = True
    is_stopped: bool = False
    is_answering: bool = False
    """What the router knows: whether it has declared what answers."""
    inbox: list[Event] = field(default_factory=list)
    declared: StandbyToken | None = None


class Stage:
    """Processes around a router that delivers in order; every link takes `delay_ns`."""

    def __init__(self, count: int, delay_ns: int) -> None:
        self.processes = [Process(Election(process_id=f"p{index}")) for index in range(count)]
        self.delay_ns = delay_ns
        self.now_ns = 0
        self.answers: dict[int, list[int]] = {}
        self._asked = 0
        self._events: list[Event] = []
        self._order = 0
        for index, process in enumerate(self.processes):
            process.election = process.election.joined(0)
            self._swap(index)
            self.plan(index * 7 * MS, "beat", index)

    def plan(self, at_ns: int, kind: str, process: int, what: object = None) -> None:
        self._order += 1
        heapq.heappush(self._events, Event(at_ns, self._order, kind, process, what))

    def run(self, until_ns: int) -> None:
        while self._events and self._events[0].at_ns <= until_ns:
            event = heapq.heappop(self._events)
            self.now_ns = event.at_ns
            getattr(self, f"_{event.kind}")(event)
        self.now_ns = until_ns

    def ask(self) -> int:
        """Send a question to all that answer; return its number."""
        self._asked += 1
        self.answers[self._asked] = []
        for index, process in enumerate(self.processes):
            if process.is_alive and process.is_answering:
                self.plan(self.now_ns + self.delay_ns, "inbox", index, self._asked)
        return self._asked

    def active(self) -> list[int]:
        return [
            index
            for index, process in enumerate(self.processes)
            if process.is_alive and not process.is_stopped and process.election.role is GatewayRole.ACTIVE
        ]

    def kill(self, index: int) -> None:
        process = self.processes[index]
        process.is_alive = process.is_answering = False
        if process.declared is not None:
            self._tell(index, (process.declared, False))

    def stop(self, index: int) -> None:
        self.processes[index].is_stopped = True

    def go_on(self, index: int) -> None:
        process = self.processes[index]
        process.is_stopped = False
        waiting_events, process.inbox = process.inbox, []
        for event in waiting_events:
            self._inbox(event)

    def _beat(self, event: Event) -> None:
        process = self.processes[event.process]
        if process.is_alive and not process.is_stopped:
            step = process.election.advance(self.now_ns)
            self._become(event.process, step.election)
            if step.beat is not None:
                self._tell(event.process, step.beat)
        if process.is_alive:
            self.plan(self.now_ns + TIMES.beat_ns, "beat", event.process)

    def _inbox(self, event: Event) -> None:
        process = self.processes[event.process]
        if not process.is_alive:
            return
        if process.is_stopped:
            process.inbox.append(event)
            return
        match event.what:
            case int(question):
                if process.election.role is GatewayRole.ACTIVE:
                    self.answers[question].append(event.process)
            case StandbyToken() as beat:
                self._become(event.process, process.election.heard(beat, self.now_ns))
            case (StandbyToken() as token, bool(is_alive)):
                changed = process.election.token_changed(token, self.now_ns, is_alive=is_alive)
                step = changed.advance(self.now_ns)
                self._become(event.process, step.election)

    def _become(self, index: int, election: Election) -> None:
        process = self.processes[index]
        process.election = election
        if election.role is not GatewayRole.ACTIVE:
            self.plan(self.now_ns + self.delay_ns, "declare", index, False)
        self._swap(index)
        if election.role is GatewayRole.ACTIVE:
            self.plan(self.now_ns + self.delay_ns, "declare", index, True)

    def _declare(self, event: Event) -> None:
        process = self.processes[event.process]
        process.is_answering = process.is_alive and bool(event.what)

    def _swap(self, index: int) -> None:
        process = self.processes[index]
        token, before = process.election.token, process.declared
        if token == before:
            return
        process.declared = token
        self._tell(index, (token, True))
        if before is not None:
            self._tell(index, (before, False))

    def _tell(self, sender: int, what: object) -> None:
        for index in range(len(self.processes)):
            if index != sender:
                self.plan(self.now_ns + 2 * self.delay_ns, "inbox", index, what)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_each_question_has_one_answer_at_most_and_one_process_remains_active(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4), label="processes")
    stage = Stage(count, data.draw(st.integers(0, 10), label="delay") * MS)
    stage.run(1500 * MS)
    assert len(stage.active()) == 1
    for _ in range(data.draw(st.integers(1, 12), label="events")):
        happens = data.draw(st.sampled_from([stage.kill, stage.stop, stage.go_on]))
        happens(data.draw(st.integers(0, count - 1)))
        end_ns = stage.now_ns + data.draw(st.integers(0, 600)) * MS
        while stage.now_ns < end_ns:
            stage.ask()
            stage.run(min(end_ns, stage.now_ns + 10 * MS))
    for index in range(count):
        stage.go_on(index)
    stage.run(stage.now_ns + 3000 * MS)
    assert all(len(answered) <= 1 for answered in stage.answers.values())
    if any(process.is_alive for process in stage.processes):
        assert len(stage.active()) == 1
        question = stage.ask()
        stage.run(stage.now_ns + 100 * MS)
        assert len(stage.answers[question]) == 1


@pytest.mark.parametrize(("is_stopped", "within_ms"), [(False, 25), (True, 320)])
def test_a_question_is_answered_soon_after_the_active_process_is_gone(
    is_stopped: bool,
    within_ms: int,
) -> None:
    stage = Stage(3, 5 * MS)
    stage.run(1000 * MS)
    (active,) = stage.active()
    if is_stopped:
        stage.stop(active)
    else:
        stage.kill(active)
    stage.run(stage.now_ns + within_ms * MS)
    question = stage.ask()
    stage.run(stage.now_ns + 5 * MS)
    (answering,) = stage.answers[question]
    assert answering != active

"""Who has a place at a gateway for LeRobot, and when it is free again, on a clock of the test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from integrations.lerobot_grpc.rig import MODEL, PATIENCE_S, SETUP, WAITS, Stand, newer, observation, standing
from vagus.clock import NS_PER_S
from vagus.errors import LinkError, SessionRefusedError, SpecError, StateError
from vagus.gateways.callers import MAX_STRANGERS, SPARE_OPENS
from vagus.gateways.peer import Peer
from vagus.integrations.lerobot_grpc.conversation import WaitingCall
from vagus.integrations.lerobot_grpc.conversations import MAX_CALLS, MAX_KEPT, Conversations
from vagus.integrations.lerobot_grpc.pickle_writer import write_observation

ONE, OTHER, ELSEWHERE = "ipv4:10.0.0.1:50001", "ipv4:10.0.0.1:50002", "ipv4:10.0.0.2:50001"
IDLE_S = 60


class HandClock:
    def __init__(self) -> None:
        self.now = 1_000_000_000

    def now_ns(self) -> int:
        return self.now

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        self.now = max(self.now, deadline_ns)

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * NS_PER_S)


class Table:
    """Conversations on a clock of the test's, and who has a place."""

    def __init__(self, stand: Stand) -> None:
        self.clock = HandClock()
        self.conversations = Conversations(stand.gateway, self.clock)
        self._stand = stand

    @property
    def places(self) -> int:
        return self._stand.gateway.metrics.peers

    def introduce(self, address: str, model: str = MODEL, actions: int = 2) -> None:
        config = newer(pretrained_name_or_path=model, actions_per_chunk=actions)
        with self.conversations.calling(address):
            self.conversations.introduce(address, config)

    def call(self, address: str) -> None:
        with self.conversations.calling(address):
            self.conversations.find(address)

    def leave(self, address: str) -> None:
        with self.conversations.calling(address):
            self.conversations.note_left(address)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with standing(max_peers=2, idle_timeout_s=IDLE_S) as made:
        yield made


@pytest.fixture
def table(stand: Stand) -> Iterator[Table]:
    made = Table(stand)
    yield made
    made.conversations.close()
    assert made.places == 0


def test_a_silent_client_has_gone_after_the_idle_time_and_not_before(table: Table) -> None:
    table.introduce(ONE)
    for _ in range(3):
        table.clock.pass_s(IDLE_S)
        table.conversations.sweep()
        assert table.places == 1
        table.call(ONE)
    table.clock.pass_s(IDLE_S + 0.1)
    table.conversations.sweep()
    assert table.places == 0


def test_a_client_whose_call_ended_early_has_gone_soon_unless_it_calls_again(table: Table) -> None:
    table.introduce(ONE)
    table.leave(ONE)
    table.clock.pass_s(1.9)
    table.conversations.sweep()
    table.call(ONE)
    table.clock.pass_s(10)
    table.conversations.sweep()
    assert table.places == 1, "it called again"
    table.leave(ONE)
    table.clock.pass_s(2.1)
    table.conversations.sweep()
    assert table.places == 0


def test_a_client_with_a_call_in_progress_is_there(table: Table) -> None:
    table.introduce(ONE)
    with table.conversations.calling(ONE):
        table.conversations.note_left(ONE)
        table.clock.pass_s(1000)
        table.conversations.sweep()
        assert table.places == 1


def test_a_client_that_introduces_itself_again_keeps_its_place(table: Table) -> None:
    for address in (ONE, ELSEWHERE):
        table.introduce(address)
    table.introduce(ONE)
    table.introduce(ONE, actions=3)
    assert table.places == 2
    with pytest.raises(SessionRefusedError, match="2 robots"):
        table.introduce(OTHER)
    assert table.places == 2


@pytest.mark.parametrize("change", [{"model": "another"}, {"actions": 0}])
def test_a_refused_client_loses_the_place_that_it_had(table: Table, change: dict[str, object]) -> None:
    table.introduce(ONE)
    with pytest.raises(SpecError):
        table.introduce(ONE, **change)  # type: ignore[arg-type] # by name
    assert table.places == 0
    with pytest.raises(StateError, match="SendPolicyInstructions first"):
        table.call(ONE)
    table.introduce(ONE)
    table.call(ONE)


def test_an_address_that_is_not_known_is_what_all_of_its_host_are(table: Table) -> None:
    table.introduce(ONE)
    with pytest.raises(StateError, match="SendPolicyInstructions first"):
        table.call(ELSEWHERE)
    table.call(OTHER)
    assert table.places == 2
    table.introduce(ONE, actions=5)
    table.conversations.close()
    with pytest.raises(StateError):
        table.call("ipv4:10.0.0.1:50003")


def test_what_is_remembered_is_bounded(table: Table) -> None:
    for number in range(MAX_KEPT + 5):
        table.conversations._remember(f"ipv4:host{number}:1", SETUP)
    assert len(table.conversations._heard) == MAX_KEPT
    assert "ipv4:host0" not in table.conversations._heard


def test_calls_are_bounded_for_each_address_and_for_strangers(table: Table) -> None:
    with ExitStack() as calls:
        for _ in range(MAX_CALLS):
            calls.enter_context(table.conversations.calling(ONE))
        with pytest.raises(SessionRefusedError, match="too many calls"):
            calls.enter_context(table.conversations.calling(ONE))
        for number in range(2 + MAX_STRANGERS - 1):
            calls.enter_context(table.conversations.calling(f"ipv4:10.0.1.{number}:1"))
        with pytest.raises(SessionRefusedError, match="too many calls"):
            calls.enter_context(table.conversations.calling(OTHER))
    assert table.conversations._callers._callers == {}
    assert table.conversations._callers._strangers == set()


def test_a_host_opens_a_few_sessions_at_once_and_others_do_not_pay(table: Table) -> None:
    for actions in range(1, 2 * 2 + SPARE_OPENS + 1):
        table.introduce(ONE, actions=actions)
    with pytest.raises(SessionRefusedError, match="too many sessions of this host"):
        table.introduce(ONE, actions=100)
    table.introduce(ELSEWHERE)
    table.clock.pass_s(0.6)
    table.introduce(ONE, actions=100)


def test_a_closed_table_admits_nobody(table: Table, stand: Stand) -> None:
    table.introduce(ONE)
    table.conversations.close()
    opened = stand.policy.opened
    for admit in (table.introduce, table.call):
        with pytest.raises(StateError, match="closing"):
            admit(ONE)
    assert stand.policy.opened == opened, "not even for a moment"


def test_a_client_that_is_admitted_while_the_table_closes_is_not_kept(
    table: Table, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = stand.gateway.admit

    def admit_late(address: str, *, model: str = "") -> Peer:
        table.conversations.close()
        return admit(address, model=model)

    monkeypatch.setattr(stand.gateway, "admit", admit_late)
    with pytest.raises(StateError, match="closing"):
        table.introduce(ONE)
    assert table.places == 0


def test_no_server_is_no_refusal_for_ever(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.introduce(ONE)
    table.leave(ONE)
    table.clock.pass_s(3)
    table.conversations.sweep()

    def fail(*_: object) -> None:
        raise LinkError("no server")

    with monkeypatch.context() as away:
        away.setattr(table.conversations, "_admitted", fail)
        with pytest.raises(LinkError):
            table.call(ONE)
    table.call(ONE)
    assert table.places == 1


# one conversation


def payload(first: float, timestep: int) -> bytes:
    return write_observation(observation(first, timestep))


def test_an_observation_that_waited_too_long_is_not_answered(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.integrations.lerobot_grpc.conversation.WAIT_S", 0.05)
    table.introduce(ONE)
    with table.conversations.calling(ONE):
        talk = table.conversations.find(ONE)
        talk.put(payload(1.0, 1))
        table.clock.pass_s(5.1)
        assert talk.answer(WaitingCall()) == b""
        talk.put(payload(1.0, 2))
        table.clock.pass_s(4.9)
        assert talk.answer(WaitingCall()) != b""


def test_a_call_that_is_over_takes_no_observation(table: Table) -> None:
    table.introduce(ONE)
    with table.conversations.calling(ONE):
        talk = table.conversations.find(ONE)
        talk.put(payload(1.0, 1))
        over = WaitingCall()
        talk.end(over)
        assert talk.answer(over) == b""
        assert talk.answer(WaitingCall()) != b""


def test_a_conversation_closed_during_an_answer_frees_its_place_after_it(table: Table, stand: Stand) -> None:
    stand.policy.gate.clear()
    stand.policy.is_waiting.clear()
    table.introduce(ONE)
    with table.conversations.calling(ONE):
        talk = table.conversations.find(ONE)
    talk.put(payload(WAITS, 1))
    thread = threading.Thread(target=talk.answer, args=(WaitingCall(),))
    thread.start()
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    talk.close()
    assert table.places == 1, "and close did not wait"
    stand.policy.gate.set()
    thread.join(PATIENCE_S)
    assert table.places == 0

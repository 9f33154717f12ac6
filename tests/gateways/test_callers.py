"""Who calls is counted, has one conversation, and has gone after a time without a call."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from vagus.clock import NS_PER_S
from vagus.errors import SessionRefusedError, StateError
from vagus.gateways.callers import LEAVE_NS, MAX_STRANGERS, SPARE_OPENS, Callers, host_of

ONE, OTHER = "ipv4:10.0.0.1:50001", "ipv4:10.0.0.2:50001"
IDLE_NS = 60 * NS_PER_S


class HandClock:
    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        return self.now

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nothing waits here")


class Talk:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Table:
    def __init__(self, max_places: int = 1) -> None:
        self.clock = HandClock()
        self.callers: Callers[Talk] = Callers(self.clock, max_calls=2, max_places=max_places, idle_ns=IDLE_NS)

    def introduce(self, address: str) -> Talk:
        talk = Talk()
        with self.callers.calling(address), self.callers.introducing(address) as caller:
            self.callers.unsettle(caller)
            self.callers.settle(caller, address, talk)
        return talk


def test_a_caller_has_its_own_conversation_and_a_stranger_none() -> None:
    table = Table()
    talk = table.introduce(ONE)
    with table.callers.calling(ONE), table.callers.calling(OTHER):
        assert table.callers.conversation_of(ONE) is talk
        assert table.callers.conversation_of(OTHER) is None
    assert table.callers.conversations() == [talk]


def test_a_new_conversation_ends_the_one_before() -> None:
    table = Table()
    first, second = table.introduce(ONE), table.introduce(ONE)
    assert (first.closed, second.closed) == (1, 0)


def test_calls_are_bounded_for_an_address_and_for_strangers() -> None:
    table = Table()
    with ExitStack() as calls:
        for _ in range(2):
            calls.enter_context(table.callers.calling(ONE))
        with pytest.raises(SessionRefusedError, match="too many calls"):
            calls.enter_context(table.callers.calling(ONE))
        for number in range(MAX_STRANGERS):
            calls.enter_context(table.callers.calling(f"ipv4:10.0.1.{number}:1"))
        with pytest.raises(SessionRefusedError, match="too many calls"):
            calls.enter_context(table.callers.calling(OTHER))
    with table.callers.calling(OTHER):
        pass


def test_one_introduction_at_a_time() -> None:
    table = Table()
    with (
        table.callers.calling(ONE),
        table.callers.introducing(ONE),
        pytest.raises(StateError, match="is being admitted"),
        table.callers.introducing(ONE),
    ):
        pass
    table.introduce(ONE)


def test_the_silent_have_gone_after_the_idle_time_and_not_during_a_call() -> None:
    table = Table()
    talk = table.introduce(ONE)
    with table.callers.calling(ONE):
        table.clock.now += 2 * IDLE_NS
        table.callers.sweep()
    assert talk.closed == 0
    table.clock.now += IDLE_NS
    table.callers.sweep()
    assert talk.closed == 0
    table.clock.now += 1
    table.callers.sweep()
    assert (talk.closed, table.callers.conversations()) == (1, [])


def test_who_ended_a_call_early_has_gone_soon_unless_it_calls_again() -> None:
    table = Table()
    talk = table.introduce(ONE)
    for is_back in (True, False):
        with table.callers.calling(ONE):
            table.callers.note_left(ONE)
        if is_back:
            with table.callers.calling(ONE):
                pass
        table.clock.now += LEAVE_NS + 1
        table.callers.sweep()
        assert talk.closed == (not is_back)


def test_a_host_opens_a_burst_of_sessions_and_no_more() -> None:
    table = Table()
    for _ in range(2 + SPARE_OPENS):
        table.callers.check_opens(ONE)
    with pytest.raises(SessionRefusedError, match="too many sessions of this host"):
        table.callers.check_opens("ipv4:10.0.0.1:50002")
    table.callers.check_opens(OTHER)
    table.clock.now += NS_PER_S
    table.callers.check_opens(ONE)


def test_the_end_ends_all_and_begins_none() -> None:
    table = Table()
    talk = table.introduce(ONE)
    table.callers.close()
    assert talk.closed == 1
    late = Talk()
    with (
        table.callers.calling(OTHER),
        pytest.raises(StateError, match="is closing"),
        table.callers.introducing(OTHER),
    ):
        pass
    with table.callers.calling(ONE), pytest.raises(StateError, match="is closing"):
        table.callers.settle(table.callers._callers[ONE], ONE, late)
    assert late.closed == 1


def test_the_host_of_an_address() -> None:
    assert host_of("ipv6:%5B::1%5D:50051") == "ipv6:%5B::1%5D"

"""The threads of the server meeting what seldom happens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import pytest

import vagus.server.decoding as decoding_module
from server.raw_client import PATIENCE_S, CountingPolicy, Stand, serving, wait_until
from vagus.clock import NS_PER_MS
from vagus.errors import ProtocolError
from vagus.server.batch_profile import BatchProfile
from vagus.server.config import ServeConfig
from vagus.server.pipeline import Pipeline
from vagus.server.request import DecodeAll, DecodedRequest, decode_request
from vagus.server.scheduler import SCHEDULERS, Candidate, Decision, Scheduler, Wait, round_robin
from vagus.server.sessions import Found, Session
from vagus.server.validate import Terms
from vagus.specs import PolicySpec
from vagus.types import Observation
from vagus.wire.schema import Header, Kind, ResetAck


def pipeline_of(stand: Stand) -> Pipeline[list[int]]:
    pipeline = stand.server._pipeline
    assert pipeline is not None
    return pipeline


def session_of(stand: Stand, name: str, epoch: int) -> Session:
    session = stand.server._reception.sessions.find(name, epoch)
    assert not isinstance(session, Found)
    return session


class SlowDecoder:
    """Stands in for the decoder: stops in the middle until it is let go, or fails as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failure: BaseException | None = None) -> None:
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.failure = failure
        monkeypatch.setattr(decoding_module, "decode_request", self)

    def __call__(
        self, payload: bytes, spec: PolicySpec, terms: Terms, captured_ns: int, *, decode_all: DecodeAll
    ) -> DecodedRequest:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return decode_request(payload, spec, terms, captured_ns, decode_all=decode_all)


@pytest.mark.parametrize("failure", [ZeroDivisionError("a bug"), SystemExit("a bug"), MemoryError("a bug")])
def test_a_bug_in_a_decoder_costs_one_request(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    decoder = SlowDecoder(monkeypatch, failure)
    decoder.gate.set()
    with serving() as stand:
        client = stand.opened("arm")
        reply = client.ask(1.0)
        assert reply.code == "invalid_input"
        assert reply.event is not None
        assert "a bug" in reply.event.message
        assert client.ask(1.0).values == [1.0, 1.0]


def test_a_session_that_ends_while_its_request_is_decoded_gets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = SlowDecoder(monkeypatch)
    with serving() as stand:
        client, other = stand.opened("arm"), stand.opened("other")
        client.send(1.0)
        assert decoder.entered.wait(PATIENCE_S)
        assert client.close().accepted
        decoder.gate.set()
        assert other.ask(1.0).values == [1.0, 1.0]
        assert stand.outcomes("closed") == 1
        assert client.replies.empty()


def test_a_request_that_is_decoded_after_a_reset_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = SlowDecoder(monkeypatch)
    with serving() as stand:
        client = stand.opened("arm")
        client.send(1.0)
        assert decoder.entered.wait(PATIENCE_S)
        assert client.reset(1).applied
        decoder.gate.set()
        assert client.ask(2.0, episode=1).values == [1.0, 2.0]
        assert stand.outcomes("old_episode") == 1


def test_a_newer_request_that_comes_while_one_is_decoded_is_served_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = SlowDecoder(monkeypatch)
    with serving() as stand:
        client = stand.opened("arm")
        client.send(1.0)
        assert decoder.entered.wait(PATIENCE_S)
        client.send(2.0)
        decoder.gate.set()
        reply = client.receive()
        assert reply.values == [1.0, 2.0]
        assert reply.chunk is not None
        assert reply.chunk.superseded == 1


def test_of_resets_without_end_the_newest_waits_and_the_others_are_answered_at_once() -> None:
    replies: queue.SimpleQueue[ResetAck] = queue.SimpleQueue()
    with serving() as stand:
        client = stand.opened("arm")
        session = session_of(stand, "arm", client.epoch)
        stand.hold(client)
        for episode in range(1, 300):
            pipeline_of(stand).reset(session, episode, replies.put)
        assert {replies.get(timeout=PATIENCE_S).code for _ in range(298)} == {"overloaded"}
        assert replies.empty()
        stand.policy.gate.set()
        assert replies.get(timeout=PATIENCE_S).applied


def test_a_reset_that_waits_is_answered_at_the_end() -> None:
    replies: queue.SimpleQueue[ResetAck] = queue.SimpleQueue()
    with serving() as stand:
        client = stand.opened("arm")
        stand.hold(client)
        pipeline_of(stand).reset(session_of(stand, "arm", client.epoch), 1, replies.put)
        threading.Timer(0.05, stand.policy.gate.set).start()
        stand.server.close()
    assert replies.get(timeout=PATIENCE_S).code == "draining"


def test_a_reset_of_a_session_that_ends_before_it_is_applied_is_refused() -> None:
    replies: queue.SimpleQueue[ResetAck] = queue.SimpleQueue()
    with serving() as stand:
        client = stand.opened("arm")
        session = session_of(stand, "arm", client.epoch)
        stand.hold(client)
        pipeline_of(stand).reset(session, 1, replies.put)
        assert client.close().accepted
        stand.policy.gate.set()
        assert replies.get(timeout=PATIENCE_S).code == "unknown_session"


def test_what_reaches_the_pipeline_for_a_closed_session_is_counted() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        session = session_of(stand, "arm", client.epoch)
        client.close()
        pipeline_of(stand).submit(session, Header(Kind.OBSERVATION, 1, 0, 0, client.epoch), b"")
        replies: queue.SimpleQueue[ResetAck] = queue.SimpleQueue()
        pipeline_of(stand).reset(session, 1, replies.put)
        assert replies.get(timeout=PATIENCE_S).code == "unknown_session"
        assert stand.outcomes("closed") == 1


def test_an_answer_that_cannot_be_encoded_becomes_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise ProtocolError("too large")

    with serving() as stand:
        client = stand.opened("arm")
        monkeypatch.setattr(stand.server._publisher, "chunk", refuse)
        assert client.ask(1.0).code == "policy_error"


def test_a_link_that_fails_to_publish_costs_that_answer_only() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        link = stand.server._link
        publish = link.publish

        def fail_once(*args: object, **kwargs: object) -> None:
            link.publish = publish  # type: ignore[method-assign]
            raise OSError("the socket is gone")

        link.publish = fail_once  # type: ignore[method-assign]
        client.send(1.0)
        wait_until(lambda: stand.dropped("publish_error") == 1)
        assert client.ask(2.0).values == [2.0, 2.0]


class Reluctant:
    """Waits some times before it serves like `round_robin`, and counts how often it was asked."""

    def __init__(self, *waits: Callable[[int], int | None]) -> None:
        self._waits = list(waits)
        self.calls = 0
        self.wanted_ns: list[int | None] = []
        self.served_ns = 0

    def __call__(
        self,
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        if not ready:
            return Wait()
        self.calls += 1
        if self._waits:
            self.wanted_ns.append(self._waits.pop(0)(now_ns))
            return Wait(self.wanted_ns[-1])
        self.served_ns = now_ns
        return round_robin(ready, profile, now_ns, max_batch=max_batch)


def in_ms(milliseconds: int) -> Callable[[int], int]:
    return lambda now_ns: now_ns + milliseconds * NS_PER_MS


@contextmanager
def scheduled(monkeypatch: pytest.MonkeyPatch, scheduler: Scheduler) -> Iterator[Stand]:
    monkeypatch.setitem(cast("dict[str, Scheduler]", SCHEDULERS), "own", scheduler)
    with serving(ServeConfig(warm_up=False, scheduler="own")) as stand:
        yield stand


def test_a_scheduler_that_waits_is_asked_again_when_it_said_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler = Reluctant(in_ms(40), in_ms(-5), in_ms(20))
    with scheduled(monkeypatch, scheduler) as stand:
        assert stand.opened("arm").ask(1.0).values == [1.0, 1.0]
    assert scheduler.calls == 4, "not asked without a pause, whatever time it says"
    assert scheduler.wanted_ns[-1] is not None
    assert scheduler.served_ns >= scheduler.wanted_ns[-1]


def test_a_scheduler_that_waits_for_a_change_is_asked_at_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler = Reluctant(lambda _: None)
    with scheduled(monkeypatch, scheduler) as stand:
        first, second = stand.opened("first"), stand.opened("second")
        first.send(1.0)
        wait_until(lambda: scheduler.calls == 1)
        second.send(2.0)
        assert first.receive().values == [1.0, 1.0]
        assert second.receive().values == [1.0, 2.0]
    assert scheduler.calls == 2
    assert stand.policy.batches == [2]


class Sorting(CountingPolicy):
    """Takes even and odd states apart; of a state above 100 it says nothing."""

    def batch_key(self, observation: Observation) -> Hashable:
        state = float(observation.state[0])
        if state > 100:
            return cast("Hashable", observation.state)  # no key
        return state % 2


def test_a_batch_holds_only_what_goes_through_the_network_together() -> None:
    with serving(ServeConfig(warm_up=False, scheduler="round_robin"), Sorting()) as stand:
        arms = [stand.opened(f"arm{number}") for number in range(7)]
        stand.hold(arms[0])
        for arm, state in zip(arms[1:], (2.0, 3.0, 4.0, 5.0, 102.0, 104.0), strict=True):
            arm.send(state)
        stand.wait_for_ready(6)
        stand.policy.gate.set()
        for arm, state in zip(arms[1:], (2.0, 3.0, 4.0, 5.0, 102.0, 104.0), strict=True):
            assert arm.receive().values == [1.0, state]
        assert sorted(stand.policy.batches) == [1, 1, 1, 2, 2], "and what nobody can sort goes alone"

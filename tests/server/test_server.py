"""The server as its clients see it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.raw_client import (
    IMAGE,
    PATIENCE_S,
    SPEC,
    Asker,
    Calls,
    CountingPolicy,
    RawClient,
    Stand,
    serving,
    wait_until,
)
from vagus import __version__
from vagus.errors import ConfigError, LinkError, PolicyError, StateError
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.capture import read_capture
from vagus.server.config import ServeConfig, ServingChoice
from vagus.server.lifecycle import Phase
from vagus.server.server import Server
from vagus.server.session_requests import OPEN_BURST
from vagus.server.sessions import Session
from vagus.server.slot import Stage
from vagus.transport.link import Sample
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, Observation, Prefix
from vagus.wire.codec import decode_tensor, encode_tensor
from vagus.wire.contract import to_wire_actions
from vagus.wire.schema import ChunkMessage, Header, Kind

COLD = ServeConfig(warm_up=False)
IN_TURN = ServeConfig(warm_up=False, scheduler="round_robin")
"""Everybody is served equally often, in batches of all that wait."""


def one_batch(stand: Stand, sends: list[Callable[[], object]]) -> None:
    """Hold the policy with a stranger's request while `sends` arrive, so that they share one batch."""
    stranger = stand.opened("stranger")
    stand.hold(stranger)
    for send in sends:
        send()
    wait_until(lambda: stand.server.load().waiting == len(sends) and all_ready(stand))
    stand.policy.gate.set()


def all_ready(stand: Stand) -> bool:
    pipeline = stand.server._pipeline
    assert pipeline is not None
    with pipeline._shared.changed:
        return not any(slot.stage is Stage.DECODING for slot in pipeline._shared.slots)


# what a client gets


def test_an_observation_is_answered_by_a_chunk_that_echoes_its_header() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        reply = client.ask(3.0, episode=2)
        assert reply.values == [1.0, 3.0]
        assert reply.chunk is not None
        assert reply.header == Header(Kind.CHUNK, 1, 2, 1001, client.epoch)
        assert (reply.chunk.step, reply.chunk.valid_len, reply.chunk.batch_size) == (10, 4, 1)
        assert reply.chunk.load.sessions == 1
        assert client.ask(4.0, episode=2).values == [2.0, 4.0]


def test_the_ack_says_what_the_server_is() -> None:
    with serving(ServeConfig(model="m", revision="r", service_name="n", max_batch=2)) as stand:
        ack = stand.client("arm").open()
        assert ack.capabilities is not None
        assert ack.session_id == f"arm:{ack.epoch:08x}"
        assert ack.capabilities.phase == "ready"
        assert (ack.capabilities.model, ack.capabilities.revision, ack.capabilities.service_name) == (
            "m",
            "r",
            "n",
        )
        assert [row.batch_size for row in ack.capabilities.latency] == [1, 2]
        assert ack.capabilities.load.sessions == 1
        assert ack.capabilities == msgspec.structs.replace(
            stand.client("other").status(), load=ack.capabilities.load
        )


def test_everything_that_touches_the_policy_runs_on_one_thread() -> None:
    with serving(ServeConfig()) as stand:
        for name in ("a", "b", "c"):
            stand.opened(name).ask(1.0)
    assert stand.policy.threads == {"vagus-policy"}
    assert stand.policy.is_closed


def test_remote_equals_local_bit_for_bit_with_and_without_a_prefix() -> None:
    local = CountingPolicy()
    session = local.open_session()
    prefix = Prefix(model=np.ones((2, 2), np.float32), robot=np.full((2, 2), 0.1, np.float32))
    with serving() as stand:
        client = stand.opened("arm")
        for running in (None, prefix):
            changes: dict[str, object] = {}
            if running is not None:
                changes = {
                    "prefix_model": encode_tensor(running.model),
                    "prefix_robot": encode_tensor(running.robot),
                    "inference_delay": 1,
                    "prefix_horizon": 2,
                }
            reply = client.ask(0.3, changes=changes)
            observation = Observation(np.array([0.3], np.float32), {"front": IMAGE}, "count", 1001)
            row = Row(session, observation, client.seq * 10, running, len(running or ()) // 2, 2, client.seq)
            (chunk,) = local.infer([row])
            assert reply.chunk is not None
            assert not isinstance(chunk, PolicyError)
            for remote, here in (
                (reply.chunk.chunk_robot, chunk.robot),
                (reply.chunk.chunk_model, chunk.model),
            ):
                assert decode_tensor(remote, shape=here.shape, name="chunk").tobytes() == here.tobytes()


# sessions never mix


@given(order=st.lists(st.integers(0, 3), min_size=1, max_size=30))
@settings(max_examples=15, deadline=None)
def test_interleaved_sessions_never_see_each_others_state(order: list[int]) -> None:
    with serving() as stand:
        clients = [stand.opened(f"arm{n}") for n in range(4)]
        calls = [0] * 4
        for number in order:
            calls[number] += 1
            assert clients[number].ask(float(number)).values == [calls[number], number]


def test_batched_sessions_never_see_each_others_state() -> None:
    with serving(IN_TURN) as stand:
        clients = [stand.opened(f"arm{n}") for n in range(5)]
        for client in clients[:2]:
            client.ask(100.0)
        one_batch(stand, [partial(client.send, float(n)) for n, client in enumerate(clients)])
        replies = [client.receive() for client in clients]
        assert [reply.values for reply in replies] == [[2, 0], [2, 1], [1, 2], [1, 3], [1, 4]]
        assert all(reply.chunk is not None and reply.chunk.batch_size == 5 for reply in replies)


def test_a_newer_request_replaces_one_that_waits_and_says_so() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        one_batch(stand, [lambda: [client.send(1.0), client.send(2.0), client.send(3.0)]])
        reply = client.receive()
        assert reply.values == [1.0, 3.0]
        assert reply.header.seq == 3
        assert reply.chunk is not None
        assert reply.chunk.superseded == 2
        assert stand.dropped("superseded") == 2


def test_a_repeated_or_older_request_is_not_served_again() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        client.send(1.0)
        client.send(2.0)
        replies = [client.receive()]
        if replies[-1].header.seq == 1:
            replies.append(client.receive())
        client.send(9.0, header=Header(Kind.OBSERVATION, 1, 0, 0, client.epoch))
        assert client.ask(3.0).values[1] == 3.0
        assert stand.outcomes("duplicate") == 1


def test_sixty_four_robots_are_served_alike_and_nothing_is_lost_mixed_or_left_behind() -> None:
    robots, replies = 64, 2000
    with serving(IN_TURN) as stand:
        askers = [Asker(stand.opened(f"arm{number}"), number) for number in range(robots)]
        stand.policy.gate.clear()
        stand.policy.begin_count(range(robots))
        for asker in askers:
            asker.start()
        threads = threading.active_count()
        stand.policy.work_s = 0.001
        stand.policy.gate.set()
        wait_until(lambda: sum(asker.replies for asker in askers) >= replies)
        assert threading.active_count() <= threads
        for asker in askers:
            asker.is_asking = False
        wait_until(
            lambda: stand.server.load().waiting == 0 and all(a.replies == a.client.seq for a in askers)
        )
        assert [asker.faults for asker in askers if asker.faults] == []
        assert stand.policy.widest <= 2
        assert stand.outcomes("chunk") == sum(asker.replies for asker in askers)


# failures are answered


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (-1.0, "no such place"),
        (-2.0, "NaN"),
        (-3.0, "shape"),
        (-4.0, "cannot be done"),
        (-5.0, "0 results for 1 rows"),
        (-6.0, "step"),
    ],
)
def test_a_policy_that_fails_costs_one_request_and_the_client_is_told(state: float, says: str) -> None:
    with serving() as stand:
        client = stand.opened("arm")
        reply = client.ask(state)
        assert reply.code == "policy_error"
        assert reply.event is not None
        assert says in reply.event.message
        assert reply.event.seq == reply.header.seq == 1
        assert client.ask(1.0).values[1] == 1.0


@pytest.mark.parametrize("state", [-2.0, -3.0, -4.0, -6.0])
def test_a_bad_row_fails_alone(state: float) -> None:
    with serving() as stand:
        good, bad = stand.opened("good"), stand.opened("bad")
        one_batch(stand, [lambda: good.send(1.0), lambda: bad.send(state)])
        assert bad.receive().code == "policy_error"
        assert good.receive().values == [1.0, 1.0]


@pytest.mark.parametrize("state", [-1.0, -5.0])
def test_a_row_that_the_policy_raises_for_is_found_out_and_then_keeps_nobody_company(state: float) -> None:
    with serving(IN_TURN) as stand:
        good, other, bad = (stand.opened(name) for name in ("good", "other", "bad"))
        asked: list[Callable[[], object]] = [
            lambda: good.send(1.0),
            lambda: bad.send(state),
            lambda: other.send(2.0),
        ]
        for _ in range(2):
            one_batch(stand, asked)
            assert bad.receive().code == "policy_error"
            assert good.receive().chunk is not None
            assert other.receive().chunk is not None
        # a stranger, all three, each of them alone; then a stranger, the good ones, the bad one alone
        assert stand.policy.batches[:6] == [1, 3, 1, 1, 1, 1]
        assert sorted(stand.policy.batches[6:]) == [1, 2]
        assert bad.ask(3.0).chunk is not None
        one_batch(stand, [lambda: good.send(1.0), lambda: bad.send(3.0)])
        good.receive(), bad.receive()
        assert stand.policy.batches[-1] == 2  # it did not fail, so it has company again


def test_a_boundary_that_raises_fails_its_row_alone_and_is_tried_again() -> None:
    with serving() as stand:
        good, bad = stand.opened("good"), stand.opened("bad")
        bad.ask(-7.0)
        one_batch(stand, [lambda: good.send(1.0), lambda: bad.send(2.0, episode=1)])
        assert bad.receive().code == "policy_error"
        assert good.receive().values == [1.0, 1.0]
        assert bad.ask(2.0, episode=1).values == [1.0, 2.0]


def test_a_request_that_cannot_be_read_is_answered_at_once() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        client.seq += 1
        client.send_bytes(b"\xc1 rubbish")
        assert client.receive().code == "invalid_input"
        assert client.ask(float("nan")).code == "invalid_input"
        assert client.ask(1.0, changes={"images": {}}).code == "invalid_input"
        assert client.ask(1.0, changes={"inference_delay": 2}).code == "invalid_input"
        assert client.ask(1.0).values == [1.0, 1.0]
        assert stand.policy.batches == [1]


def test_an_unreadable_request_is_answered_while_the_policy_is_busy() -> None:
    with serving() as stand:
        busy, client = stand.opened("busy"), stand.opened("arm")
        stand.hold(busy, 0.0)
        assert client.ask(float("nan")).code == "invalid_input"
        stand.policy.gate.set()


# who a message belongs to


def test_a_message_under_the_wrong_key_is_dropped_before_its_body_is_touched() -> None:
    with serving() as stand:
        left, right = stand.opened("left"), stand.opened("right")
        key = right.keys.observation
        stand.network.set_misroute(lambda s: key if s.key == left.keys.observation else None)
        left.seq += 1
        left.send_bytes(b"this is no message")
        stand.network.set_misroute(None)
        assert right.ask(1.0).values == [1.0, 1.0]
        assert stand.dropped("misrouted") == 1
        assert left.replies.empty()


def test_an_unknown_session_is_told_so_and_not_more_often_than_bounded() -> None:
    with serving() as stand:
        client = stand.client("arm")
        client.epoch = 77
        for _ in range(20):
            client.send(1.0)
        reply = client.receive()
        assert reply.code == "unknown_session"
        assert (reply.header.seq, reply.header.epoch) == (1, 77)
        wait_until(lambda: stand.dropped("unknown_session") == 20)
        with pytest.raises(queue.Empty):
            client.replies.get_nowait()


def test_headers_of_another_kind_or_length_are_dropped() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        client.send(1.0, header=Header(Kind.CHUNK, 1, 0, 0, client.epoch))
        client.send(1.0, header=Header(Kind.OBSERVATION, 0, 0, 0, client.epoch))
        server_link = stand.server._reception.endpoints
        server_link.on_observation(Sample(client.keys.observation, b"short", b""))
        server_link.on_observation(Sample("elsewhere", b"", b""))
        assert stand.dropped("malformed_header") == 4
        assert client.ask(1.0).values == [1.0, 1.0]


def test_a_session_that_was_replaced_gets_nothing_of_what_its_predecessor_asked() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        stand.hold(client, 5.0)
        old_epoch = client.epoch
        client.open()
        assert client.epoch != old_epoch
        stand.policy.gate.set()
        assert client.ask(6.0).values == [1.0, 6.0]
        assert client.foreign == []
        assert stand.outcomes("closed") == 1
        assert stand.server.load().sessions == 1


# opening and closing


def test_two_robots_with_one_name_are_told_apart() -> None:
    with serving() as stand:
        first = stand.opened("arm", "i1")
        second = stand.client("arm", "i2")
        refusal = second.try_open()
        assert (refusal.accepted, refusal.code) == (False, "client_in_use")
        assert first.ask(1.0).values == [1.0, 1.0]
        first.token.undeclare()
        assert second.open().accepted
        assert second.ask(2.0).values == [1.0, 2.0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schema_min": 9, "schema_max": 9}, "schema_mismatch"),
        ({"actions": ()}, "spec_mismatch"),
        ({"state": ()}, "spec_mismatch"),
        ({"cameras": ()}, "spec_mismatch"),
        ({"model_hash": "other"}, "model_changed"),
        ({"instruction": "dance"}, "instruction_pinned"),
        ({"rate_hz": 11.0}, "rate_mismatch"),
        ({"instance": "a/b"}, "invalid_input"),
    ],
)
def test_a_session_that_does_not_fit_is_refused_with_a_reason(changes: dict[str, object], code: str) -> None:
    with serving(ServeConfig(warm_up=False, pin_task=True, strict_rate=True)) as stand:
        client = stand.client("arm")
        ack = client.try_open(**changes)
        assert (ack.accepted, ack.code, ack.epoch) == (False, code, 0)
        assert ack.error
        assert client.open().accepted


def test_a_full_server_refuses_with_its_load_and_takes_a_known_client_again() -> None:
    with serving(ServeConfig(warm_up=False, max_sessions=1)) as stand:
        client = stand.opened("arm")
        ack = stand.client("leg").try_open()
        assert ack.code == "sessions_full"
        assert ack.capabilities is not None
        assert (ack.capabilities.load.sessions, ack.capabilities.load.max_sessions) == (1, 1)
        client.open()
        assert client.close().accepted
        assert client.close().code == "unknown_session"
        assert stand.opened("leg").ask(1.0).values == [1.0, 1.0]


@pytest.mark.parametrize("payload", [b"", b"\x80", b"\xc1", b"\x82\xa4open\xc0\xa5close\xc0"])
def test_a_malformed_open_or_reset_is_refused(payload: bytes) -> None:
    with serving() as stand:
        client = stand.opened("arm")
        (answer,) = client.link.query(client.keys.session, payload, timeout_s=PATIENCE_S)
        assert b"invalid_input" in answer
        (answer,) = client.link.query(client.keys.reset, payload, timeout_s=PATIENCE_S)
        assert b"invalid_input" in answer


def test_an_exclusive_policy_serves_one_robot() -> None:
    with serving(ServeConfig(warm_up=False, serving_mode=ServingChoice.EXCLUSIVE)) as stand:
        stand.opened("arm")
        refusal = stand.client("leg").try_open()
        assert refusal.code == "sessions_full"
        assert "one robot at a time, because the server was told so" in refusal.error
        assert "one more `vagus serve`" in refusal.error
        assert "max_sessions" not in refusal.error  # no number of them would help
        assert stand.client("leg").status().serving_mode == "exclusive"
        assert "serving_mode: exclusive" in stand.client("leg").status().serving_reason


# episodes


def test_a_first_request_and_each_new_episode_begin_at_the_boundary() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        assert client.ask(1.0, episode=3).values == [1.0, 1.0]
        assert client.ask(1.0, episode=3).values == [2.0, 1.0]
        assert client.ask(1.0, episode=4).values == [1.0, 1.0]
        assert client.ask(1.0, episode=4, changes={"episode_start": True}).values == [1.0, 1.0]


def test_a_reset_is_answered_when_it_is_applied_and_an_older_one_is_refused() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        client.ask(1.0)
        assert client.reset(2).applied
        assert client.reset(2).applied
        assert client.reset(1).code == "invalid_input"
        assert client.ask(1.0, episode=2).values == [1.0, 1.0]
        client.send(1.0, episode=1)
        assert client.ask(1.0, episode=2).values == [2.0, 1.0]
        assert stand.outcomes("old_episode") == 1


def test_a_result_that_races_a_reset_is_never_published() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        stand.hold(client, 5.0)
        replies: queue.SimpleQueue[bool] = queue.SimpleQueue()
        asking = threading.Thread(target=lambda: replies.put(client.reset(1).applied))
        asking.start()
        pipeline = stand.server._pipeline
        assert pipeline is not None
        wait_until(lambda: any(slot.reset is not None for slot in pipeline._shared.slots))
        assert replies.empty()
        stand.policy.gate.set()
        assert replies.get(timeout=PATIENCE_S)
        asking.join()
        assert client.ask(6.0, episode=1).values == [1.0, 6.0]
        assert stand.outcomes("old_episode") == 1


def test_a_reset_of_no_session_is_refused_and_one_that_the_policy_refuses_says_why() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        client.ask(-7.0)
        ack = client.reset(1)
        assert (ack.applied, ack.code) == (False, "policy_error")
        assert "boundary" in ack.error
        client.epoch += 1
        assert client.reset(2).code == "unknown_session"


# life and death


def test_a_policy_that_cannot_be_loaded_gives_one_message() -> None:
    def broken() -> Policy[object]:
        raise OSError("no weights here")

    server = Server(MemoryNetwork().link(), broken, COLD)
    with server, pytest.raises(PolicyError, match="no weights here"):
        server.wait_ready(PATIENCE_S)
    assert server.phase is Phase.STOPPED
    with pytest.raises(PolicyError):
        server.wait(0)


def test_a_policy_that_leaves_the_process_is_a_failure_like_any_other() -> None:
    def leaving() -> Policy[object]:
        raise SystemExit(3)

    with (
        Server(MemoryNetwork().link(), leaving, COLD) as server,
        pytest.raises(PolicyError, match="SystemExit"),
    ):
        server.wait_ready(PATIENCE_S)


def test_a_policy_that_fails_its_warm_up_is_not_served() -> None:
    class Failing(CountingPolicy):
        def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
            raise RuntimeError("out of memory")

    failing = Failing()
    with (
        Server(MemoryNetwork().link(), lambda: failing, ServeConfig()) as server,
        pytest.raises(PolicyError, match=r"warm-up.*out of memory"),
    ):
        server.wait_ready(PATIENCE_S)
    assert failing.is_closed


def test_a_policy_that_needs_every_observation_is_not_served() -> None:
    class Refused(CountingPolicy):
        serving_mode = ServingMode.REFUSED

    with Server(MemoryNetwork().link(), Refused, COLD) as server, pytest.raises(ConfigError, match="chunks"):
        server.wait_ready(PATIENCE_S)


def test_a_server_that_is_loading_shows_itself_but_takes_nobody() -> None:
    loading, network = threading.Event(), MemoryNetwork()
    policy = CountingPolicy()

    def load() -> CountingPolicy:
        assert loading.wait(PATIENCE_S)
        return policy

    with Server(network.link(), load, COLD) as server:
        client = RawClient(network.link(), server.key, "arm")
        assert client.status().phase == "loading"
        assert client.try_open().code == "not_ready"
        assert network.link().tokens(server.key.alive, timeout_s=1.0) == frozenset()
        assert network.link().tokens(server.key.starting, timeout_s=1.0) == {server.key.starting}
        assert not server.wait_ready(0)
        loading.set()
        assert server.wait_ready(PATIENCE_S)
        assert network.link().tokens(server.key.starting, timeout_s=1.0) == frozenset()
        assert network.link().tokens(server.key.alive, timeout_s=1.0) == {server.key.alive}
        assert client.open().accepted


def test_a_server_told_to_go_while_it_loads_goes() -> None:
    loading = threading.Event()
    policy = CountingPolicy()

    def load() -> CountingPolicy:
        assert loading.wait(PATIENCE_S)
        return policy

    with Server(MemoryNetwork().link(), load, COLD) as server:
        draining = threading.Thread(target=server.drain)
        draining.start()
        wait_until(lambda: server.phase is Phase.STOPPED)
        loading.set()
        draining.join()
        with pytest.raises(StateError, match="before it was ready"):
            server.wait_ready(PATIENCE_S)
    assert policy.is_closed


def test_a_drain_sends_clients_elsewhere_and_finishes_what_was_accepted() -> None:
    with serving() as stand:
        client, idle = stand.opened("arm"), stand.opened("idle")
        stand.hold(client, 5.0)
        draining = threading.Thread(target=stand.server.drain)
        draining.start()
        told = client.receive()
        assert (told.code, told.header.seq, told.header.epoch) == ("draining", 0, client.epoch)
        assert idle.receive().code == "draining"
        wait_until(lambda: stand.server._pipeline is not None and stand.server._pipeline._shared.is_draining)
        assert client.status().phase == "draining"
        assert stand.client("late").try_open().code == "draining"
        assert idle.ask(1.0).code == "draining"
        assert client.reset(1).code == "draining"
        assert client.link.tokens(stand.server.key.alive, timeout_s=1.0)
        stand.policy.gate.set()
        assert client.receive().values == [1.0, 5.0]
        draining.join()
        assert client.link.tokens(stand.server.key.alive, timeout_s=1.0) == frozenset()
        with pytest.raises(LinkError):
            client.try_open()
        stand.server.drain()
        assert stand.server.wait(0)
        assert stand.policy.is_closed


def test_a_drain_does_not_wait_for_ever_and_says_that_requests_were_lost() -> None:
    said: list[bool] = []
    with serving(ServeConfig(warm_up=False, drain_timeout_s=0.05)) as stand:
        client = stand.opened("arm")
        stand.hold(client, 5.0)
        draining = threading.Thread(target=lambda: said.append(stand.server.drain()))
        draining.start()
        wait_until(lambda: stand.server.phase is Phase.STOPPED)
        stand.policy.gate.set()
        draining.join()
    assert said == [False]


def test_a_drain_that_finished_everything_says_so() -> None:
    with serving() as stand:
        stand.opened("arm").ask(1.0)
        assert stand.server.drain()


# garbage collection


def test_a_client_that_is_gone_is_swept_after_its_grace_and_one_that_is_not_is_kept() -> None:
    with serving(ServeConfig(warm_up=False, client_grace_s=0.001)) as stand:
        gone, there = stand.opened("gone"), stand.opened("there")
        gone.token.undeclare()
        # a token that vanished for the watch only: the network is asked before anybody is closed
        stand.server._reception.endpoints.on_token(there.keys.alive(there.instance), False)
        wait_until(lambda: stand.server.load().sessions == 1)
        assert there.ask(1.0).values == [1.0, 1.0]
        assert stand.server.metrics.counter("closed", "gone") == 1


def test_a_paused_robot_keeps_its_place_while_its_token_is_there() -> None:
    with serving(ServeConfig(warm_up=False, client_grace_s=0.001, session_idle_timeout_s=0.001)) as stand:
        paused = stand.opened("paused")
        session = stand.server._reception.sessions.find("paused", paused.epoch)
        assert isinstance(session, Session)
        for _ in range(3):
            confirmed_ns = session.confirmed_ns
            wait_until(lambda: session.confirmed_ns > confirmed_ns)  # noqa: B023 - waited for at once
        assert paused.ask(1.0).values == [1.0, 1.0]
        # its token vanishes and the watch misses it: the network is asked, and it loses its place
        stand.server._reception.sessions.token_changed = lambda *_, **__: None  # type: ignore[method-assign]
        paused.token.undeclare()
        wait_until(lambda: stand.server.load().sessions == 0)
        assert stand.server.metrics.counter("closed", "idle") == 1
        assert paused.receive().code == "unknown_session"


def test_a_client_without_a_token_that_is_silent_loses_its_place_soon_and_is_told() -> None:
    with serving(ServeConfig(warm_up=False, client_grace_s=0.05)) as stand:
        client = stand.client("script")
        client.token.undeclare()
        client.open()
        wait_until(lambda: stand.server.load().sessions == 0)
        assert stand.server.metrics.counter("closed", "no_token") == 1
        reply = client.receive()
        assert (reply.code, reply.header.seq) == ("unknown_session", 0)


def test_nobody_is_closed_while_the_network_is_away() -> None:
    with serving(ServeConfig(warm_up=False, client_grace_s=0.001)) as stand:
        stand.opened("arm")
        link = stand.server._link
        link.cut()  # type: ignore[attr-defined]
        stand.server._reception.endpoints.on_token(stand.server.key.client("arm").alive("i1"), False)
        for _ in range(3):
            stand.server._reception.sweep.sweep()
        assert stand.server.load().sessions == 1


def test_a_sweep_never_closes_a_replacement() -> None:
    with serving() as stand:
        client = stand.opened("arm")
        sessions = stand.server._reception.sessions
        old = sessions.find("arm", client.epoch)
        client.open()
        assert not sessions.end(old, "gone")  # type: ignore[arg-type]
        assert client.ask(1.0).values == [1.0, 1.0]


# on record


def test_audit_and_capture_hold_what_was_asked_and_answered(tmp_path: Path) -> None:
    config = ServeConfig(
        warm_up=False, audit_path=tmp_path / "audit.jsonl", capture_dir=tmp_path / "samples", capture_every=2
    )
    with serving(config) as stand:
        client = stand.opened("arm")
        client.ask(1.0, changes={"traceparent": "00-abc"})
        client.ask(float("nan"))
        client.ask(2.0)
        said = stand.server.capabilities()
    lines = [line for line in audited(tmp_path) if "event" not in line]
    assert [line["outcome"] for line in lines] == ["chunk", "invalid_input", "chunk"]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert {line["epoch"] for line in lines} == {client.epoch}
    assert lines[0]["traceparent"] == "00-abc"
    assert (lines[0]["step"], lines[0]["batch_size"]) == (10, 1)
    samples = [read_capture(path) for path in (tmp_path / "samples").iterdir()]
    assert len(samples) == 2
    for sample in samples:
        assert sample.opening is not None
        assert (sample.opening.asked.robot_type, sample.opening.ack.epoch) == ("test", client.epoch)
        capabilities = sample.opening.ack.capabilities
        assert capabilities is not None
        assert (capabilities.model_hash, capabilities.vagus_version) == (said.model_hash, __version__)


def audited(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "audit.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=dict[str, object]) for line in lines]


def events(folder: Path) -> list[dict[str, object]]:
    """Return what the audit says about sessions, without the time."""
    return [{k: v for k, v in line.items() if k != "ts"} for line in audited(folder) if "event" in line]


def test_the_audit_says_who_came_with_what_and_why_he_went(tmp_path: Path) -> None:
    config = ServeConfig(warm_up=False, audit_path=tmp_path / "audit.jsonl", max_sessions=1)
    with serving(config) as stand:
        client = stand.client("arm")
        first = client.open(tags={"site": "lab2"}, robot_type="so101").session_id
        epoch = client.epoch
        unstated = tuple(msgspec.structs.replace(a, unit="") for a in to_wire_actions(SPEC.actions))
        second = client.open(actions=unstated, trust_units=True, vouched=("arm: no limit",)).session_id
        assert not stand.client("leg").try_open().accepted
        assert client.close().accepted
    told = events(tmp_path)
    assert [line["event"] for line in told] == ["opened", "closed", "opened", "refused", "closed", "stopped"]
    opened = {"event": "opened", "client": "arm", "instance": "i1", "image_codec": "jpeg", "uses_rtc": True}
    assert told[0] == {
        **opened,
        "session": first,
        "epoch": epoch,
        "robot_type": "so101",
        "tags": {"site": "lab2"},
    }
    assert told[1] == {
        "event": "closed",
        "session": first,
        "client": "arm",
        "epoch": epoch,
        "code": "replaced",
    }
    assert told[2] == {
        **opened,
        "session": second,
        "epoch": client.epoch,
        "robot_type": "test",
        "trust_units": True,
        "vouched": ["calls", "state", "arm: no limit"],
        "replaces": first,
    }
    assert (told[3]["client"], told[3]["code"]) == ("leg", "sessions_full")
    assert "1 sessions are taken" in str(told[3]["reason"])
    assert (told[4]["session"], told[4]["code"]) == (second, "by_client")
    assert told[5] == {"event": "stopped", "count": 0}


def test_who_is_refused_again_and_again_fills_neither_log_nor_audit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = ServeConfig(warm_up=False, audit_path=tmp_path / "audit.jsonl")
    with caplog.at_level("INFO"), serving(config) as stand:
        misfit = stand.client("misfit")
        for _ in range(OPEN_BURST):
            assert not misfit.try_open(rate_hz=-1.0).accepted
        stranger = stand.client("stranger")
        for _ in range(50):
            stranger.send(1.0)
        wait_until(lambda: stand.dropped("unknown_session") == 50)
    assert [line["event"] for line in events(tmp_path)] == ["refused", "unknown_session", "stopped"]
    told = [r.getMessage() for r in caplog.records if r.name == "vagus.server.session_log"]
    assert len(told) == 2
    assert told[0].startswith("session of misfit refused (invalid_input): malformed SessionRequest: Expected")
    assert told[1] == "message of stranger dropped: unknown_session"


def test_a_disk_that_takes_nothing_costs_no_request(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    config = ServeConfig(
        warm_up=False, audit_path=Path("/dev/full"), capture_dir=samples, capture_every=1, private_files=False
    )
    with serving(config) as stand:
        samples.rmdir()
        samples.write_text("in the way")
        client = stand.opened("arm")
        assert client.ask(1.0).values == [1.0, 1.0]
        assert client.ask(2.0).values == [2.0, 2.0]
    assert stand.dropped("audit_error") == 4  # two requests, a session, and the end
    assert stand.dropped("capture_error") == 2


def test_a_chunk_is_a_chunk_message() -> None:
    with serving() as stand:
        reply = stand.opened("arm").ask(1.0)
        assert isinstance(reply.chunk, ChunkMessage)
        assert reply.chunk.chunk_robot.shape == (SPEC.horizon, 2)

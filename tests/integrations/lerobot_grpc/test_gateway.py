"""Robot clients of LeRobot at a gateway: raw bytes over gRPC, a real server behind it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NoReturn

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.lerobot_grpc.rig import (
    FAILS,
    MODEL,
    OLD,
    PATIENCE_S,
    PROFILE,
    WAITS,
    RawClient,
    Stand,
    expected,
    newer,
    observation,
    refusal,
    standing,
)
from lerobot_pickles import golden
from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.gateways import call_pace, callers
from vagus.gateways.gateway import Gateway
from vagus.gateways.registry import listener_of
from vagus.integrations.lerobot_grpc import conversation, conversations
from vagus.integrations.lerobot_grpc.dialect import STEP_S, TIMESTAMP, TIMESTEP, decode_reply
from vagus.integrations.lerobot_grpc.gateway import LeRobotGrpcListener
from vagus.integrations.lerobot_grpc.messages import TimedObservation
from vagus.integrations.lerobot_grpc.pickle_writer import write_observation
from vagus.integrations.lerobot_grpc.protobuf import TransferPart, TransferState, encode_data, encode_part
from vagus.transport.faults import FaultProxy
from vagus.transport.memory import MemoryNetwork

METHODS = ("Ready", "SendPolicyInstructions", "SendObservations", "GetActions")


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with standing(max_peers=200) as made:
        yield made


@pytest.fixture(scope="module")
def pair(stand: Stand) -> Iterator[tuple[RawClient, RawClient]]:
    """Two clients for many short tests."""
    with stand.client() as bad, stand.client() as good:
        good.set_up()
        yield bad, good


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of seconds become waits of tenths."""
    monkeypatch.setattr(conversation, "WAIT_S", 0.2)
    monkeypatch.setattr(callers, "LEAVE_NS", 100_000_000)
    monkeypatch.setattr(conversations, "STREAM_TIMEOUT_NS", 300_000_000)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.005)


def talk(stand: Stand) -> conversation.Conversation:
    """Return the conversation with the client that came last."""
    return stand.listener._conversations._callers.conversations()[-1]


def part(state: TransferState, data: bytes = b"") -> bytes:
    return encode_part(TransferPart(state, memoryview(data)))


def whole(sent: TimedObservation) -> bytes:
    return part(TransferState.END, write_observation(sent))


# what a client gets


def test_the_bytes_of_a_real_client_are_answered_with_its_own_times(stand: Stand) -> None:
    with stand.client() as client:
        client.call("Ready")
        assert client.call("SendPolicyInstructions", golden("policy_setup.grpcmsg.bin")) == b""
        client.stream(iter([golden("observation.grpcmsg.bin")]))
        asked = decode_reply(golden("actions.grpcmsg.bin"))
        reply = client.actions()
        seen = stand.policy.rows[-1].observation
    assert reply.extra[TIMESTAMP] == asked.extra[TIMESTAMP]
    assert reply.extra[TIMESTEP] == asked.extra[TIMESTEP] == 0
    assert reply.extra[STEP_S] == pytest.approx(1 / 30, abs=1e-6)
    np.testing.assert_array_equal(seen.state, np.arange(6) * 1.5)
    np.testing.assert_array_equal(reply.actions["actions"], seen.state[None] + [[0], [1]])
    assert seen.instruction == "pick"
    assert sorted(seen.images) == ["front", "wrist"]


def test_the_first_action_has_the_step_of_its_observation(stand: Stand) -> None:
    with stand.client() as client:
        client.set_up()
        for timestep in (0, 7, 7, 300):  # the robot may stand still: there is no filter
            client.observe(2.0, timestep)
            reply = client.actions()
            assert (reply.extra[TIMESTEP], reply.extra[TIMESTAMP]) == (timestep, 1000.0 + timestep)
            np.testing.assert_array_equal(reply.actions["actions"], expected(2.0))


@pytest.mark.parametrize(("wanted", "got"), [(1, 1), (3, 3), (50, 5)])
def test_a_chunk_is_cut_to_what_the_client_wants(stand: Stand, wanted: int, got: int) -> None:
    with stand.client() as client:
        client.set_up(newer(actions_per_chunk=wanted))
        client.observe(1.0)
        np.testing.assert_array_equal(client.actions().actions["actions"], expected(1.0, got))


def test_a_client_before_lerobot_0_4_gets_the_names_that_it_has(stand: Stand) -> None:
    with stand.client() as client:
        client.set_up(newer(module=OLD, rename_map=None))
        client.stream(iter([whole(replace(observation(1.0), module=OLD))]))
        assert b"lerobot.scripts.server.helpers" in client.call("GetActions")


def test_an_observation_of_several_parts_is_put_together(stand: Stand) -> None:
    payload = write_observation(observation(4.0))
    ends = [0, 100, 101, 700, len(payload)]
    states = [TransferState.BEGIN, TransferState.MIDDLE, TransferState.MIDDLE, TransferState.END]
    parts = [part(state, payload[a:b]) for state, a, b in zip(states, ends, ends[1:], strict=False)]
    with stand.client() as client:
        client.set_up()
        client.stream(iter(parts))
        np.testing.assert_array_equal(client.actions().actions["actions"], expected(4.0))


def test_the_newest_observation_wins(stand: Stand) -> None:
    stand.policy.gate.clear()
    with stand.client() as client:
        client.set_up()
        client.observe(WAITS)
        first = client.later("GetActions")
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        for timestep in (1, 2, 3):
            client.observe(float(timestep), timestep)
        second = client.later("GetActions")
        stand.policy.gate.set()
        assert decode_reply(first.result(PATIENCE_S)).extra[TIMESTEP] == 0
        reply = decode_reply(second.result(PATIENCE_S))
    assert reply.extra[TIMESTEP] == 3
    np.testing.assert_array_equal(reply.actions["actions"], expected(3.0))
    assert stand.gateway.metrics.events()["superseded"] == 2


def test_each_client_gets_its_own(stand: Stand) -> None:
    with stand.client() as one, stand.client() as other:
        one.set_up()
        other.set_up(newer(actions_per_chunk=4))
        one.observe(10.0, 1)
        other.observe(20.0, 2)
        theirs, ours = other.actions(), one.actions()
    np.testing.assert_array_equal(ours.actions["actions"], expected(10.0))
    np.testing.assert_array_equal(theirs.actions["actions"], expected(20.0, 4))
    assert (ours.extra[TIMESTEP], theirs.extra[TIMESTEP]) == (1, 2)


# ready, nothing, errors


@pytest.mark.usefixtures("quick")
def test_ready_begins_an_episode_of_its_own_client_alone(stand: Stand) -> None:
    with stand.client() as one, stand.client() as other:
        for client in (one, other):
            client.set_up()
            client.observe(1.0)
            assert client.actions().actions
        episodes = stand.policy.episodes
        one.observe(2.0)
        other.observe(3.0)
        one.call("Ready")
        assert not one.actions().actions, "what was observed before is not answered"
        np.testing.assert_array_equal(other.actions().actions["actions"], expected(3.0))
        assert stand.policy.episodes == episodes
        one.observe(4.0)
        assert one.actions().actions
        assert stand.policy.episodes == episodes + 1


def test_an_answer_that_comes_after_ready_is_not_given(stand: Stand) -> None:
    stand.policy.gate.clear()
    stand.policy.is_waiting.clear()
    with stand.client() as client:
        client.set_up()
        client.observe(WAITS)
        answer = client.later("GetActions")
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        ready = client.later("Ready")
        wait_until(lambda: talk(stand)._episode == 1)
        stand.policy.gate.set()
        assert answer.result(PATIENCE_S) == b""
        assert ready.result(PATIENCE_S) == b""


@pytest.mark.usefixtures("quick")
def test_without_an_observation_nothing_is_answered(stand: Stand) -> None:
    with stand.client() as client:
        client.set_up()
        assert client.call("GetActions") == b""


def test_a_second_call_for_actions_takes_the_place_of_the_first(stand: Stand) -> None:
    with stand.client() as client:
        client.set_up()
        first = client.later("GetActions")
        wait_until(lambda: talk(stand)._waiting is not None)
        second = client.later("GetActions")
        assert first.result(PATIENCE_S) == b""
        client.observe(1.0)
        assert decode_reply(second.result(PATIENCE_S)).actions


def test_a_failure_of_the_policy_is_nothing_and_is_counted(stand: Stand) -> None:
    failed = stand.gateway.metrics.requests().get("policy_failed", 0)
    with stand.client() as client:
        client.set_up()
        client.observe(FAILS)
        assert client.call("GetActions") == b""
        assert stand.gateway.metrics.requests()["policy_failed"] == failed + 1
        client.observe(1.0)
        assert client.actions().actions


def test_no_server_is_told_at_the_setup() -> None:
    with standing(is_served=False, answer_timeout_s=0.3) as stand, stand.client() as client:
        status, told = client.refused("SendPolicyInstructions", golden("policy_setup.grpcmsg.bin"))
        assert status == "UNAVAILABLE", told


# who is served


def test_another_robot_or_model_is_refused_with_a_sentence(stand: Stand) -> None:
    with stand.client() as client:
        status, told = refusal(lambda: client.set_up(newer(pretrained_name_or_path="user/other")))
        assert (status, "wanted user/model" in told, "got user/other" in told) == (
            "INVALID_ARGUMENT",
            True,
            True,
        )
        status, told = refusal(lambda: client.set_up(newer(lerobot_features={})))
        assert (status, "shoulder_pan.pos" in told) == ("INVALID_ARGUMENT", True)
        assert client.refused("GetActions")[0] == "FAILED_PRECONDITION", (
            "also after others of its host were taken"
        )
        client.set_up()


def test_the_table_of_models_decides() -> None:
    with standing(models={"mine": MODEL, "*": ""}) as stand, stand.client() as client:
        client.set_up(newer(pretrained_name_or_path="mine"))
        client.set_up(newer(pretrained_name_or_path="anything"))
        client.observe(1.0)
        assert client.actions().actions
    with standing(models={"mine": "absent"}, answer_timeout_s=0.3) as stand, stand.client() as client:
        status, told = refusal(client.set_up)
        assert (status, "wanted mine, got user/model" in told) == ("INVALID_ARGUMENT", True)
        assert refusal(lambda: client.set_up(newer(pretrained_name_or_path="mine")))[0] == "UNAVAILABLE"


@pytest.mark.usefixtures("quick")
def test_a_client_over_the_limit_is_refused_until_one_has_gone() -> None:
    with standing(max_peers=1) as stand, stand.client() as other:
        with stand.client() as one:
            one.set_up()
            status, told = refusal(other.set_up)
            assert (status, "1 robots" in told) == ("RESOURCE_EXHAUSTED", True)
            waiting = one.later("GetActions")
            one.observe(1.0)
            assert decode_reply(waiting.result(PATIENCE_S)).actions, "it goes on"
            answered = talk(stand)._waiting
            unanswered = one.later("GetActions")
            wait_until(lambda: talk(stand)._waiting is not answered)
            assert not unanswered.done()
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        other.set_up()
        other.observe(2.0)
        np.testing.assert_array_equal(other.actions().actions["actions"], expected(2.0))


def test_a_client_that_is_silent_loses_its_place() -> None:
    with standing(idle_timeout_s=0.2) as stand, stand.client() as client:
        client.set_up()
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        client.observe(1.0)
        assert client.actions().actions, "and is taken again as what it was"


def test_a_connection_that_is_not_known_is_taken_if_all_of_its_host_said_the_same() -> None:
    with standing() as stand:
        with stand.client() as stranger:
            status, told = stranger.refused("GetActions")
            assert (status, "start the robot client again" in told) == ("FAILED_PRECONDITION", True)
        for _ in range(2):
            with stand.client() as client:
                client.set_up()
        with stand.client() as again:
            again.observe(1.0, 40)
            assert again.actions().extra[TIMESTEP] == 40
        with stand.client() as client:
            client.set_up(newer(actions_per_chunk=3))
        with stand.client() as stranger:
            assert refusal(lambda: stranger.observe(1.0))[0] == "FAILED_PRECONDITION"


@pytest.mark.usefixtures("quick")
def test_a_client_whose_connection_was_lost_goes_on_with_a_new_session() -> None:
    with standing(max_peers=1) as stand:
        host, port = stand.listener.address.split(":")
        with FaultProxy(host, int(port)) as proxy, RawClient(f"127.0.0.1:{proxy.port}") as client:
            client.set_up()
            client.observe(1.0, 3)
            assert client.actions().extra[TIMESTEP] == 3
            answered = talk(stand)._waiting
            waiting = client.later("GetActions")
            wait_until(lambda: talk(stand)._waiting is not answered)
            proxy.cut()
            assert refusal(waiting.result)[0] == "UNAVAILABLE"
            wait_until(lambda: stand.gateway.metrics.peers == 0)
            proxy.heal()
            client.observe(1.0, 9)
            assert client.actions().extra[TIMESTEP] == 9, "it is what it was"
            assert stand.gateway.metrics.peers == 1


# hostile bytes


@given(st.sampled_from(METHODS), st.binary(max_size=200), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_refused_and_nobody_else_notices(
    pair: tuple[RawClient, RawClient],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    rest: bytes,
    is_begun: bool,
) -> None:
    monkeypatch.setattr(call_pace, "PAUSE_S", 0.0)
    bad, good = pair
    name = "observation" if method == "SendObservations" else "policy_setup"
    message = golden(f"{name}.grpcmsg.bin")[: len(rest)] + rest if is_begun else rest
    if method == "SendObservations":
        bad.set_up()
        assert refusal(lambda: bad.stream(iter([message])))[0] == "INVALID_ARGUMENT"
    elif method == "SendPolicyInstructions":
        assert bad.refused(method, message)[0] == "INVALID_ARGUMENT"
    else:
        assert bad.call("Ready", message) == b"", "its message says nothing"
    good.observe(5.0)
    np.testing.assert_array_equal(good.actions().actions["actions"], expected(5.0))


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "end of the stream"),
        ([part(TransferState.MIDDLE, b"a")], "begins"),
        ([part(TransferState.BEGIN, b"a")], "end of the stream"),
        ([part(TransferState.BEGIN, b"a"), part(TransferState.UNKNOWN)], "UNKNOWN"),
        ([part(TransferState.BEGIN, bytes(1 << 20)), part(TransferState.END, b"a")], "at most 1048576 bytes"),
        ([part(TransferState.BEGIN, b"a"), *[part(TransferState.MIDDLE)] * 2000], "at most 1024 parts"),
        ([part(TransferState.BEGIN)] * 2000, "at most 1024 parts"),
        ([whole(observation(float("nan")))], "NaN"),
        ([whole(observation(1.0, front=1.0))], "camera front"),
        ([whole(observation(1.0, front=np.zeros((4, 5, 3), np.uint8)))], "(4, 6, 3)"),
    ],
)  # fmt: skip
def test_an_observation_that_breaks_a_rule_is_refused(messages: list[bytes], told: str) -> None:
    with standing(max_message_mb=1) as stand, stand.client() as client:
        client.set_up()
        status, said = refusal(lambda: client.stream(iter(messages)))
        assert (status, told in said) == ("INVALID_ARGUMENT", True), said
        client.observe(1.0)
        assert client.actions().actions


def test_a_setup_that_is_too_large_is_refused(stand: Stand) -> None:
    with stand.client() as client:
        status, told = client.refused("SendPolicyInstructions", encode_data(bytes(2 << 20)))
        assert (status, "at most 1048576 bytes" in told) == ("INVALID_ARGUMENT", True)
        assert client.refused("Ready", bytes(5 << 20))[0] == "RESOURCE_EXHAUSTED"


def test_a_compressed_message_is_refused(stand: Stand) -> None:
    with stand.client() as client:
        call = client.channel.unary_unary("/transport.AsyncInference/Ready")
        assert refusal(lambda: call(bytes(1 << 20), compression=grpc.Compression.Gzip))[0] == "UNIMPLEMENTED"


@pytest.mark.usefixtures("quick")
def test_a_stream_that_does_not_end_is_ended_and_holds_nobody_up() -> None:
    stop = threading.Event()

    def dripping() -> Iterator[bytes]:
        yield part(TransferState.BEGIN, b"a")
        while not stop.wait(0.02):
            yield part(TransferState.MIDDLE, b"a")

    with standing() as stand, stand.client() as slow, stand.client() as good:
        for client in (slow, good):
            client.set_up()
        ended: list[str] = []
        thread = threading.Thread(target=lambda: ended.append(refusal(lambda: slow.stream(dripping()))[0]))
        thread.start()
        wait_until(
            lambda: any(caller.calls for caller in stand.listener._conversations._callers._callers.values())
        )
        status, told = refusal(lambda: slow.observe(1.0))
        assert (status, "one observation after the other" in told) == ("FAILED_PRECONDITION", True)
        good.observe(1.0)
        assert good.actions().actions
        thread.join(PATIENCE_S)
        stop.set()
        assert ended == ["CANCELLED"]
        assert stand.gateway.metrics.events()["slow_stream"] == 1
        slow.observe(2.0)
        assert slow.actions().actions


def test_a_flood_of_calls_takes_a_few_threads_and_others_go_on(stand: Stand) -> None:
    with stand.client() as flood, stand.client() as good:
        for client in (flood, good):
            client.set_up()
        calls = [flood.later("GetActions") for _ in range(200)]
        for timestep in range(5):
            good.observe(1.0, timestep)
            assert good.actions().extra[TIMESTEP] == timestep
        assert threading.active_count() < 100
        for call in calls:
            call.cancel()


def test_bytes_that_are_not_grpc_disturb_nobody(stand: Stand) -> None:
    host, port = stand.listener.address.split(":")
    with socket.create_connection((host, int(port))) as raw, stand.client() as client:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 40)
        client.set_up()
        client.observe(1.0)
        assert client.actions().actions


class LostCall:
    """A call whose client goes as soon as it is asked where it is."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    def peer(self) -> str:
        return self._addresses.pop(0) if self._addresses else ""

    def cancel(self) -> bool:
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return False

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise AssertionError(code.name)


def test_a_client_that_goes_during_its_call_is_noted_at_its_own_address(stand: Stand) -> None:
    with stand.client() as client:
        client.set_up()
        address, caller = list(stand.listener._conversations._callers._callers.items())[-1]
        get_actions = stand.listener._guarded(stand.listener._get_actions)
        assert get_actions(b"", LostCall(address)) == b""
        assert caller.left_ns is not None
        with pytest.raises(AssertionError, match="CANCELLED"):
            get_actions(b"", LostCall())


def test_a_client_that_goes_in_the_middle_of_an_observation_has_gone_and_sent_nothing_malformed(
    stand: Stand,
) -> None:
    with stand.client() as client:
        client.set_up()
        address, caller = list(stand.listener._conversations._callers._callers.items())[-1]
        send = stand.listener._guarded(stand.listener._send_observations)
        before = stand.gateway.metrics.requests()
        assert send(iter([part(TransferState.BEGIN, b"a")]), LostCall(address)) == b""
        assert caller.left_ns is not None
        assert stand.gateway.metrics.requests() == before


# its life


def test_an_address_in_use_is_told(stand: Stand) -> None:
    config = GatewayConfig(protocol="lerobot_grpc", profile="tiny", listen=stand.listener.address)
    second = LeRobotGrpcListener(Gateway(config, PROFILE, MemoryNetwork().link("second")))
    with pytest.raises(ConfigError, match="in use") as refused:
        second.start()
    second.close()
    assert stand.listener.address in str(refused.value)


def test_nothing_is_left_when_it_closes() -> None:
    before = set(threading.enumerate())
    with standing() as stand, stand.client() as client:
        client.set_up()
        waiting = client.later("GetActions")
        wait_until(lambda: talk(stand)._waiting is not None)
        stand.listener.close()
        assert waiting.result(PATIENCE_S) == b""
        own = set(threading.enumerate()) - before
        assert not [one.name for one in own if one.name.startswith("lerobot-grpc")]
        assert stand.gateway.metrics.peers == 0
        assert refusal(lambda: RawClient(stand.listener.address, 0.3).call("Ready"))[0] == "DEADLINE_EXCEEDED"
    assert {one.name for one in set(threading.enumerate()) - before} == set()


def test_it_is_the_listener_of_its_protocol() -> None:
    config = GatewayConfig(protocol="lerobot_grpc", profile="tiny")
    listener = listener_of(Gateway(config, PROFILE, MemoryNetwork().link("robots")))
    assert isinstance(listener, LeRobotGrpcListener)
    assert listener.address == "127.0.0.1:8080"
    listener.close()


def test_the_gateway_loads_neither_lerobot_nor_torch_nor_protobuf() -> None:
    program = (
        "import sys, vagus.integrations.lerobot_grpc.gateway\n"
        "print([name for name in ('torch', 'lerobot', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

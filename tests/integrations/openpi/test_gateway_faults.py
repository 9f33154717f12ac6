"""Clients of openpi that vanish, read nothing, flood or come in too large a number: they cost nobody else."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from integrations.openpi import rig
from server.raw_client import wait_until
from vagus.gateways.arrays import ArrayDialect, encode_message
from vagus.gateways.msgpack import Key, Value
from vagus.integrations.openpi.connection import MAX_PENDING, SMALL_FRAMES, ConnectionTimes
from vagus.integrations.openpi.dialect import decode_reply
from vagus.integrations.openpi.gateway import OpenPiListener
from vagus.transport.link import Link

LONG_HORIZON = 4000
"""Actions of an answer of 48 kB."""
IMPATIENT = ConnectionTimes(open_s=0.2, ping_interval_s=0.1, ping_timeout_s=0.2, send_s=0.3, close_s=0.1)
WAITS_FOR_NO_READER = ConnectionTimes(send_s=0.3)
CLIENT = """
import sys
from websockets.sync.client import connect
with connect("ws://" + sys.argv[1], compression=None) as client:
    client.recv()
    print("connected", flush=True)
    client.recv()
"""


@pytest.fixture(scope="module")
def policy() -> rig.EchoPolicy:
    return rig.EchoPolicy(LONG_HORIZON)


@pytest.fixture(scope="module")
def link(policy: rig.EchoPolicy) -> Iterator[Link]:
    with rig.served(policy) as link:
        yield link


@pytest.fixture(autouse=True)
def shut_gate(policy: rig.EchoPolicy) -> Iterator[None]:
    policy.gate.clear()
    policy.is_waiting.clear()
    yield
    policy.gate.set()


def frame_of(entries: dict[Key, Value]) -> bytes:
    return encode_message(entries, ArrayDialect.OPENPI)


def check_served(client: ClientConnection, state: tuple[float, float, float] = (1.0, 2.0, 3.0)) -> None:
    """Assert that a client gets its own answer."""
    client.send(frame_of(rig.observation(state)))
    actions = decode_reply(client.recv(rig.PATIENCE_S)).actions["actions"]
    assert np.array_equal(actions[: rig.HORIZON], rig.expected(state))


def is_free(listener: OpenPiListener) -> bool:
    """Return whether a client gets a place."""
    with connect(f"ws://{listener.address}", compression=None) as client:
        try:
            rig.metadata_from(client)
        except ConnectionClosed:
            return False
        check_served(client)
        return True


# -- clients that vanish --------------------------------------------------------------------------------


def test_a_killed_client_frees_its_place(link: Link) -> None:
    with rig.listening(link, max_peers=1) as listener:
        command = [sys.executable, "-c", CLIENT, listener.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n"
            assert not is_free(listener)
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: is_free(listener))


def test_a_client_that_answers_no_pings_frees_its_place(link: Link) -> None:
    with rig.listening(link, max_peers=1, times=IMPATIENT) as listener, rig.upgraded(listener):
        wait_until(lambda: is_free(listener))


def test_a_client_that_goes_while_the_policy_works_frees_its_place(
    link: Link, policy: rig.EchoPolicy
) -> None:
    with rig.listening(link, max_peers=1) as listener:
        with rig.upgraded(listener) as client:
            client.sendall(rig.masked(rig.BINARY, frame_of(rig.observation((rig.WAITS, 0, 0)))))
            assert policy.is_waiting.wait(rig.PATIENCE_S)
        policy.gate.set()
        wait_until(lambda: is_free(listener))


def test_a_client_that_ends_in_order_while_the_policy_works_leaves_no_session_to_the_next(
    link: Link, policy: rig.EchoPolicy
) -> None:
    with rig.listening(link, max_peers=1) as listener:
        with rig.client(listener) as client:
            client.send(frame_of(rig.observation((rig.WAITS, 0, 0))))
            assert policy.is_waiting.wait(rig.PATIENCE_S)
        policy.gate.set()
        wait_until(lambda: listener._gateway.metrics.peers == 0)
        assert is_free(listener)


def test_a_session_to_which_no_client_comes_back_ends(link: Link) -> None:
    with rig.listening(link, times=ConnectionTimes(rest_s=0.05)) as listener:
        with rig.client(listener) as client:
            check_served(client)
        wait_until(lambda: listener._gateway.metrics.peers == 0)


# -- clients that do not read ---------------------------------------------------------------------------


def test_a_client_that_never_reads_is_dropped_and_costs_nobody_else(link: Link) -> None:
    long = replace(rig.PROFILE, horizon=LONG_HORIZON)
    with rig.listening(link, profile=long, max_peers=2, times=WAITS_FOR_NO_READER) as listener:
        slow = rig.upgraded(listener, receive_bytes=4096)
        with slow, rig.client(listener) as other:
            request = rig.masked(rig.BINARY, frame_of(rig.observation()))
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    slow.sendall(request)
                    check_served(other)
            wait_until(lambda: listener._gateway.metrics.events().get("slow_reader") == 1)
            rig.everything_from(slow)  # ends: it was dropped
            check_served(other)


def test_requests_sent_ahead_wait_in_the_network(link: Link, policy: rig.EchoPolicy) -> None:
    request = rig.masked(rig.BINARY, frame_of(rig.observation((rig.WAITS, 0, 0), {"more": bytes(1_000_000)})))
    with rig.listening(link) as listener, rig.upgraded(listener) as client:
        client.sendall(request)
        assert policy.is_waiting.wait(rig.PATIENCE_S)
        client.settimeout(0.5)
        taken = 0
        with contextlib.suppress(TimeoutError):
            while taken < 64_000_000:
                taken += client.send(request)
        policy.gate.set()
        assert taken < 64_000_000


@pytest.mark.parametrize("flood", [rig.PING, rig.PART], ids=["pings", "fragments"])
def test_a_flood_of_tiny_frames_is_dropped_and_costs_nobody_else(link: Link, flood: bytes) -> None:
    with rig.listening(link) as listener, rig.client(listener) as other:
        with rig.upgraded(listener) as client:
            frames = [rig.masked(rig.BINARY_PART)] if flood is rig.PART else []
            frames += [rig.masked(flood)] * (2 * SMALL_FRAMES)
            with contextlib.suppress(OSError):
                client.sendall(b"".join(frames))
            rig.everything_from(client)
        check_served(other)


def test_pings_between_requests_are_no_flood(link: Link) -> None:
    with rig.listening(link) as listener, rig.upgraded(listener) as client:
        for _ in range(3):
            client.sendall(rig.masked(rig.PING) * (SMALL_FRAMES // 2))
            client.sendall(rig.masked(rig.BINARY, frame_of(rig.observation())))
            said = b""
            while b"server_timing" not in said:
                part = client.recv(1 << 16)
                assert part
                said = said[-100:] + part


# -- too many -------------------------------------------------------------------------------------------


def test_a_client_over_the_limit_is_refused_with_a_sentence_and_the_others_stay(link: Link) -> None:
    with rig.listening(link, max_peers=1) as listener, rig.client(listener) as first:
        with connect(f"ws://{listener.address}") as second, pytest.raises(ConnectionClosedError) as refused:
            second.recv(rig.PATIENCE_S)
        assert refused.value.rcvd is not None
        assert refused.value.rcvd.code == 1013
        assert "this gateway has 1 robots and takes no more" in refused.value.rcvd.reason
        check_served(first)


def test_a_resting_session_makes_room_for_a_client_of_another_host(link: Link) -> None:
    with rig.listening(link, max_peers=1, listen="0.0.0.0:0") as listener:
        _, _, port = listener.address.rpartition(":")
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            with connect(f"ws://127.0.0.1:{port}", source_address=(host, 0)) as client:
                rig.metadata_from(client)
                check_served(client)


def test_connections_that_never_open_keep_nobody_out(link: Link) -> None:
    with rig.listening(link) as listener, contextlib.ExitStack() as stack:
        halves = [stack.enter_context(rig.raw_client(listener)) for _ in range(MAX_PENDING)]
        halves[0].sendall(b"GET / HTTP/1.1\r\n")
        with rig.client(listener) as client:
            check_served(client)
        answer = rig.everything_from(halves[0])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b"\r\n\r\ntoo many connections open here at once; try again later\n")


def test_a_connection_that_never_opens_is_closed_with_a_sentence(link: Link) -> None:
    with rig.listening(link, times=IMPATIENT) as listener, rig.raw_client(listener) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        answer = rig.everything_from(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"no whole request in 0.2 s" in answer


# -- the end --------------------------------------------------------------------------------------------


def test_the_end_answers_what_is_in_progress_and_leaves_nothing(link: Link, policy: rig.EchoPolicy) -> None:
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:
        with rig.listening(link, times=ConnectionTimes(close_s=0.1)) as listener:
            idle = stack.enter_context(rig.client(listener))
            busy = stack.enter_context(rig.client(listener))
            half = stack.enter_context(rig.raw_client(listener))
            with rig.client(listener) as resting:
                check_served(resting)
            busy.send(frame_of(rig.observation((rig.WAITS, 0, 0))))
            assert policy.is_waiting.wait(rig.PATIENCE_S)
            closing = threading.Thread(target=listener.close)
            closing.start()
            with pytest.raises(ConnectionClosed) as told:
                idle.recv(rig.PATIENCE_S)
            policy.gate.set()
            answer = decode_reply(busy.recv(rig.PATIENCE_S)).actions["actions"]
            closing.join(rig.PATIENCE_S)
        assert told.value.rcvd is not None
        assert (told.value.rcvd.code, told.value.rcvd.reason) == (1001, "this gateway ends")
        assert np.array_equal(answer[: rig.HORIZON], rig.expected((rig.WAITS, 0, 0)))
        assert b"this gateway ends" in rig.everything_from(half)
        with pytest.raises(ConnectionRefusedError):
            rig.raw_client(listener)
        assert listener._gateway.metrics.peers == 0
        left = [thread.name for thread in set(threading.enumerate()) - before]
        assert [name for name in left if "openpi" in name] == []


def test_a_gateway_that_never_listened_is_closed_twice(link: Link) -> None:
    with rig.listening(link) as listener:
        listener.close()
        listener.close()
    other = OpenPiListener(rig.gateway(link))
    other.close()
    other.close()

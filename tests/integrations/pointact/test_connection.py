"""Strange bytes, silence, floods at the port of both wires: each client is answered or cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from integrations.pointact import rig
from integrations.pointact.clients import HttpClient, ZmqClient
from server.raw_client import wait_until
from vagus.gateways import peer_connection
from vagus.gateways.batch_listener import SPARE_CONNECTIONS
from vagus.integrations.pointact.gateway import PointActListener

PING = msgspec.msgpack.encode({"endpoint": "ping"})
BARE = b"POST /get_action HTTP/1.1\r\nHost: here\r\n"
HEAD = BARE + b"Content-Type: application/msgpack\r\n"
POSTED = HEAD + b"Content-Length: %d\r\n\r\n" % len(PING) + PING


@pytest.fixture
def stand() -> Iterator[rig.Stand]:
    with rig.served() as stand:
        yield stand


@pytest.fixture
def listener(stand: rig.Stand) -> Iterator[PointActListener]:
    with rig.listening(stand.link, max_message_mb=1) as listener:
        yield listener


def raw_peer(listener: PointActListener) -> socket.socket:
    host, _, port = listener.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def rest_of(client: socket.socket) -> bytes:
    """Return what comes until the other end closes."""
    heard = b""
    try:
        while data := client.recv(1 << 16):
            heard += data
    except ConnectionResetError:
        pass
    return heard


def check_others(listener: PointActListener) -> None:
    for wire in (ZmqClient, HttpClient):
        with wire(listener.address) as other:
            assert np.array_equal(other.act(rig.arm(5)), rig.expected(5))


@pytest.mark.parametrize(
    ("frame", "status", "said"),
    [
        (b"", 400, "wanted 1 more bytes"),
        (b"\xc1", 400, "got a byte 0xc1"),
        (b"\x93\x01\x02\x03", 400, "request: wanted a map, got list"),
        (b"\x81" * 100, 400, "as the key of a map"),
        (b"\xdd\xff\xff\xff\xff", 400, "more items"),
        (b"\x80\x05torch.save", 400, "bytes after it"),
        (bytes(1_000_001), 413, "wanted at most 1000000 bytes, got at least 1000001"),
        (bytes(30_000_000), 413, "wanted at most 1000000 bytes"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else "",
)
def test_whatever_is_asked_there_is_one_answer_on_both_wires(
    listener: PointActListener, frame: bytes, status: int, said: str
) -> None:
    with HttpClient(listener.address) as http, ZmqClient(listener.address) as zeromq:
        for client in (http, zeromq):
            assert said in msgspec.msgpack.decode(client.exchange(frame))["error"]
        assert http.status == status
        for client in (http, zeromq):
            assert client.call("ping")["status"] == "ok"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"404"),
        (b"GET /get_action HTTP/1.1\r\nHost: here\r\n\r\n", b"405"),
        (HEAD + b"\r\n", b"411"),
        (BARE + b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx", b"415"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", b"415"),
    ],
)
def test_another_request_of_http_is_told_what_is_wanted_and_may_go_on(
    listener: PointActListener, request_bytes: bytes, status: bytes
) -> None:
    with raw_peer(listener) as client:
        client.sendall(request_bytes)
        answer = b""
        while b"wanted" not in answer:
            answer += client.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 " + status)
        client.sendall(POSTED.replace(b"Host: here", b"Host: here\r\nConnection: close"))
        assert b"Server is running" in rest_of(client)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"X: " + b"x" * (1 << 15),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x02\x00",
        b"\0" * 100,
    ],
)
def test_what_speaks_neither_wire_is_cut_and_counted(
    stand: rig.Stand, listener: PointActListener, data: bytes
) -> None:
    with raw_peer(listener) as stranger:
        stranger.sendall(data)
        rest_of(stranger)
    assert listener._gateway.metrics.events() == {"refused_wire": 1}
    check_others(listener)


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"P",
        HEAD,
        HEAD + b"Content-Length: 1000\r\n\r\nhalf",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\non",
        HEAD + b"Content-Length: 4000000000\r\n\r\nendless",
        POSTED + b"P",
    ],
)
def test_a_client_that_stops_in_the_middle_is_dropped_after_the_idle_time(
    stand: rig.Stand, begin: bytes
) -> None:
    with rig.listening(stand.link, idle_timeout_s=0.1) as listener, raw_peer(listener) as slow:
        slow.sendall(begin)
        rest_of(slow)


def test_a_client_that_sends_byte_after_byte_gains_no_time(stand: rig.Stand) -> None:
    with rig.listening(stand.link, idle_timeout_s=0.5) as listener, raw_peer(listener) as slow:
        slow.sendall(HEAD)
        slow.settimeout(0.02)
        with pytest.raises(OSError, match=r"Connection reset|Broken pipe"):  # noqa: PT012 - in any of them
            while True:
                slow.sendall(b"X-Slow: 1\r\n")
                try:
                    if not slow.recv(1):
                        raise ConnectionResetError("Connection reset")
                except TimeoutError:
                    continue
    with rig.listening(stand.link) as listener:
        check_others(listener)


def test_a_client_that_reads_nothing_is_dropped_and_nobody_waits_for_it(
    stand: rig.Stand, listener: PointActListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_connection, "SEND_TIMEOUT_S", 0.2)
    asked = b"GET /get_action HTTP/1.1\r\nHost: here\r\n\r\n"
    with raw_peer(listener) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(asked)
        check_others(listener)
        with pytest.raises(OSError, match=r"Connection reset|Broken pipe"):  # noqa: PT012 - it may take some
            for _ in range(10_000):
                deaf.sendall(asked * 1000)
    check_others(listener)


def test_a_flood_of_connections_takes_no_robots_place(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=2) as listener, HttpClient(listener.address) as robot:
        robot.act(rig.arm(1))
        flood = [raw_peer(listener) for _ in range(4 + 2 * SPARE_CONNECTIONS)]
        try:
            wait_until(lambda: len(listener._connections) == 4 + SPARE_CONNECTIONS)
            rest_of(flood[0])
            assert np.array_equal(robot.act(rig.arm(1)), rig.expected(1, 2))
        finally:
            for one in flood:
                one.close()
        wait_until(lambda: len(listener._connections) == 1)
        check_others(listener)

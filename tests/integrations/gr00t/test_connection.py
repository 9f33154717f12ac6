"""Strange frames, floods, silence, other protocols: each peer is answered or cut, and nobody else notices."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import cast

import msgspec
import numpy as np
import pytest
import zmq

from integrations.gr00t import rig
from integrations.gr00t.clients import Actions, ClientN15, ClientN16, ClientN17
from server.raw_client import wait_until
from vagus.gateways import peer_connection
from vagus.gateways.batch_listener import SPARE_CONNECTIONS
from vagus.integrations.gr00t.gateway import Gr00tListener

PING = msgspec.msgpack.encode({"endpoint": "ping"})
GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REQ"


@pytest.fixture
def stand() -> Iterator[rig.Stand]:
    with rig.served() as stand:
        yield stand


@pytest.fixture
def listener(stand: rig.Stand) -> Iterator[Gr00tListener]:
    with rig.listening(stand.link, max_message_mb=1) as listener:
        yield listener


class Peers:
    """ZeroMQ sockets of a test, closed at its end."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._open: list[zmq.Socket[bytes]] = []

    def connect(self, listener: Gr00tListener, kind: int, **options: int | bytes) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        self._open.append(made)
        for name, value in {"RCVTIMEO": 30_000, "LINGER": 0, **options}.items():
            made.setsockopt(getattr(zmq, name), value)
        made.connect(f"tcp://{listener.address}")
        return made

    def close(self) -> None:
        for one in self._open:
            one.close()
        self._context.term()


@pytest.fixture
def peers() -> Iterator[Peers]:
    peers = Peers()
    yield peers
    peers.close()


def raw_peer(listener: Gr00tListener) -> socket.socket:
    host, _, port = listener.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def is_ended(client: socket.socket) -> bool:
    """Return whether the other end closes."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def check_others(listener: Gr00tListener) -> None:
    with ClientN17(listener.address, timeout_ms=30_000) as other:
        assert np.array_equal(other.act(rig.arm(5)), rig.expected(5))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"", "wanted 1 more bytes"),
        (b"\xc1", "got a byte 0xc1"),
        (b"ERROR", "bytes after it"),
        (b"\x93\x01\x02\x03", "request: wanted a map, got list"),
        (b"\x81" * 100, "as the key of a map"),
        (b"\xdd\xff\xff\xff\xff", "more items"),
        (b"\x80\x05torch.save", "bytes after it"),
        (PING[:-1], "more bytes"),
        (bytes(1_000_001), "wanted at most 1000000 bytes, got at least 1000001"),
        (bytes(30_000_000), "wanted at most 1000000 bytes"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else "",
)
def test_whatever_is_asked_there_is_one_answer(
    listener: Gr00tListener, peers: Peers, frame: bytes, said: str
) -> None:
    client = peers.connect(listener, zmq.REQ)
    client.send(frame)
    assert said in msgspec.msgpack.decode(client.recv())["error"]
    client.send(PING)
    assert msgspec.msgpack.decode(client.recv())["status"] == "ok"
    assert client.poll(50) == 0


@pytest.mark.parametrize(
    ("kind", "options", "before"),
    [
        (zmq.REQ, {"REQ_CORRELATE": 1, "REQ_RELAXED": 1}, []),
        (zmq.DEALER, {}, []),
        (zmq.DEALER, {}, [b""]),
        (zmq.DEALER, {}, [b"tag", b"other", b""]),
        (zmq.DEALER, {"IDENTITY": b"my name"}, [b""]),
    ],
)
def test_the_answer_is_framed_as_the_request(
    listener: Gr00tListener,
    peers: Peers,
    kind: int,
    options: dict[str, int | bytes],
    before: list[bytes],
) -> None:
    client = peers.connect(listener, kind, **options)
    client.send_multipart([*before, PING])
    assert client.recv_multipart()[:-1] == before
    client.send_multipart([*before, PING, PING])
    *envelope, answer = client.recv_multipart()
    assert envelope == before
    assert "wanted one part" in msgspec.msgpack.decode(answer)["error"]


def test_several_requests_of_one_peer_are_answered_in_their_order(
    listener: Gr00tListener, peers: Peers
) -> None:
    client = peers.connect(listener, zmq.DEALER)
    for number in range(100):
        client.send_multipart([b"%d" % number, b"", msgspec.msgpack.encode({"endpoint": str(number)})])
    for number in range(100):
        tag, _, answer = client.recv_multipart()
        assert tag == b"%d" % number
        assert msgspec.msgpack.decode(answer) == {"error": f"Unknown endpoint: {number}"}


def test_two_peers_with_one_identity_both_get_their_own_answers(
    listener: Gr00tListener, peers: Peers, stand: rig.Stand
) -> None:
    with ClientN16(listener.address) as reader:
        twins = [peers.connect(listener, zmq.REQ, IDENTITY=b"arm") for _ in range(2)]
        for calls in (1, 2):
            for who, client in enumerate(twins):
                client.send(reader.request("get_action", _asked(float(who)), with_data=True))
            for who, client in enumerate(twins):
                actions, _ = cast("list[Actions]", reader.read(client.recv()))
                assert np.array_equal(actions["single_arm"][0], rig.expected(who, calls)[:, :5])
        assert stand.sessions == 2


def _asked(who: float) -> dict[str, object]:
    from_above = np.zeros((1, 1, 2, 2, 3), np.uint8)
    arm = rig.arm(who)[None, None]
    return {
        "observation": {
            "video": {"front": from_above},
            "state": {"single_arm": arm[..., :5], "gripper": arm[..., 5:]},
            "language": {},
        },
        "options": None,
    }


def test_a_peer_that_reads_nothing_is_dropped_and_nobody_waits_for_it(
    stand: rig.Stand, listener: Gr00tListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_connection, "SEND_TIMEOUT_S", 0.2)
    with raw_peer(listener) as deaf:
        deaf.sendall(GREETING + READY)
        ask = msgspec.msgpack.encode({"endpoint": "get_modality_config"})  # a long answer to a short question
        flood = (b"\x01\0\0" + bytes([len(ask)]) + ask) * 1000
        with pytest.raises(OSError, match=r"Connection reset|Broken pipe"):  # noqa: PT012 - it may take some
            for _ in range(10_000):
                check_others(listener) if _ == 5 else deaf.sendall(flood)
    check_others(listener)


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        GREETING[:20],
        GREETING,
        GREETING + READY + b"\x01\0\0",
        GREETING + READY + struct.pack(">BQ", 2, 1000) + b"half",
        GREETING + READY + struct.pack(">BQ", 2, 1 << 62) + b"endless",
    ],
)
def test_a_peer_that_stops_in_the_middle_is_dropped_after_the_idle_time(
    stand: rig.Stand, begin: bytes
) -> None:
    with rig.listening(stand.link, idle_timeout_s=0.1) as listener, raw_peer(listener) as slow:
        slow.sendall(begin)
        assert is_ended(slow)


def test_a_peer_that_owes_nothing_stays(stand: rig.Stand, peers: Peers) -> None:
    with rig.listening(stand.link, idle_timeout_s=0.05) as listener:
        client = peers.connect(listener, zmq.REQ, RECONNECT_IVL=-1)
        for _ in range(2):
            client.send(PING)
            client.recv()
            assert client.poll(200) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        GREETING[:10] + b"\x02\x00",
        GREETING + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB",
        GREETING + READY + b"\xff",
    ],
)
def test_what_does_not_speak_zeromq_is_cut_and_counted(
    stand: rig.Stand, listener: Gr00tListener, data: bytes
) -> None:
    with raw_peer(listener) as stranger:
        stranger.sendall(data)
        assert is_ended(stranger)
    assert listener._gateway.metrics.events() == {"refused_wire": 1}
    check_others(listener)


def test_pings_of_zeromq_itself_keep_no_place(stand: rig.Stand) -> None:
    with rig.listening(stand.link, idle_timeout_s=0.2) as listener, ClientN16(listener.address) as robot:
        robot.socket.setsockopt(zmq.HEARTBEAT_IVL, 20)
        robot.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30_000)
        robot.socket.disconnect(f"tcp://{listener.address}")
        robot.socket.connect(f"tcp://{listener.address}")
        robot.act(rig.arm(1))
        rig.wait_for_peers(listener, 0)
        assert np.array_equal(robot.act(rig.arm(1)), rig.expected(1))


def test_a_flood_of_connections_takes_no_robots_place(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=2) as listener, ClientN15(listener.address) as robot:
        robot.act(rig.arm(1))
        flood = [raw_peer(listener) for _ in range(4 + 2 * SPARE_CONNECTIONS)]
        try:
            wait_until(lambda: len(listener._connections) == 4 + SPARE_CONNECTIONS)
            assert is_ended(flood[0])
            assert np.array_equal(robot.act(rig.arm(1)), rig.expected(1, 2))
            check_others(listener)
        finally:
            for one in flood:
                one.close()
        wait_until(lambda: len(listener._connections) == 1)


def test_a_peer_that_dies_frees_its_place_at_once(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=1) as listener, ClientN16(listener.address) as encoder:
        request = encoder.request("get_action", _asked(1.0), with_data=True)
        with raw_peer(listener) as robot:
            robot.sendall(GREETING + READY + b"\x01\0" + struct.pack(">BQ", 2, len(request)) + request)
            stand.wait_for_sessions(1)
            robot.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        rig.wait_for_peers(listener, 0)
        check_others(listener)

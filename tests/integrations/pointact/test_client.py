"""Our connection to a PointAct server, over real sockets of both wires, whatever the server does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateways.foreign_rig import profile_of, row_of
from integrations.pointact.clients import as_msgpack_numpy, plain
from integrations.pointact.servers import (
    LONG_S,
    TRANSPORTS,
    PointActServer,
    Request,
    serving,
    states_of,
    told,
)
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation, WirePath
from vagus.integrations.pointact.client import PointActClient
from vagus.integrations.pointact.options import PointActOptions
from vagus.types import ActionChunk

SHORT_S = 0.3
WORD = "t0k"
GOLDEN = Path(__file__).parent / "golden"
REQUEST = ForeignRequest(
    Operation.INFER, Envelope("pointact"), {("observation.state",): np.array([1.0, 2.0], np.float32)}
)


def policy_at(
    address: ForeignAddress,
    *,
    timeout_s: float = LONG_S,
    token: str | None = None,
    repo_id: str = "user/model",
    max_rows: int = 16,
) -> ForeignPolicy:
    options = PointActOptions(
        timeout_s=timeout_s, start_timeout_s=timeout_s, repo_id=repo_id, max_rows=max_rows
    )
    return ForeignPolicy(PointActClient(address, options, token), profile_of("pointact"), options)


def open_client(address: ForeignAddress) -> PointActClient:
    client = PointActClient(address, PointActOptions(), None)
    assert client.open(LONG_S) == {}
    return client


def asked_of(server: PointActServer) -> list[Request]:
    return [request for request in server.heard if request["endpoint"] == "get_action"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_several_robots_are_answered_each_its_own(transport: str) -> None:
    server = PointActServer()
    with serving(server, transport) as address:
        policy = policy_at(address, token=WORD)
        policy.begin_episode(None)
        chunks = policy.infer([row_of([0.1 * at, -0.2], text=f"do {at}") for at in range(3)])
        policy.close()
    for at, chunk in enumerate(chunks):
        assert isinstance(chunk, ActionChunk)
        np.testing.assert_allclose(chunk.robot, [[0.1 * at, -0.2]] * 4, atol=1e-6)
    assert [request["endpoint"] for request in server.heard] == ["ping", "reset", "get_action"]
    assert {request["api_token"] for request in server.heard} == {WORD}
    (request,) = asked_of(server)
    assert request["data"]["batch"]["task"] == ["do 0", "do 1", "do 2"]  # type: ignore[index]
    assert request["data"]["batch"]["repo_id"] == ["user/model"] * 3  # type: ignore[index]
    assert request["data"]["options"] == {"pred_rot_type": None}  # type: ignore[index]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_question_has_the_bytes_of_the_published_program(transport: str) -> None:
    golden = (GOLDEN / "get_action_REQ.bin").read_bytes()
    server, frames = PointActServer(), []

    def answer(frame: bytes) -> bytes:
        frames.append(frame)
        return server.reply({"endpoint": "ping"}) if len(frames) == 1 else told(np.zeros((3, 6), np.float32))

    server.answer = answer  # type: ignore[method-assign]
    seen: dict[WirePath, Value] = {
        ("observation.images.front_image",): np.zeros((2, 2, 3), np.uint8),
        ("observation.points",): np.array([[0.1, 0.2, 0.3, 1.0, 0.0, 0.5]], np.float32),
        ("observation.state",): np.arange(1, 7, dtype=np.float32),
        ("task",): "put the cube",
    }
    with serving(server, transport) as address:
        options = PointActOptions(repo_id="user/pointact_model")
        client = PointActClient(address, options, None)
        client.open(LONG_S)
        (reply,) = client.ask([(ForeignRequest(Operation.INFER, Envelope("pointact"), seen), None)], LONG_S)
        client.close()
    assert frames[1] == golden
    assert reply.actions["action"].shape == (3, 6)


def test_a_profile_of_the_reference_server_is_read_byte_for_byte() -> None:
    golden = (GOLDEN / "ps_03_REP.bin").read_bytes()
    with serving(PointActServer(spoil=lambda _: golden)) as address:
        client = open_client(address)
        first, second = client.ask([(REQUEST, None)] * 2, LONG_S)
        client.close()
    assert first.actions["action"].shape == second.actions["action"].shape == (4, 8)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda _: None, LinkError, "no answer within"),
        (lambda _: b"\xc1", ProtocolError, "msgpack"),
        (lambda _: b"", ProtocolError, "message"),
        (lambda answer: answer[:-9], ProtocolError, "message"),
        (lambda _: msgspec.msgpack.encode([1, 2, 3]), ProtocolError, "reply"),
        (lambda _: msgspec.msgpack.encode({"action": 3}), ProtocolError, "action"),
        (lambda _: told(np.full((1, 4, 2), np.nan, np.float32)), ProtocolError, "finite"),
        (lambda _: told(np.zeros((2, 4, 2), np.float32)), ProtocolError, r"wanted \(1, horizon, width\)"),
    ],
)
def test_whatever_goes_wrong_is_one_error_in_time(
    transport: str, spoil: Callable[[bytes], bytes | None], error: type[Exception], words: str
) -> None:
    with serving(PointActServer(spoil=spoil), transport) as address:
        client = open_client(address)
        with pytest.raises(error, match=words):
            client.ask([(REQUEST, None)], SHORT_S if error is LinkError else LONG_S)
        client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_errors_of_a_server_are_told(transport: str) -> None:
    for spoiled in (msgspec.msgpack.encode({"error": "no CUDA"}), b"ERROR"):
        server = PointActServer(spoil=lambda _, spoiled=spoiled: spoiled)  # type: ignore[misc]
        with serving(server, transport) as address:
            client = open_client(address)
            server.status = 500
            (reply,) = client.ask([(REQUEST, None)], LONG_S)
            assert reply.error in ("no CUDA", "ERROR")
            client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_a_lost_answer_the_connection_is_a_new_one_and_the_late_answer_is_nobodys(
    transport: str,
) -> None:
    server = PointActServer()
    spoiled = iter([None])
    server.spoil = lambda answer: next(spoiled, answer)
    with serving(server, transport) as address:
        policy = policy_at(address, timeout_s=SHORT_S)
        (first,) = policy.infer([row_of([1.0, 0.0])])
        server.is_ended.set()
        assert "no answer within" in str(first)
    with serving(PointActServer(port=server.port), transport):
        policy._guard._failures = 0
        (second,) = policy.infer([row_of([2.0, 0.0])])
        policy.close()
    assert isinstance(second, ActionChunk), second
    assert second.robot[0, 0] == pytest.approx(2.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_that_is_gone_is_noticed_without_waiting(transport: str) -> None:
    with serving(PointActServer(), transport) as address:
        client = open_client(address)
    assert not client.is_open
    with pytest.raises(LinkError, match="ended"):
        client.ask([(REQUEST, None)], LONG_S)
    client.close()
    with pytest.raises(LinkError, match="refused"):
        client.open(LONG_S)
    client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_that_accepts_and_says_nothing_costs_the_timeout(transport: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = ForeignAddress("pointact", transport, "127.0.0.1", silent.getsockname()[1])
        client = PointActClient(address, PointActOptions(), None)
        with pytest.raises(LinkError, match="no answer within"):
            client.open(SHORT_S)
        client.close()


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        ("tcp", b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64)),
        ("http", b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)),
    ],
)
def test_a_server_of_another_wire_is_refused(transport: str, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(said)
                connection.recv(1 << 16)

        thread = threading.Thread(target=speak)
        thread.start()
        address = ForeignAddress("pointact", transport, "127.0.0.1", listening.getsockname()[1])
        client = PointActClient(address, PointActOptions(), None)
        wanted = r"wanted (the greeting of ZeroMQ|an answer of HTTP)|the connection has ended"
        with pytest.raises((LinkError, ProtocolError), match=wanted):  # it ends before it is asked, or after
            client.open(LONG_S)
        client.close()
        thread.join(LONG_S)


def test_an_answer_that_no_pointact_server_wrote_is_told_by_its_status() -> None:
    server = PointActServer(kind="text/html", status=502)
    with serving(server, "http") as address:
        client = PointActClient(address, PointActOptions(), None)
        with pytest.raises(ProtocolError, match=r"got text/html, status 502 \(Bad Gateway\)"):
            client.open(LONG_S)
        client.close()


def test_a_server_that_answers_only_the_first_robot_is_asked_for_each_alone() -> None:
    server = PointActServer()
    server.reply = lambda request: (  # type: ignore[method-assign]
        told(np.repeat(states_of(request)[0][None], 4, axis=0).astype(np.float32))
        if request["endpoint"] == "get_action"
        else msgspec.msgpack.encode({"error": f"Unknown endpoint: {request['endpoint']}"})
    )
    with serving(server) as address:
        policy = policy_at(address)
        with pytest.raises(PolicyError, match=r"wanted \(2, horizon, width\), .* max_rows 1"):
            policy.infer([row_of([0.1, 0.0]), row_of([0.2, 0.0])])
        policy.close()
        alone = policy_at(address, max_rows=1)
        alone.begin_episode(None)
        chunks = alone.infer([row_of([0.1, 0.0]), row_of([0.2, 0.0])])
        alone.begin_episode(None)
        alone.close()
        assert [request["endpoint"] for request in server.heard].count("reset") == 1
        alone.infer([row_of([0.1, 0.0])])  # on a new connection, perhaps to a newer program
        alone.begin_episode(None)
        alone.close()
    for chunk, place in zip(chunks, (0.1, 0.2), strict=True):
        assert isinstance(chunk, ActionChunk)
        assert chunk.robot[0, 0] == pytest.approx(place)
    assert [request["endpoint"] for request in server.heard].count("reset") == 2


def test_a_wrong_token_is_told_and_a_token_is_not() -> None:
    server = PointActServer()
    with serving(server) as address:
        policy = policy_at(address, token=WORD)
        server.spoil = lambda _: msgspec.msgpack.encode({"error": f"wanted no 'api_token': '{WORD}'"})
        (result,) = policy.infer([row_of()])
        policy.close()
        assert "'api_token': '***'" in str(result)
        refusal = msgspec.msgpack.encode({"error": "Unauthorized"})
        server.reply = lambda request: refusal  # type: ignore[method-assign]
        client = PointActClient(address, PointActOptions(), "other")
        with pytest.raises(ProtocolError, match="refuses a ping: Unauthorized"):
            client.open(LONG_S)
        client.close()


def test_who_is_served_there_must_be_said() -> None:
    with serving(PointActServer()) as address:
        with pytest.raises(ConfigError, match="identity"):
            policy_at(address, repo_id="")
        named = policy_at(address)
        other = policy_at(address, repo_id="user/other")
        named.close()
        other.close()
    assert named.model_hash != other.model_hash


def test_requests_of_other_options_are_asked_apart_and_their_options_arrive() -> None:
    server = PointActServer()
    options: dict[WirePath, Value] = {("data", "options", "pred_rot_type"): "axisangle"}
    turned = ForeignRequest(Operation.INFER, Envelope("pointact"), REQUEST.observation, options)
    with serving(server) as address:
        client = open_client(address)
        replies = client.ask([(REQUEST, None), (turned, None)], LONG_S)
        client.close()
    assert len(replies) == 2
    sent = [request["data"]["options"] for request in asked_of(server)]  # type: ignore[index]
    assert sent == [{"pred_rot_type": None}, {"pred_rot_type": "axisangle"}]


def test_what_nobody_asked_for_ends_the_connection() -> None:
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03REP"
    said = msgspec.msgpack.encode(plain({"action": as_msgpack_numpy(np.zeros((4, 2), np.float32))}))
    sent = threading.Event()

    def flood(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48))
            connection.sendall(bytes([4, len(ready)]) + ready)
            heard = b""
            while b"ping" not in heard:
                heard += connection.recv(4096)
            pong = msgspec.msgpack.encode({"status": "ok"})
            connection.sendall(b"\x01\x00\x00" + bytes([len(pong)]) + pong)
            connection.sendall(b"\x01\x00\x00" + bytes([len(said)]) + said)
            sent.set()
            with suppress(OSError):
                connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=flood, args=(listening,))
        thread.start()
        address = ForeignAddress("pointact", "tcp", "127.0.0.1", listening.getsockname()[1])
        client = PointActClient(address, PointActOptions(), None)
        with suppress(ProtocolError):  # it may be seen with the answer already
            client.open(LONG_S)
        assert sent.wait(LONG_S)
        with pytest.raises((LinkError, ProtocolError), match=r"ended|wanted one"):
            client.ask([(REQUEST, None)], LONG_S)
        client.close()
        thread.join(LONG_S)


def test_more_rows_than_can_be_read_quickly_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_rows"):
        PointActOptions(max_rows=65)

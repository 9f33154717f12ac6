"""Our connection to an openpi server, over real sockets, whatever the server does."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.utils import accept_key

from gateways.foreign_rig import profile_of, row_of
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.foreign_address import ForeignAddress, parse_address
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation
from vagus.integrations.openpi.client import OpenPiClient
from vagus.integrations.openpi.dialect import ERROR_CLOSE_CODE, ERROR_CLOSE_REASON
from vagus.integrations.openpi.options import OpenPiOptions
from vagus.specs import RtcSpec
from vagus.types import ActionChunk, Prefix

SHORT_S = 0.3
LONG_S = 20.0
CHUNK: dict[Key, Value] = {"actions": np.zeros((4, 2), np.float32)}
REQUEST = ForeignRequest(Operation.INFER, Envelope("openpi"), {("state",): np.zeros(2, np.float32)})

Behaviour = Callable[[ServerConnection, "list[Value]"], None]


def pack(value: dict[Key, Value]) -> bytes:
    """Return a frame as openpi writes it."""
    return encode_message(value, ArrayDialect.OPENPI)


def answer_all(connection: ServerConnection, heard: list[Value]) -> None:
    """Serve as openpi does."""
    connection.send(pack({"model": "a"}))
    for frame in connection:
        assert isinstance(frame, bytes)
        heard.append(decode_message(frame).value)
        connection.send(pack(CHUNK))


@contextmanager
def serving(behave: Behaviour) -> Iterator[tuple[ForeignAddress, list[Value], list[ServerConnection]]]:
    """Run a server in this process; yield its address, what it heard, and its connections."""
    heard: list[Value] = []
    connections: list[ServerConnection] = []

    def converse(connection: ServerConnection) -> None:
        connections.append(connection)
        behave(connection, heard)

    with serve(converse, "127.0.0.1", 0, compression=None, close_timeout=SHORT_S) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield ForeignAddress("openpi", "ws", "127.0.0.1", server.socket.getsockname()[1]), heard, connections
        server.shutdown()
    thread.join(LONG_S)


@contextmanager
def connected(behave: Behaviour, **options: object) -> Iterator[tuple[OpenPiClient, list[Value]]]:
    """Yield a client that has been opened."""
    with serving(behave) as (address, heard, _):
        client = OpenPiClient(address, OpenPiOptions(**options), None)  # type: ignore[arg-type]
        client.open(LONG_S)
        yield client, heard
        client.close()


def test_metadata_comes_first_then_one_answer_per_question() -> None:
    with serving(answer_all) as (address, heard, connections):
        client = OpenPiClient(address, OpenPiOptions(), "k3y")
        assert not client.is_open
        assert client.open(LONG_S) == {"model": "a"}
        assert client.is_open
        assert connections[0].request is not None
        assert connections[0].request.headers["Authorization"] == "Api-Key k3y"
        for _ in range(3):
            (reply,) = client.ask([(REQUEST, None)], LONG_S)
            np.testing.assert_array_equal(reply.actions["actions"], CHUNK["actions"])
        client.close()
        assert not client.is_open
    assert len(heard) == 3
    assert list(heard[0]) == ["state"]


@pytest.mark.parametrize(("arrays", "marker"), [("openpi", b"__ndarray__"), ("msgpack_numpy", b"\xc4\x02nd")])
def test_arrays_are_written_as_the_server_reads_them(arrays: str, marker: bytes) -> None:
    raw: list[bytes] = []

    def note(connection: ServerConnection, _: list[Value]) -> None:
        connection.send(pack({}))
        raw.append(connection.recv(LONG_S, decode=False))
        connection.send(pack(CHUNK))

    with connected(note, arrays=arrays) as (client, _):
        client.ask([(REQUEST, None)], LONG_S)
    assert marker in raw[0]


def hang(connection: ServerConnection, _: list[Value]) -> None:
    connection.send(pack({}))
    connection.recv(LONG_S)
    threading.Event().wait(2 * SHORT_S)


def close_at_once(connection: ServerConnection, _: list[Value]) -> None:
    connection.send(pack({}))
    connection.recv(LONG_S)
    connection.close()


def cut(connection: ServerConnection, _: list[Value]) -> None:
    connection.send(pack({}))
    connection.recv(LONG_S)
    connection.socket.shutdown(socket.SHUT_RDWR)


def answering(frame: bytes | str) -> Behaviour:
    def behave(connection: ServerConnection, _: list[Value]) -> None:
        connection.send(pack({}))
        connection.recv(LONG_S)
        connection.send(frame)
        threading.Event().wait(SHORT_S)

    return behave


@pytest.mark.parametrize(
    ("behave", "error", "words"),
    [
        (hang, LinkError, "no answer within"),
        (close_at_once, LinkError, "closed"),
        (cut, LinkError, "closed"),
        (answering(b"\xc1"), ProtocolError, "msgpack"),
        (answering(b""), ProtocolError, "message"),
        (answering(pack({"actions": np.zeros(4, np.float32)})), ProtocolError, "actions"),
        (answering(pack({"actions": np.zeros((4, 2), np.int32)})), ProtocolError, "actions"),
        (answering(pack({"actions": "none"})), ProtocolError, "actions"),
    ],
)
def test_whatever_goes_wrong_is_one_error_in_time(
    behave: Behaviour, error: type[Exception], words: str
) -> None:
    with connected(behave) as (client, _), pytest.raises(error, match=words):
        client.ask([(REQUEST, None)], SHORT_S if behave is hang else LONG_S)


def test_a_server_that_does_not_read_costs_a_deadline() -> None:
    huge = ForeignRequest(Operation.INFER, Envelope("openpi"), {("x",): np.zeros(20 << 20, np.uint8)})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = ForeignAddress("openpi", "ws", "127.0.0.1", listening.getsockname()[1])
        client = OpenPiClient(address, OpenPiOptions(), None)
        deaf: list[socket.socket] = []
        accepting = threading.Thread(target=lambda: deaf.append(greet(listening)))
        accepting.start()
        client.open(LONG_S)
        with pytest.raises(LinkError, match="no answer within"):
            client.ask([(huge, None)], SHORT_S)
        client.close()
        accepting.join(LONG_S)
        deaf[0].close()


def greet(listening: socket.socket) -> socket.socket:
    """Accept a WebSocket, send empty metadata, and return the connection, which nobody reads."""
    connection, _ = listening.accept()
    asked = connection.recv(4096).decode().split("\r\n")
    (key,) = [
        line.partition(":")[2].strip() for line in asked if line.lower().startswith("sec-websocket-key:")
    ]
    said = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    connection.sendall(f"{said}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode() + b"\x82\x01\x80")
    return connection


def test_the_error_of_a_server_is_told_and_its_connection_is_given_up() -> None:
    def fail(connection: ServerConnection, _: list[Value]) -> None:
        connection.send(pack({}))
        connection.recv(LONG_S)
        connection.send("Traceback\nKeyError: 'x'\n")
        connection.close(ERROR_CLOSE_CODE, ERROR_CLOSE_REASON)

    with connected(fail) as (client, _):
        (reply,) = client.ask([(REQUEST, None)], LONG_S)
        assert reply.error == "Traceback\nKeyError: 'x'\n"
        assert not client.is_open


def test_an_answer_too_many_is_not_taken_for_the_next() -> None:
    is_sent = threading.Event()

    def twice(connection: ServerConnection, _: list[Value]) -> None:
        connection.send(pack({}))
        for frame in connection:
            assert frame
            connection.send(pack(CHUNK))
            connection.send(pack({"actions": np.ones((4, 2), np.float32)}))
            connection.ping().wait(LONG_S)  # both have arrived
            is_sent.set()

    with connected(twice) as (client, _):
        client.ask([(REQUEST, None)], LONG_S)
        assert is_sent.wait(LONG_S)
        with pytest.raises(ProtocolError, match="without being asked"):
            client.ask([(REQUEST, None)], LONG_S)


@pytest.mark.parametrize(
    ("first", "error", "words"),
    [
        ("hello", ProtocolError, "text 'hello'"),
        (b"\xc1", ProtocolError, "msgpack"),
        (b"\x93\x01\x02\x03", ProtocolError, "metadata"),
        (None, LinkError, "no metadata within"),
    ],
)
def test_a_websocket_server_of_another_protocol_is_told(
    first: bytes | str | None, error: type[Exception], words: str
) -> None:
    def behave(connection: ServerConnection, _: list[Value]) -> None:
        if first is not None:
            connection.send(first)
        threading.Event().wait(2 * SHORT_S)

    with serving(behave) as (address, _, _):
        client = OpenPiClient(address, OpenPiOptions(), None)
        with pytest.raises(error, match=words):
            client.open(SHORT_S if first is None else LONG_S)
        client.close()


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\xff\x00\x00\x7f\r\n\r\n"]
)
def test_what_speaks_no_websocket_is_no_server_as_if_nobody_answered(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)

        listening.settimeout(LONG_S)
        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        address = parse_address(f"openpi+ws://127.0.0.1:{listening.getsockname()[1]}")
        client = OpenPiClient(address, OpenPiOptions(), None)
        with pytest.raises(LinkError, match="no WebSocket"):
            client.open(LONG_S)
        client.close()
        answering.join(LONG_S)


def test_an_episode_begins_by_a_reset_where_it_is_wanted() -> None:
    def roboarena(connection: ServerConnection, heard: list[Value]) -> None:
        connection.send(pack({}))
        for frame in connection:
            assert isinstance(frame, bytes)
            said = decode_message(frame).value
            heard.append(said)
            is_reset = isinstance(said, dict) and said["endpoint"] == "reset"
            connection.send("reset successful" if is_reset else pack(CHUNK))

    with connected(roboarena, sends_reset=True) as (client, heard):
        assert client.has_reset
        client.reset(LONG_S)
        client.ask([(REQUEST, None)], LONG_S)
        assert client.is_open
    assert [list(said)[-1] for said in heard] == ["endpoint", "endpoint"]  # type: ignore[arg-type]
    assert heard[1]["endpoint"] == "infer"  # type: ignore[call-overload,index]


def test_a_server_that_knows_no_reset_says_so() -> None:
    behave = answering("Traceback\nKeyError: 'state'")
    with (
        connected(behave, sends_reset=True) as (client, _),
        pytest.raises(ProtocolError, match="refuses to begin an episode"),
    ):
        client.reset(LONG_S)


def test_the_running_plan_goes_along_in_the_keys_of_kai0_where_the_metadata_offers_it() -> None:
    def offering(connection: ServerConnection, heard: list[Value]) -> None:
        connection.send(pack({"vagus": {"rtc": True}}))
        for frame in connection:
            assert isinstance(frame, bytes)
            heard.append(decode_message(frame).value)
            connection.send(pack(CHUNK))

    plan = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    with serving(offering) as (address, heard, _):
        options = OpenPiOptions(timeout_s=LONG_S)
        policy = ForeignPolicy(OpenPiClient(address, options, None), profile_of(), options)
        assert policy.spec.rtc == RtcSpec(2)
        policy.infer([row_of(), row_of(prefix=Prefix(plan, plan))])
        policy.close()
    without, along = heard
    assert isinstance(without, dict)
    assert isinstance(along, dict)
    assert list(without) == ["state", "prompt"]
    np.testing.assert_allclose(np.array(along["prev_action_chunk"], float), np.degrees(plan), rtol=1e-5)
    assert (along["inference_delay"], along["execute_horizon"], along["enable_rtc"]) == (1, 1, True)


def test_a_server_that_contradicts_the_profile_is_refused_at_the_start() -> None:
    def contradicting(connection: ServerConnection, heard: list[Value]) -> None:
        connection.send(pack({"vagus": {"rate_hz": 1234.0}}))
        heard.extend(None for _ in connection)

    with serving(contradicting) as (address, heard, _):
        options = OpenPiOptions(timeout_s=LONG_S)
        client = OpenPiClient(address, options, None, profile_of())
        with pytest.raises(ConfigError, match=r"rate_hz.*1234.*metadata"):
            ForeignPolicy(client, profile_of(), options)
        assert not client.is_open
    assert heard == []


@pytest.mark.parametrize("said", [{}, {"vagus": {"rtc": False}}, {"vagus": {"rtc": 1}}, {"vagus": "rtc"}])
def test_no_plan_goes_along_elsewhere(said: dict[Key, Value]) -> None:
    address = ForeignAddress("openpi", "ws", "127.0.0.1", 1)
    assert OpenPiClient(address, OpenPiOptions(), None).rtc_of(said, 4) is None


def test_a_policy_goes_on_with_a_server_that_was_started_again_and_refuses_another() -> None:
    options = OpenPiOptions(timeout_s=LONG_S)
    models = iter(["a", "a", "b"])

    def once(connection: ServerConnection, heard: list[Value]) -> None:
        connection.send(pack({"model": next(models)}))
        heard.append(connection.recv(LONG_S) and None)
        connection.send(pack(CHUNK))
        connection.close()

    with serving(once) as (address, _, connections):
        policy = ForeignPolicy(OpenPiClient(address, options, None), profile_of(), options)
        for _ in range(2):
            assert isinstance(policy.infer([row_of()])[0], ActionChunk)
            connections[-1].recv_events_thread.join(LONG_S)
            while policy._server.is_open:
                pass
        (result,) = policy.infer([row_of()])
        assert isinstance(result, PolicyError)
        assert "something else about itself" in str(result)
        policy.close()


def test_servers_that_say_the_same_are_replicas_wherever_they_are() -> None:
    options = OpenPiOptions(timeout_s=LONG_S)
    hashes = []
    for model in ("a", "a", "b"):

        def greet_as(connection: ServerConnection, _: list[Value], model: str = model) -> None:
            connection.send(pack({"model": model}))
            threading.Event().wait(SHORT_S)

        with serving(greet_as) as (address, _, _):
            policy = ForeignPolicy(OpenPiClient(address, options, None), profile_of(), options)
            hashes.append(policy.model_hash)
            policy.close()
    assert hashes[0] == hashes[1] != hashes[2]


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    for behave in (answer_all, hang):
        with connected(behave) as (client, _):
            if behave is hang:
                with pytest.raises(LinkError):
                    client.ask([(REQUEST, None)], SHORT_S)
            client.close()
            for thread in threading.enumerate():
                if thread.name == "vagus-openpi":
                    thread.join(LONG_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "vagus-openpi"]
    assert threading.active_count() <= before + 1


def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(answer_all) as (address, _, __):
        client = OpenPiClient(address, OpenPiOptions(), "k3y-of-mine")
        client.open(LONG_S)
        client.close()
    sent = [record for record in caplog.records if record.name != "websockets.server"]  # a server's own log
    assert "k3y-of-mine" not in "\n".join(record.getMessage() for record in sent)


def test_what_nobody_asked_for_does_not_fill_the_memory() -> None:
    sent: list[int] = []
    is_over = threading.Event()

    def flood(connection: ServerConnection, _: list[Value]) -> None:
        connection.send(pack({}))
        connection.socket.settimeout(SHORT_S)
        with suppress(ConnectionClosed, OSError):
            for at in range(16):
                connection.send(bytes(1 << 24))
                sent.append(at)
        is_over.set()

    with connected(flood):
        assert is_over.wait(LONG_S)
    assert len(sent) < 8


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "socks_proxy"])
def test_no_proxy_of_the_environment_comes_between(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"{'socks5' if 'socks' in variable else 'http'}://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with connected(answer_all) as (client, _):
        assert client.is_open


def test_an_error_that_shows_the_key_does_not_show_it_here() -> None:
    with serving(answering("bad request with Api-Key k3y-of-mine")) as (address, _, __):
        client = OpenPiClient(address, OpenPiOptions(), "k3y-of-mine")
        client.open(LONG_S)
        (reply,) = client.ask([(REQUEST, None)], LONG_S)
        client.close()
    assert reply.error == "bad request with Api-Key ***"

"""Our connection to a GR00T server, over real sockets, whatever the server does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
import zmq

from gateways.foreign_rig import profile_of, row_of
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation
from vagus.integrations.gr00t.client import Gr00tClient
from vagus.integrations.gr00t.dialect import (
    N1_5,
    N1_6,
    N1_7,
    decode_request,
    encode_error,
    encode_reply,
    unknown_endpoint,
)
from vagus.integrations.gr00t.options import Gr00tOptions
from vagus.types import ActionChunk

SHORT_S = 0.3
LONG_S = 20.0
WORD = "t0k"


@dataclass
class Gr00tServer:
    """One REP socket, as GR00T's servers have it."""

    version: str = N1_6
    says: dict[Key, Value] = field(default_factory=lambda: {"state": {"modality_keys": ["arm"]}})
    spoil: Callable[[bytes], bytes | None] = lambda answer: answer
    """Makes something else of an answer to `get_action`; None: no answer."""
    heard: list[ForeignRequest] = field(default_factory=list)
    port: int = 0
    is_ended: threading.Event = field(default_factory=threading.Event)

    def run(self, socket: zmq.Socket[bytes]) -> None:
        """Serve until ended."""
        while not self.is_ended.is_set():
            if not socket.poll(20):
                continue
            request = decode_request(socket.recv())
            self.heard.append(request)
            answer: bytes | None = self.answer(request)
            if request.operation is Operation.INFER and answer is not None:
                answer = self.spoil(answer)
            if answer is None:
                self.is_ended.wait(LONG_S)
            else:
                socket.send(answer)

    def answer(self, request: ForeignRequest) -> bytes:
        """Return the state as a chunk of four actions."""
        if request.operation is Operation.DESCRIBE:
            return encode_reply(ForeignReply(extra=self.says), request, version=self.version)
        if request.operation is not Operation.INFER:
            return encode_reply(ForeignReply(), request, version=self.version)
        if self.version == N1_5:
            state = np.asarray(request.observation[("state.arm",)])
            return encode_reply(ForeignReply({"action.arm": np.repeat(state, 4, axis=0)}), request)
        state = np.asarray(request.observation["state", "arm"])
        return encode_reply(ForeignReply({"arm": np.repeat(state, 4, axis=1)}), request)


@contextmanager
def serving(server: Gr00tServer) -> Iterator[ForeignAddress]:
    """Run a server in this process."""
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{server.port}")
        server.port = int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
        thread = threading.Thread(target=server.run, args=(socket,))
        thread.start()
        yield ForeignAddress("gr00t", "tcp", "127.0.0.1", server.port)
        server.is_ended.set()
        thread.join(LONG_S)


def policy_at(
    address: ForeignAddress, *, timeout_s: float = LONG_S, version: str = "", token: str | None = None
) -> ForeignPolicy:
    options = Gr00tOptions(timeout_s=timeout_s, start_timeout_s=timeout_s, version=version)
    return ForeignPolicy(Gr00tClient(address, options, token), profile_of("gr00t"), options)


@pytest.mark.parametrize("version", [N1_5, N1_6, N1_7])
def test_several_robots_are_answered_each_its_own(version: str) -> None:
    keys: list[Value] = ["state.arm" if version == N1_5 else "arm"]
    server = Gr00tServer(version, {"state": {"modality_keys": keys}})
    with serving(server) as address:
        policy = policy_at(address, version=version if version == N1_7 else "", token=WORD)
        policy.begin_episode(None)
        chunks = policy.infer([row_of([0.1 * at, -0.2], text=f"do {at}") for at in range(3)])
        policy.close()
    for at, chunk in enumerate(chunks):
        assert isinstance(chunk, ActionChunk)
        np.testing.assert_allclose(chunk.robot, [[0.1 * at, -0.2]] * 4, atol=1e-6)
    asked = [request for request in server.heard if request.operation is Operation.INFER]
    assert len(asked) == (3 if version == N1_5 else 1)
    assert {request.envelope.version for request in asked} == {version}
    assert {request.token for request in server.heard} == {WORD}
    resets = [request for request in server.heard if request.operation is Operation.RESET]
    assert len(resets) == (0 if version == N1_5 else 1)


def open_client(address: ForeignAddress, timeout_s: float = LONG_S) -> Gr00tClient:
    client = Gr00tClient(address, Gr00tOptions(), None)
    client.open(timeout_s)
    return client


REQUEST = ForeignRequest(Operation.INFER, Envelope("gr00t"), {("state", "arm"): np.zeros(2, np.float32)})


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda _: None, LinkError, "no answer within"),
        (lambda _: b"\xc1", ProtocolError, "msgpack"),
        (lambda _: b"", ProtocolError, "message"),
        (lambda answer: answer[:-9], ProtocolError, "message"),
        (lambda _: msgspec.msgpack.encode([1, 2, 3]), ProtocolError, "reply"),
        (lambda _: msgspec.msgpack.encode([{"arm": 3}, {}]), ProtocolError, "arm"),
    ],
)
def test_whatever_goes_wrong_is_one_error_in_time(
    spoil: Callable[[bytes], bytes | None], error: type[Exception], words: str
) -> None:
    with serving(Gr00tServer(spoil=spoil)) as address:
        client = open_client(address)
        with pytest.raises(error, match=words):
            client.ask([(REQUEST, None)], SHORT_S if error is LinkError else LONG_S)
        client.close()


def test_the_errors_of_a_server_are_told() -> None:
    for spoiled in (encode_error("no CUDA"), b"ERROR"):
        with serving(Gr00tServer(spoil=lambda _, spoiled=spoiled: spoiled)) as address:  # type: ignore[misc]
            client = open_client(address)
            (reply,) = client.ask([(REQUEST, None)], LONG_S)
            assert reply.error in ("no CUDA", "ERROR")
            client.close()


def test_after_a_lost_answer_the_socket_is_a_new_one_and_the_late_answer_is_nobodys() -> None:
    server = Gr00tServer()
    spoiled = iter([None])
    server.spoil = lambda answer: next(spoiled, answer)
    with serving(server) as address:
        policy = policy_at(address, timeout_s=SHORT_S)
        (first,) = policy.infer([row_of([1.0, 0.0])])
        server.is_ended.set()
        assert "no answer within" in str(first)
    with serving(Gr00tServer(port=server.port)):
        policy._guard._failures = 0
        (second,) = policy.infer([row_of([2.0, 0.0])])
        assert isinstance(second, ActionChunk), second
        assert second.robot[0, 0] == pytest.approx(2.0)
        policy.close()


def test_a_server_that_was_started_again_between_two_questions_is_noticed() -> None:
    with serving(Gr00tServer()) as address:
        policy = policy_at(address)
        assert isinstance(policy.infer([row_of()])[0], ActionChunk)
    other = Gr00tServer(says={"state": {"modality_keys": ["arm"], "delta_indices": [0]}}, port=address.port)
    with serving(other):
        (result,) = policy.infer([row_of()])
        policy.close()
    assert isinstance(result, PolicyError)
    assert [request.operation for request in other.heard] == [Operation.DESCRIBE]
    assert "something else about itself" in str(result)


def test_a_server_that_is_gone_is_noticed_without_waiting() -> None:
    with serving(Gr00tServer()) as address:
        client = open_client(address)
    with pytest.raises(LinkError, match="ended"):
        client.ask([(REQUEST, None)], LONG_S)
    client.close()
    with pytest.raises(LinkError, match=r"could not be made|ended"):
        client.open(LONG_S)
    client.close()


def test_what_nobody_asked_for_does_not_fill_the_memory() -> None:
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
    said = encode_error("Unknown endpoint: get_modality_config")
    sent: list[int] = []

    def flood(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(greeting + bytes([4, len(ready)]) + ready)
            heard = b""
            while b"get_modality_config" not in heard:
                heard += connection.recv(4096)
            connection.sendall(b"\x01\x00\x00" + bytes([len(said)]) + said)
            connection.settimeout(SHORT_S)
            with suppress(OSError):
                for at in range(16):
                    connection.sendall(b"\x01\x00\x02" + (1 << 24).to_bytes(8, "big") + bytes(1 << 24))
                    sent.append(at)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=flood, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        client = Gr00tClient(
            ForeignAddress("gr00t", "tcp", "127.0.0.1", port), Gr00tOptions(version=N1_6), None
        )
        client.open(LONG_S)
        thread.join(LONG_S)
        client.close()
    assert len(sent) < 6


def test_a_server_that_shows_no_version_needs_one_stated() -> None:
    with serving(Gr00tServer(says={})) as address:
        client = Gr00tClient(address, Gr00tOptions(), None)
        with pytest.raises(ConfigError, match="--options version"):
            client.open(LONG_S)
        client.close()
        client = Gr00tClient(address, Gr00tOptions(version=N1_7), None)
        assert client.open(LONG_S) == {}
        client.close()


def test_a_server_without_that_question_says_nothing_and_a_wrong_token_is_told() -> None:
    for answer, error in (
        (unknown_endpoint("get_modality_config"), None),
        (ForeignReply(error="Unauthorized"), "Unauth"),
    ):
        server = Gr00tServer()
        server.answer = lambda request, answer=answer: encode_reply(answer, request)  # type: ignore[method-assign,misc]
        with serving(server) as address:
            client = Gr00tClient(address, Gr00tOptions(version=N1_6), None)
            if error is None:
                assert client.open(LONG_S) == {}
            else:
                with pytest.raises(ProtocolError, match=error):
                    client.open(LONG_S)
            client.close()


def test_an_error_that_shows_the_token_does_not_show_it_here() -> None:
    server = Gr00tServer()
    with serving(server) as address:
        policy = policy_at(address, version=N1_6, token=WORD)
        server.spoil = lambda _: encode_error(f"wanted no 'api_token': '{WORD}'")
        (result,) = policy.infer([row_of()])
        policy.close()
    assert "'api_token': '***'" in str(result)


def test_a_server_without_a_reset_is_told_nothing_more() -> None:
    server = Gr00tServer()
    describe = server.answer

    def answer(request: ForeignRequest) -> bytes:
        if request.operation is Operation.RESET:
            return encode_reply(unknown_endpoint("reset"), request)
        return describe(request)

    server.answer = answer  # type: ignore[method-assign]
    with serving(server) as address:
        policy = policy_at(address)
        for _ in range(3):
            policy.begin_episode(None)
            assert isinstance(policy.infer([row_of()])[0], ActionChunk)
        policy.close()
        assert [request.operation for request in server.heard].count(Operation.RESET) == 1
        policy.infer([row_of()])  # on a new connection, perhaps to a newer program
        policy.begin_episode(None)
        policy.close()
    assert [request.operation for request in server.heard].count(Operation.RESET) == 2


def test_another_version_is_refused_with_the_choice() -> None:
    with pytest.raises(ConfigError, match=r"n1\.5, n1\.6, n1\.7"):
        Gr00tOptions(version="1.6")

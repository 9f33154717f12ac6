"""Clients of openpi at a gateway: what they are told, what they ask, and what goes wrong."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from integrations.openpi import rig
from vagus.errors import ConfigError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply, ReplyTiming
from vagus.integrations.openpi.conversation import VLLM_PATH
from vagus.integrations.openpi.dialect import ERROR_CLOSE_REASON, RESET_DONE, decode_reply, timing_of
from vagus.integrations.openpi.gateway import OpenPiListener
from vagus.transport.link import Link
from vagus.transport.memory import MemoryNetwork

OPENPI = ArrayDialect.OPENPI


@pytest.fixture(scope="module")
def policy() -> rig.EchoPolicy:
    return rig.EchoPolicy()


@pytest.fixture(scope="module")
def link(policy: rig.EchoPolicy) -> Iterator[Link]:
    with rig.served(policy) as link:
        yield link


@pytest.fixture(scope="module")
def listener(link: Link) -> Iterator[OpenPiListener]:
    with rig.listening(link) as listener:
        yield listener


def ask(
    client: ClientConnection, more: dict[str, Value] | None = None, *, dialect: ArrayDialect = OPENPI
) -> ForeignReply:
    client.send(encode_message(rig.observation(more=more), dialect))
    return decode_reply(client.recv(rig.PATIENCE_S))


def test_metadata_says_what_the_policy_wants_and_gives(listener: OpenPiListener) -> None:
    with connect(f"ws://{listener.address}", compression=None) as client:
        told = rig.metadata_from(client)["vagus"]
    assert isinstance(told, dict)
    assert len(str(told.pop("model_hash"))) == 64
    assert told == {
        "profile": "echo",
        "robot_type": "echo",
        "policy_type": "echo",
        "rate_hz": 10.0,
        "horizon": rig.HORIZON,
        "rtc": True,
        "observation": {
            "observation/image": {"shape": [6, 8, 3], "dtype": "uint8", "color": "RGB"},
            "observation/state": {
                "shape": [3], "dtype": "float32", "names": ["x", "y", "z"], "units": ["m", "m", "m"],
            },
            "prompt": {"dtype": "str"},
        },
        "actions": {"shape": [3], "dtype": "float32", "names": ["x", "y", "z"], "units": ["m", "m", "m"]},
    }  # fmt: skip


def test_an_observation_is_answered_by_actions(listener: OpenPiListener, policy: rig.EchoPolicy) -> None:
    with rig.client(listener) as client:
        reply = ask(client)
    assert reply.actions["actions"].dtype == np.float32
    assert np.array_equal(reply.actions["actions"], rig.expected())
    seen = policy.rows[-1].observation
    assert seen.instruction == "go"
    assert np.array_equal(seen.images["front"], rig.FRAME)


def test_each_answer_tells_its_time_and_from_the_second_on_that_of_the_one_before(
    listener: OpenPiListener,
) -> None:
    with rig.client(listener) as client:
        first, second = timing_of(ask(client)), timing_of(ask(client))
    assert first.policy_ms is not None
    assert first.infer_ms is not None
    assert first.infer_ms >= first.policy_ms
    assert first == ReplyTiming(first.infer_ms, first.policy_ms, None)
    assert second.previous_total_ms is not None
    assert second.previous_total_ms > first.infer_ms


@pytest.mark.parametrize("dialect", list(ArrayDialect))
def test_a_request_is_answered_in_the_dialect_of_its_arrays(
    listener: OpenPiListener, dialect: ArrayDialect
) -> None:
    with rig.client(listener) as client:
        ask(client)  # what was asked before makes no difference
        client.send(encode_message(rig.observation(), dialect))
        answer = client.recv(rig.PATIENCE_S)
    assert isinstance(answer, bytes)
    assert decode_message(answer).dialect is dialect
    assert np.array_equal(decode_reply(answer).actions["actions"], rig.expected())


def test_no_array_of_an_answer_is_shorter_than_the_actions(listener: OpenPiListener) -> None:
    with rig.client(listener) as client:
        client.send(encode_message(rig.observation(), OPENPI))
        answer = client.recv(rig.PATIENCE_S)
    assert isinstance(answer, bytes)
    entries = decode_message(answer).value
    assert isinstance(entries, dict)
    assert [key for key, value in entries.items() if isinstance(value, np.ndarray | np.generic)] == [
        "actions"
    ]


def test_two_clients_get_their_own_answers(listener: OpenPiListener) -> None:
    with rig.client(listener) as one, rig.client(listener) as other:
        for at in range(3):
            one.send(encode_message(rig.observation((at, 1, 1)), OPENPI))
            other.send(encode_message(rig.observation((at, 2, 2)), ArrayDialect.MSGPACK_NUMPY))
            reply, other_reply = (decode_reply(each.recv(rig.PATIENCE_S)) for each in (one, other))
            assert np.array_equal(reply.actions["actions"], rig.expected((at, 1, 1)))
            assert np.array_equal(other_reply.actions["actions"], rig.expected((at, 2, 2)))


def test_requests_that_are_sent_ahead_are_answered_in_order(listener: OpenPiListener) -> None:
    with rig.client(listener) as client:
        for at in range(20):
            client.send(encode_message(rig.observation((at / 2, 0, 0)), OPENPI))
        for at in range(20):
            reply = decode_reply(client.recv(rig.PATIENCE_S))
            assert np.array_equal(reply.actions["actions"], rig.expected((at / 2, 0, 0)))


def test_pings_are_answered_while_the_policy_works(listener: OpenPiListener, policy: rig.EchoPolicy) -> None:
    policy.gate.clear()
    with rig.client(listener, ping_interval_s=0.05) as client:
        client.send(encode_message(rig.observation((rig.WAITS, 0, 0)), OPENPI))
        assert policy.is_waiting.wait(rig.PATIENCE_S)
        for _ in range(5):
            assert client.ping().wait(rig.PATIENCE_S)
        policy.gate.set()
        reply = decode_reply(client.recv(rig.PATIENCE_S))
    assert np.array_equal(reply.actions["actions"], rig.expected((rig.WAITS, 0, 0)))


# -- real-time chunking ---------------------------------------------------------------------------------


def test_the_keys_of_kai0_carry_the_running_plan_to_the_policy(
    listener: OpenPiListener, policy: rig.EchoPolicy
) -> None:
    with rig.client(listener) as client:
        plan = ask(client).actions["actions"]
        reply = ask(
            client,
            {
                "enable_rtc": True,
                "prev_action_chunk": plan[1:].tolist(),
                "inference_delay": 1,
                "execute_horizon": 2,
            },
        )
    row = policy.rows[-1]
    assert row.prefix is not None
    assert np.array_equal(row.prefix.robot, plan[1:])
    assert (row.inference_delay, row.prefix_horizon) == (1, rig.HORIZON - 2)
    assert np.array_equal(reply.actions["actions"][:3], plan[1:])


def test_a_client_that_disables_rtc_is_answered_without_a_plan(
    listener: OpenPiListener, policy: rig.EchoPolicy
) -> None:
    with rig.client(listener) as client:
        plan = ask(client).actions["actions"]
        ask(client, {"enable_rtc": False, "prev_action_chunk": plan[1:].tolist()})
    assert policy.rows[-1].prefix is None


# -- episodes -------------------------------------------------------------------------------------------


def test_a_reset_begins_an_episode_and_its_answer_is_a_text(
    listener: OpenPiListener, policy: rig.EchoPolicy
) -> None:
    with rig.client(listener) as client:
        ask(client)
        before = policy.episodes
        client.send(encode_message({"session_id": "a", "endpoint": "reset"}, OPENPI))
        assert client.recv(rig.PATIENCE_S) == RESET_DONE
        ask(client, {"endpoint": "infer"})
    assert policy.episodes == before + 1


def test_another_session_on_one_connection_begins_an_episode(
    listener: OpenPiListener, policy: rig.EchoPolicy
) -> None:
    with rig.client(listener) as client:
        ask(client, {"session_id": "a"})
        before = policy.episodes
        ask(client, {"session_id": "a"})
        assert policy.episodes == before
        ask(client, {"session_id": "b"})
    assert policy.episodes == before + 1


def test_vllm_clients_get_the_end_of_a_reset_and_errors_in_binary_frames(listener: OpenPiListener) -> None:
    def asked(entries: dict[Key, Value]) -> Value:
        client.send(encode_message(entries, OPENPI))
        answer = client.recv(rig.PATIENCE_S)
        assert isinstance(answer, bytes)
        return decode_message(answer).value

    with rig.client(listener, VLLM_PATH) as client:
        assert asked({"endpoint": "reset"}) == {"status": RESET_DONE}
        answer = asked({"endpoint": "dance"})
        assert isinstance(answer, dict)
        assert answer["type"] == "error"
        assert "wanted infer or reset, got dance" in str(answer["message"])
        assert np.array_equal(ask(client).actions["actions"], rig.expected())


# -- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_frame", "sentence"),
    [
        ("hello", "wanted a binary frame of msgpack, got the text hello"),
        (b"\xc1", "0xc1"),
        (b"\x90", "wanted a map, got list"),
        (encode_message({"endpoint": "dance"}, OPENPI), "wanted infer or reset, got dance"),
        (encode_message({"prompt": "boom"}, OPENPI), "observation/state"),
        (encode_message(rig.observation((1.0, 2.0)), OPENPI), "observation/state"),
        (encode_message(rig.observation((1.0, 2.0, np.nan)), OPENPI), "finite"),
        (encode_message(rig.observation(more={"enable_rtc": "yes"}), OPENPI), "enable_rtc"),
        (encode_message(rig.observation((rig.FAILS, 0, 0)), OPENPI), "does not know this place"),
    ],
)
def test_an_error_is_a_text_and_then_the_end_as_in_openpi(
    listener: OpenPiListener, request_frame: bytes | str, sentence: str
) -> None:
    with rig.client(listener) as client:
        client.send(request_frame)
        answer = client.recv(rig.PATIENCE_S)
        assert isinstance(answer, str)
        assert sentence in answer
        with pytest.raises(ConnectionClosedError) as ended:
            client.recv(rig.PATIENCE_S)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1011, ERROR_CLOSE_REASON)


def test_a_message_over_the_limit_ends_the_connection_with_the_reason(link: Link) -> None:
    with rig.listening(link, max_message_mb=1) as listener, rig.client(listener) as client:
        client.send(bytes(1_000_001))
        with pytest.raises(ConnectionClosedError, match="1009"):
            client.recv(rig.PATIENCE_S)


def test_without_a_server_a_client_is_told_so_and_may_try_again() -> None:
    with rig.listening(MemoryNetwork().link(), answer_timeout_s=0.2) as listener:
        with connect(f"ws://{listener.address}") as client, pytest.raises(ConnectionClosedError) as ended:
            client.recv(rig.PATIENCE_S)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1013
        assert "server" in ended.value.rcvd.reason


def test_a_profile_that_does_not_fit_the_policy_is_told_at_the_start(link: Link) -> None:
    with rig.listening(link, rename={"x": "elbow"}) as listener:
        with connect(f"ws://{listener.address}") as client, pytest.raises(ConnectionClosedError) as ended:
            client.recv(rig.PATIENCE_S)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1011
        assert "elbow" in ended.value.rcvd.reason


def test_what_is_no_request_is_counted(link: Link) -> None:
    with rig.listening(link) as listener:
        for frame in (b"\xc1", encode_message({"endpoint": "dance"}, OPENPI), encode_message({}, OPENPI)):
            with rig.client(listener) as client:
                client.send(frame)
                assert isinstance(client.recv(rig.PATIENCE_S), str)
        with rig.client(listener) as client:
            ask(client)
        assert listener._gateway.metrics.requests() == {"malformed": 3, "answered": 1}


def test_the_same_mistake_is_logged_once_in_a_while(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    with rig.listening(link) as listener:
        for _ in range(3):
            with rig.client(listener) as client:
                client.send("hello")
                client.recv(rig.PATIENCE_S)
    said = [record.getMessage() for record in caplog.records if "hello" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("wanted a binary frame of msgpack, got the text hello")


def test_an_address_in_use_is_told(link: Link, listener: OpenPiListener) -> None:
    with (
        pytest.raises(ConfigError, match=rf"wanted an address that is free here, got {listener.address}"),
        rig.listening(link, listen=listener.address),
    ):
        pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 100, "203.0.113.1"])
def test_what_is_no_address_here_is_told(link: Link, host: str) -> None:
    with pytest.raises(ConfigError, match="or it is no address"), rig.listening(link, listen=f"{host}:0"):
        pass


def test_an_ipv6_address(link: Link) -> None:
    with rig.listening(link, listen="[::1]:0") as listener, rig.client(listener) as client:
        assert listener.address.startswith("[::1]:")
        ask(client)


# -- HTTP -----------------------------------------------------------------------------------------------


def http_reply(listener: OpenPiListener, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(listener.address, timeout=rig.PATIENCE_S)
    try:
        connection.request(method, path, body=b"x" * 100_000 if method == "POST" else None)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def test_the_health_is_told_as_openpi_tells_it(listener: OpenPiListener) -> None:
    with rig.raw_client(listener) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        head, _, body = rig.everything_from(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/plain; charset=utf-8" in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"OK\n"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 426), ("POST", "/act", 405), ("GET", "/health", 426)]
)
def test_another_http_request_gets_a_sentence(
    listener: OpenPiListener, method: str, path: str, status: int
) -> None:
    assert http_reply(listener, method, path) == (
        status,
        "this is an openpi policy server: connect with a WebSocket client, or GET /healthz\n",
    )


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nCookie: " + b"a" * 20_000,
    ],
)
def test_what_is_no_request_gets_a_sentence(listener: OpenPiListener, said: bytes) -> None:
    with rig.raw_client(listener) as client:
        client.sendall(said)
        answer = rig.everything_from(client)
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.endswith(b"connect with a WebSocket client, or GET /healthz\n")


# -- the key --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(link: Link, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPiListener]:
    token = tmp_path_factory.mktemp("secret") / "token"
    token.write_text("k3y\n")
    with rig.listening(link, token=token) as listener:
        yield listener


def test_the_right_key_is_let_in(guarded: OpenPiListener) -> None:
    with rig.client(guarded, key="k3y") as client:
        assert np.array_equal(ask(client).actions["actions"], rig.expected())


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Api-Key other")],
        [("Authorization", "Bearer k3y")],
        [("Authorization", "Key-Api k3y")],
        [("Authorization", "Api-Key ")],
        [("Authorization", "Api-Key k3y"), ("Authorization", "Api-Key k3y")],
    ],
)
def test_another_key_is_refused_before_a_websocket_opens(
    guarded: OpenPiListener, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{guarded.address}", additional_headers=headers)
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["WWW-Authenticate"] == "Api-Key"
    assert b"wanted the header Authorization: Api-Key <key>" in refused.value.response.body


def test_the_health_needs_no_key(guarded: OpenPiListener) -> None:
    assert http_reply(guarded, "GET", "/healthz") == (200, "OK\n")


# -- one connection after the other ---------------------------------------------------------------------


def test_a_client_that_connects_for_each_request_keeps_its_session(
    link: Link, policy: rig.EchoPolicy
) -> None:
    with rig.listening(link, max_peers=1) as listener:
        for _ in range(50):  # a server grants 20 sessions at once
            with rig.client(listener) as client:
                assert np.array_equal(ask(client).actions["actions"], rig.expected())

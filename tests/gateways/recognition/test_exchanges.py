"""Bytes of the questions, and answers that come in any pieces, are cut off, endless or garbage."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ConfigError
from vagus.gateways.recognition.address import SearchedAddress, parse_searched
from vagus.gateways.recognition.exchange import ProbeExchange
from vagus.gateways.recognition.findings import MAX_ANSWER_BYTES, Answer
from vagus.gateways.recognition.grpc_exchange import GrpcExchange
from vagus.gateways.recognition.http_exchange import HttpExchange, WebSocketExchange
from vagus.gateways.recognition.zeromq_exchange import ZeroMqExchange

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nServer: x\r\nUpgrade: websocket\r\n\r\n"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REP"
MAKERS: dict[str, Callable[[], ProbeExchange]] = {
    "http": lambda: HttpExchange("GET", "/", "here"),
    "websocket": lambda: WebSocketExchange("/", "here"),
    "zeromq": lambda: ZeroMqExchange(b"?"),
    "grpc": lambda: GrpcExchange("/a.B/C", b"", "here"),
}


def h2(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes, lead: int = 0x00) -> bytes:
    return bytes([lead, len(name)]) + name + bytes([len(value)]) + value


SETTINGS = h2(4, 0, 0)
STARTED = h2(1, 4, 1, b"\x88" + literal(b"content-type", b"application/grpc", 0x40))
DONE = literal(b"grpc-status", b"0") + literal(b"grpc-message", b"fine", 0x10)
MESSAGE = h2(0, 0, 1, b"\0" + struct.pack(">I", 3) + b"abc")
ANSWERS = {
    "http": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\nOK\n",
    "websocket": UPGRADED + b"\x89\x02hi" + b"\x02\x02ab" + b"\x80\x01c",
    "zeromq": GREETING + READY + b"\x01\x00" + b"\x00\x02ok",
    "grpc": SETTINGS + h2(6, 0, 0, bytes(8)) + STARTED + MESSAGE + h2(1, 5, 1, DONE),
}
EXPECTED = {
    "http": Answer(200, "text/plain", b"OK\n"),
    "websocket": Answer(101, "binary", b"abc"),
    "zeromq": Answer(None, "REP", b"ok"),
    "grpc": Answer(0, "fine", b"abc"),
}


@pytest.mark.parametrize("name", list(MAKERS))
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(name: str, piece: int) -> None:
    exchange, whole = MAKERS[name](), ANSWERS[name]
    for at in range(0, len(whole), piece):
        assert not exchange.is_over
        exchange.receive(whole[at : at + piece])
        exchange.bytes_to_send()
    assert exchange.is_over
    got, wanted = exchange.answer, EXPECTED[name]
    assert (got.status, got.kind, got.body, got.trouble) == (wanted.status, wanted.kind, wanted.body, "")


@pytest.mark.parametrize("name", list(MAKERS))
def test_an_answer_that_is_cut_off_is_told(name: str) -> None:
    for end in range(len(ANSWERS[name])):
        exchange = MAKERS[name]()
        exchange.receive(ANSWERS[name][:end])
        exchange.receive(b"")
        assert exchange.is_over
        if name != "http" or end < ANSWERS[name].index(b"\r\n\r\n"):  # HTTP may end with the connection
            assert exchange.answer.trouble
            assert exchange.answer.body in (b"", b"abc")


@given(st.sampled_from(list(MAKERS)), st.lists(st.binary(max_size=200), max_size=8), st.integers(0, 200))
def test_garbage_ends_nothing_but_the_exchange(name: str, pieces: list[bytes], kept: int) -> None:
    exchange = MAKERS[name]()
    for piece in (ANSWERS[name][:kept], *pieces):
        if not exchange.is_over:
            exchange.receive(piece)
        exchange.bytes_to_send()
    assert len(exchange.answer.body) <= MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    ("name", "begin", "more"),
    [
        ("http", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        ("http", b"HTTP/1.1 200 OK\r\n", b"x" * 65536),
        ("websocket", UPGRADED + b"\x02\x7f" + struct.pack(">Q", 1 << 40), b"x" * 65536),
        ("websocket", UPGRADED + b"\x02\x01a", b"\x00\x7e\xff\xff" + b"x" * 65535),
        ("zeromq", GREETING + READY + b"\x02" + struct.pack(">Q", 1 << 40), b"x" * 65536),
        ("zeromq", GREETING + READY, b"\x01\x01a"),
        ("grpc", SETTINGS + STARTED, h2(0, 0, 1, b"x" * 16384)),
        ("grpc", SETTINGS, h2(9, 0, 1, b"x" * 16384)),
    ],
)
def test_an_answer_without_an_end_is_bounded(name: str, begin: bytes, more: bytes) -> None:
    exchange = MAKERS[name]()
    exchange.receive(begin)
    for _ in range(MAX_ANSWER_BYTES // 16384 + 10):
        if exchange.is_over:
            break
        exchange.receive(more)
    assert exchange.is_over
    assert exchange.answer.trouble


@pytest.mark.parametrize(
    ("name", "data", "trouble"),
    [
        ("http", b"SSH-2.0-x\r\n", "no HTTP"),
        ("websocket", UPGRADED + b"\x88\x05\x03\xf3bye", "closed with code 1011 bye"),
        ("websocket", UPGRADED + b"\xc2\x01a", "without extensions"),
        ("zeromq", bytes(64), "no ZMTP 3"),
        ("zeromq", GREETING.replace(b"NULL\0", b"CURVE"), "mechanism CURVE"),
        ("zeromq", GREETING + b"\x04\x0a\x05ERROR\x03bad", "it says bad"),
        ("zeromq", GREETING + b"\x00\x01x", "before its introduction"),
        ("grpc", b"HTTP/1.1 400 Bad Request\r\n\r\n", "no HTTP/2"),
        ("grpc", SETTINGS + h2(3, 0, 1, bytes(4)), "ends the call"),
        ("grpc", SETTINGS + h2(7, 0, 0, bytes(8)), "ends the connection"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(name: str, data: bytes, trouble: str) -> None:
    exchange = MAKERS[name]()
    exchange.receive(data)
    assert exchange.is_over
    assert trouble in exchange.answer.trouble


def test_a_refused_websocket_is_an_http_answer() -> None:
    exchange = WebSocketExchange("/", "here")
    exchange.receive(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
    assert exchange.is_over
    assert (exchange.answer.status, exchange.answer.body) == (401, b"no")


def test_a_status_that_is_packed_is_not_guessed() -> None:
    exchange = GrpcExchange("/a.B/C", b"", "here")
    packed = b"\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x82\x0b\xff"  # lengths with Huffman's bit
    exchange.receive(SETTINGS + STARTED + h2(1, 5, 1, packed))
    assert exchange.is_over
    assert exchange.answer.status is None


# addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("gpu:8000", SearchedAddress("gpu", 8000)),
        ("ws://gpu:8000/v1/realtime", SearchedAddress("gpu", 8000, "/v1/realtime")),
        ("openpi+wss://gpu:8000", SearchedAddress("gpu", 8000, is_secured=True)),
        ("tls/gpu:7447", SearchedAddress("gpu", 7447, is_secured=True)),
        ("tcp/[::1]:7447", SearchedAddress("::1", 7447)),
        ("lerobot+zenoh://10.0.0.5:7447", SearchedAddress("10.0.0.5", 7447)),
    ],
)
def test_an_address_is_read_in_every_form(text: str, address: SearchedAddress) -> None:
    assert parse_searched(text) == address
    assert parse_searched(address.endpoint).target == address.target


@pytest.mark.parametrize(
    "text", ["", "gpu", "gpu:0", "gpu:70000", "ws://gpu", "a..b:1", "gpu:1\r\nx", "gpu:1/ x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="an address such as"):
        parse_searched(text)

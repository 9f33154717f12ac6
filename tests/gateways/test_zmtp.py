"""Bytes as libzmq writes them, in any pieces, and bytes that nobody should write."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.zmtp import MAX_PARTS, RouterEnd, ZmqMessage, encode_message

MAX_BYTES = 1000
SIGNATURE = b"\xff\0\0\0\0\0\0\0\x01\x7f"
GREETING = SIGNATURE + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return struct.pack(">BQ", flags | 2, len(body)) + body


def message(*parts: bytes) -> bytes:
    return b"".join(frame(part, 1) for part in parts[:-1]) + frame(parts[-1])


def ready(kind: bytes) -> bytes:
    return frame(
        b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind + b"\x08Identity\0\0\0\0", 4
    )


def introduced(kind: bytes = b"REQ") -> RouterEnd:
    end = RouterEnd(max_bytes=MAX_BYTES)
    assert end.receive(GREETING + ready(kind)) == []
    end.bytes_to_send()
    return end


def told(messages: list[ZmqMessage]) -> list[tuple[tuple[bytes, ...], bytes, str]]:
    return [(one.envelope, bytes(one.payload), one.refused) for one in messages]


def test_the_router_greets_first_and_introduces_itself_once_it_is_greeted() -> None:
    end = RouterEnd(max_bytes=MAX_BYTES)
    greeting = end.bytes_to_send()
    assert (len(greeting), greeting[:10]) == (64, SIGNATURE)
    end.receive(GREETING)
    assert end.bytes_to_send() == frame(b"\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0", 4)
    assert not end.is_between_messages
    end.receive(ready(b"REQ"))
    assert end.is_between_messages
    assert end.bytes_to_send() == b""


@pytest.mark.parametrize("kind", [b"REQ", b"DEALER", b"ROUTER"])
def test_those_who_ask_are_heard(kind: bytes) -> None:
    assert told(introduced(kind).receive(message(b"", b"hi"))) == [((b"",), b"hi", "")]


@pytest.mark.parametrize(
    ("parts", "envelope"),
    [
        ((b"", b"hi"), (b"",)),
        ((b"\1\2\3\4", b"", b"hi"), (b"\1\2\3\4", b"")),
        ((b"hi",), ()),
        ((b"", b"h" * 999), (b"",)),
    ],
    ids=["REQ", "REQ with numbers", "DEALER without an empty part", "as long as it may be"],
)
def test_the_answer_begins_as_the_request_did(parts: tuple[bytes, ...], envelope: tuple[bytes, ...]) -> None:
    assert told(introduced().receive(message(*parts))) == [(envelope, parts[-1], "")]
    for answer in (b"yes", b"y" * 255, b"y" * 256):
        assert encode_message(envelope, answer) == message(*envelope, answer)


@pytest.mark.parametrize(
    ("parts", "envelope", "said"),
    [
        ((b"", b"h" * 1001), (b"",), "at most 1000 bytes, got at least 1001"),
        ((b"h" * 1001,), (), "at most 1000 bytes"),
        ((b"", b"h" * 600, b"h" * 600), (b"",), "at most 1000 bytes, got at least 1200"),
        ((b"", *[b"h"] * MAX_PARTS), (b"",), f"at most {MAX_PARTS} parts"),
        ((b"", *[b""] * 100), (b"",), f"at most {MAX_PARTS} parts"),
        ((b"", b"one", b"two"), (b"",), "got 3 parts"),
        ((b"one", b"two"), (), "got 2 parts"),
        ((b"",), (b"",), "got 1 parts"),
    ],
)
def test_a_message_that_is_refused_gets_an_answer_and_the_next_one_is_heard(
    parts: tuple[bytes, ...], envelope: tuple[bytes, ...], said: str
) -> None:
    refused, heard = introduced().receive(message(*parts) + message(b"", b"next"))
    assert (refused.envelope, bytes(refused.payload)) == (envelope, b"")
    assert said in refused.refused
    assert told([heard]) == [((b"",), b"next", "")]


def test_a_message_that_is_too_long_is_not_kept() -> None:
    end = introduced()
    end.receive(struct.pack(">BQ", 2, 1 << 62))
    for _ in range(10):
        assert end.receive(bytes(1 << 20)) == []
    assert len(end._kept) == 0
    assert not end.is_between_messages


def test_a_message_without_an_end_is_not_kept() -> None:
    end = introduced()
    for part in (b"p" * 200, b""):
        assert end.receive(frame(part, 1) * 10_000) == []
        assert not end.is_between_messages
    assert told(end.receive(frame(b"end")))[0][2].startswith("message: wanted at most 1000 bytes")


@given(cuts=st.lists(st.integers(0, 600), max_size=12))
def test_the_pieces_in_which_bytes_come_do_not_matter(cuts: list[int]) -> None:
    ping = frame(b"\x04PING\0\x0aabc", 4)
    stream = GREETING + ready(b"DEALER") + message(b"", b"x" * 300) + ping + message(b"y") + b"\0"
    end, sent, heard = RouterEnd(max_bytes=MAX_BYTES), b"", []
    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        heard += end.receive(stream[at : max(cut, at)])
        sent += end.bytes_to_send()
        at = max(cut, at)
    assert told(heard) == [((b"",), b"x" * 300, ""), ((), b"y", "")]
    assert sent.endswith(frame(b"\x04PONGabc", 4))
    assert not end.is_between_messages


def test_a_ping_between_the_parts_of_a_message_is_answered() -> None:
    end = introduced()
    heard = end.receive(frame(b"", 1) + frame(b"\x04PING\0\0", 4) + frame(b"hi"))
    assert told(heard) == [((b"",), b"hi", "")]
    assert end.bytes_to_send() == frame(b"\x04PONG", 4)


def test_other_commands_are_passed_over() -> None:
    end = introduced()
    assert told(end.receive(frame(b"\x09SUBSCRIBEx", 4) + message(b"hi"))) == [((), b"hi", "")]
    assert end.bytes_to_send() == b""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "greeting of ZeroMQ, got b'G'"),
        (b"\xff\0\0\0\0\0\0\0\x01\x00", "greeting of ZeroMQ"),
        (SIGNATURE + b"\x01", "ZMTP 3 .* got version 1"),
        (SIGNATURE + b"\x03\x00" + b"CURVE".ljust(20, b"\0"), "mechanism NULL, got b'CURVE'"),
        (GREETING + frame(b"hi"), "READY, got another frame"),
        (GREETING + frame(b"", 4), "READY, got another frame"),
        (GREETING + struct.pack(">BQ", 6, 1 << 40), "READY, got another frame"),
        (GREETING + frame(b"\x05HELLO", 4), "READY, got b'HELLO'"),
        (GREETING + frame(b"\xffREADY", 4), "name of 255 bytes, got 5"),
        (GREETING + frame(b"\x05READY\x0bSocket-Type\0\0\0\x09REQ", 4), "a part of them"),
        (GREETING + frame(b"\x05READY\x0bSocket", 4), "name of 11 bytes, got 6"),
        (GREETING + ready(b"SUB"), "REQ, DEALER or ROUTER, got b'SUB'"),
        (GREETING + frame(b"\x05READY", 4), "REQ, DEALER or ROUTER, got"),
        (GREETING + ready(b"REQ") + b"\x08\0", "flags 0x08"),
        (GREETING + ready(b"REQ") + frame(b"", 4), "command of 1 to"),
        (GREETING + ready(b"REQ") + struct.pack(">BQ", 6, 5000), "got one of 5000"),
        (GREETING + ready(b"REQ") + frame(b"\x05ERROR\x03bad", 4), "the peer says: b'bad'"),
    ],
)
def test_what_is_no_peer_of_a_router_ends_the_connection(data: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        RouterEnd(max_bytes=MAX_BYTES).receive(data)


def test_a_socket_of_the_wrong_type_is_told_so() -> None:
    end = RouterEnd(max_bytes=MAX_BYTES)
    with pytest.raises(ProtocolError):
        end.receive(GREETING + ready(b"PUSH"))
    assert end.bytes_to_send().endswith(frame(b"\x05ERROR\x13Invalid socket type", 4))


@given(
    data=st.binary(max_size=200), begin=st.sampled_from([b"", SIGNATURE, GREETING, GREETING + ready(b"REQ")])
)
def test_any_bytes_are_messages_or_the_end(data: bytes, begin: bytes) -> None:
    end = RouterEnd(max_bytes=50)
    try:
        heard = end.receive(begin + data)
    except ProtocolError:
        return
    for one in heard:
        assert sum(map(len, one.envelope)) + len(one.payload) <= 50

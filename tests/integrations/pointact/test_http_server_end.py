"""Requests over HTTP in any pieces, and bytes that nobody should send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.wire_answer import WireAnswer, WireOutcome
from vagus.integrations.pointact.http_server_end import MAX_HEAD_BYTES, HttpMessage, HttpServerEnd

MOST = 1000
HEAD = b"POST /get_action HTTP/1.1\r\nHost: here\r\nContent-Type: application/msgpack\r\n"


def posted(body: bytes, more: bytes = b"") -> bytes:
    return HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def told(messages: list[HttpMessage]) -> list[tuple[bytes, str, int]]:
    return [(bytes(one.payload), one.refused, one.status) for one in messages]


def answered(end: HttpServerEnd, message: HttpMessage, body: bytes = b"yes") -> bytes:
    return end.encode(message, WireAnswer(body))


def test_requests_follow_each_other_on_one_connection() -> None:
    end = HttpServerEnd(max_bytes=MOST)
    for body in (b"one", b"", b"x" * MOST):
        (message,) = end.receive(posted(body))
        assert told([message]) == [(body, "", 0)]
        assert not end.is_between_messages
        answer = answered(end, message)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\nContent-Type: application/msgpack\r\nContent-Length: 3\r\n\r\nyes")
        assert end.is_between_messages
        assert not end.is_over


@given(st.binary(max_size=400), st.data())
def test_a_request_in_pieces_is_the_same(body: bytes, data: st.DataObject) -> None:
    end, sent, seen = HttpServerEnd(max_bytes=MOST), posted(body), []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        seen += end.receive(sent[:size])
        sent = sent[size:]
    assert told(seen) == [(body, "", 0)]


def test_chunks_are_put_together() -> None:
    end = HttpServerEnd(max_bytes=MOST)
    (message,) = end.receive(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n2\r\nto\r\n0\r\n\r\n")
    assert told([message]) == [(b"oneto", "", 0)]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (WireOutcome.ANSWERED, b"200 OK"),
        (WireOutcome.MALFORMED, b"400 Bad Request"),
        (WireOutcome.UNAUTHORIZED, b"401 Unauthorized"),
        (WireOutcome.FAILED, b"500 Internal Server Error"),
    ],
)
def test_the_status_says_what_became_of_it(outcome: WireOutcome, status: bytes) -> None:
    end = HttpServerEnd(max_bytes=MOST)
    (message,) = end.receive(posted(b"one"))
    assert end.encode(message, WireAnswer(b"", outcome)).startswith(b"HTTP/1.1 " + status + b"\r\n")


def test_what_is_too_long_is_read_to_its_end_and_not_kept() -> None:
    end = HttpServerEnd(max_bytes=MOST)
    for sent in (
        posted(b"x" * (MOST + 1)),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
    ):
        assert end.receive(sent[:-5]) == []
        assert len(end._body) <= MOST
        (message,) = end.receive(sent[-5:])
        assert (bytes(message.payload), message.status) == (b"", 413)
        assert answered(end, message).startswith(b"HTTP/1.1 413 ")
        (after,) = end.receive(posted(b"one"))
        assert told([after]) == [(b"one", "", 0)]
        answered(end, after)


def test_another_method_is_told_the_right_one_and_head_gets_no_body() -> None:
    end = HttpServerEnd(max_bytes=MOST)
    (message,) = end.receive(b"HEAD /get_action HTTP/1.1\r\nHost: here\r\n\r\n")
    assert message.status == 405
    answer = answered(end, message)
    assert b"\r\nAllow: POST\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("more", [b"Connection: close\r\n", b""])
def test_a_client_that_wants_no_more_is_believed(more: bytes) -> None:
    end = HttpServerEnd(max_bytes=MOST)
    (message,) = end.receive(posted(b"one", more))
    answered(end, message)
    assert end.is_over == bool(more)


def test_a_request_before_the_answer_to_the_last_one_ends_the_connection_after_it() -> None:
    end = HttpServerEnd(max_bytes=MOST)
    (message,) = end.receive(posted(b"one") + posted(b"two"))
    assert b"\r\nConnection: close\r\n" in answered(end, message)
    assert end.is_over


def test_a_client_that_asks_whether_it_may_send_is_told_to() -> None:
    end = HttpServerEnd(max_bytes=MOST)
    head, body = posted(b"one", b"Expect: 100-continue\r\n").split(b"\r\n\r\n")
    assert end.receive(head + b"\r\n\r\n") == []
    assert end.bytes_to_send().startswith(b"HTTP/1.1 100 ")
    assert end.bytes_to_send() == b""
    assert told(list(end.receive(body))) == [(b"one", "", 0)]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"nonsense\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", b"501"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (HEAD + b"X: " + b"x" * MAX_HEAD_BYTES, b"431"),
        (b"A" * (MAX_HEAD_BYTES + 1), b"431"),
    ],
)
def test_what_is_no_request_is_answered_and_ends_the_connection(data: bytes, status: bytes) -> None:
    end = HttpServerEnd(max_bytes=MOST)
    with pytest.raises(ProtocolError, match=r"wanted a request of HTTP/1\.1"):
        end.receive(data)
    assert end.bytes_to_send().startswith(b"HTTP/1.1 " + status)
    assert end.is_over


@pytest.mark.parametrize(
    "head_and_body",
    [
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"Content-Length: +5\r\n\r\nabcde",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["end of a chunk", "two lengths", "number of 5000 digits", "sign", "two encodings"],
)
def test_a_body_whose_end_two_readers_may_see_at_two_places_is_refused(head_and_body: bytes) -> None:
    end = HttpServerEnd(max_bytes=1000)
    with pytest.raises(ProtocolError, match=r"wanted a request of HTTP/1\.1"):
        end.receive(b"POST /get_action HTTP/1.1\r\nHost: here\r\n" + head_and_body)
    assert end.bytes_to_send().startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert end.is_over

"""Answers over HTTP in any pieces, and bytes that nobody should send."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.neutral import ForeignReply
from vagus.integrations.pointact.dialect import ACTION, encode_reply
from vagus.integrations.pointact.http_client_end import HttpClientEnd, HttpReply

MOST = 1000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\n"


def asking() -> HttpClientEnd:
    end = HttpClientEnd("here:17000", "/get_action", max_bytes=MOST)
    end.ask(b"what")
    assert not end.is_ready
    end.bytes_to_send()
    return end


def told(replies: list[HttpReply]) -> list[tuple[bytes, str]]:
    return [(bytes(one.payload), one.refused) for one in replies]


def answer(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_question_is_a_post_with_its_length() -> None:
    end = HttpClientEnd("here:17000", "/get_action", max_bytes=MOST)
    assert end.is_ready
    end.ask(b"what")
    assert end.bytes_to_send() == (
        b"POST /get_action HTTP/1.1\r\nHost: here:17000\r\nContent-Type: application/msgpack\r\n"
        b"Accept: application/msgpack\r\nContent-Length: 4\r\n\r\nwhat"
    )
    assert end.bytes_to_send() == b""


def test_questions_follow_each_other_on_one_connection() -> None:
    end = asking()
    for _ in range(2):
        assert told(end.receive(answer(b"this"))) == [(b"this", "")]
        assert end.is_ready
        assert not end.is_over
        end.ask(b"and now")


@given(st.binary(max_size=400), st.data())
def test_an_answer_in_pieces_is_the_same(body: bytes, data: st.DataObject) -> None:
    end, sent, seen = asking(), answer(body), []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        seen += end.receive(sent[:size])
        sent = sent[size:]
    assert told(seen) == [(body, "")]


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    end = asking()
    assert end.receive(HEAD + b"\r\nthis") == []
    assert told(end.receive(b"")) == [(b"this", "")]
    assert end.is_over


@pytest.mark.parametrize("more", [b"Connection: close\r\n", b""])
def test_a_server_that_closes_is_asked_no_more(more: bytes) -> None:
    end = asking()
    end.receive(answer(b"this", HEAD + more))
    assert end.is_over == bool(more)


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        (answer(b"x" * (MOST + 1)), "wanted at most 1000 bytes, got 1001"),
        (
            answer(b"<html>", b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html; charset=utf-8\r\n"),
            "wanted application/msgpack, got text/html, status 502 (Bad Gateway)",
        ),
        (
            answer(b"", b"HTTP/1.1 799 Own\r\n"),
            "wanted application/msgpack, got no type, status 799",
        ),
    ],
)
def test_what_is_no_answer_of_pointact_is_refused(sent: bytes, refused: str) -> None:
    ((body, said),) = told(asking().receive(sent))
    assert said == refused
    assert len(body) <= MOST


def test_an_error_of_the_server_is_its_answer() -> None:
    head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/msgpack\r\n"
    assert told(asking().receive(answer(b"why", head))) == [(b"why", "")]


def test_actions_with_the_status_of_an_error_are_no_answer() -> None:
    head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/msgpack\r\n"
    reply = encode_reply(ForeignReply({ACTION: np.ones((1, 2, 6), np.float32)}))
    ((_, said),) = told(asking().receive(answer(reply, head)))
    assert said == "wanted an error with status 500 (Internal Server Error), got an answer"
    error = encode_reply(ForeignReply(error="why"))
    assert told(asking().receive(answer(error, head))) == [(error, "")]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nthis",
        b"H" * (1 << 17),
    ],
)
def test_what_is_no_http_is_said(data: bytes) -> None:
    end = asking()
    with pytest.raises(ProtocolError, match=r"wanted an answer of HTTP/1\.1"):  # noqa: PT012 - either call
        end.receive(data)
        end.receive(b"")


def test_what_comes_before_a_question_is_no_answer() -> None:
    end = HttpClientEnd("here:17000", "/get_action", max_bytes=MOST)
    with pytest.raises(ProtocolError, match="nothing was asked"):
        end.receive(answer(b"this"))


def test_what_comes_behind_an_answer_is_no_answer_to_the_next_question() -> None:
    with pytest.raises(ProtocolError, match="wanted one answer, got bytes behind it"):
        asking().receive(answer(b"this") + answer(b"that"))

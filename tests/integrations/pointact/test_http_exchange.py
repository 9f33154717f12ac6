"""What a request over HTTP must be, and the status and body of each answer."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.gateways.neutral import ForeignReply, Operation
from vagus.integrations.pointact.dialect import (
    PING_REPLY,
    WRONG_TOKEN,
    decode_reply,
    encode_reply,
    unknown_endpoint,
)
from vagus.integrations.pointact.http_exchange import CONTENT_TYPE, MALFORMED, PATH, answer_to, refusal_of


@pytest.mark.parametrize("kind", [None, CONTENT_TYPE, "Application/MsgPack; charset=binary"])
def test_a_request_of_ours_is_read(kind: str | None) -> None:
    assert refusal_of("POST", PATH, kind) is None


@pytest.mark.parametrize(
    ("method", "path", "kind", "status", "wanted"),
    [
        ("POST", "/act", CONTENT_TYPE, 404, "path: wanted /get_action, got /act"),
        ("GET", PATH, CONTENT_TYPE, 405, "method: wanted POST, got GET"),
        ("POST", PATH, "application/json", 415, f"Content-Type: wanted {CONTENT_TYPE}, got application/json"),
        ("POST", PATH, "", 415, f"Content-Type: wanted {CONTENT_TYPE}, got "),
    ],
)  # fmt: skip
def test_another_request_is_refused_unread(
    method: str, path: str, kind: str, status: int, wanted: str
) -> None:
    refused = refusal_of(method, path, kind)
    assert refused is not None
    assert refused.status == status
    assert decode_reply(refused.body, Operation.INFER).error == wanted


def test_a_refusal_quotes_little() -> None:
    refused = refusal_of("POST", "/" + "x" * 100_000, None)
    assert refused is not None
    assert len(refused.body) < 200


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (PING_REPLY, 200),
        (ForeignReply({"action": np.zeros((1, 2, 6))}), 200),
        (WRONG_TOKEN, 401),
        (ForeignReply(error="the policy failed"), 500),
    ],
)
def test_an_answer_has_the_body_of_zeromq_and_a_status(reply: ForeignReply, status: int) -> None:
    answer = answer_to(reply)
    assert (answer.status, answer.body) == (status, encode_reply(reply))


def test_what_the_request_is_to_blame_for_has_a_status_of_its_own() -> None:
    answer = answer_to(unknown_endpoint("point"), failure=MALFORMED)
    assert answer.status == 400
    assert decode_reply(answer.body, Operation.INFER).error == "Unknown endpoint: point"
    assert answer_to(WRONG_TOKEN, failure=MALFORMED).status == 401


def test_a_reply_that_cannot_be_written_is_an_error_for_the_client() -> None:
    answer = answer_to(ForeignReply({"action": np.full((1, 6), np.nan)}))
    assert answer.status == 500
    assert "finite" in (decode_reply(answer.body, Operation.INFER).error or "")

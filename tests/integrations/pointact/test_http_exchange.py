"""What the head of a request over HTTP must be."""

from __future__ import annotations

import pytest

from vagus.integrations.pointact.http_exchange import CONTENT_TYPE, PATH, HttpRefusal, refusal_of

LENGTH = {"content-length": "8"}
TYPE = {"content-type": CONTENT_TYPE}
MOST = 10


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": CONTENT_TYPE},
        {"content-type": "Application/MsgPack; charset=binary"},
        {"content-encoding": "identity"},
        {"content-length": "10"},
    ],
)
def test_a_request_of_ours_is_read(headers: dict[str, str]) -> None:
    assert refusal_of("POST", PATH, TYPE | LENGTH | headers, most=MOST) is None
    assert refusal_of("POST", f"{PATH}?robot=1", TYPE | {"transfer-encoding": "chunked"}, most=MOST) is None


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "wanted"),
    [
        ("POST", "/act", LENGTH, 404, "path: wanted /get_action, got /act"),
        ("GET", PATH, {}, 405, "method: wanted POST, got GET"),
        (
            "POST", PATH, LENGTH | {"content-type": "application/json"}, 415,
            f"Content-Type: wanted {CONTENT_TYPE}, got application/json",
        ),
        ("POST", PATH, LENGTH, 415, f"Content-Type: wanted {CONTENT_TYPE}, got "),
        ("POST", PATH, LENGTH | {"content-type": ""}, 415, f"Content-Type: wanted {CONTENT_TYPE}, got "),
        (
            "POST", PATH, TYPE | LENGTH | {"content-encoding": "GZIP"}, 415,
            "Content-Encoding: wanted none, got gzip",
        ),
        ("POST", PATH, TYPE, 411, "Content-Length: wanted the number of bytes of the body, got none"),
        (
            "POST", PATH, TYPE | {"content-length": "11"}, 413,
            "body: wanted at most 10 bytes, got at least 11",
        ),
    ],
)  # fmt: skip
def test_another_request_is_refused_unread(
    method: str, path: str, headers: dict[str, str], status: int, wanted: str
) -> None:
    assert refusal_of(method, path, headers, most=MOST) == HttpRefusal(status, wanted)


def test_a_refusal_quotes_little() -> None:
    refused = refusal_of("POST", "/" + "x" * 100_000, {}, most=MOST)
    assert refused is not None
    assert len(refused.text) < 200

"""Recognition of a PointAct server, over ZeroMQ as its programs are, or over HTTP as its plan says (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import Value
from vagus.gateways.recognition.findings import (
    RUNS_THE_POLICY,
    Answer,
    Carrier,
    Check,
    Recognised,
    Recogniser,
    check_that,
)
from vagus.quoting import quoted

__all__ = ["RECOGNISERS"]

_PING: Final = "ping"
_DESCRIBE: Final = "get_modality_config"
_POST: Final = "POST /get_action"
_ALIVE: Final[Value] = {"status": "ok", "message": "Server is running"}
_UNKNOWN: Final[Value] = {"error": f"Unknown endpoint: {_DESCRIBE}"}
_UNTRIED: Final = Check("points and actions", None, RUNS_THE_POLICY)
_RULE: Final = "ping is answered as by PointAct's server"


def _judge_zeromq(answers: Mapping[str, Answer]) -> Recognised | None:
    """Recognise it by what it lacks: GR00T's servers, from which it is made, describe their modalities."""
    if _value_in(answers[_DESCRIBE]) != _UNKNOWN:
        return None
    said = _value_in(answers[_PING])
    return Recognised(
        "PointAct",
        "ZeroMQ",
        f"a server of GR00T's kind without {_DESCRIBE}; others made from GR00T's look the same",
        (check_that(_RULE, said == _ALIVE, quoted(said, 80)), _UNTRIED),
    )


def _judge_http(answers: Mapping[str, Answer]) -> Recognised | None:
    answer = answers[_POST]
    said = _value_in(answer)
    if answer.status != 200 or not isinstance(said, dict) or "status" not in said:
        return None
    checks = (
        check_that(_RULE, said == _ALIVE, quoted(said, 80)),
        check_that(
            "answers are application/msgpack", answer.kind == "application/msgpack", quoted(answer.kind, 40)
        ),
        _UNTRIED,
    )
    return Recognised("PointAct", "HTTP and msgpack", f"{_POST} with a ping", checks)


def _value_in(answer: Answer) -> Value:
    try:
        return decode_message(answer.body).value
    except ProtocolError:
        return None


def _question(endpoint: str) -> bytes:
    return encode_message({"endpoint": endpoint}, ArrayDialect.NPY)


RECOGNISERS: Final = (
    Recogniser(Carrier.ZEROMQ, {name: _question(name) for name in (_PING, _DESCRIBE)}, _judge_zeromq),
    Recogniser(Carrier.HTTP, {_POST: _question(_PING)}, _judge_http),
)

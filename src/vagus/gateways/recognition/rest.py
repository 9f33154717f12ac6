"""Recognition of policy servers that answer POST /act with JSON: GR00T N1.5's and OpenVLA's (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

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

_HEALTH: Final = "GET /health"
_ACT: Final = "GET /act"
_MODELS: Final = "GET /api/v1/models"
_ONLY_POST: Final = 405
_UNTRIED: Final = Check("observations and actions", None, RUNS_THE_POLICY)
_STATUS: Final = "status"
_MODEL: Final = "model"


def _judge_gr00t(answers: Mapping[str, Answer]) -> Recognised | None:
    said = _json_in(answers[_HEALTH])
    if not isinstance(said, dict) or said.get(_MODEL) != "GR00T":
        return None
    checks = (
        check_that("it is healthy", said.get(_STATUS) == "healthy", quoted(said.get(_STATUS), 40)),
        check_that(
            "POST /act is there", answers[_ACT].status == _ONLY_POST, f"status {answers[_ACT].status}"
        ),
        _UNTRIED,
    )
    return Recognised("GR00T", "N1.5 over HTTP", f"{_HEALTH} of a model GR00T", checks)


def _judge_openvla(answers: Mapping[str, Answer]) -> Recognised | None:
    if answers[_ACT].status != _ONLY_POST or _judge_gr00t(answers) is not None:
        return None
    seen = "/act may be POSTed to, and nothing says more"
    return Recognised("OpenVLA", "REST", seen, (_UNTRIED,))


def _judge_positronic(answers: Mapping[str, Answer]) -> Recognised | None:
    answer = answers[_MODELS]
    if answer.status != 200 or not isinstance(_json_in(answer), dict | list):
        return None
    takes_a_session = Check("sessions", None, "not tried: that takes one")
    return Recognised("Positronic", "api/v1", f"{_MODELS} lists its models", (takes_a_session,))


def _json_in(answer: Answer) -> object:
    try:
        said: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return said


RECOGNISERS: Final = (
    Recogniser(Carrier.HTTP, {_HEALTH: b"", _ACT: b""}, _judge_gr00t),
    Recogniser(Carrier.HTTP, {_HEALTH: b"", _ACT: b""}, _judge_openvla),
    Recogniser(Carrier.HTTP, {_MODELS: b""}, _judge_positronic),
)

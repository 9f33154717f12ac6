"""Recognition of an Astribot S1 server, of openpi or of LeRobot, by its status (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.recognition.findings import (
    RUNS_THE_POLICY,
    Answer,
    Carrier,
    Check,
    Recognised,
    Recogniser,
    check_that,
)
from vagus.gateways.recognition.protobuf_fields import read_fields
from vagus.quoting import quoted

__all__ = ["RECOGNISERS"]

_OK: Final = 0
_MODEL, _JSON_OF_OPENPI = 2, 9
_OPENPI_FIELDS: Final = {1: int, 2: bytes, 3: int, 4: int, 5: int, 6: int, 7: bytes, 8: bytes, 9: bytes}
_LEROBOT_FIELDS: Final = {1: int, 2: bytes, 3: int, 4: int, 5: int, 6: bytes, 7: bytes, 8: bytes}
_SERVICES: Final = {
    "openpi.OpenPiInferenceService": ("openpi", _OPENPI_FIELDS),
    "lerobot.LeRobotInferenceService": ("lerobot", _LEROBOT_FIELDS),
}
"""Service → its variant, and number → type of each field of its ServiceStatus (a float is four bytes)."""


def _recogniser(service: str, variant: str, wanted: Mapping[int, type]) -> Recogniser:
    method = f"/{service}/GetStatus"

    def judge(answers: Mapping[str, Answer]) -> Recognised | None:
        answer = answers[method]
        if answer.status != _OK:
            return None
        try:
            fields = read_fields(answer.body)
        except ProtocolError as error:
            broken = check_that("its status is a message", is_kept=False, got=error)
            return Recognised("Astribot S1 gRPC", variant, method, (broken,))
        model = fields.get(_MODEL, b"")
        name = model.decode(errors="replace") if isinstance(model, bytes) else ""
        ready = "ready" if fields.get(1) else "not configured yet"
        return Recognised(
            "Astribot S1 gRPC",
            variant,
            f"{method}: {ready}, model {quoted(name, 80) or 'none'}",
            _checks(fields, wanted),
        )

    return Recogniser(Carrier.GRPC, {method: b""}, judge)


def _checks(fields: Mapping[int, int | bytes], wanted: Mapping[int, type]) -> tuple[Check, ...]:
    others = [number for number, value in fields.items() if wanted.get(number) is not type(value)]
    said = fields.get(_JSON_OF_OPENPI, b"") if _JSON_OF_OPENPI in wanted else b""
    return (
        check_that("its status has the fields of ServiceStatus", not others, f"others: {others[:8]}"),
        check_that("metadata_json is JSON", _is_json(said), quoted(said, 80)),
        Check("observations, actions and Configure", None, f"{RUNS_THE_POLICY}, loads a model or resets it"),
    )


def _is_json(text: int | bytes) -> bool:
    if not isinstance(text, bytes):
        return False
    try:
        json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return False
    return True


RECOGNISERS: Final = tuple(_recogniser(service, *known) for service, known in _SERVICES.items())

"""Recognition of an Astribot S1 server, of openpi or of LeRobot, by its status (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.protobuf import WireField, WireType, fields_of
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

_OK: Final = 0
_READY, _MODEL, _JSON_OF_OPENPI = 1, 2, 9
_MAX_FIELDS: Final = 1 << 12
_NUMBER, _TEXT, _FLOAT = WireType.VARINT, WireType.BYTES, WireType.FIXED32
_OPENPI_FIELDS: Final = {
    1: _NUMBER,
    2: _TEXT,
    **dict.fromkeys(range(3, 7), _NUMBER),
    7: _TEXT,
    8: _TEXT,
    9: _TEXT,
}
_LEROBOT_FIELDS: Final = {
    1: _NUMBER,
    2: _TEXT,
    3: _NUMBER,
    4: _NUMBER,
    5: _NUMBER,
    6: _FLOAT,
    7: _TEXT,
    8: _TEXT,
}
_SERVICES: Final = {
    "openpi.OpenPiInferenceService": ("openpi", _OPENPI_FIELDS),
    "lerobot.LeRobotInferenceService": ("lerobot", _LEROBOT_FIELDS),
}
"""Service → its variant, and number → wire type of each field of its ServiceStatus."""


def _recogniser(service: str, variant: str, wanted: Mapping[int, WireType]) -> Recogniser:
    method = f"/{service}/GetStatus"

    def judge(answers: Mapping[str, Answer]) -> Recognised | None:
        answer = answers[method]
        if answer.status != _OK:
            return None
        try:
            fields = {field.number: field for field in fields_of(answer.body, most=_MAX_FIELDS)}
        except ProtocolError as error:
            broken = check_that("its status is a message", is_kept=False, got=error)
            return Recognised("Astribot S1 gRPC", variant, method, (broken,))
        name = _bytes_of(fields.get(_MODEL)).decode(errors="replace")
        ready = "ready" if _READY in fields and fields[_READY].value else "not configured yet"
        return Recognised(
            "Astribot S1 gRPC",
            variant,
            f"{method}: {ready}, model {quoted(name, 80) or 'none'}",
            _checks(fields, wanted),
        )

    return Recogniser(Carrier.GRPC, {method: b""}, judge)


def _checks(fields: Mapping[int, WireField], wanted: Mapping[int, WireType]) -> tuple[Check, ...]:
    others = [number for number, field in fields.items() if wanted.get(number) is not field.kind]
    said = _bytes_of(fields.get(_JSON_OF_OPENPI)) if _JSON_OF_OPENPI in wanted else b""
    return (
        check_that("its status has the fields of ServiceStatus", not others, f"others: {others[:8]}"),
        check_that("metadata_json is JSON", _is_json(said), quoted(said, 80)),
        Check("observations, actions and Configure", None, f"{RUNS_THE_POLICY}, loads a model or resets it"),
    )


def _bytes_of(field: WireField | None) -> bytes:
    """Return the bytes of a field; none of a number, or of a field that is not there."""
    return b"" if field is None or isinstance(field.value, int) else bytes(field.value)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return False
    return True


RECOGNISERS: Final = tuple(_recogniser(service, *known) for service, known in _SERVICES.items())

"""Recognition of an openpi server, and of those that speak its frames by other rules (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.recognition.findings import (
    HEALTH,
    OPENING,
    OWN_HEADER,
    RUNS_THE_POLICY,
    Answer,
    Carrier,
    Check,
    Recognised,
    Recogniser,
    check_that,
)
from vagus.integrations.openpi.dialect import decode_metadata
from vagus.integrations.openpi.metadata import OWN_KEY
from vagus.quoting import quoted

__all__ = ["RECOGNISERS"]

_GATEWAY: Final = "gateway of vagus"
_ROBOARENA: Final = frozenset(
    {"image_resolution", "needs_wrist_camera", "n_external_cameras", "action_space"}
)
_STARVLA: Final = "starvla_policy_server"
_OK: Final = b"OK\n"
_METADATA: Final = "its metadata come first, as one binary message that is a msgpack map"
_TAKES_A_SESSION: Final = "not tried: a WebSocket to a gateway takes a session of the policy server"
_NO_HEALTH: Final = (404, 405, 426)
"""What is answered to /healthz by a server that does not have it."""


def _judge(answers: Mapping[str, Answer]) -> Recognised | None:
    health, opened = answers[HEALTH], answers.get(OPENING)
    if opened is None:
        return _gateway(health)
    if opened.status != 101 or opened.kind != "binary":
        return None
    try:
        metadata = decode_metadata(opened.body)
    except ProtocolError:
        return None
    extensions = (opened.headers or {}).get("sec-websocket-extensions", "")
    checks = (
        Check(_METADATA, is_kept=True),
        check_that("messages are not compressed", not extensions, quoted(extensions, 80)),
        _health_check(health),
        Check("observations and actions", None, RUNS_THE_POLICY),
    )
    keys = quoted(", ".join(map(str, metadata)), 200) or "none"
    name, version = _name_of(metadata)
    return Recognised(name, version, f"metadata with the keys: {keys}", checks)


def _gateway(health: Answer) -> Recognised | None:
    if (health.headers or {}).get("server") != OWN_HEADER or health.body != _OK:
        return None
    checks = (
        _health_check(health),
        Check(_METADATA, None, _TAKES_A_SESSION),
        Check("observations and actions", None, RUNS_THE_POLICY),
    )
    return Recognised("openpi", _GATEWAY, "/healthz of a gateway of vagus", checks)


def _health_check(health: Answer) -> Check:
    rule = "GET /healthz answers OK"
    if health.status in _NO_HEALTH or health.status is None:
        return Check(rule, None, "not there, as in older servers")
    return check_that(rule, health.status == 200 and health.body == _OK, f"status {health.status}")


def _name_of(metadata: Mapping[Key, Value]) -> tuple[str, str]:
    if metadata.get("env") == _STARVLA:
        return "starVLA", "openpi's frames, requests of its own"
    if OWN_KEY in metadata:
        return "openpi", _GATEWAY
    if set(metadata) >= _ROBOARENA:
        return "openpi", "RoboArena / DreamZero"
    return "openpi", "WebSocket"


RECOGNISERS: Final = (Recogniser(Carrier.WEBSOCKET, {HEALTH: b"", OPENING: b""}, _judge),)

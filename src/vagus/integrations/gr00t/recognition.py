"""Recognition of a GR00T server and its version, by its answer to a question for the modalities (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import Value, ValueMap
from vagus.gateways.recognition.findings import (
    RUNS_THE_POLICY,
    Answer,
    Carrier,
    Check,
    Recognised,
    Recogniser,
    check_that,
)
from vagus.integrations.gr00t.dialect import PING_REPLY, WRONG_TOKEN
from vagus.quoting import quoted

__all__ = ["RECOGNISERS"]

_PING: Final = "ping"
_DESCRIBE: Final = "get_modality_config"
_OLD: Final = "__ModalityConfig_class__"
_NEW: Final = "__ModalityConfig__"
_FAILED: Final = b"ERROR"
_UNTRIED: Final = Check("observations and actions", None, RUNS_THE_POLICY)
_VERSIONS: Final[Mapping[tuple[str, type], str]] = {
    (_OLD, str): "N1.5",
    (_OLD, dict): "N1.6",
    (_NEW, dict): "N1.7",
    (_OLD + _NEW, dict): "N1.6 and N1.7",
}
"""Markers of a modality, and type of its description, of each version. Both markers: a gateway of vagus."""


def _judge(answers: Mapping[str, Answer]) -> Recognised | None:
    ping, described = answers[_PING].body, answers[_DESCRIBE].body
    if ping == _FAILED:
        seen = "every message that is no pickle is answered with ERROR"
        return Recognised("GR00T", "N1", seen, (Check("messages", None, "not tried: they are pickles"),))
    if _map_in(ping) == {"error": WRONG_TOKEN.error}:
        return Recognised("GR00T or PointAct", "", f"it wants a token: {WRONG_TOKEN.error}", (_UNTRIED,))
    modalities = {name: one for name, one in _map_in(described).items() if _form_of(one)[0]}
    forms = {_form_of(modality) for modality in modalities.values()}
    version = _VERSIONS.get(next(iter(forms))) if len(forms) == 1 else None
    if version is None:
        return None
    names = quoted(", ".join(map(str, modalities)), 80)
    broken = [quoted(name, 40) for name, one in modalities.items() if not _is_whole(one)]
    checks = (
        check_that(
            "ping is answered as by GR00T's server", _map_in(ping) == dict(PING_REPLY.extra), quoted(ping, 80)
        ),
        check_that(
            "each modality has delta_indices and modality_keys", not broken, f"not so in {', '.join(broken)}"
        ),
        _UNTRIED,
    )
    return Recognised("GR00T", version, f"{_DESCRIBE} with {names}", checks)


def _map_in(frame: bytes) -> ValueMap:
    """Return the map in an answer; one without keys if it is none."""
    try:
        value = decode_message(frame).value
    except ProtocolError:
        return {}
    return value if isinstance(value, dict) else {}


def _form_of(modality: Value) -> tuple[str, type]:
    if not isinstance(modality, dict):
        return "", type(None)
    markers = "".join(marker for marker in (_OLD, _NEW) if modality.get(marker) is True)
    return markers, type(modality.get("as_json"))


def _is_whole(modality: Value) -> bool:
    """Whether a modality says which time steps and which keys it has."""
    said = modality.get("as_json") if isinstance(modality, dict) else None
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            return False
    if not isinstance(said, dict):
        return False
    steps, keys = said.get("delta_indices"), said.get("modality_keys")
    return (
        isinstance(steps, list)
        and all(type(step) is int for step in steps)
        and isinstance(keys, list)
        and all(isinstance(key, str) for key in keys)
    )


def _question(endpoint: str) -> bytes:
    return encode_message({"endpoint": endpoint}, ArrayDialect.NPY)


RECOGNISERS: Final = (
    Recogniser(Carrier.ZEROMQ, {name: _question(name) for name in (_PING, _DESCRIBE)}, _judge),
)

"""GR00T's ZeroMQ messages, of N1.5, N1.6 and N1.7, as neutral requests and replies, and back (pure).

One frame is one msgpack value, in both directions. Versions differ in the arrays and in the form of the
observation; both are recognised for each request. What shows neither (ping, a question for the configuration)
is answered as its listener is set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import AnyArray, Key, Value, ValueMap
from vagus.gateways.neutral import (
    Envelope,
    ForeignReply,
    ForeignRequest,
    Operation,
    actions_of,
    flatten,
    map_of,
    unflatten,
)
from vagus.malformed import MALFORMED
from vagus.quoting import quoted

__all__ = [
    "N1_5",
    "N1_6",
    "N1_7",
    "PING_REPLY",
    "WRONG_TOKEN",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encode_request",
    "unknown_endpoint",
]

N1_5: Final = "n1.5"
N1_6: Final = "n1.6"
N1_7: Final = "n1.7"
FLAT: Final = "flat"
"""Form of an observation whose keys are `video.front`: N1.5, and N1.6 behind its wrapper for simulators."""
NESTED: Final = "nested"
"""Form of an observation whose keys are `video`, `state` and `language`, with maps below them."""
PING_REPLY: Final = ForeignReply(extra={"status": "ok", "message": "Server is running"})
WRONG_TOKEN: Final = ForeignReply(error="Unauthorized: Invalid API token")

_OPERATIONS: Final = {
    "get_action": Operation.INFER,
    "reset": Operation.RESET,
    "ping": Operation.PING,
    "get_modality_config": Operation.DESCRIBE,
    "kill": Operation.KILL,
}
_DIALECTS: Final = {N1_5: ArrayDialect.NPY, N1_6: ArrayDialect.NPY, N1_7: ArrayDialect.MSGPACK_NUMPY}
_GROUPS: Final = ("video", "state", "language")
_OLD_MARKER: Final = "__ModalityConfig_class__"
_NEW_MARKER: Final = "__ModalityConfig__"
_FAILED: Final = b"ERROR"
"""What old servers answer, without msgpack."""
_MAX_JSON: Final = 1 << 16
_MAX_ITEMS: Final = 1 << 12
"""Keys and values of a request: a batch of 100 robots has 600. What has more takes long to read."""


def unknown_endpoint(endpoint: str) -> ForeignReply:
    """Return the answer to an endpoint that the protocol does not have."""
    return ForeignReply(error=f"Unknown endpoint: {quoted(endpoint, 80)}")


def decode_request(frame: bytes | memoryview) -> ForeignRequest:
    """Return the request in a frame of a client; every key that is not understood is kept.

    Raises:
        ProtocolError: malformed, not a map, or an observation that is not one.
    """
    message = decode_message(frame, max_items=_MAX_ITEMS)
    entries = map_of(message.value, "request")
    endpoint, token = entries.pop("endpoint", "get_action"), entries.pop("api_token", None)
    if not isinstance(endpoint, str) or not isinstance(token, str | None):
        raise ProtocolError("request: wanted texts as endpoint and api_token, got other types")
    operation = _OPERATIONS.get(endpoint, Operation.UNKNOWN)
    observation, version, form = _take_observation(entries, operation, message.dialect)
    envelope = Envelope("gr00t", version, message.dialect, form, endpoint)
    return ForeignRequest(operation, envelope, flatten(observation), flatten(entries), token)


def encode_request(request: ForeignRequest) -> bytes:
    """Return the frame of a request, in the version, form and array dialect of its envelope.

    Raises:
        ProtocolError: a value that the wire cannot carry.
    """
    envelope = request.envelope
    beside = unflatten(request.beside)
    entries: ValueMap = {"endpoint": envelope.endpoint}
    if request.operation is Operation.INFER:
        observation = unflatten(request.observation)
        data = observation if envelope.version == N1_5 else {"observation": observation, **_below(beside)}
        entries["data"] = data
        beside.pop("data", None)
    entries.update(beside)
    if request.token is not None:
        entries["api_token"] = request.token
    return encode_message(entries, _dialect_of(envelope))


def decode_reply(frame: bytes | memoryview, operation: Operation) -> ForeignReply:
    """Return the reply in a frame of a server, to a request for `operation`.

    Raises:
        ProtocolError: malformed, or actions that are not arrays of float32 or float64.
    """
    if bytes(frame[: len(_FAILED) + 1]) == _FAILED:
        return ForeignReply(error="ERROR")
    value = decode_message(frame).value
    if isinstance(value, dict) and "error" in value:
        return ForeignReply(error=_error_text(value["error"]))
    if operation is Operation.INFER:
        return _decode_actions(value)
    if value is None:  # the answer to kill
        return ForeignReply()
    entries = map_of(value, "reply")
    if operation is Operation.DESCRIBE:
        entries = {key: _decode_config(config) for key, config in entries.items()}
    return ForeignReply(extra=entries)


def encode_reply(reply: ForeignReply, request: ForeignRequest, *, version: str = "") -> bytes:
    """Return the frame that answers `request`.

    Args:
        reply: what to answer.
        request: the question; its envelope says version and array dialect.
        version: version of the listener, for questions that do not show theirs. Empty: a description is
            written so that N1.6 and N1.7 both read it.

    Raises:
        ProtocolError: actions that are not arrays of floats, a key `error` that is none, or a value that the
            wire cannot carry.
    """
    if reply.error is not None:
        return encode_error(reply.error)
    if "error" in reply.extra or "error" in reply.actions:
        raise ProtocolError("reply: wanted no key 'error', which every client takes for a failure, got one")
    spoken = request.envelope.version or version
    if request.operation is Operation.DESCRIBE:
        extra: ValueMap = {key: _encode_config(config, spoken) for key, config in reply.extra.items()}
        return encode_message(extra, ArrayDialect.NPY)
    if request.operation is not Operation.INFER:
        return encode_message(reply.extra, ArrayDialect.NPY)
    actions: ValueMap = {name: _actions_of(array, name) for name, array in reply.actions.items()}
    if spoken == N1_5:
        if both := sorted(set(actions) & set(reply.extra), key=str):
            raise ProtocolError(f"reply: wanted each key once, got {quoted(both, 80)} twice")
        return encode_message({**actions, **reply.extra}, _dialect_of(request.envelope))
    return encode_message([actions, dict(reply.extra)], _dialect_of(request.envelope))


def encode_error(text: str) -> bytes:
    """Return the frame that says what went wrong, also with a request that could not be read."""
    return encode_message({"error": text}, ArrayDialect.NPY)


def _take_observation(
    entries: ValueMap, operation: Operation, dialect: ArrayDialect | None
) -> tuple[ValueMap, str, str]:
    """Take the observation out of a request; return it with the version and the form that it shows."""
    if operation is not Operation.INFER:
        return {}, "", ""
    data = map_of(entries.pop("data", None), "data of get_action")
    if "observation" not in data:
        return data, N1_5, FLAT
    observation = map_of(data.pop("observation"), "observation")
    if data:
        entries["data"] = data
    form = NESTED if any(isinstance(observation.get(group), dict) for group in _GROUPS) else FLAT
    return observation, N1_6 if dialect in (ArrayDialect.NPY, None) else N1_7, form


def _below(beside: Mapping[Key, Value]) -> ValueMap:
    data = beside.get("data", {})
    return data if isinstance(data, dict) else {}


def _dialect_of(envelope: Envelope) -> ArrayDialect:
    return envelope.dialect or _DIALECTS.get(envelope.version, ArrayDialect.NPY)


def _error_text(error: Value) -> str:
    return error if isinstance(error, str) else quoted(error)


def _decode_actions(value: Value) -> ForeignReply:
    if isinstance(value, list):
        if len(value) != 2:
            raise ProtocolError(f"reply: wanted actions and info, got a list of {len(value)}")
        actions, info = map_of(value[0], "actions"), map_of(value[1], "info")
        return ForeignReply({_name(key): _actions_of(array, key) for key, array in actions.items()}, info)
    entries = map_of(value, "reply")
    arrays = {
        _name(key): _actions_of(one, key) for key, one in entries.items() if isinstance(one, np.ndarray)
    }
    return ForeignReply(arrays, {key: one for key, one in entries.items() if not isinstance(one, np.ndarray)})


def _name(key: Key) -> str:
    if not isinstance(key, str):
        raise ProtocolError(f"actions: wanted a text as name, got {quoted(key, 40)}")
    return key


def _actions_of(value: Value, key: Key) -> AnyArray:
    return actions_of(
        value, key, wanted="(horizon, width), a batch axis before it or no width", dimensions=(1, 2, 3)
    )


def _decode_config(config: Value) -> Value:
    """Return a modality's configuration as a plain map, whichever version marked it."""
    if not isinstance(config, dict) or not (_OLD_MARKER in config or _NEW_MARKER in config):
        return config
    said = config.get("as_json")
    if isinstance(said, dict):
        return said
    if not isinstance(said, str) or len(said) > _MAX_JSON:
        raise ProtocolError(
            f"as_json: wanted a map, or a JSON text of at most {_MAX_JSON} characters, got another"
        )
    try:
        decoded: ValueMap = msgspec.json.decode(said, type=dict)
    except MALFORMED as error:
        raise ProtocolError(f"as_json: wanted JSON, got {quoted(error, 80)}") from error
    return decoded


def _encode_config(config: Value, version: str) -> Value:
    """Return a modality's configuration as `version` reads it; without one, as N1.6 and N1.7 both do."""
    if not isinstance(config, dict):
        return config
    if version == N1_5:
        try:
            return {_OLD_MARKER: True, "as_json": json.dumps(config, separators=(",", ":"))}
        except (TypeError, ValueError, RecursionError) as error:
            raise ProtocolError(
                f"description: wanted values that JSON can hold, got {quoted(error, 80)}"
            ) from error
    markers = {N1_6: (_OLD_MARKER,), N1_7: (_NEW_MARKER,)}.get(version, (_OLD_MARKER, _NEW_MARKER))
    return {**dict.fromkeys(markers, True), "as_json": config}

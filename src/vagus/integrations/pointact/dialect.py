"""PointAct's messages, as neutral requests and replies, and back (pure).

One frame of ZeroMQ, or one body of HTTP, is one msgpack map with arrays as msgpack-numpy writes them. The
observation is a batch: each of its keys has a list with one value per robot.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import AnyArray, Value, ValueMap
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
from vagus.quoting import quoted

__all__ = [
    "ACTION",
    "PING_REPLY",
    "PROTOCOL",
    "WRONG_TOKEN",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encode_request",
    "unknown_endpoint",
]

PROTOCOL: Final = "pointact"
ACTION: Final = "action"
"""Key of the actions in a reply."""
PING_REPLY: Final = ForeignReply(extra={"status": "ok", "message": "Server is running"})
WRONG_TOKEN: Final = ForeignReply(error="Unauthorized: Invalid API token")

_OPERATIONS: Final = {
    "get_action": Operation.INFER,
    "reset": Operation.RESET,
    "ping": Operation.PING,
    "kill": Operation.KILL,
}
_ARRAYS: Final = ArrayDialect.MSGPACK_NUMPY
_FAILED: Final = b"ERROR"
"""What old servers answer, without msgpack."""
_ERROR: Final = "error"
_MAX_ITEMS: Final = 1 << 12
"""Keys and values of a request: a batch of 64 robots has 2700. What has more takes long to read."""


def unknown_endpoint(endpoint: str) -> ForeignReply:
    """Return the answer to an endpoint that the protocol does not have."""
    return ForeignReply(error=f"Unknown endpoint: {quoted(endpoint, 80)}")


def decode_request(frame: bytes | memoryview) -> ForeignRequest:
    """Return the request in a frame; every key that is not understood is kept.

    Its observation is the batch, with a list at each key; `options` and the like are beside it.

    Raises:
        ProtocolError: malformed, not a map, or a batch that has something else than lists at its keys.
    """
    message = decode_message(frame, max_items=_MAX_ITEMS)
    entries = map_of(message.value, "request")
    endpoint, token = entries.pop("endpoint", "get_action"), entries.pop("api_token", None)
    if not isinstance(endpoint, str) or not isinstance(token, str | None):
        raise ProtocolError("request: wanted texts as endpoint and api_token, got other types")
    operation = _OPERATIONS.get(endpoint, Operation.UNKNOWN)
    batch = _take_batch(entries) if operation is Operation.INFER else {}
    envelope = Envelope(PROTOCOL, dialect=message.dialect, endpoint=endpoint)
    return ForeignRequest(
        operation, envelope, {(key,): rows for key, rows in batch.items()}, flatten(entries), token
    )


def encode_request(request: ForeignRequest) -> bytes:
    """Return the frame of a request.

    Raises:
        ProtocolError: a value that the wire cannot carry.
    """
    beside = unflatten(request.beside)
    entries: ValueMap = {"endpoint": request.envelope.endpoint}
    if request.operation is Operation.INFER:
        entries["data"] = {"batch": unflatten(request.observation), **map_of(beside.pop("data", {}), "data")}
    entries.update(beside)
    if request.token is not None:
        entries["api_token"] = request.token
    return encode_message(entries, _ARRAYS)


def decode_reply(frame: bytes | memoryview, operation: Operation) -> ForeignReply:
    """Return the reply in a frame of a server, to a request for `operation`.

    Its actions are (batch, horizon, width); without the batch where a server answers one robot so.

    Raises:
        ProtocolError: malformed, or actions that are not an array of finite float32 or float64.
    """
    if bytes(frame[: len(_FAILED) + 1]) == _FAILED:
        return ForeignReply(error="ERROR")
    value = decode_message(frame, max_items=_MAX_ITEMS).value
    if isinstance(value, dict) and _ERROR in value:
        said = value[_ERROR]
        return ForeignReply(error=said if isinstance(said, str) else quoted(said))
    if value is None:  # the answer to kill
        return ForeignReply()
    entries = map_of(value, "reply")
    if operation is not Operation.INFER:
        return ForeignReply(extra=entries)
    actions = _actions_of(entries.pop(ACTION, None))
    return ForeignReply({ACTION: actions}, entries)


def encode_reply(reply: ForeignReply) -> bytes:
    """Return the frame of a reply.

    Raises:
        ProtocolError: actions that the decoder would refuse, a key `error` that is none, or a value that the
            wire cannot carry.
    """
    if reply.error is not None:
        return encode_error(reply.error)
    if _ERROR in reply.extra:
        raise ProtocolError("reply: wanted no key 'error', which every client takes for a failure, got one")
    if (reply.actions and set(reply.actions) != {ACTION}) or ACTION in reply.extra:
        raise ProtocolError(f"reply: wanted the actions at {ACTION!r}, got other keys")
    actions: ValueMap = {key: _actions_of(array) for key, array in reply.actions.items()}
    return encode_message({**actions, **reply.extra}, _ARRAYS)


def encode_error(text: str) -> bytes:
    """Return the frame that says what went wrong, also with a request that could not be read."""
    return encode_message({_ERROR: text}, _ARRAYS)


def _take_batch(entries: ValueMap) -> ValueMap:
    """Take the batch out of the data of a request; leave in `entries` what stands beside it."""
    data = map_of(entries.pop("data", None), "data of get_action")
    batch = map_of(data.pop("batch", None), "batch of get_action")
    if data:
        entries["data"] = data
    for key, rows in batch.items():
        if not isinstance(rows, list):
            raise ProtocolError(
                f"{quoted(key, 60)}: wanted a list with one value per robot, got {type(rows).__name__}"
            )
    return batch


def _actions_of(value: Value) -> AnyArray:
    wanted = "(batch, horizon, width), or (horizon, width) for one robot,"
    actions = actions_of(value, ACTION, wanted=wanted, dimensions=(2, 3))
    if not np.isfinite(actions).all():
        raise ProtocolError(f"{ACTION}: wanted finite numbers, got NaN or infinity")
    return actions

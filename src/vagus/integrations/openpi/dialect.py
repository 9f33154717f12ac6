"""openpi's WebSocket frames as neutral requests and replies, and back (pure).

One binary frame is one msgpack map, in both directions; the server sends its metadata first. An error is a
text frame, after which the connection is closed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import AnyArray, Key, Value, ValueMap
from vagus.gateways.neutral import (
    Envelope,
    ForeignReply,
    ForeignRequest,
    ForeignRtc,
    Operation,
    ReplyTiming,
    actions_of,
    flatten,
    map_of,
    unflatten,
)
from vagus.quoting import quoted

__all__ = [
    "ERROR_CLOSE_CODE",
    "ERROR_CLOSE_REASON",
    "RESET_DONE",
    "decode_metadata",
    "decode_reply",
    "decode_request",
    "encode_metadata",
    "encode_reply",
    "encode_request",
    "rtc_of",
    "timing_of",
    "timing_values",
]

ERROR_CLOSE_CODE: Final = 1011
"""Code of the close frame after an error."""
ERROR_CLOSE_REASON: Final = "Internal server error. Traceback included in previous frame."
RESET_DONE: Final = "reset successful"
"""Answer to a reset, as a text frame (RoboArena) or as `status` (vLLM-Omni). openpi itself has no reset."""

_ENDPOINTS: Final = {"": Operation.INFER, "infer": Operation.INFER, "reset": Operation.RESET}
_DEFAULT_DIALECT: Final = ArrayDialect.OPENPI
_MAX_STEPS: Final = 1 << 16


def decode_metadata(frame: bytes | memoryview) -> dict[Key, Value]:
    """Return what a server says about itself in its first frame.

    Raises:
        ProtocolError: malformed, or not a map.
    """
    return map_of(decode_message(frame).value, "metadata")


def encode_metadata(metadata: Mapping[Key, Value]) -> bytes:
    """Return the first frame of a server."""
    return encode_message(metadata, _DEFAULT_DIALECT)


def decode_request(frame: bytes | memoryview) -> ForeignRequest:
    """Return the request in a binary frame of a client; every key that is not understood is kept.

    Raises:
        ProtocolError: malformed, or not a map.
    """
    message = decode_message(frame)
    entries = map_of(message.value, "observation")
    endpoint = entries.pop("endpoint", "")
    if not isinstance(endpoint, str):
        raise ProtocolError(f"endpoint: wanted a text, got {type(endpoint).__name__}")
    envelope = Envelope("openpi", dialect=message.dialect, endpoint=endpoint)
    return ForeignRequest(_ENDPOINTS.get(endpoint, Operation.UNKNOWN), envelope, flatten(entries))


def encode_request(request: ForeignRequest) -> bytes:
    """Return the binary frame of a request.

    Raises:
        ProtocolError: a value that the wire cannot carry.
    """
    entries = unflatten(request.observation)
    if request.envelope.endpoint:
        entries["endpoint"] = request.envelope.endpoint  # the last key, as RoboArena's clients write it
    return encode_message(entries, request.envelope.dialect or _DEFAULT_DIALECT)


def decode_reply(frame: bytes | memoryview | str) -> ForeignReply:
    """Return the reply in a frame of a server. A text frame is an error, or says that a reset is done.

    Raises:
        ProtocolError: malformed, or actions that are not (horizon, width) of float32 or float64.
    """
    if isinstance(frame, str):
        if frame == RESET_DONE:
            return ForeignReply(extra={"status": RESET_DONE})
        return ForeignReply(error=frame)
    entries = map_of(decode_message(frame).value, "reply")
    if entries.get("type") == "error" and isinstance(message := entries.get("message"), str):
        return ForeignReply(error=message)
    if "actions" not in entries:
        return ForeignReply(extra=entries)
    actions = _actions_of(entries.pop("actions"))
    return ForeignReply({"actions": actions}, entries)


def encode_reply(reply: ForeignReply, envelope: Envelope) -> bytes | str:
    """Return the frame that answers a request: a text for an error, else bytes in its array dialect.

    Clients cut every array of a reply along its first axis: an array without axes is sent as a number.

    Raises:
        ProtocolError: actions that are not (horizon, width) of floats, another array that is shorter than
            they are, or a value that the wire cannot carry.
    """
    if reply.error is not None:
        return reply.error
    entries: ValueMap = dict(reply.extra)
    if reply.actions:
        if set(reply.actions) != {"actions"} or "actions" in entries:
            raise ProtocolError(f"reply: wanted actions under the one name 'actions', got {_names(reply)}")
        actions = _actions_of(reply.actions["actions"])
        entries = {"actions": actions, **{key: _sliceable(v, len(actions)) for key, v in entries.items()}}
    return encode_message(entries, envelope.dialect or _DEFAULT_DIALECT)


def rtc_of(request: ForeignRequest) -> ForeignRtc | None:
    """Return what the request says for real-time chunking, in the keys that kai0's clients use.

    Raises:
        ProtocolError: a key of these with a value of another type, a prefix that is not rectangular or not
            finite.
    """
    found = {key: request.observation.get((key,)) for key in _RTC_KEYS}
    if all(value is None for value in found.values()):
        return None
    return ForeignRtc(
        is_enabled=_flag(found["enable_rtc"]),
        prefix=_prefix(found["prev_action_chunk"]),
        inference_delay=_count(found["inference_delay"], "inference_delay"),
        execute_horizon=_count(found["execute_horizon"], "execute_horizon"),
        max_guidance_weight=_number(found["max_guidance_weight"], "max_guidance_weight"),
    )


def timing_of(reply: ForeignReply) -> ReplyTiming:
    """Return the durations in a reply; what is not a finite number is not one."""
    return ReplyTiming(**{name: _duration(reply, *place) for name, place in _TIMINGS.items()})


def timing_values(timing: ReplyTiming) -> dict[Key, Value]:
    """Return the values of a reply's `extra` that say `timing`: `policy_timing`, then `server_timing`."""
    inner: dict[Key, Value] = {}
    parts: dict[str, ValueMap] = {}
    for name, (place, key) in _TIMINGS.items():
        duration: float | None = getattr(timing, name)
        if duration is not None:
            inner[place] = parts.setdefault(place, {})
            parts[place][key] = float(duration)
    return inner


_RTC_KEYS: Final = (
    "enable_rtc", "prev_action_chunk", "inference_delay", "execute_horizon", "max_guidance_weight",
)  # fmt: skip
_TIMINGS: Final = {
    "policy_ms": ("policy_timing", "infer_ms"),
    "infer_ms": ("server_timing", "infer_ms"),
    "previous_total_ms": ("server_timing", "prev_total_ms"),
}


def _actions_of(value: Value) -> AnyArray:
    return actions_of(value, "actions", wanted="(horizon, width)", dimensions=(2,))


def _sliceable(value: Value, horizon: int) -> Value:
    """Return a value as a client can cut it: every array has a first axis, and is long enough."""
    if isinstance(value, dict):
        return {key: _sliceable(inner, horizon) for key, inner in value.items()}
    if isinstance(value, list):
        return [_sliceable(inner, horizon) for inner in value]
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 0:
        number: Value = value.item()
        return number
    if len(value) < horizon:
        raise ProtocolError(
            f"reply: wanted every array at least {horizon} long, as the actions are, got {value.shape}; "
            "send a list of numbers instead"
        )
    return value


def _names(reply: ForeignReply) -> str:
    return quoted(sorted(reply.actions), 80)


def _duration(reply: ForeignReply, place: str, key: str) -> float | None:
    inner = reply.extra.get(place)
    value = inner.get(key) if isinstance(inner, dict) else None
    return float(value) if _is_number(value) and math.isfinite(value) else None


def _is_number(value: Value) -> TypeGuard[int | float | np.integer | np.floating]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _flag(value: Value) -> bool | None:
    if value is None:
        return None
    if not isinstance(value, bool | np.bool_):
        raise ProtocolError(f"enable_rtc: wanted true or false, got {type(value).__name__}")
    return bool(value)


def _count(value: Value, name: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= value <= _MAX_STEPS:
        raise ProtocolError(f"{name}: wanted a number of steps from 0 to {_MAX_STEPS}, got {_shown(value)}")
    return int(value)


def _number(value: Value, name: str) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not math.isfinite(value):
        raise ProtocolError(f"{name}: wanted a finite number, got {_shown(value)}")
    return float(value)


def _prefix(value: Value) -> NDArray[np.float64] | None:
    if value is None:
        return None
    rows = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ProtocolError(f"prev_action_chunk: wanted a list of actions, got {_shown(value)}")
    widths = {len(row) for row in rows if isinstance(row, list)}
    numbers = [number for row in rows if isinstance(row, list) for number in row if _is_number(number)]
    if len(widths) > 1 or len(numbers) != sum(len(row) for row in rows if isinstance(row, list)):
        raise ProtocolError("prev_action_chunk: wanted actions of one width, numbers alone, got others")
    prefix = np.array(numbers, np.float64).reshape(len(rows), widths.pop() if widths else 0)
    if not np.isfinite(prefix).all():
        raise ProtocolError("prev_action_chunk: wanted finite numbers, got NaN or infinity")
    return prefix


def _shown(value: Value) -> str:
    return quoted(value, 40) if isinstance(value, bool | int | float | str) else type(value).__name__

"""Bytes of the native wire: the header, the message bodies and the arrays in them.

Every decoder raises ProtocolError and nothing else, and checks a size before it allocates that much.
"""

from __future__ import annotations

import math
import struct
from typing import TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError, SpecError
from vagus.malformed import MALFORMED
from vagus.wire import schema
from vagus.wire.schema import (
    MAX_NDIM,
    SCHEMA_VERSION,
    ChunkMessage,
    Header,
    Kind,
    ObservationMessage,
    TensorMessage,
)

__all__ = [
    "HEADER_SIZE",
    "MAX_CHUNK_BYTES",
    "MAX_CONTROL_BYTES",
    "MAX_OBSERVATION_BYTES",
    "decode",
    "decode_header",
    "decode_tensor",
    "encode",
    "encode_header",
    "encode_tensor",
]

MessageT = TypeVar("MessageT", bound=msgspec.Struct)

_HEADER = struct.Struct("<HBQIqI")
HEADER_SIZE = _HEADER.size

MAX_OBSERVATION_BYTES = (32 << 20) - (64 << 10)
"""Longest observation: five raw 1080p frames. A receiving link silently drops messages above 32 MiB."""
MAX_CHUNK_BYTES = 8 << 20
"""Longest chunk: 1000 actions of 1000 numbers, in the policy's space and in the robot's units."""
MAX_CONTROL_BYTES = 1 << 20
"""Longest message of any other kind: open, ack, status, event."""

_MAX_BYTES: dict[type[msgspec.Struct], int] = {
    ObservationMessage: MAX_OBSERVATION_BYTES,
    ChunkMessage: MAX_CHUNK_BYTES,
}

_DECODERS: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[msgspec.Struct]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in vars(schema).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}
"""Made while this module is imported, by one thread: msgspec 0.22 ends the process (SIGSEGV) when one thread
makes the first decoder of a type and another one too."""

_DTYPES = {
    text: np.dtype(text)
    for text in ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
}
"""Element types that the wire allows, by name. A string from a sender is never given to numpy."""


def encode_header(header: Header) -> bytes:
    """Return the 27 bytes of `header`.

    Raises:
        ProtocolError: a number does not fit its field.
    """
    try:
        return _HEADER.pack(
            header.schema, header.kind, header.seq, header.episode, header.client_mono_ns, header.epoch
        )
    except struct.error as error:
        raise ProtocolError(f"header: wanted numbers that fit <HBQIqI, got {header}: {error}") from error


def decode_header(header: bytes) -> Header:
    """Return the header in these bytes.

    Raises:
        ProtocolError: another length, a schema version this side does not speak, or an unknown kind.
    """
    if len(header) >= 2 and (version := int.from_bytes(header[:2], "little")) != SCHEMA_VERSION:
        raise ProtocolError(
            f"header: wanted schema version {SCHEMA_VERSION}, got {version}; "
            "bring robot and server to versions of vagus that share one"
        )
    if len(header) != HEADER_SIZE:
        raise ProtocolError(f"header: wanted {HEADER_SIZE} bytes, got {len(header)}")
    schema, kind, seq, episode, client_mono_ns, epoch = _HEADER.unpack(header)
    try:
        known = Kind(kind)
    except ValueError as error:
        wanted = ", ".join(f"{k.value} ({k.name.lower()})" for k in Kind)
        raise ProtocolError(f"header: wanted a kind of {wanted}, got {kind}") from error
    return Header(known, seq, episode, client_mono_ns, epoch, schema)


def encode(message: msgspec.Struct) -> bytes:
    """Return the msgpack map of `message`.

    Raises:
        ProtocolError: a value that msgpack cannot encode, or more bytes than this kind of message may have.
    """
    name = type(message).__name__
    try:
        payload = msgspec.msgpack.encode(message)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"{name} cannot be encoded: {error}") from error
    _check_size(payload, type(message))
    return payload


def decode(payload: bytes | memoryview, kind: type[MessageT]) -> MessageT:
    """Return the message of type `kind` in `payload`; array and image bytes are views of `payload`.

    Unknown fields are ignored, missing ones take their defaults.

    Raises:
        ProtocolError: the payload is too large, malformed, or not a message of type `kind`.
    """
    _check_size(payload, kind)
    try:
        message = cast("MessageT", _DECODERS[kind].decode(payload))
    except MALFORMED as error:
        raise ProtocolError(f"malformed {kind.__name__}: {error}") from error
    return message


def encode_tensor(array: NDArray[np.generic]) -> TensorMessage:
    """Return the message that holds `array`, little-endian and in C order; copies only if it must convert.

    Raises:
        SpecError: an element type or a number of dimensions that the wire does not allow.
    """
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _DTYPES:
        raise SpecError("tensor", wanted=f"an element type of {', '.join(_DTYPES)}", got=array.dtype.str)
    if array.ndim > MAX_NDIM:
        raise SpecError("tensor", wanted=f"at most {MAX_NDIM} dimensions", got=f"{array.ndim}")
    flat = np.ascontiguousarray(array, dtype=dtype).reshape(-1)
    return TensorMessage(dtype.str, array.shape, flat.view(np.uint8).data)


def decode_tensor(
    message: TensorMessage, *, shape: tuple[int | None, ...], name: str
) -> NDArray[np.bool_ | np.integer | np.floating]:
    """Return the array in `message`, a read-only view of its bytes. NaN and infinity pass.

    Args:
        message: the array as it was received.
        shape: the expected sizes; None in the place of a size allows any size.
        name: what the array is, for the error.

    Raises:
        ProtocolError: an unknown element type, another shape, or a number of bytes that does not match the
            shape.
    """
    dtype = _DTYPES.get(message.dtype)
    if dtype is None:
        raise ProtocolError(
            f"{name}: wanted an element type of {', '.join(_DTYPES)}, got {message.dtype[:16]!r}"
        )
    if not _is_shape(message.shape, shape):
        raise ProtocolError(f"{name}: wanted shape {_shape_text(shape)}, got {message.shape}")
    wanted = math.prod(message.shape) * dtype.itemsize
    if len(message.data) != wanted:
        raise ProtocolError(
            f"{name}: wanted {wanted} bytes for {dtype.str} {message.shape}, got {len(message.data)}"
        )
    if dtype.kind == "b" and np.any(np.frombuffer(message.data, np.uint8) > 1):
        raise ProtocolError(f"{name}: wanted booleans as bytes 0 and 1, got others")
    array = np.frombuffer(message.data, dtype).reshape(message.shape)
    array.flags.writeable = False
    return array


def _check_size(payload: bytes | memoryview, kind: type[msgspec.Struct]) -> None:
    limit = _MAX_BYTES.get(kind, MAX_CONTROL_BYTES)
    if len(payload) > limit:
        raise ProtocolError(f"{kind.__name__}: wanted at most {limit} bytes, got {len(payload)}")


def _is_shape(sizes: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Return whether `sizes` fit `wanted` and numpy can hold them, even where one size is 0."""
    return (
        len(sizes) == len(wanted)
        and all(0 <= size <= MAX_OBSERVATION_BYTES for size in sizes)
        and math.prod(max(size, 1) for size in sizes) <= MAX_OBSERVATION_BYTES
        and all(want is None or size == want for size, want in zip(sizes, wanted, strict=True))
    )


def _shape_text(shape: tuple[int | None, ...]) -> str:
    sizes = ["any" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)})"

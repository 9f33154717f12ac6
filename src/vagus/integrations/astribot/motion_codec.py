"""Observations, actions and chunks of the Astribot S1 as protobuf, both ways, within bounds (pure).

Field numbers are those of its service's definition. Numbers that are not finite are refused, both ways.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.gateways.protobuf import MessageReader, MessageWriter
from vagus.integrations.astribot.messages import (
    AstribotAction,
    AstribotChunk,
    AstribotImage,
    AstribotObservation,
    StatusCode,
)
from vagus.integrations.astribot.session_codec import MAX_FIELDS, MAX_JSON_BYTES, MAX_TEXT_BYTES, reader_of

__all__ = [
    "MAX_HORIZON",
    "MAX_WIDTH",
    "decode_action",
    "decode_chunk",
    "decode_observation",
    "encode_action",
    "encode_chunk",
    "encode_observation",
    "read_observation",
    "write_observation",
]

MAX_WIDTH: Final = 256
"""Most numbers of a state or an action; the robot has 25."""
MAX_HORIZON: Final = 1024
"""Most actions of a chunk; the robot executes 50."""
_MAX_IMAGES: Final = 16
_MAX_LIST_FIELDS: Final = 2 * MAX_HORIZON
"""Of a message with a list; those inside it have fewer, or a few MB would take seconds to read."""


def decode_observation(message: bytes | memoryview) -> AstribotObservation:
    """Return the observation in a message; the data of its pictures are views of it.

    Raises:
        ProtocolError: malformed, over a bound, or a state with NaN or infinity.
    """
    return read_observation(message, has_prompt=True)


def encode_observation(observation: AstribotObservation) -> bytes:
    """Return the message of an observation.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    return write_observation(observation, has_prompt=True)


def decode_action(message: bytes | memoryview) -> AstribotAction:
    """Return the action in a message; one that is not OK has no action, whatever stands there.

    Raises:
        ProtocolError: malformed, over a bound, NaN or infinity, or OK without an action.
    """
    reader = reader_of(message, "action", most=_MAX_LIST_FIELDS)
    status = _status_of(reader.whole(4))
    values = reader.floats(1, most=MAX_WIDTH) if status is StatusCode.OK else np.zeros(0, np.float32)
    _check_answered(status, values)
    return AstribotAction(
        values=_finite(values, "action"),
        is_terminal=bool(reader.whole(2)),
        confidence=_number(reader.single(3), "confidence"),
        status=status,
        error_message=reader.text(5, most=MAX_JSON_BYTES),
        server_frame_index=reader.whole(6),
    )


def encode_action(action: AstribotAction) -> bytes:
    """Return the message of an action.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    _check_answered(action.status, action.values)
    writer = MessageWriter()
    writer.floats(1, _vector(action.values, "action"))
    writer.whole(2, action.is_terminal)
    writer.single(3, _number(action.confidence, "confidence"))
    writer.whole(4, action.status)
    writer.text(5, action.error_message, most=MAX_JSON_BYTES)
    writer.whole(6, action.server_frame_index)
    return writer.payload()


def decode_chunk(message: bytes | memoryview) -> AstribotChunk:
    """Return the chunk in a message; one that is not OK has no actions, whatever stands there.

    Raises:
        ProtocolError: malformed, over a bound, NaN or infinity, actions of other numbers than it says, or OK
            without actions.
    """
    reader = reader_of(message, "chunk", most=_MAX_LIST_FIELDS)
    status = _status_of(reader.whole(5))
    actions = _steps_in(reader) if status is StatusCode.OK else np.zeros((0, 0), np.float32)
    _check_answered(status, actions)
    return AstribotChunk(
        actions=_finite(actions, "actions"),
        is_terminal=bool(reader.whole(4)),
        status=status,
        error_message=reader.text(6, most=MAX_JSON_BYTES),
        server_frame_index=reader.whole(7),
    )


def encode_chunk(chunk: AstribotChunk) -> bytes:
    """Return the message of a chunk.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    actions = _finite(chunk.actions, "actions")
    if actions.ndim != 2 or len(actions) > MAX_HORIZON or actions.shape[1] > MAX_WIDTH:
        wanted = f"(horizon, width) of at most ({MAX_HORIZON}, {MAX_WIDTH})"
        raise ProtocolError(f"actions: wanted {wanted}, got {actions.shape}")
    _check_answered(chunk.status, actions)
    writer = MessageWriter()
    for action in actions:
        step = MessageWriter()
        step.floats(1, action)
        writer.message(1, step.payload())
    writer.whole(2, len(actions))
    writer.whole(3, actions.shape[1])
    writer.whole(4, chunk.is_terminal)
    writer.whole(5, chunk.status)
    writer.text(6, chunk.error_message, most=MAX_JSON_BYTES)
    writer.whole(7, chunk.server_frame_index)
    return writer.payload()


def read_observation(message: bytes | memoryview, *, has_prompt: bool) -> AstribotObservation:
    """Return the observation in a message of a service whose observations have a prompt, or none.

    Raises:
        ProtocolError: as `decode_observation`.
    """
    reader = reader_of(message, "observation", most=_MAX_LIST_FIELDS)
    at = 4 if has_prompt else 3
    return AstribotObservation(
        state=_finite(reader.floats(1, most=MAX_WIDTH), "state"),
        images=tuple(map(_decode_image, reader.messages(2, most=_MAX_IMAGES))),
        prompt=reader.text(3, most=MAX_TEXT_BYTES) if has_prompt else "",
        timestamp_s=_number(reader.double(at), "timestamp"),
        episode_id=reader.whole(at + 1),
        frame_index=reader.whole(at + 2),
        extra_state=reader.text(at + 3, most=MAX_JSON_BYTES),
    )


def write_observation(observation: AstribotObservation, *, has_prompt: bool) -> bytes:
    """Return the message of an observation; the inverse of `read_observation`.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    writer = MessageWriter()
    writer.floats(1, _vector(observation.state, "state"))
    if len(observation.images) > _MAX_IMAGES:
        raise ProtocolError(
            f"observation: wanted at most {_MAX_IMAGES} pictures, got {len(observation.images)}"
        )
    for image in observation.images:
        writer.message(2, _encode_image(image))
    if has_prompt:
        writer.text(3, observation.prompt, most=MAX_TEXT_BYTES)
    at = 4 if has_prompt else 3
    writer.double(at, _number(observation.timestamp_s, "timestamp"))
    writer.whole(at + 1, observation.episode_id)
    writer.whole(at + 2, observation.frame_index)
    writer.text(at + 3, observation.extra_state, most=MAX_JSON_BYTES)
    return writer.payload()


def _steps_in(reader: MessageReader) -> NDArray[np.float32]:
    """Return the actions of a chunk, (chunk_size, action_dim) as it says."""
    steps = [
        reader_of(step, "action", most=MAX_FIELDS).floats(1, most=MAX_WIDTH)
        for step in reader.messages(1, most=MAX_HORIZON)
    ]
    size, width = reader.whole(2), reader.whole(3)
    if len(steps) != size or any(len(step) != width for step in steps):
        shapes = sorted({len(step) for step in steps})[:4]
        raise ProtocolError(f"chunk: wanted {size} actions of {width} numbers, got {len(steps)} of {shapes}")
    return np.stack(steps) if steps else np.zeros((0, 0), np.float32)


def _decode_image(message: memoryview) -> AstribotImage:
    reader = MessageReader(message, name="picture", most=MAX_FIELDS)
    return AstribotImage(
        camera_name=reader.text(1, most=MAX_TEXT_BYTES),
        data=reader.data(2),
        width=reader.whole(3),
        height=reader.whole(4),
        encoding=reader.text(5, most=MAX_TEXT_BYTES),
    )


def _encode_image(image: AstribotImage) -> bytes:
    writer = MessageWriter()
    writer.text(1, image.camera_name, most=MAX_TEXT_BYTES)
    writer.data(2, image.data)
    writer.whole(3, image.width)
    writer.whole(4, image.height)
    writer.text(5, image.encoding, most=MAX_TEXT_BYTES)
    return writer.payload()


def _status_of(number: int) -> StatusCode:
    if number not in list(StatusCode):
        raise ProtocolError(f"answer: wanted a status from 0 to {max(StatusCode)}, got {number}")
    return StatusCode(number)


def _check_answered(status: StatusCode, numbers: NDArray[np.float32]) -> None:
    if status is StatusCode.OK and not numbers.size:
        raise ProtocolError("answer: wanted actions with the status OK, got none")


def _vector(numbers: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if numbers.ndim != 1 or len(numbers) > MAX_WIDTH:
        raise ProtocolError(f"{name}: wanted at most {MAX_WIDTH} numbers, got {numbers.shape}")
    return _finite(numbers, name)


def _finite(numbers: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not np.isfinite(numbers).all():
        raise ProtocolError(f"{name}: wanted finite numbers, got NaN or infinity")
    return numbers


def _number(number: float, name: str) -> float:
    if not math.isfinite(number):
        raise ProtocolError(f"{name}: wanted a finite number, got {number}")
    return number

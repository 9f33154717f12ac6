"""Observations and answers of an Astribot S1, as neutral requests and replies, and back (pure).

An observation has `("state",)` (width,) float32, `("images", <camera>)` (height, width, 3) uint8 RGB, and
`("prompt",)`. A reply has its actions (horizon, width) at `actions`. A failure is in the answer: its status.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError, SpecError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath, actions_of
from vagus.gateways.pictures import pixels_of_png
from vagus.integrations.astribot.messages import (
    AstribotAction,
    AstribotChunk,
    AstribotImage,
    AstribotObservation,
    Method,
    StatusCode,
)
from vagus.quoting import quoted
from vagus.types import Image
from vagus.wire.images import check_frame_claim, decode_image, encode_image
from vagus.wire.jpeg import jpeg_size
from vagus.wire.png import png_size
from vagus.wire.schema import ImageMessage

__all__ = [
    "ACTIONS",
    "PROTOCOL",
    "QUALITY",
    "STATE",
    "action_from",
    "chunk_from",
    "observation_from",
    "reply_of",
    "request_of",
]

PROTOCOL: Final = "astribot"
ACTIONS: Final = "actions"
"""Name of the actions in a neutral reply; the wire has none."""
QUALITY: Final = 85
"""JPEG quality of the robot's own client."""
STATE: Final[WirePath] = ("state",)
"""Path of the state in a neutral request."""
_PROMPT: Final[WirePath] = ("prompt",)
_IMAGES: Final = "images"
_ALIASES: Final = {"jpg": "jpeg"}
"""Other words for an encoding that the original takes, too, in upper or lower case."""
_MAX_NAME: Final = 64


def request_of(
    observation: AstribotObservation, method: Method, *, prompt: str, max_pixels: int
) -> ForeignRequest:
    """Return the request for actions that an observation is.

    Args:
        observation: what the robot sent.
        method: the method that it called.
        prompt: instruction of the session, for an observation without one.
        max_pixels: most pixels of all pictures together; the robot's three have 1.4 million.

    Raises:
        ProtocolError: no state, or a picture without a name, with one that another has, of another encoding,
            too large, or damaged.
    """
    if not observation.state.size:
        raise ProtocolError("state: wanted the robot's numbers, got none")
    values: dict[WirePath, Value] = {STATE: observation.state}
    left = max_pixels
    for image in observation.images:
        path = (_IMAGES, image.camera_name)
        if not 1 <= len(image.camera_name) <= _MAX_NAME or path in values:
            name = quoted(image.camera_name, 40)
            raise ProtocolError(f"picture: wanted a camera name of its own for each, got {name!r}")
        pixels = _pixels_of(image, left)
        values[path] = pixels
        left -= pixels.shape[0] * pixels.shape[1]
    if observation.prompt or prompt:
        values[_PROMPT] = observation.prompt or prompt
    beside: dict[WirePath, Value] = {
        ("timestamp",): observation.timestamp_s,
        ("episode_id",): observation.episode_id,
        ("frame_index",): observation.frame_index,
        ("extra_state",): observation.extra_state,
    }
    return ForeignRequest(Operation.INFER, Envelope(PROTOCOL, endpoint=method.value), values, beside)


def observation_from(request: ForeignRequest, *, encoding: str = "jpeg") -> AstribotObservation:
    """Return the observation that asks a server for actions, its pictures in `encoding`.

    Raises:
        ProtocolError: no state, or a value that the wire cannot carry.
    """
    state, prompt = request.observation.get(STATE), request.observation.get(_PROMPT, "")
    if not isinstance(state, np.ndarray) or state.ndim != 1 or not state.size or state.dtype.kind != "f":
        raise ProtocolError("state: wanted floats (width,), got another value or none")
    if not isinstance(prompt, str):
        raise ProtocolError("prompt: wanted a text, got another value")
    images = [
        _image_of(path, value, encoding)
        for path, value in request.observation.items()
        if path not in (STATE, _PROMPT)
    ]
    timestamp, episode = request.beside.get(("timestamp",), 0.0), request.beside.get(("episode_id",), 0)
    frame, extra = request.beside.get(("frame_index",), 0), request.beside.get(("extra_state",), "")
    return AstribotObservation(
        state=_as_float32(state),
        images=tuple(images),
        prompt=prompt,
        timestamp_s=float(timestamp) if isinstance(timestamp, int | float) else 0.0,
        episode_id=episode if isinstance(episode, int) else 0,
        frame_index=frame if isinstance(frame, int) else 0,
        extra_state=extra if isinstance(extra, str) else "",
    )


def chunk_from(reply: ForeignReply, *, frame: int, status: StatusCode = StatusCode.ERROR) -> AstribotChunk:
    """Return the answer to PredictChunk.

    Args:
        reply: actions, or an error.
        frame: number of the answer in its episode.
        status: what an error is.

    Raises:
        ProtocolError: actions that the wire cannot carry.
    """
    if reply.error is not None:
        none = np.zeros((0, 0), np.float32)
        return AstribotChunk(none, status=status, error_message=reply.error, server_frame_index=frame)
    return AstribotChunk(_actions_in(reply), server_frame_index=frame)


def action_from(reply: ForeignReply, *, frame: int, status: StatusCode = StatusCode.ERROR) -> AstribotAction:
    """Return the answer to Predict: the first of the actions; arguments and errors as `chunk_from`."""
    if reply.error is not None:
        none = np.zeros(0, np.float32)
        return AstribotAction(none, status=status, error_message=reply.error, server_frame_index=frame)
    return AstribotAction(_actions_in(reply)[0], server_frame_index=frame)


def reply_of(answer: AstribotAction | AstribotChunk) -> ForeignReply:
    """Return the reply that an answer of a server is; every status but OK is an error."""
    if answer.status is not StatusCode.OK:
        return ForeignReply(error=f"{answer.status.name}: {answer.error_message or 'no message'}")
    actions = answer.actions if isinstance(answer, AstribotChunk) else answer.values[np.newaxis]
    extra: dict[str | bytes, Value] = {
        "is_terminal": answer.is_terminal,
        "server_frame_index": answer.server_frame_index,
    }
    return ForeignReply({ACTIONS: actions}, extra)


def _pixels_of(image: AstribotImage, max_pixels: int) -> Image:
    """Return the pixels of a picture; a size that is not told is the one of the file."""
    encoding = _ALIASES.get(image.encoding.lower(), image.encoding.lower())
    height, width = image.height, image.width
    if (height, width) == (0, 0):
        height, width = _own_size(image, encoding)
    message = ImageMessage(encoding, height, width, memoryview(image.data))
    try:
        if encoding == "png":
            check_frame_claim(message, max_pixels=max_pixels)
            return pixels_of_png(image.data, height=height, width=width, protocol=PROTOCOL)
        return decode_image(message, max_pixels=max_pixels)
    except ProtocolError as error:
        raise ProtocolError(f"camera {quoted(image.camera_name, 40)}: {error}") from error


def _own_size(image: AstribotImage, encoding: str) -> tuple[int, int]:
    if encoding == "jpeg":
        return jpeg_size(image.data)
    if encoding == "png":
        with suppress(ProtocolError):
            return png_size(image.data)
    name = quoted(image.camera_name, 40)
    raise ProtocolError(f"camera {name}: wanted width and height with a picture that is raw, got none")


def _image_of(path: WirePath, value: Value, encoding: str) -> AstribotImage:
    name = path[-1]
    if len(path) != 2 or path[0] != _IMAGES or not isinstance(name, str) or not isinstance(value, np.ndarray):
        raise ProtocolError(f"observation: wanted pictures at images/<camera>, got {quoted(path, 60)}")
    try:
        message = encode_image(value, encoding, quality=QUALITY)  # type: ignore[arg-type] # it checks the type
    except SpecError as error:
        raise ProtocolError(f"camera {quoted(name, 40)}: {error}") from error
    return AstribotImage(name, message.data, message.width, message.height, encoding)


def _actions_in(reply: ForeignReply) -> NDArray[np.float32]:
    actions = actions_of(reply.actions.get(ACTIONS), ACTIONS, wanted="(horizon, width)", dimensions=(2,))
    return _as_float32(actions)


def _as_float32(numbers: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return numbers in float32; one that does not fit becomes infinite, which no message is written with."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(numbers, np.float32)

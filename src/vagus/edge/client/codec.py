"""Encodes requests, and decodes replies: a chunk must be well formed, of the right widths, and finite."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.conventions import first_meaningless
from vagus.edge.asking import fair_interval_ns, processor_time_s
from vagus.edge.client.inflight import Request
from vagus.errors import ProtocolError, RobotError
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec, RobotSpec
from vagus.types import ActionChunk, DepthImage, FloatArray, Image, Snapshot
from vagus.wire.codec import decode, decode_tensor, encode, encode_header, encode_tensor
from vagus.wire.depth import depth_codec, encode_depth
from vagus.wire.images import DEFAULT_QUALITY, encode_image
from vagus.wire.schema import (
    ChunkMessage,
    DepthMessage,
    ImageMessage,
    ObservationMessage,
    TensorMessage,
)

__all__ = [
    "EncodeAll",
    "Reply",
    "ReplyFault",
    "RequestCoding",
    "as_played",
    "encode_request",
    "read_chunk",
    "request_bytes",
    "request_seed",
]

FrameT = TypeVar("FrameT")

BYTES_PER_PIXEL = {"raw": 3.0, "png": 1.5, "jpeg": 1 / 6}
"""Codec → bytes per pixel of a frame; 640×480 as JPEG of quality 90 is about 50 kB."""
DEPTH_BYTES_PER_PIXEL = {"raw": 2.0, "delta": 1.0}
"""Codec → bytes per pixel of a depth frame, with the noise of a camera that counts tenths of a millimetre."""
OTHER_BYTES = 64 << 10
"""Bytes for state, prefix and instruction."""
LONGEST_MS = 1e9
"""Largest time that a server may report; a longer one is ignored."""

_SEED_MASK = (1 << 64) - 1
_SEED_STRIDE = 0x9E3779B97F4A7C15
"""Step between seeds: odd, so that all 2^64 seeds come up (Weyl sequence of the golden ratio)."""

EncodeAll = Callable[[Callable[[Image], ImageMessage], Iterable[Image]], Iterable[ImageMessage]]
"""`map`, or that of a pool of threads: JPEG coding releases the GIL."""


def request_seed(run_seed: int, number: int) -> int:
    """Return the seed of the `number`-th request of a run, 64 bits."""
    return (run_seed + number * _SEED_STRIDE) & _SEED_MASK


def request_bytes(
    sizes: Iterable[tuple[int, int]], codec: str, *, depth: Iterable[tuple[int, int]] = ()
) -> int:
    """Return the bytes of a request with frames of these heights and widths: exact if raw, else usual.

    Args:
        sizes: of the colour frames.
        codec: of the colour frames, which decides that of depth.
        depth: sizes of the depth frames.
    """
    pixels = sum(height * width for height, width in sizes)
    depth_pixels = sum(height * width for height, width in depth)
    depth_bytes = depth_pixels * DEPTH_BYTES_PER_PIXEL[depth_codec(codec)]
    return OTHER_BYTES + round(pixels * BYTES_PER_PIXEL[codec] + depth_bytes)


@dataclass(frozen=True, slots=True)
class RequestCoding:
    """Settings for encoding a request.

    Attributes:
        codec: image codec of the session.
        instruction: what the robot is to do.
        seed: source of all noise for this row.
        jpeg_quality: of frames that travel as JPEG, 1 to 100.
        encode_all: applies the frame encoder, unless frames travel raw.
    """

    codec: str
    instruction: str
    seed: int
    jpeg_quality: int = DEFAULT_QUALITY
    encode_all: EncodeAll = map


def encode_request(
    request: Request, snapshot: Snapshot, spec: PolicySpec, coding: RequestCoding
) -> tuple[bytes, bytes]:
    """Return header and body of a request.

    Raises:
        RobotError: a camera that the policy requires gave no frame.
        SpecError: a frame is no RGB uint8 image, or a depth frame no uint16 image.
    """
    draft, prefix = snapshot.draft, snapshot.draft.prefix
    reach = spec.horizon if request.awaited else 0 if prefix is None else len(prefix)
    frames = _wanted(snapshot.images, spec.cameras, "camera")
    apply = map if coding.codec == "raw" else coding.encode_all  # raw is quicker done than handed over
    encoded = partial(encode_image, codec=coding.codec, quality=coding.jpeg_quality)
    messages = apply(encoded, frames.values())  # on other threads, while depth is encoded on this one
    depth = _depth(snapshot.depth, spec, coding)
    body = ObservationMessage(
        state=encode_tensor(draft.state),
        images=dict(zip(frames, messages, strict=True)),
        depth=depth,
        instruction=coding.instruction,
        step=draft.step,
        episode_start=draft.episode_start,
        inference_delay=min(draft.inference_delay, reach),
        prefix_horizon=min(draft.prefix_horizon, spec.horizon),
        prefix_model=None if prefix is None else encode_tensor(prefix.model),
        prefix_robot=None if prefix is None else encode_tensor(prefix.robot),
        seed=coding.seed,
        slack_ms=max(draft.slack_ns, request.slack_ns) / NS_PER_MS,
        network_ms=request.network_ns / NS_PER_MS,
        played_steps=draft.fared.played_steps,
        starved_steps=draft.fared.starved_steps,
        oldest_age_ms=max(draft.fared.oldest_age_ns, 0) / NS_PER_MS,
        awaited=request.awaited,
    )
    return encode_header(request.header), encode(body)


def _depth(
    frames: Mapping[str, DepthImage], spec: PolicySpec, coding: RequestCoding
) -> dict[str, DepthMessage]:
    wanted = _wanted(frames, spec.depth_cameras, "depth camera")
    return {name: encode_depth(frame, depth_codec(coding.codec)) for name, frame in wanted.items()}


def _wanted(
    frames: Mapping[str, FrameT], cameras: Sequence[CameraSpec | DepthCameraSpec], what: str
) -> dict[str, FrameT]:
    """Return the frames of these cameras; one that is not required may lack."""
    missing = [c.name for c in cameras if c.is_required and c.name not in frames]
    if missing:
        raise RobotError(f"no frame of {what} {missing}; got {sorted(frames)}")
    return {camera.name: frames[camera.name] for camera in cameras if camera.name in frames}


class ReplyFault(enum.Enum):
    """Reason why a whole chunk is refused; the values are counters."""

    MALFORMED = "rejected_malformed"
    """Not a chunk, or arrays that are not float32."""
    SHAPE = "rejected_shape"
    """Another width than agreed on, or another length than it says."""
    STEP = "rejected_step"
    """Not for the step that was asked about."""
    NOT_FINITE = "rejected_not_finite"
    """NaN or infinity in it."""
    MEANINGLESS = "rejected_meaningless"
    """An orientation whose numbers are none, or an angle of a thousand turns."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A chunk that may be merged, with the server's own times in nanoseconds.

    Attributes:
        chunk: finite, of the contract's widths, with arrays of its own.
        queue_ns: waiting for its batch.
        decode_ns: turning the request into arrays.
        inference_ns: in the policy.
        min_interval_ns: shortest time until the next request that the server wants, from capture to capture.
        share_ns: the same at which the robot uses no more than its part of the server; 0: not known.
    """

    chunk: ActionChunk
    queue_ns: int
    decode_ns: int
    inference_ns: int
    min_interval_ns: int = 0
    share_ns: int = 0


def read_chunk(
    payload: bytes, spec: PolicySpec, *, step: int, processor_s: float = 0.0
) -> Reply | ReplyFault:
    """Return the chunk in `payload`, or the fault of it.

    Args:
        payload: of a chunk message.
        spec: the policy's, with what the robot says of its angles and orientations.
        step: the one that was asked about.
        processor_s: time of the server's processor for one request, in seconds, as it said at session open;
            0: by the time that it took to decode this one.
    """
    try:
        message = decode(payload, ChunkMessage)
        robot = _float32(message.chunk_robot, "chunk_robot")
        model = _float32(message.chunk_model, "chunk_model")
    except ProtocolError:
        return ReplyFault.MALFORMED
    length = message.valid_len
    is_fitting = robot.shape == (length, spec.action_dim) and model.shape == (length, spec.model_dim)
    if not (is_fitting and 1 <= length <= spec.horizon):
        return ReplyFault.SHAPE
    if message.step != step:
        return ReplyFault.STEP
    if not (np.isfinite(robot).all() and np.isfinite(model).all()):
        return ReplyFault.NOT_FINITE
    if first_meaningless(spec.actions, robot) is not None:
        return ReplyFault.MEANINGLESS
    decode_ns, inference_ns = _nanoseconds(message.decode_ms), _nanoseconds(message.inference_ms)
    return Reply(
        ActionChunk(step, model, robot),
        queue_ns=_nanoseconds(message.queue_wait_ms),
        decode_ns=decode_ns,
        inference_ns=inference_ns,
        min_interval_ns=_nanoseconds(message.min_interval_ms),
        share_ns=fair_interval_ns(
            inference_ns / max(message.batch_size, 1),
            message.load.sessions,
            processor_s=processor_s or (processor_time_s(NS_PER_S / decode_ns) if decode_ns else 0.0),
        ),
    )


def as_played(policy: PolicySpec, robot: RobotSpec) -> PolicySpec:
    """Return `policy` with what `robot`, in the policy's names, says of each action."""
    ours = {feature.name: feature for feature in robot.actions}
    return replace(policy, actions=tuple(ours.get(feature.name, feature) for feature in policy.actions))


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * NS_PER_MS) if 0 <= milliseconds <= LONGEST_MS else 0  # and NaN is nothing


def _float32(message: TensorMessage, name: str) -> FloatArray:
    array = decode_tensor(message, shape=(None, None), name=name)
    if array.dtype != np.float32:
        raise ProtocolError(f"{name}: wanted float32, got {array.dtype}")
    return np.array(array, dtype=np.float32)  # owned: the plan outlives the message

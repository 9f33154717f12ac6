"""Encodes a request: header and body of an observation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from vagus.edge.client.inflight import Request
from vagus.errors import RobotError
from vagus.specs import PolicySpec
from vagus.types import Image, Snapshot
from vagus.wire.codec import encode, encode_header, encode_tensor
from vagus.wire.images import DEFAULT_QUALITY, encode_image
from vagus.wire.schema import ImageMessage, ObservationMessage

__all__ = ["RequestCoding", "encode_request", "request_bytes", "request_seed"]

BYTES_PER_PIXEL = {"raw": 3.0, "png": 1.5, "jpeg": 1 / 6}
"""What a frame takes as it travels; a camera's picture of 640×480 as JPEG of quality 90 is about 50 kB."""
OTHER_BYTES = 64 << 10
"""Room for state, prefix and instruction."""

_SEED_MASK = (1 << 64) - 1
_SEED_STRIDE = 0x9E3779B97F4A7C15
"""Odd, so that consecutive requests visit all 2^64 seeds (Weyl sequence of the golden ratio)."""

EncodeAll = Callable[[Callable[[Image], ImageMessage], Iterable[Image]], Iterable[ImageMessage]]
"""`map`, or that of a crew: JPEG coding releases the GIL."""


def request_seed(run_seed: int, number: int) -> int:
    """Return the seed of the `number`-th request of a run, 64 bits."""
    return (run_seed + number * _SEED_STRIDE) & _SEED_MASK


def request_bytes(sizes: Iterable[tuple[int, int]], codec: str) -> int:
    """Return how large a request is with frames of these heights and widths: exact if raw, else usual."""
    pixels = sum(height * width for height, width in sizes)
    return OTHER_BYTES + round(pixels * BYTES_PER_PIXEL[codec])


@dataclass(frozen=True, slots=True)
class RequestCoding:
    """How a request is written.

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
    """Return header and body.

    Raises:
        RobotError: a camera that the policy requires gave no frame.
        SpecError: a frame is no RGB uint8 image.
    """
    draft, prefix = snapshot.draft, snapshot.draft.prefix
    frames = _wanted_frames(snapshot.images, spec)
    apply = map if coding.codec == "raw" else coding.encode_all  # raw is quicker done than handed over
    encoded = partial(encode_image, codec=coding.codec, quality=coding.jpeg_quality)
    messages = apply(encoded, frames.values())
    body = ObservationMessage(
        state=encode_tensor(draft.state),
        images=dict(zip(frames, messages, strict=True)),
        instruction=coding.instruction,
        step=draft.step,
        episode_start=draft.episode_start,
        inference_delay=draft.inference_delay,
        prefix_horizon=draft.prefix_horizon,
        prefix_model=None if prefix is None else encode_tensor(prefix.model),
        prefix_robot=None if prefix is None else encode_tensor(prefix.robot),
        seed=coding.seed,
        slack_ms=draft.slack_ns / 1e6,
    )
    return encode_header(request.header), encode(body)


def _wanted_frames(images: Mapping[str, Image], spec: PolicySpec) -> dict[str, Image]:
    missing = [c.name for c in spec.cameras if c.is_required and c.name not in images]
    if missing:
        raise RobotError(f"no frame of camera {missing}; got {sorted(images)}")
    return {camera.name: images[camera.name] for camera in spec.cameras if camera.name in images}

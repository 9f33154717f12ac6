"""Warm-up: runs and times the whole request path before the first session."""

from __future__ import annotations

import statistics
from typing import TypeVar

import numpy as np

from vagus.clock import NS_PER_MS, Clock
from vagus.errors import ActionsRefusedError, PolicyError, ProtocolError
from vagus.policies.policy import BringsSample, Row
from vagus.quoting import quoted
from vagus.server.request import decode_request
from vagus.server.served_policy import ServedPolicy, infer_rows
from vagus.server.validate import Terms
from vagus.specs import DepthCameraSpec, PolicySpec
from vagus.types import ActionChunk, DepthImage, Observation
from vagus.wire.codec import MAX_CHUNK_BYTES, decode, decode_tensor, encode, encode_tensor
from vagus.wire.depth import depth_codec, encode_depth
from vagus.wire.images import encode_image
from vagus.wire.schema import ChunkMessage, LatencyRow, ObservationMessage

__all__ = ["batch_sizes", "check_chunk_size", "flat_depth", "payload_of", "try_policy", "warm_up"]

SessionT = TypeVar("SessionT")

CHUNK_OVERHEAD_BYTES = 1024
"""Bytes of a chunk message besides the actions."""


def batch_sizes(max_batch: int) -> tuple[int, ...]:
    """Return all possible batch sizes, the largest last."""
    return tuple(range(1, max_batch + 1))


def warm_up(
    model: ServedPolicy[SessionT], *, max_batch: int, max_pixels: int, runs: int, clock: Clock
) -> tuple[LatencyRow, ...]:
    """Encode, decode and infer for every batch size, with and without a prefix; return the inference times.

    Raises:
        PolicyError: the policy cannot answer an observation of its own spec.
    """
    sample = _sample(model)
    payloads = [payload_of(model.spec, sample, has_prefix=False)]
    if model.spec.rtc is not None:
        payloads.append(payload_of(model.spec, sample, has_prefix=True))
    rows: list[LatencyRow] = []
    for size in batch_sizes(max_batch):
        times_ms = [
            _run(model, payload, size, max_pixels, clock) for _ in range(runs + 1) for payload in payloads
        ]
        timed = times_ms[len(payloads) :]  # the first runs pay for what is made once
        rows.append(LatencyRow(batch_size=size, p50_ms=statistics.median(timed), max_ms=max(timed)))
    return tuple(rows)


def try_policy(model: ServedPolicy[SessionT], clock: Clock) -> str:
    """Return the policy's error text for the observation of the warm-up, or ""."""
    max_pixels = max((camera.height * camera.width for camera in model.spec.cameras), default=0)
    try:
        _run(model, payload_of(model.spec, _sample(model), has_prefix=False), 1, max_pixels, clock)
    except BaseException as error:  # noqa: BLE001 - its code for sessions and episodes may raise anything
        return quoted(error.__cause__ or error)
    return ""


def _run(model: ServedPolicy[SessionT], payload: bytes, size: int, max_pixels: int, clock: Clock) -> float:
    """Return the inference time of one batch in milliseconds."""
    policy, spec = model.policy, model.spec
    terms = Terms(
        uses_rtc=spec.rtc is not None,
        image_codec="jpeg",
        max_pixels=max_pixels,
        instruction="",
        is_pinned=False,
    )
    rows: list[Row[SessionT]] = []
    for _ in range(size):
        request = decode_request(payload, spec, terms, captured_ns=0)
        session = policy.open_session()
        policy.begin_episode(session)
        rows.append(request.row(session))
    begin_ns = clock.now_ns()
    results = infer_rows(policy, spec, rows)
    elapsed_ms = (clock.now_ns() - begin_ns) / NS_PER_MS
    results = [results] if isinstance(results, PolicyError) else results
    failures = [
        result
        for result in results
        if isinstance(result, PolicyError) and not isinstance(result, ActionsRefusedError)
    ]
    if failures:
        raise PolicyError(f"warm-up with {size} rows failed: {failures[0]}") from failures[0]
    for result in results:
        if isinstance(result, ActionChunk):
            _check_travels(result)
    return elapsed_ms


def _check_travels(chunk: ActionChunk) -> None:
    """Raise PolicyError unless a robot can decode the chunk without a change."""
    model, robot = encode_tensor(chunk.model), encode_tensor(chunk.robot)
    message = ChunkMessage(step=chunk.step, chunk_model=model, chunk_robot=robot, valid_len=len(chunk))
    try:
        read = decode(encode(message), ChunkMessage)
        for name, tensor, sent in (
            ("model", read.chunk_model, chunk.model),
            ("robot", read.chunk_robot, chunk.robot),
        ):
            got = decode_tensor(tensor, shape=sent.shape, name=name)
            if got.dtype != np.float32 or not np.array_equal(got, sent):
                raise PolicyError(f"a chunk changes on the wire: actions ({name}) become {got.dtype}")
    except ProtocolError as error:
        raise PolicyError(f"a chunk of this policy cannot travel: {error}") from error


def check_chunk_size(spec: PolicySpec) -> None:
    """Raise PolicyError unless the longest chunk of this policy fits into a message."""
    numbers = spec.horizon * (spec.model_dim + len(spec.actions))
    size = numbers * np.dtype(np.float32).itemsize + CHUNK_OVERHEAD_BYTES
    if size > MAX_CHUNK_BYTES:
        raise PolicyError(
            f"chunks of this policy: wanted at most {MAX_CHUNK_BYTES} bytes, got {size} "
            f"({spec.horizon} actions of {spec.model_dim} + {len(spec.actions)} numbers); shorten its horizon"
        )


def _sample(model: ServedPolicy[SessionT]) -> Observation:
    """Return the policy's own sample, or grey frames, a wall in front, and a state of zeros."""
    if isinstance(model.policy, BringsSample):
        return model.policy.sample()
    spec = model.spec
    return Observation(
        state=np.zeros(spec.state_dim, np.float32),
        images={
            camera.name: np.full((camera.height, camera.width, 3), 128, np.uint8) for camera in spec.cameras
        },
        instruction="",
        captured_ns=0,
        depth={camera.name: flat_depth(camera) for camera in spec.depth_cameras},
    )


def payload_of(spec: PolicySpec, sample: Observation, *, has_prefix: bool) -> bytes:
    """Return an encoded observation for the policy."""
    length = 0 if spec.rtc is None else min(spec.rtc.prefix_horizon, spec.horizon)
    prefix_model = encode_tensor(np.zeros((length, spec.model_dim), np.float32))
    prefix_robot = encode_tensor(np.zeros((length, len(spec.actions)), np.float32))
    message = ObservationMessage(
        state=encode_tensor(sample.state),
        images={name: encode_image(frame, "jpeg") for name, frame in sample.images.items()},
        depth={name: encode_depth(frame, depth_codec("jpeg")) for name, frame in sample.depth.items()},
        episode_start=True,
        inference_delay=min(1, length) if has_prefix else 0,
        prefix_horizon=length if has_prefix else 0,
        prefix_model=prefix_model if has_prefix else None,
        prefix_robot=prefix_robot if has_prefix else None,
    )
    return encode(message)


def flat_depth(camera: DepthCameraSpec) -> DepthImage:
    """Return the depth frame of a wall one metre away, or as far as the unit can say."""
    metre = min(round(camera.units_per_m), np.iinfo(np.uint16).max)
    return np.full((camera.height, camera.width), metre, np.uint16)

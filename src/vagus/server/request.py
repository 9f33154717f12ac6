"""Decoding and check of an observation message into a row for the policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np

from vagus.clock import NS_PER_MS
from vagus.errors import ProtocolError
from vagus.policies.policy import Row
from vagus.server.validate import Terms
from vagus.specs import PolicySpec
from vagus.types import DepthImage, Fared, FloatArray, Image, Observation, Prefix
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.depth import decode_depth
from vagus.wire.images import decode_image
from vagus.wire.schema import DepthMessage, ImageMessage, ObservationMessage, TensorMessage

__all__ = ["DecodeAll", "DecodedRequest", "decode_request"]

SessionT = TypeVar("SessionT")

DecodeAll: TypeAlias = Callable[[Callable[[ImageMessage], Image], Iterable[ImageMessage]], Iterable[Image]]
"""Type of `map`, or of a thread pool's `map`: decoding of JPEG releases the interpreter lock."""

NOTHING_DONE = Fared()
"""What a client has done that says nothing of it."""

MAX_STEP = 2**53
"""Largest step, which every number format represents exactly."""


@dataclass(frozen=True, slots=True)
class DecodedRequest:
    """Decoded request.

    Attributes:
        observation: the observation; its `captured_ns` is a time on the client's clock.
        step: s0.
        prefix: the robot's running plan from s0 on, or None.
        inference_delay: number of steps of the prefix that will be executed before the chunk can act.
        prefix_horizon: number of steps after which guidance by the prefix ends.
        seed: seed of all random numbers.
        is_episode_start: no chunk of this episode has reached the robot yet.
        slack_ms: time until the robot's plan ends, at capture.
        fared: what the client says of its actions since its last request.
        awaited: numbers of the requests whose chunks the client expects to execute before this one's.
        network_ms: what the client says of the time outside of the server, there and back.
        traceparent: trace context of the client, or None.
    """

    observation: Observation
    step: int
    prefix: Prefix | None
    inference_delay: int
    prefix_horizon: int
    seed: int
    is_episode_start: bool
    slack_ms: float
    traceparent: str | None
    network_ms: float = 0.0
    fared: Fared = NOTHING_DONE
    awaited: tuple[int, ...] = ()

    def row(self, session: SessionT) -> Row[SessionT]:
        """Return this request as a row of a batch, with the plan as it was sent."""
        return Row(
            session=session,
            observation=self.observation,
            step=self.step,
            prefix=self.prefix,
            inference_delay=self.inference_delay,
            prefix_horizon=self.prefix_horizon,
            seed=self.seed,
        )


def decode_request(
    payload: bytes, spec: PolicySpec, terms: Terms, captured_ns: int, *, decode_all: DecodeAll = map
) -> DecodedRequest:
    """Return the decoded request in `payload`.

    Args:
        payload: an encoded ObservationMessage.
        spec: spec of the policy.
        terms: terms of the session with this client.
        captured_ns: time of capture on the client's clock.
        decode_all: `map` that calls the frame decoder for compressed frames.

    Raises:
        ProtocolError: a malformed message, a wrong shape, numbers that are not finite, or a breach of the
            terms.
    """
    message = decode(payload, ObservationMessage)
    _check_numbers(message)
    prefix = _prefix(message, spec, terms)
    delay = _delay(message, prefix, spec)
    return DecodedRequest(
        observation=Observation(
            state=_floats(message.state, (spec.state_dim,), "state"),
            images=_images(message.images, spec, terms.max_pixels, decode_all),
            instruction=_instruction(message.instruction, spec, terms),
            captured_ns=captured_ns,
            depth=_depth(message.depth, spec),
        ),
        step=message.step,
        prefix=prefix,
        inference_delay=delay,
        prefix_horizon=max(_within("prefix_horizon", message.prefix_horizon, 0, spec.horizon), delay),
        seed=message.seed,
        is_episode_start=message.episode_start,
        slack_ms=message.slack_ms,
        traceparent=message.traceparent,
        network_ms=message.network_ms,
        awaited=message.awaited,
        fared=Fared(message.played_steps, message.starved_steps, round(message.oldest_age_ms * NS_PER_MS)),
    )


def _check_numbers(message: ObservationMessage) -> None:
    _within("step", message.step, 0, MAX_STEP)
    _within("seed", message.seed, 0, 2**64 - 1)
    for name, value in (("slack_ms", message.slack_ms), ("network_ms", message.network_ms)):
        if not math.isfinite(value):
            raise ProtocolError(f"{name}: wanted a finite number, got {value}")


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ProtocolError(f"{name}: wanted {low} to {high}, got {value}")
    return value


def _instruction(instruction: str, spec: PolicySpec, terms: Terms) -> str:
    if terms.is_pinned and instruction not in ("", terms.instruction):
        raise ProtocolError(
            f"instruction: this server accepts only {terms.instruction!r}, got {instruction!r}"
        )
    return instruction or terms.instruction or spec.default_instruction


def _prefix(message: ObservationMessage, spec: PolicySpec, terms: Terms) -> Prefix | None:
    model, robot = message.prefix_model, message.prefix_robot
    if model is None and robot is None:
        return None
    if not terms.uses_rtc:
        raise ProtocolError("prefix: real-time chunking was not agreed for this session")
    if model is None or robot is None:
        raise ProtocolError("prefix: wanted both prefix_model and prefix_robot, got one of them")
    in_robot = _floats(robot, (None, len(spec.actions)), "prefix_robot")
    length = _within("prefix length", in_robot.shape[0], 1, spec.horizon)
    return Prefix(model=_floats(model, (length, spec.model_dim), "prefix_model"), robot=in_robot)


def _delay(message: ObservationMessage, prefix: Prefix | None, spec: PolicySpec) -> int:
    """Return the steps that are executed before the chunk can act; awaited chunks make the plan longer."""
    if message.awaited and prefix is None:
        raise ProtocolError(f"awaited: wanted none without a prefix, got {list(message.awaited)}")
    length = 0 if prefix is None else len(prefix)
    if message.awaited:
        return _within("inference_delay", message.inference_delay, 0, spec.horizon)
    if not 0 <= message.inference_delay <= length:
        raise ProtocolError(
            f"inference_delay: wanted 0 to the length of the prefix ({length}), got {message.inference_delay}"
        )
    return message.inference_delay


def _images(
    images: Mapping[str, ImageMessage], spec: PolicySpec, max_pixels: int, decode_all: DecodeAll
) -> dict[str, Image]:
    """Return the frames of the policy's cameras; other frames are not decoded."""
    missing = [c.name for c in spec.cameras if c.is_required and c.name not in images]
    if missing:
        raise ProtocolError(f"images: wanted a frame of {missing}, got {sorted(images)}")
    wanted = {camera.name: images[camera.name] for camera in spec.cameras if camera.name in images}
    is_raw = all(message.codec == "raw" for message in wanted.values())
    apply = map if is_raw else decode_all  # a raw frame is a view, quicker made than handed over
    frames = apply(partial(decode_image, max_pixels=max_pixels), wanted.values())
    return dict(zip(wanted, frames, strict=True))


def _depth(frames: Mapping[str, DepthMessage], spec: PolicySpec) -> dict[str, DepthImage]:
    """Return the frames of the policy's depth cameras; other frames are not decoded."""
    missing = [c.name for c in spec.depth_cameras if c.is_required and c.name not in frames]
    if missing:
        raise ProtocolError(f"depth: wanted a frame of {missing}, got {sorted(frames)}")
    return {
        camera.name: decode_depth(frames[camera.name], height=camera.height, width=camera.width)
        for camera in spec.depth_cameras
        if camera.name in frames
    }


def _floats(message: TensorMessage, shape: tuple[int | None, ...], name: str) -> FloatArray:
    array = decode_tensor(message, shape=shape, name=name)
    if array.dtype.kind != "f":
        raise ProtocolError(f"{name}: wanted floating point numbers, got {message.dtype}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        floats = array.astype(np.float32, copy=False)
    if not np.isfinite(floats).all():
        raise ProtocolError(f"{name}: wanted finite numbers, got NaN or infinity")
    return floats

"""Rules of a session open that do not depend on other sessions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vagus.errors import SessionRefusedError, SpecError
from vagus.wire.codec import MAX_OBSERVATION_BYTES
from vagus.wire.contract import check_fit, unstated_units
from vagus.wire.depth import max_depth_bytes
from vagus.wire.images import max_frame_bytes
from vagus.wire.schema import SCHEMA_VERSION, Capabilities, EventCode, OpenMessage

__all__ = ["Offer", "Terms", "check_open"]

INSTANCE = re.compile(r"[0-9A-Za-z_]{1,64}")
"""Form of a client instance, which is a segment of its liveliness key."""

RATE_TOLERANCE = 1e-3
"""Relative difference below which two rates count as equal (29.97 and 30 are different)."""

MAX_WARNINGS = 32
"""Largest number of warnings in an answer."""

SPARE_REQUEST_BYTES = 256 << 10
"""Bytes of an observation besides frames and prefix."""
NUMBER_BYTES = 8
"""Bytes of a float64, the largest number type."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Offer of this server to every client.

    Attributes:
        capabilities: capabilities of the server.
        pin_task: whether only the default instruction is accepted.
        strict_rate: whether only the trained rate is accepted.
    """

    capabilities: Capabilities
    pin_task: bool = False
    strict_rate: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of the session with one client.

    Attributes:
        uses_rtc: whether requests may have a prefix.
        image_codec: recommended codec of the frames.
        max_pixels: largest height · width of one frame.
        instruction: instruction for requests that have none.
        is_pinned: whether no other instruction is accepted.
        max_request_bytes: longest observation message.
        execute_horizon: actions of a chunk that the robot executes at least before its next request; 0: as it
            likes.
        warnings: differences that are unusual but allowed.
        vouched: features without a stated unit that the operator takes responsibility for.
        rate_hz: actions that the robot says it executes per second; 0: not known.
        waits_for_answers: whether its client stands still until it is answered: it asks by no rule that
            leaves it something to play.
    """

    uses_rtc: bool
    image_codec: str
    max_pixels: int
    instruction: str
    is_pinned: bool
    max_request_bytes: int = MAX_OBSERVATION_BYTES
    execute_horizon: int = 0
    warnings: tuple[str, ...] = ()
    vouched: tuple[str, ...] = ()
    rate_hz: float = 0.0
    waits_for_answers: bool = False


def check_open(request: OpenMessage, offer: Offer) -> Terms:
    """Return the terms of the session.

    Raises:
        SessionRefusedError: a rule is broken; the code tells the kind of rule.
    """
    server = offer.capabilities
    _check_schema(request, server)
    _check_numbers(request)
    _check_identity(request, server)
    warnings = _check_specs(request, server)
    _check_instruction(request, offer)
    warnings += _check_rate(request, offer)
    warnings += _check_ages(request, server)
    if request.wants_rtc and server.rtc is None:
        warnings.append(
            "this policy has no real-time chunking; its chunks will not continue the running plan"
        )
    return Terms(
        uses_rtc=request.wants_rtc and server.rtc is not None,
        image_codec="raw" if request.host_id and request.host_id == server.host_id else "jpeg",
        max_pixels=_pixel_limit(request, server),
        max_request_bytes=_request_limit(request, server),
        instruction=server.default_instruction if offer.pin_task else request.instruction,
        is_pinned=offer.pin_task,
        warnings=tuple(warnings[:MAX_WARNINGS]),
        vouched=unstated_units(request, server),
        rate_hz=request.rate_hz,
        waits_for_answers=not (request.buffer_time_s or request.execute_horizon or request.observe_steps),
    )


def _refuse(code: EventCode, reason: str) -> SessionRefusedError:
    return SessionRefusedError(code.value, reason)


def _check_schema(request: OpenMessage, server: Capabilities) -> None:
    low = max(request.schema_min, server.schema_min)
    high = min(request.schema_max, server.schema_max)
    if not low <= SCHEMA_VERSION <= high:
        raise _refuse(
            EventCode.SCHEMA_MISMATCH,
            f"this server speaks schema {server.schema_min} to {server.schema_max}, the client "
            f"{request.schema_min} to {request.schema_max}; install versions of vagus that share one",
        )


def _check_numbers(request: OpenMessage) -> None:
    """Check that all numbers are valid, and that the instance can be a key segment."""
    if not INSTANCE.fullmatch(request.instance):
        raise _refuse(EventCode.INVALID_INPUT, "instance: wanted 1 to 64 letters and digits")
    for name in ("rate_hz", "buffer_time_s", "max_action_age_s", "round_trip_ms"):
        value = getattr(request, name)
        if not (math.isfinite(value) and value >= 0):
            raise _refuse(EventCode.INVALID_INPUT, f"{name}: wanted a finite number, got {value!r}")
    if request.rate_hz == 0:
        raise _refuse(EventCode.INVALID_INPUT, "rate_hz: wanted a number above 0, got 0")


def _check_identity(request: OpenMessage, server: Capabilities) -> None:
    if request.policy_type is not None and request.policy_type != server.policy_type:
        raise _refuse(
            EventCode.SPEC_MISMATCH,
            f"policy type: the client wants {request.policy_type!r}, this is {server.policy_type!r}",
        )
    if request.model_hash is not None and request.model_hash != server.model_hash:
        raise _refuse(
            EventCode.MODEL_CHANGED,
            f"model: the client's plan comes from {request.model_hash[:12]}…, this server has "
            f"{server.model_hash[:12]}…; a running robot does not change models",
        )


def _check_specs(request: OpenMessage, server: Capabilities) -> list[str]:
    try:
        return check_fit(request, server, trust_units=request.trust_units)
    except SpecError as error:
        code = EventCode.UNKNOWN_UNITS if error.subject.endswith(" units") else EventCode.SPEC_MISMATCH
        raise _refuse(code, str(error)) from error


def _check_instruction(request: OpenMessage, offer: Offer) -> None:
    default = offer.capabilities.default_instruction
    if offer.pin_task and request.instruction not in ("", default):
        raise _refuse(
            EventCode.INSTRUCTION_PINNED,
            f"instruction: this server accepts only {default!r}, got {request.instruction!r}",
        )


def _check_rate(request: OpenMessage, offer: Offer) -> list[str]:
    trained_hz = offer.capabilities.rate_hz
    if math.isclose(request.rate_hz, trained_hz, rel_tol=RATE_TOLERANCE):
        return []
    text = f"rate: the policy was trained at {trained_hz:g} Hz, the robot will execute at {request.rate_hz:g}"
    if offer.strict_rate:
        raise _refuse(EventCode.RATE_MISMATCH, f"{text}; this server is strict about it")
    return [f"{text}; it will move {request.rate_hz / trained_hz:.2g} times as fast"]


def _check_ages(request: OpenMessage, server: Capabilities) -> list[str]:
    """Warn if the last actions of a chunk exceed max_action_age_s before their turn; 0: not stated."""
    needed_s = server.horizon / request.rate_hz + request.buffer_time_s
    if not request.max_action_age_s or needed_s <= request.max_action_age_s:
        return []
    return [
        f"ages: a chunk lasts {server.horizon / request.rate_hz:.3g} s and is asked for "
        f"{request.buffer_time_s:g} s early, but no action older than {request.max_action_age_s:g} s is "
        f"commanded; its last actions are never used (max_action_age_s {needed_s:.3g} would use all)"
    ]


def _pixel_limit(request: OpenMessage, server: Capabilities) -> int:
    wanted = {camera.name for camera in server.cameras}
    sizes = [c.height * c.width for c in request.cameras if c.name in wanted]
    largest = max(sizes, default=0)
    if largest > server.max_image_pixels or any(c.height < 1 or c.width < 1 for c in request.cameras):
        raise _refuse(
            EventCode.SPEC_MISMATCH,
            f"cameras: wanted frames of 1 to {server.max_image_pixels} pixels, got "
            f"{[(c.name, c.width, c.height) for c in request.cameras]}; send smaller frames",
        )
    return largest


def _request_limit(request: OpenMessage, server: Capabilities) -> int:
    """Return the largest number of bytes that an observation with these frames needs.

    This limits the memory that a client can occupy, more than the limit of a message does.
    """
    wanted = {camera.name for camera in server.cameras}
    longest = [max_frame_bytes(c.height, c.width) for c in request.cameras if c.name in wanted]
    frames = len(longest) * max(longest, default=0)  # any of them may be as large as the largest
    offered = {camera.name for camera in request.depth_cameras}
    frames += sum(max_depth_bytes(c.height, c.width) for c in server.depth_cameras if c.name in offered)
    numbers = len(server.state) + server.horizon * (server.model_dim + len(server.actions))
    return min(frames + numbers * NUMBER_BYTES + SPARE_REQUEST_BYTES, MAX_OBSERVATION_BYTES)

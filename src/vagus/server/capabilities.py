"""Capabilities of a server, for the status and for the answer to a session open."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from vagus import __version__
from vagus.errors import PolicyError, ProtocolError
from vagus.quoting import quoted
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.server.validate import MAX_WARNINGS
from vagus.transport.host import host_id
from vagus.transport.keys import ServerKey
from vagus.wire.codec import decode, encode
from vagus.wire.contract import (
    to_wire_actions,
    to_wire_cameras,
    to_wire_depth_cameras,
    to_wire_rtc,
    to_wire_states,
)
from vagus.wire.schema import MAX_REASON, MAX_WARNING, Ack, Capabilities, LatencyRow

__all__ = ["check_can_travel", "loaded", "unloaded"]

SessionT = TypeVar("SessionT")


def unloaded(config: ServeConfig, server: ServerKey) -> Capabilities:
    """Return the capabilities before the policy is loaded: names of the server, but no specs."""
    model, revision, service_name = config.service_parts
    return Capabilities(
        server=server.server,
        model=model,
        revision=revision,
        service_name=service_name,
        model_hash="",
        policy_type="",
        actions=(),
        state=(),
        horizon=0,
        model_dim=0,
        rate_hz=0.0,
        host_id=host_id(),
        max_image_pixels=config.max_image_pixels,
        vagus_version=__version__,
    )


def loaded(
    known: Capabilities,
    model: ServedPolicy[SessionT],
    latency: tuple[LatencyRow, ...],
    decode_per_s: float = 0.0,
) -> Capabilities:
    """Return `known`, completed with the spec of the model and the results of its warm-up."""
    spec = model.spec
    return msgspec.structs.replace(
        known,
        model_hash=model.model_hash,
        policy_type=spec.policy_type,
        actions=to_wire_actions(spec.actions),
        state=to_wire_states(spec.state),
        cameras=to_wire_cameras(spec.cameras),
        depth_cameras=to_wire_depth_cameras(spec.depth_cameras),
        horizon=spec.horizon,
        model_dim=spec.model_dim,
        rate_hz=spec.rate_hz,
        rtc=to_wire_rtc(spec.rtc),
        default_instruction=spec.default_instruction,
        serving_mode="exclusive" if model.is_exclusive else "shared",
        serving_reason=quoted(model.exclusive_because, MAX_REASON - 64),
        latency=latency,
        decode_per_s=decode_per_s,
        continues_awaited=spec.rtc is not None,
    )


def check_can_travel(capabilities: Capabilities) -> None:
    """Raise PolicyError unless a robot can decode these capabilities."""
    widest = "\U0001f916"
    fullest = Ack(
        accepted=True,
        error=widest * MAX_REASON,
        warnings=(widest * MAX_WARNING,) * MAX_WARNINGS,
        capabilities=msgspec.structs.replace(capabilities, failing=widest * MAX_REASON),
    )
    try:
        decode(encode(fullest), Ack)
    except ProtocolError as error:
        raise PolicyError(f"the spec of this policy cannot be sent to robots: {error}") from error

"""Session open: the client's message, and the checks of the server's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from vagus.edge.asking import observe_steps
from vagus.edge.client.codec import request_bytes
from vagus.edge.client.pace import check_pace
from vagus.edge.config import AUTO, EdgeConfig, ImageCodec
from vagus.errors import ProtocolError, SessionRefusedError, SpecError
from vagus.quoting import quoted
from vagus.specs import PolicySpec, RobotSpec, vouched
from vagus.wire.codec import MAX_OBSERVATION_BYTES
from vagus.wire.contract import (
    check_fit,
    policy_spec_from,
    to_wire_actions,
    to_wire_cameras,
    to_wire_depth_cameras,
    to_wire_rtc,
    to_wire_states,
)
from vagus.wire.images import CODECS
from vagus.wire.schema import (
    MAX_NOTES,
    SCHEMA_VERSION,
    Ack,
    Capabilities,
    EventCode,
    OpenMessage,
)

__all__ = [
    "TRANSIENT_REFUSALS",
    "Contract",
    "Identity",
    "check_ack",
    "check_pin",
    "check_replica",
    "least_executed",
    "open_message",
]

TRANSIENT_REFUSALS = frozenset(
    {
        EventCode.NOT_READY.value,
        EventCode.DRAINING.value,
        EventCode.SESSIONS_FULL.value,
        EventCode.CLIENT_IN_USE.value,
        EventCode.OVERLOADED.value,
        EventCode.TOO_SLOW.value,
    }
)
"""Refusals that may end by themselves; after any other the server is excluded."""
MAX_EPOCH = (1 << 32) - 1
MAX_REASON = 4000
"""Most characters of a refusal: it may list every name of a robot."""
MAX_CODE = 40
PRINTED_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a client.

    Attributes:
        name: the robot's name, unique among the clients of a server.
        instance: random per process; tells a restart from a second robot of the same name.
        host_id: salted hash of the machine's boot id.
        tags: free text for logs and audits.
    """

    name: str
    instance: str
    host_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contract:
    """Contract of the first session; every later session must have the same.

    Attributes:
        policy: what the policy wants and gives.
        model_hash: identity of everything that changes its outputs.
        step_rate_hz: policy steps per second that this robot executes.
        uses_rtc: requests carry a prefix.
        prefix_horizon: where guidance by it ends, in steps.
        image_codec: how frames travel.
        warnings: what server and client found worth saying.
        capabilities: all that the server said about itself.
    """

    policy: PolicySpec
    model_hash: str
    step_rate_hz: float
    uses_rtc: bool
    prefix_horizon: int
    image_codec: str
    warnings: tuple[str, ...]
    capabilities: Capabilities


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedT = TypeVar("_NamedT", bound=_Named)


def open_message(
    robot: RobotSpec,
    wanted: Capabilities,
    config: EdgeConfig,
    identity: Identity,
    *,
    instruction: str,
    contract: Contract | None,
) -> OpenMessage:
    """Return the request for a session, the robot's features in the policy's order.

    Args:
        robot: what the robot offers, in the policy's names.
        wanted: what the server says of itself.
        config: settings of this side.
        identity: who we are.
        instruction: what the robot is to do.
        contract: what the first session agreed on; None for the first.
    """
    wants_rtc = config.rtc if contract is None else contract.uses_rtc
    asks_for = config.execute_horizon
    return OpenMessage(
        instance=identity.instance,
        robot_type=robot.robot_type,
        policy_type=None if contract is None else contract.policy.policy_type,
        actions=_in_order(to_wire_actions(robot.actions), [a.name for a in wanted.actions]),
        state=_chosen(to_wire_states(robot.state), [s.name for s in wanted.state]),
        cameras=to_wire_cameras(robot.cameras),
        depth_cameras=to_wire_depth_cameras(robot.depth_cameras),
        rate_hz=config.rate_hz or wanted.rate_hz,
        wants_rtc=wants_rtc,
        instruction=instruction,
        tags=dict(identity.tags),
        model_hash=None if contract is None else contract.model_hash,
        host_id=identity.host_id,
        buffer_time_s=config.buffer_time_s,
        execute_horizon=0 if asks_for is None or asks_for == AUTO else int(asks_for),
        observe_steps=observe_steps(wanted.horizon, continues_plan=wants_rtc and wanted.rtc is not None)
        if asks_for == AUTO
        else 0,
        max_action_age_s=config.max_action_age_s,
        trust_units=config.trust_units,
        vouched=_bounded(vouched(robot)),
    )


def _bounded(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the notes that fit into a message."""
    if len(notes) <= MAX_NOTES:
        return tuple(notes)
    return (*notes[: MAX_NOTES - 1], f"and {len(notes) - MAX_NOTES + 1} more")


def check_ack(ack: Ack, asked: OpenMessage, config: EdgeConfig, contract: Contract | None) -> Contract:
    """Check the answer to a session request; return the contract.

    Raises:
        SessionRefusedError: the server said no, has not the pinned model, or is too slow for these settings.
        SpecError: it said yes to something that the robot must not be driven by.
        ProtocolError: the answer contradicts itself.
    """
    if not ack.accepted:
        reason = quoted(ack.error, MAX_REASON) or "the server gave no reason"
        raise SessionRefusedError(quoted(ack.code, MAX_CODE) or "unknown", reason)
    capabilities = ack.capabilities
    if capabilities is None or not 1 <= ack.epoch <= MAX_EPOCH:
        raise ProtocolError("a session was accepted without an epoch or without capabilities")
    if not capabilities.schema_min <= SCHEMA_VERSION <= capabilities.schema_max:
        raise SpecError(
            "wire schema",
            wanted=f"a server that speaks version {SCHEMA_VERSION}",
            got=f"versions {capabilities.schema_min} to {capabilities.schema_max}",
        )
    check_pin(capabilities, config)
    spec = policy_spec_from(capabilities)
    warnings = [
        *check_fit(asked, capabilities, trust_units=config.trust_units),
        *check_pace(capabilities, config),
    ]
    image_codec = _image_codec(ack, asked, config)
    if contract is not None:
        check_replica(capabilities, contract)
        return replace(contract, image_codec=image_codec, capabilities=capabilities)
    uses_rtc = asked.wants_rtc and spec.rtc is not None
    own_horizon = config.prefix_horizon or (0 if spec.rtc is None else spec.rtc.prefix_horizon)
    return Contract(
        policy=spec,
        model_hash=capabilities.model_hash,
        step_rate_hz=asked.rate_hz,
        uses_rtc=uses_rtc,
        prefix_horizon=min(own_horizon, spec.horizon) if uses_rtc else 0,
        image_codec=image_codec,
        warnings=tuple(dict.fromkeys([*(quoted(said, MAX_REASON) for said in ack.warnings), *warnings])),
        capabilities=capabilities,
    )


def least_executed(ack: Ack, contract: Contract) -> int:
    """Return how much of a chunk a server wants executed before the next request, within the chunk."""
    return min(max(ack.execute_horizon, 0), contract.policy.horizon)


def check_pin(said: Capabilities, config: EdgeConfig) -> None:
    """Raise SessionRefusedError if a model is pinned and this server has another one."""
    if not said.model_hash.startswith(config.pin_model):
        raise SessionRefusedError(
            EventCode.MODEL_CHANGED.value,
            f"model: --pin-model wants {config.pin_model}, server {quoted(said.server)} has "
            f"{quoted(said.model_hash[:PRINTED_DIGITS]) or 'none yet'}",
        )


def check_replica(capabilities: Capabilities, contract: Contract) -> None:
    """Raise SpecError unless this server can take over in the middle of a plan."""
    agreed = contract.policy
    pairs: tuple[tuple[str, object, object], ...] = (
        ("model_hash", contract.model_hash, capabilities.model_hash),
        ("actions", to_wire_actions(agreed.actions), capabilities.actions),
        ("state", to_wire_states(agreed.state), capabilities.state),
        ("depth_cameras", to_wire_depth_cameras(agreed.depth_cameras), capabilities.depth_cameras),
        ("horizon", agreed.horizon, capabilities.horizon),
        ("model_dim", agreed.model_dim, capabilities.model_dim),
        ("rate_hz", agreed.rate_hz, capabilities.rate_hz),
    )
    for what, wanted, got in pairs:
        if wanted != got:
            raise SpecError(f"{what} of the replica", wanted=repr(wanted), got=repr(got))
    if contract.uses_rtc and to_wire_rtc(agreed.rtc) != capabilities.rtc:
        raise SpecError(
            "real-time chunking of the replica",
            wanted=repr(to_wire_rtc(agreed.rtc)),
            got=repr(capabilities.rtc),
        )


def _in_order(features: Sequence[_NamedT], names: Sequence[str]) -> tuple[_NamedT, ...]:
    """Return `features` in the order of `names` where both hold the same names, else as they are."""
    return _chosen(features, names) if len(features) == len(names) else tuple(features)


def _chosen(features: Sequence[_NamedT], names: Sequence[str]) -> tuple[_NamedT, ...]:
    """Return the features called `names`, in that order; where one is missing, all as they are."""
    by_name = {feature.name: feature for feature in features}
    if not set(names) <= set(by_name):
        return tuple(features)
    return tuple(by_name[name] for name in names)


def _image_codec(ack: Ack, asked: OpenMessage, config: EdgeConfig) -> str:
    """Return the image codec: the operator's, else the server's, if the requests are then small enough.

    Raises:
        SpecError: a request of this robot would be larger than a message may be.
        ProtocolError: the server likes something unknown.
    """
    is_pinned = config.image_codec is not ImageCodec.AUTO
    if not is_pinned and ack.image_codec not in CODECS:
        raise ProtocolError(
            f"the server wants images as {ack.image_codec[:16]!r}; known: {', '.join(CODECS)}"
        )
    codec = str(config.image_codec.value) if is_pinned else ack.image_codec
    wanted = set() if ack.capabilities is None else _camera_names(ack.capabilities)
    sizes = {c.name: (c.height, c.width) for c in asked.cameras if c.name in wanted}
    depth = {c.name: (c.height, c.width) for c in asked.depth_cameras if c.name in wanted}
    if _bytes(sizes, codec, depth) > MAX_OBSERVATION_BYTES and not is_pinned:
        codec = ImageCodec.JPEG.value
    size = _bytes(sizes, codec, depth)
    if size > MAX_OBSERVATION_BYTES:
        frames = ", ".join(f"{name} {width}×{height}" for name, (height, width) in {**sizes, **depth}.items())
        raise SpecError(
            f"frames of a request as {codec}",
            wanted=f"at most {MAX_OBSERVATION_BYTES / 1e6:.1f} MB",
            got=f"about {size / 1e6:.1f} MB ({frames})",
            fix="send smaller frames, or --image-codec jpeg",
        )
    return codec


def _camera_names(said: Capabilities) -> set[str]:
    return {camera.name for camera in said.cameras} | {camera.name for camera in said.depth_cameras}


def _bytes(sizes: Mapping[str, tuple[int, int]], codec: str, depth: Mapping[str, tuple[int, int]]) -> int:
    return request_bytes(sizes.values(), codec, depth=depth.values())

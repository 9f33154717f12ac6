"""What a gateway offers for a policy of vagus: deployment, rules for holds, and ids of sessions (pure).

Two gateway processes with the same settings come to the same ids, so that one can go on for the other.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec

from vagus.clock import seconds_to_ns
from vagus.errors import SpecError
from vagus.features import ActionKind
from vagus.gateways.profile import (
    ActionReference,
    ColorOrder,
    ImageLayout,
    Profile,
    ResizeRule,
    WireImage,
    WireSpan,
)
from vagus.gateways.profile_keys import told_path
from vagus.integrations.lerobot_zenoh.v1.contracts import (
    ALIGNMENTS,
    CHUNK_BLENDING_V1,
    RTC_MODEL_SPACE_V1,
    ChunkMerge,
    ChunkSettings,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import is_segment
from vagus.integrations.lerobot_zenoh.v1.features import (
    ACTION,
    FeatureKind,
    InferenceMode,
    RemoteCapabilities,
    RemoteFeature,
)
from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules
from vagus.specs import PolicySpec

__all__ = [
    "MAX_CHUNK_S",
    "MIN_CHUNK_S",
    "agreed_in",
    "check_deployment",
    "deployment_of",
    "hold_rules_of",
    "is_relative",
    "session_id_of",
]

MAX_CHUNK_S: Final = 4.0
"""Longest chunk that is offered: a client ends its run when it executes rows of a frame that is 5 s old."""
MIN_CHUNK_S: Final = 0.6
"""A client asks 0.5 s before its rows end: a shorter chunk leaves no time in which a hold could arrive."""
_RATE_TOLERANCE: Final = 1e-3
_ID: Final = re.compile(r"[0-9a-f]{32}-(?P<mode>[a-z_]{1,16})-(?P<merge>[a-z]{1,16})")


def check_deployment(name: str, profile: Profile) -> None:
    """Check what a user wrote, before a policy is known.

    Raises:
        SpecError: a name that no key can hold, or pictures that would have to be resized.
    """
    if not is_segment(name):
        raise SpecError(
            "deployment",
            wanted="a letter or digit and up to 127 of A-Z a-z 0-9 _ . -",
            got=repr(name[:80]),
            fix="name it with `deployment`",
        )
    for image in profile.images:
        is_as_it_comes = image.layout is ImageLayout.HWC and image.color is ColorOrder.RGB
        if image.resize is not ResizeRule.REFUSE or not image.required or not is_as_it_comes:
            raise SpecError(
                f"image at {told_path(image.key)}",
                wanted="HWC, RGB, required, and resize: refuse: clients send just what they are told",
                got=f"{image.layout.value}, {image.color.value}, required: {image.required}, "
                f"resize: {image.resize.value}",
            )


def deployment_of(
    name: str, profile: Profile, policy: PolicySpec, model_hash: str, rename: Mapping[str, str]
) -> Deployment:
    """Return what clients are told of a policy.

    Args:
        name: of the deployment.
        profile: names, units and rate of the robot.
        policy: what its server says of the policy.
        model_hash: identity of all that changes its outputs.
        rename: name in the profile → name in the policy.

    Raises:
        SpecError: policy and robot have another rate.
    """
    if not math.isclose(policy.rate_hz, profile.rate_hz, rel_tol=_RATE_TOLERANCE):
        raise SpecError(
            f"rate_hz of the profile {profile.name}",
            wanted=f"that of the policy, {policy.rate_hz:g}: a client executes one row after the other",
            got=f"{profile.rate_hz:g}",
        )
    capabilities = _capabilities(profile, policy)
    is_rtc = InferenceMode.RTC_GUIDED in capabilities.modes
    identity = _digest(model_hash, profile, rename, capabilities)
    return Deployment(
        name=name,
        instance_id=hashlib.sha256(f"{name} {identity}".encode()).hexdigest()[:32],
        artifact_identity=f"sha256:{identity}",
        semantics=profile.semantics,
        capabilities=capabilities,
        contracts=(*ALIGNMENTS, CHUNK_BLENDING_V1, *((RTC_MODEL_SPACE_V1,) if is_rtc else ())),
        blendable_components=capabilities.action_feature.names,
        software={"server": "vagus"},
    )


def hold_rules_of(profile: Profile, max_hold_s: float) -> HoldRules:
    """Return when a robot of this profile is held.

    Positions alone can be held, and switches. Where it is, a robot may be held only if its state says so in
    the names and units of its actions.
    """
    is_holdable = not is_relative(profile) and all(
        span.kind in (None, ActionKind.POSITION, ActionKind.BINARY) for span in profile.actions
    )
    units = {name: _unit_there(span) for span in profile.state for name in span.names}
    is_position = all(
        span.kind in (None, ActionKind.POSITION)
        and span.reference is ActionReference.ABSOLUTE
        and all(units.get(name) == _unit_there(span) for name in span.names)
        for span in profile.actions
    )
    return HoldRules(
        max_hold_ns=seconds_to_ns(max_hold_s), is_holdable=is_holdable, is_state_position=is_position
    )


def is_relative(profile: Profile) -> bool:
    """Return whether an action counts from a state: then rows that a client sends back mean nothing here."""
    return any(span.reference is not ActionReference.ABSOLUTE for span in profile.actions)


def session_id_of(digits: str, accepted: AcceptedSession) -> str:
    """Return the id of a session, which says what was agreed.

    Args:
        digits: 32 hex digits, random.
        accepted: what was agreed.
    """
    return f"{digits}-{accepted.mode.value}-{accepted.chunk_settings.merge.value}"


def agreed_in(session_id: str, deployment: Deployment) -> AcceptedSession | None:
    """Return what the id of a session says was agreed; None: no id of a gateway for this deployment."""
    found = _ID.fullmatch(session_id)
    modes = {mode.value: mode for mode in deployment.capabilities.modes}
    merges = {merge.value: merge for merge in ChunkMerge}
    if found is None or found["mode"] not in modes or found["merge"] not in merges:
        return None
    mode, merge = modes[found["mode"]], merges[found["merge"]]
    if mode is not InferenceMode.CHUNK and merge is ChunkMerge.ALIGNED:
        return None
    return AcceptedSession(deployment, mode, ChunkSettings(merge))


def _capabilities(profile: Profile, policy: PolicySpec) -> RemoteCapabilities:
    steps = max(1, min(profile.horizon, policy.horizon, math.floor(MAX_CHUNK_S * profile.rate_hz)))
    rtc = None if is_relative(profile) else policy.rtc
    guided = () if rtc is None else (InferenceMode.RTC_GUIDED,)
    return RemoteCapabilities(
        modes=(InferenceMode.CHUNK, *guided),
        prediction_steps=steps,
        execution_steps=steps,
        action_interval_s=1.0 / profile.rate_hz,
        features=(*_arrays(profile.state), *map(_picture, profile.images)),
        action_feature=_arrays(profile.actions)[0],
        rtc_horizon=0 if rtc is None else min(rtc.prefix_horizon, steps),
    )


def _arrays(spans: Sequence[WireSpan]) -> tuple[RemoteFeature, ...]:
    return tuple(_array(key[0], list(parts)) for key, parts in groupby(spans, key=lambda span: span.key))


def _array(name: str, spans: Sequence[WireSpan]) -> RemoteFeature:
    names = tuple(name for span in spans for name in span.names)
    dtype = "float32" if name == ACTION else spans[0].dtype.value
    text = spans[0].semantics or _meaning(spans)
    return RemoteFeature(name, (len(names),), dtype, FeatureKind.TENSOR, names, text)


def _picture(image: WireImage) -> RemoteFeature:
    shape = (image.height, image.width, 3)
    return RemoteFeature(image.key[0], shape, "uint8", FeatureKind.RGB, (), image.semantics or "rgb")


def _meaning(spans: Iterable[WireSpan]) -> str:
    """Return names with their units on the wire, and the kind of what is no position."""
    parts = []
    for span in spans:
        kind = "" if span.kind in (None, ActionKind.POSITION) else f" {span.kind.value}"
        relative = "" if span.reference is ActionReference.ABSOLUTE else " relative"
        parts += [f"{name} {_unit_there(span)}{kind}{relative}" for name in span.names]
    return ", ".join(parts)


def _unit_there(span: WireSpan) -> str:
    """Return the unit on the wire; where only two ranges say it, both of them."""
    if span.range is None or span.wire_range is None:
        return span.wire_unit or span.unit
    (low, high), (wire_low, wire_high) = span.range, span.wire_range
    there = f"{wire_low:g} to {wire_high:g} {span.wire_unit}".rstrip()
    return f"{there} for {low:g} to {high:g} {span.unit}"


def _digest(
    model_hash: str, profile: Profile, rename: Mapping[str, str], capabilities: RemoteCapabilities
) -> str:
    """Return a digest of all that changes the numbers that a robot gets."""
    said = msgspec.json.encode([model_hash, profile, sorted(rename.items()), capabilities.to_wire()])
    return hashlib.sha256(said).hexdigest()

"""Contract between robot and policy: their specs as messages, and the comparison of both.

Both sides compare: the server before it accepts a session, the client again when it has the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vagus.errors import ProtocolError, SpecError
from vagus.specs import (
    UNKNOWN_UNIT,
    ActionFeature,
    ActionKind,
    BinaryEncoding,
    CameraSpec,
    DepthCameraSpec,
    PolicySpec,
    RtcSpec,
    StateFeature,
)
from vagus.wire.camera_fit import camera_faults, depth_faults, odd_aspects
from vagus.wire.renames import rename_advice
from vagus.wire.schema import (
    Capabilities,
    OpenMessage,
    WireAction,
    WireCamera,
    WireDepthCamera,
    WireRtc,
    WireState,
)

__all__ = [
    "check_actions",
    "check_cameras",
    "check_fit",
    "check_states",
    "policy_spec_from",
    "to_wire_actions",
    "to_wire_cameras",
    "to_wire_depth_cameras",
    "to_wire_rtc",
    "to_wire_states",
    "unstated_units",
]

UNITS_FIX = (
    "state the unit in the manifest or in the robot's configuration, or vouch for it with --trust-units"
)


def to_wire_actions(features: Iterable[ActionFeature]) -> tuple[WireAction, ...]:
    """Return the action features as messages, without limits and feedback, which only the robot needs."""
    return tuple(
        WireAction(
            name=f.name,
            unit=f.unit,
            kind=f.kind.value,
            encoding="" if f.encoding is None else str(f.encoding),
        )
        for f in features
    )


def to_wire_states(features: Iterable[StateFeature]) -> tuple[WireState, ...]:
    """Return the state features as messages."""
    return tuple(WireState(name=f.name, unit=f.unit) for f in features)


def to_wire_cameras(cameras: Iterable[CameraSpec]) -> tuple[WireCamera, ...]:
    """Return the cameras as messages."""
    return tuple(
        WireCamera(name=c.name, height=c.height, width=c.width, is_required=c.is_required) for c in cameras
    )


def to_wire_depth_cameras(cameras: Iterable[DepthCameraSpec]) -> tuple[WireDepthCamera, ...]:
    """Return the depth cameras as messages."""
    return tuple(
        WireDepthCamera(
            name=c.name,
            height=c.height,
            width=c.width,
            units_per_m=c.units_per_m,
            is_required=c.is_required,
        )
        for c in cameras
    )


def to_wire_rtc(rtc: RtcSpec | None) -> WireRtc | None:
    """Return the offer of real-time chunking as a message, or None if there is no offer."""
    if rtc is None:
        return None
    return WireRtc(prefix_horizon=rtc.prefix_horizon, schedule=rtc.schedule, max_guidance=rtc.max_guidance)


def policy_spec_from(capabilities: Capabilities) -> PolicySpec:
    """Return the spec of the policy in a server's capabilities.

    Raises:
        ProtocolError: an action kind that this version does not know.
        SpecError: names that repeat, no actions, sizes and rates that are not above 0, an encoding that this
            version does not know.
    """
    rtc = capabilities.rtc
    return PolicySpec(
        policy_type=capabilities.policy_type,
        actions=tuple(_action_from(action) for action in capabilities.actions),
        state=tuple(StateFeature(s.name, s.unit) for s in capabilities.state),
        cameras=tuple(CameraSpec(c.name, c.height, c.width, c.is_required) for c in capabilities.cameras),
        horizon=capabilities.horizon,
        model_dim=capabilities.model_dim,
        rate_hz=capabilities.rate_hz,
        rtc=None if rtc is None else RtcSpec(rtc.prefix_horizon, rtc.schedule, rtc.max_guidance),
        default_instruction=capabilities.default_instruction,
        depth_cameras=tuple(
            DepthCameraSpec(c.name, c.height, c.width, c.units_per_m, c.is_required)
            for c in capabilities.depth_cameras
        ),
    )


def _action_from(action: WireAction) -> ActionFeature:
    try:
        kind = ActionKind(action.kind)
    except ValueError as error:
        known = ", ".join(kind.value for kind in ActionKind)
        raise ProtocolError(
            f"action {action.name!r}: unknown kind {action.kind!r}; this version knows {known}"
        ) from error
    encoding = BinaryEncoding.parse(action.encoding) if action.encoding else None
    return ActionFeature(name=action.name, unit=action.unit, kind=kind, encoding=encoding)


def check_fit(client: OpenMessage, server: Capabilities, *, trust_units: bool = False) -> list[str]:
    """Check that actions, state, cameras and depth cameras of both agree; return warnings.

    Raises:
        SpecError: they differ; the error lists every difference, not only the first.
    """
    actions, unstated_actions = _action_faults(client.actions, server.actions, trust_units=trust_units)
    states, unstated_states = _state_faults(client.state, server.state, trust_units=trust_units)
    cameras = camera_faults(client.cameras, server.cameras)
    depth = depth_faults(client.depth_cameras, server.depth_cameras, colour=client.cameras)
    _raise([*actions, *states, *cameras, *depth])
    return [*unstated_actions, *unstated_states, *odd_aspects(client.cameras, server.cameras)]


def check_actions(
    client: Sequence[WireAction], server: Sequence[WireAction], *, trust_units: bool = False
) -> list[str]:
    """Check that the actions of client and server agree; return warnings.

    Names, order, kinds and units must be equal, and encodings of binaries if both sides state one. A unit
    that one side does not state is refused; with `trust_units` it is only a warning.

    Raises:
        SpecError: they differ.
    """
    faults, warnings = _action_faults(client, server, trust_units=trust_units)
    _raise(faults)
    return warnings


def check_states(
    client: Sequence[WireState], server: Sequence[WireState], *, trust_units: bool = False
) -> list[str]:
    """Check that the state features of client and server agree; return warnings.

    Names, order and units must be equal. A unit that one side does not state is refused; with `trust_units`
    it is only a warning.

    Raises:
        SpecError: they differ.
    """
    faults, warnings = _state_faults(client, server, trust_units=trust_units)
    _raise(faults)
    return warnings


def unstated_units(client: OpenMessage, server: Capabilities) -> tuple[str, ...]:
    """Return the names of actions and state features whose unit at least one side does not state."""
    units = [(a.name, a.unit, b.unit) for a, b in zip(client.actions, server.actions, strict=False)]
    units += [(a.name, a.unit, b.unit) for a, b in zip(client.state, server.state, strict=False)]
    return tuple(dict.fromkeys(name for name, ours, theirs in units if UNKNOWN_UNIT in (ours, theirs)))


def check_cameras(client: Sequence[WireCamera], server: Sequence[WireCamera]) -> list[str]:
    """Check that the client has every camera that the policy requires; return warnings on aspect ratios.

    Raises:
        SpecError: a required camera is missing; the error proposes a rename map.
    """
    _raise(camera_faults(client, server))
    return odd_aspects(client, server)


def _raise(faults: Sequence[SpecError]) -> None:
    """Raise one error that lists all faults, if there are any."""
    if len(faults) == 1:
        raise faults[0]
    if faults and all(fault.subject.endswith(" units") for fault in faults):  # nothing differs, it is unsaid
        got = "; ".join(f"{fault.subject}: {fault.got}" for fault in faults)
        raise SpecError("action and state units", wanted=faults[0].wanted, got=got, fix=faults[0].fix)
    if faults:
        listed = "; ".join(f"({number}) {fault}" for number, fault in enumerate(faults, start=1))
        raise SpecError(
            "robot and policy", wanted="that they fit", got=f"{len(faults)} differences: {listed}"
        )


def _action_faults(
    client: Sequence[WireAction], server: Sequence[WireAction], *, trust_units: bool
) -> tuple[list[SpecError], list[str]]:
    theirs = {action.name: action for action in server}
    kinds = [(a.name, theirs[a.name].kind, a.kind) for a in client if a.name in theirs]
    units = [(a.name, a.unit, theirs[a.name].unit) for a in client if a.name in theirs]
    faults = _name_faults("action", [a.name for a in client], [a.name for a in server])
    faults += _differing("kind of action", kinds)
    encodings = [(a.name, theirs[a.name].encoding, a.encoding) for a in client if a.name in theirs]
    faults += _differing("encoding of action", [said for said in encodings if said[1] and said[2]])
    unit_faults, warnings = _unit_faults("action", units, trust_units=trust_units)
    return faults + unit_faults, warnings


def _state_faults(
    client: Sequence[WireState], server: Sequence[WireState], *, trust_units: bool
) -> tuple[list[SpecError], list[str]]:
    theirs = {feature.name: feature for feature in server}
    units = [(s.name, s.unit, theirs[s.name].unit) for s in client if s.name in theirs]
    faults = _name_faults("state", [s.name for s in client], [s.name for s in server])
    unit_faults, warnings = _unit_faults("state", units, trust_units=trust_units)
    return faults + unit_faults, warnings


def _name_faults(what: str, client: Sequence[str], server: Sequence[str]) -> list[SpecError]:
    """Return a fault unless the names are the same in the same order."""
    if list(client) == list(server):
        return []
    ours, theirs = frozenset(client), frozenset(server)
    missing = [name for name in server if name not in ours]
    spare = [name for name in client if name not in theirs]
    if not missing and not spare:
        fix = "the names are the same but the order is not; give them in the policy's order"
    else:
        fix = rename_advice(missing, spare)
    return [SpecError(f"{what} names", wanted=f"{list(server)}", got=f"{list(client)}", fix=fix)]


def _unit_faults(
    what: str, units: Iterable[tuple[str, str, str]], *, trust_units: bool
) -> tuple[list[SpecError], list[str]]:
    """Return faults, and warnings for trusted units; `units` holds (name, client's unit, server's unit)."""
    units = tuple(units)
    unstated = [name for name, ours, theirs in units if UNKNOWN_UNIT in (ours, theirs)]
    stated = [(name, theirs, ours) for name, ours, theirs in units if UNKNOWN_UNIT not in (ours, theirs)]
    faults = _differing(f"unit of {what}", stated)
    if unstated and not trust_units:
        got = f"none for {unstated}"
        faults.append(
            SpecError(f"{what} units", wanted="a unit stated by both sides", got=got, fix=UNITS_FIX)
        )
        return faults, []
    return faults, [
        f"{what} {name!r}: its unit is not stated by both sides and is taken on trust" for name in unstated
    ]


def _differing(subject: str, compared: Iterable[tuple[str, str, str]]) -> list[SpecError]:
    """Return one fault that lists every difference; `compared` holds (name, wanted, got)."""
    wrong = [(name, wanted, got) for name, wanted, got in compared if wanted != got]
    if not wrong:
        return []
    names = ", ".join(repr(name) for name, _, _ in wrong)
    wanted, got = [wanted for _, wanted, _ in wrong], [got for _, _, got in wrong]
    is_one = len(set(wanted)) == len(set(got)) == 1
    return [
        SpecError(
            f"{subject} {names}",
            wanted=repr(wanted[0]) if is_one else f"{wanted}",
            got=repr(got[0]) if is_one else f"{got}",
        )
    ]

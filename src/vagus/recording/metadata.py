"""Description of a session as JSON, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Annotated, Final, TypeVar

import msgspec

from vagus.errors import VagusError
from vagus.features import ActionFeature, StateFeature
from vagus.quoting import quoted
from vagus.recording.session import Json, SessionInfo
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec, RobotSpec
from vagus.units import UNKNOWN_UNIT

__all__ = ["FORMAT", "MAX_METADATA_BYTES", "to_info"]

FORMAT: Final = 2
"""Version of the form of a recording. 1: the form without a number, before chunks and settings."""
MAX_METADATA_BYTES = 16 << 20
"""Longest description, as JSON."""
MAX_TOLD = 8
"""Most faults of one description that are told."""
Nanoseconds = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_ValueT = TypeVar("_ValueT")
_DefaultT = TypeVar("_DefaultT")


class _Fields:
    """Fields of a JSON object, each read on its own: a bad one is told and left out."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        self._given = given
        self.faults: list[str] = []

    def take(self, name: str, kind: type[_ValueT], default: _ValueT) -> _ValueT:
        """Return a field, or `default` if it is missing or of another type."""
        return default if name not in self._given else self._taken(name, kind, default)

    def maybe(self, name: str, kind: type[_ValueT]) -> _ValueT | None:
        """Return a field, or None if it is missing, null or of another type."""
        return None if self._given.get(name) is None else self._taken(name, kind, None)

    def table(self, name: str) -> Mapping[str, Json]:
        """Return a field that is an object of its own, or an empty one."""
        found = self._given.get(name, {})
        if isinstance(found, dict):
            return found
        self.faults.append(f"{name}: wanted an object, got {quoted(repr(found))}")
        return {}

    def _taken(self, name: str, kind: type[_ValueT], default: _DefaultT) -> _ValueT | _DefaultT:
        try:
            return msgspec.convert(self._given[name], kind)
        except (msgspec.ValidationError, VagusError) as error:
            self.faults.append(f"{name}: {quoted(error)}")
            return default


def to_info(given: Mapping[str, Json]) -> tuple[SessionInfo, tuple[str, ...]]:
    """Return the description in a JSON object, and what of it cannot be read, in words."""
    fields = _Fields(given)
    form = fields.take("format", int, 1)
    began = _Fields(fields.table("began"))
    wall = _in_utc(began)
    terms = _Fields(fields.table("terms"))
    info = SessionInfo(
        format=form,
        vagus=fields.take("vagus", str, ""),
        robot=fields.maybe("robot_spec", RobotSpec),
        robot_label=fields.take("robot", str, ""),
        robot_name=fields.take("name", str, ""),
        action_features=_actions(fields),
        state_features=_state(fields),
        cameras=fields.take("cameras", tuple[CameraSpec, ...], ()),
        depth_cameras=fields.take("depth_cameras", tuple[DepthCameraSpec, ...], ()),
        policy=terms.maybe("policy", PolicySpec),
        service=fields.take("service", str, ""),
        model_hash=fields.take("model_hash", str, ""),
        wire_version=terms.maybe("wire_version", int),
        image_codec=terms.take("image_codec", str, ""),
        continues_awaited=terms.take("continues_awaited", bool, default=False),
        instruction=fields.take("instruction", str, ""),
        tick_rate_hz=fields.maybe("tick_rate_hz", float),
        step_rate_hz=fields.maybe("step_rate_hz", float),
        settings=fields.table("settings"),
        tags=fields.take("tags", dict[str, str], {}),
        vouched=fields.take("vouched", tuple[str, ...], ()),
        began_wall=wall,
        began_ns=began.maybe("monotonic_ns", Nanoseconds),
    )
    return info, _told([*fields.faults, *began.faults, *terms.faults], form)


def _in_utc(began: _Fields) -> datetime | None:
    """Return the time of day at the beginning; None: not said, without a zone, or out of the calendar."""
    wall = began.maybe("utc", datetime)
    if wall is None or wall.tzinfo is None:
        return None
    try:
        return wall.astimezone(timezone.utc)
    except OverflowError:
        began.faults.append(f"utc: wanted a time in the calendar of UTC, got {wall.isoformat()}")
        return None


def _actions(fields: _Fields) -> tuple[ActionFeature, ...]:
    features = fields.take("action_features", tuple[ActionFeature, ...], ())
    names = fields.take("actions", tuple[str, ...], ())
    return features or tuple(ActionFeature(name, UNKNOWN_UNIT) for name in names)


def _state(fields: _Fields) -> tuple[StateFeature, ...]:
    features = fields.take("state_features", tuple[StateFeature, ...], ())
    names = fields.take("state", tuple[str, ...], ())
    return features or tuple(StateFeature(name, UNKNOWN_UNIT) for name in names)


def _told(faults: Iterable[str], form: int) -> tuple[str, ...]:
    every = [f"metadata: {fault}" for fault in faults]
    told = every[:MAX_TOLD]
    if len(every) > MAX_TOLD:
        told.append(f"metadata: {len(every) - MAX_TOLD} more fields cannot be read")
    if form > FORMAT:
        told.append(
            f"metadata: wanted a recording of version {FORMAT} or before, got {form}; use a newer vagus"
        )
    return tuple(told)

"""Messages of a recording as JSON: Foxglove's for images, joints and the log, our own for all else.

Sources: https://docs.foxglove.dev/docs/sdk/schemas (fields and names of the well-known schemas).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import msgspec

from vagus.clock import NS_PER_S
from vagus.recording.lines import StepLine
from vagus.recording.session import FrameKind
from vagus.recording.sink import FrameFile

__all__ = [
    "FoxgloveImage",
    "FoxgloveJoint",
    "FoxgloveJoints",
    "FoxgloveLog",
    "FoxgloveTime",
    "JointNames",
    "WallClock",
    "image_message",
    "log_message",
]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NS_PER_US = 1000
FORMATS = {FrameKind.COLOUR: "jpeg", FrameKind.DEPTH: "png"}
INFO, WARNING = 2, 3
VELOCITY_UNITS = frozenset({"rad/s", "m/s", "deg/s"})
EFFORT_UNITS = frozenset({"N", "Nm", "N·m", "N*m"})
VELOCITY_ENDINGS = (".velocity", ".vel", "_velocity", "_vel")


class FoxgloveTime(msgspec.Struct, frozen=True, gc=False):
    """Time since 1970, UTC."""

    sec: int
    nsec: int


class FoxgloveJoint(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One joint of `foxglove.JointStates`; what is not known is left out."""

    name: str
    position: float | None = None
    velocity: float | None = None
    effort: float | None = None


class FoxgloveJoints(msgspec.Struct, frozen=True, gc=False):
    """`foxglove.JointStates`."""

    timestamp: FoxgloveTime
    joints: list[FoxgloveJoint]


class FoxgloveLog(msgspec.Struct, frozen=True, gc=False):
    """`foxglove.Log`."""

    timestamp: FoxgloveTime
    level: int
    message: str
    name: str
    file: str = ""
    line: int = 0


class FoxgloveImage(msgspec.Struct, frozen=True, gc=False):
    """`foxglove.CompressedImage`, and the request that the frame went with; `data` is base64."""

    timestamp: FoxgloveTime
    frame_id: str
    data: bytes | memoryview
    format: str
    episode: int
    step: int
    ticket: int
    captured_ns: int


@dataclass(frozen=True, slots=True)
class WallClock:
    """Anchor of a session: one moment as time of day and as monotonic time.

    Attributes:
        began_wall: with a time zone.
        began_ns: monotonic time of the same moment.
    """

    began_wall: datetime
    began_ns: int

    def at(self, t_ns: int) -> int:
        """Return the nanoseconds since 1970 of a monotonic time."""
        began = (self.began_wall - EPOCH) // timedelta(microseconds=1) * NS_PER_US
        return max(began + t_ns - self.began_ns, 0)


class JointNames:
    """Makes joints of a vector of numbers, by their names and units.

    A velocity or an effort belongs to the joint whose name it ends: "elbow.velocity" to "elbow". All other
    numbers are positions, in the unit that the channel names.
    """

    def __init__(self, names: Sequence[str], units: Sequence[str]) -> None:
        fields = [_field_of(name, unit) for name, unit in zip(names, units, strict=True)]
        self._joints: dict[str, list[tuple[str, int]]] = {}
        for place, (joint, field) in enumerate(fields):
            self._joints.setdefault(joint, []).append((field, place))

    def message(self, wall_ns: int, numbers: Sequence[float | None]) -> FoxgloveJoints:
        """Return the message of one vector; NaN is left out."""
        joints = [
            FoxgloveJoint(name, **{field: _known(numbers[place]) for field, place in fields})
            for name, fields in self._joints.items()
        ]
        return FoxgloveJoints(_time(wall_ns), joints)


def image_message(wall_ns: int, frame: FrameFile) -> FoxgloveImage:
    """Return the message of one frame."""
    return FoxgloveImage(
        timestamp=_time(wall_ns),
        frame_id=frame.camera,
        data=frame.content,
        format=FORMATS[frame.kind],
        episode=frame.episode,
        step=frame.step,
        ticket=frame.ticket,
        captured_ns=frame.captured_ns,
    )


def log_message(wall_ns: int, before: StepLine | None, now: StepLine) -> FoxgloveLog | None:
    """Return what is to be told of a command after another: a new state of link, motion or episode."""
    told = {
        "episode": (None if before is None else before.episode, now.episode),
        "link": (None if before is None else before.link.value, now.link.value),
        "motion": (None if before is None else before.motion.value, now.motion.value),
    }
    changes = [f"{what} {_arrow(pair)}" for what, pair in told.items() if pair[0] != pair[1]]
    if not changes:
        return None
    is_well = now.link.value == "streaming" and now.motion.value in ("playing", "waiting", "paused")
    return FoxgloveLog(_time(wall_ns), INFO if is_well else WARNING, ", ".join(changes), "vagus.control")


def _arrow(pair: tuple[object, object]) -> str:
    before, now = pair
    return f"{now}" if before is None else f"{before} → {now}"


def _field_of(name: str, unit: str) -> tuple[str, str]:
    """Return the joint of a number, and which field of the joint it is."""
    if unit in EFFORT_UNITS:
        return name.removesuffix(".effort"), "effort"
    if unit not in VELOCITY_UNITS:
        return name, "position"
    ending = next((ending for ending in VELOCITY_ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending), "velocity"


def _known(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number


def _time(wall_ns: int) -> FoxgloveTime:
    return FoxgloveTime(*divmod(wall_ns, NS_PER_S))

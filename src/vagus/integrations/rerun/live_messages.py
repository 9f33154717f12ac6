"""Messages from a run to the process that shows it in Rerun."""

from __future__ import annotations

from typing import BinaryIO, TypeAlias

import msgspec

from vagus.pipes import read_framed, write_framed

__all__ = [
    "LiveChunk",
    "LiveFrame",
    "LiveJoint",
    "LiveMessage",
    "LiveOpening",
    "LiveSteps",
    "read_live",
    "write_live",
]


class LiveJoint(msgspec.Struct, frozen=True, array_like=True):
    """One action: its name, the place in the state that measures it (-1: none), and its bounds."""

    name: str
    place: int
    lower: float | None = None
    upper: float | None = None


class LiveOpening(msgspec.Struct, frozen=True, tag="open"):
    """Beginning of a run.

    Attributes:
        target: address of a viewer, a .rrd file, or "" for a viewer that is started here.
        title: one line.
        about: Markdown.
        began_ns: time of day of the zero, ns since 1970, UTC.
        zero_ns: monotonic time of the zero.
        step_rate_hz: policy steps per second.
        joints: one per column of the action.
        state: names of the state features.
        cameras: names of the colour cameras.
        depth_cameras: units per m by name of the depth cameras.
    """

    target: str
    title: str
    about: str
    began_ns: int
    zero_ns: int
    step_rate_hz: float
    joints: tuple[LiveJoint, ...]
    state: tuple[str, ...]
    cameras: tuple[str, ...]
    depth_cameras: dict[str, float]


class LiveSteps(msgspec.Struct, frozen=True, tag="steps"):
    """Commands: a value per command; an action without a command is empty, an age or step None."""

    t_ns: list[int]
    episode: list[int]
    step: list[int | None]
    age_ms: list[float | None]
    link: list[str]
    motion: list[str]
    limited: list[list[str]]
    action: list[list[float]]
    state: list[list[float]]


class LiveChunk(msgspec.Struct, frozen=True, tag="chunk"):
    """A chunk that was merged or refused; `actions` is (horizon, action_dim)."""

    t_ns: int
    captured_ns: int
    seq: int
    epoch: int
    episode: int
    step: int
    outcome: str
    actions: list[list[float]]


class LiveFrame(msgspec.Struct, frozen=True, tag="frame"):
    """A frame: colour (height, width, 3) uint8, or depth (height, width) uint16, little-endian."""

    camera: str
    captured_ns: int
    height: int
    width: int
    is_depth: bool
    content: bytes


LiveMessage: TypeAlias = "LiveOpening | LiveSteps | LiveChunk | LiveFrame"

_decoder: msgspec.msgpack.Decoder[LiveMessage] = msgspec.msgpack.Decoder(
    LiveOpening | LiveSteps | LiveChunk | LiveFrame
)


def write_live(pipe: BinaryIO, message: LiveMessage) -> None:
    """Write a message; blocks while the other process is busy.

    Raises:
        OSError: it is gone.
    """
    write_framed(pipe, msgspec.msgpack.encode(message))


def read_live(pipe: BinaryIO) -> LiveMessage | None:
    """Return the next message, or None at the end."""
    body = read_framed(pipe)
    return None if body is None else _decoder.decode(body)

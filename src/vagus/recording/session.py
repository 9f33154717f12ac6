"""Values of a recorded session: what was said about it, its commands, chunks and frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.features import ActionFeature, Limits, StateFeature
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec, RobotSpec
from vagus.types import ActionArray, FloatArray, Frame, LinkState, MotionState

__all__ = [
    "MERGED",
    "FrameKind",
    "Json",
    "RecordedChunk",
    "RecordedFrame",
    "RecordedSession",
    "SessionInfo",
    "StepTable",
]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MERGED = "merged"
"""Outcome of a chunk that entered the plan; any other outcome is the counter of the rule that kept it out."""
NS_PER_US = 1000


class FrameKind(Enum):
    """Kind of a recorded frame."""

    COLOUR = "colour"
    """(height, width, 3) uint8 RGB."""
    DEPTH = "depth"
    """(height, width) uint16; 0: no measurement."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Description of a session, from its beginning. What an old recording does not say is empty or None.

    Attributes:
        format: version of the recording's form; 1 has no chunks, settings, units and limits.
        vagus: version of the package that recorded it.
        robot: the robot in its own names and order.
        robot_label: robot as it was given, e.g. "sim".
        robot_name: name of the robot among the clients of the server.
        action_features: one per column of `StepTable.action` and of a chunk: the policy's order and names,
            the robot's kinds and limits.
        state_features: one per column of `StepTable.state`: the robot's order, the policy's names.
        cameras: cameras that the policy uses, by the names of the frames.
        depth_cameras: depth cameras that the policy uses, likewise.
        policy: the policy as the server stated it.
        service: model/revision/name.
        model_hash: identity of everything that changes the policy's outputs.
        wire_version: version of the messages between robot and server.
        image_codec: codec of the frames on the wire (the recording has a codec of its own).
        continues_awaited: the server continued chunks that were still under way to the robot.
        instruction: what the robot was to do.
        tick_rate_hz: commands per second.
        step_rate_hz: policy steps per second.
        settings: every setting of the run by section (edge, loop, record, network, rename), without secrets.
        tags: free text of the operator.
        vouched: actions without a limit or feedback that the operator took responsibility for.
        began_wall: time of the beginning, UTC.
        began_ns: monotonic time of the same moment.
    """

    format: int
    vagus: str = ""
    robot: RobotSpec | None = None
    robot_label: str = ""
    robot_name: str = ""
    action_features: tuple[ActionFeature, ...] = ()
    state_features: tuple[StateFeature, ...] = ()
    cameras: tuple[CameraSpec, ...] = ()
    depth_cameras: tuple[DepthCameraSpec, ...] = ()
    policy: PolicySpec | None = None
    service: str = ""
    model_hash: str = ""
    wire_version: int | None = None
    image_codec: str = ""
    continues_awaited: bool = False
    instruction: str = ""
    tick_rate_hz: float | None = None
    step_rate_hz: float | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    vouched: tuple[str, ...] = ()
    began_wall: datetime | None = None
    began_ns: int | None = None

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions, in the order of the columns."""
        return tuple(feature.name for feature in self.action_features)

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state features, in the order of the columns."""
        return tuple(feature.name for feature in self.state_features)

    @property
    def action_units(self) -> tuple[str, ...]:
        """Units of the actions, in the order of the columns; "": not stated."""
        return tuple(feature.unit for feature in self.action_features)

    @property
    def state_units(self) -> tuple[str, ...]:
        """Units of the state features, in the order of the columns; "": not stated."""
        return tuple(feature.unit for feature in self.state_features)

    @property
    def limits(self) -> tuple[Limits, ...]:
        """Limits of the actions, in the order of the columns."""
        return tuple(feature.limits for feature in self.action_features)

    def wall_at(self, t_ns: int) -> datetime | None:
        """Return the time of day, UTC, of a monotonic time of this session; None: not known."""
        if self.began_wall is None or self.began_ns is None:
            return None
        try:
            return self.began_wall + timedelta(microseconds=(t_ns - self.began_ns) / NS_PER_US)
        except OverflowError:  # beyond the years 1 to 9999
            return None


@dataclass(frozen=True, slots=True)
class StepTable:
    """Commands of a session, one row each, in the order in which they were sent; n rows.

    Attributes:
        t_ns: monotonic time of the tick, (n,), int64.
        epoch: server session that produced the chunk, (n,), int64; -1: the command comes from no chunk.
        seq: number of the request that the chunk answered; -1: none.
        episode: episode number.
        step: policy step of the action; -1: none.
        index: index of the action in its chunk; -1: none.
        age_ms: time since the capture of the observation behind the action, (n,), float64; NaN: none.
        link: link state.
        motion: motion state.
        limited: names of the limits that changed the command.
        is_moving: a fallback command that differs from the command before it, (n,), bool.
        action: the command in the policy's order, (n, action_dim), float64; a row of NaN: nothing commanded.
        state: the measured state, (n, state_dim), float64.
    """

    t_ns: NDArray[np.int64]
    epoch: NDArray[np.int64]
    seq: NDArray[np.int64]
    episode: NDArray[np.int64]
    step: NDArray[np.int64]
    index: NDArray[np.int64]
    age_ms: NDArray[np.float64]
    link: tuple[LinkState, ...]
    motion: tuple[MotionState, ...]
    limited: tuple[frozenset[str], ...]
    is_moving: NDArray[np.bool_]
    action: ActionArray
    state: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t_ns)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedChunk:
    """One chunk as it came from the server, with its request, and what became of it.

    Attributes:
        t_ns: monotonic time of the tick that merged or refused it.
        epoch: server session.
        seq: number of the request that it answers.
        ticket: number of the frames that went with the request.
        captured_ns: monotonic time of the observation.
        episode: episode number.
        step: policy step at whose boundary the observation was captured; `robot[i]` is for `step + i`.
        next_step: policy step that was to be commanded next when it was merged or refused.
        outcome: `MERGED`, or the counter of the rule that kept it out.
        robot: the actions in the policy's order and the robot's units, (horizon, action_dim), float32.
        model: the actions in the policy's own space, (horizon, model_dim), float32.
        state: the state in the request, in the policy's order, (state_dim,), float32.
        inference_delay: steps that the policy was told would pass before the reply acts.
        prefix_horizon: steps after which the guidance by the prefix ends; 0 without a prefix.
        prefix_length: actions of the running plan in the request; 0 without a prefix.
    """

    t_ns: int
    epoch: int
    seq: int
    ticket: int
    captured_ns: int
    episode: int
    step: int
    next_step: int
    outcome: str
    robot: FloatArray
    model: FloatArray
    state: FloatArray
    inference_delay: int = 0
    prefix_horizon: int = 0
    prefix_length: int = 0

    def __len__(self) -> int:
        return len(self.robot)

    @property
    def is_merged(self) -> bool:
        """Whether it entered the plan."""
        return self.outcome == MERGED


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFrame:
    """One frame, which stays in its file until it is loaded.

    Attributes:
        camera: name of the camera, as the policy calls it.
        kind: colour or depth.
        episode: episode number.
        step: policy step of the request that it went with.
        ticket: number of this request's draft.
        captured_ns: monotonic time of the request's state; None: an old recording does not say.
        path: file that holds it.
        source: reads and decodes it.
    """

    camera: str
    kind: FrameKind
    episode: int
    step: int
    ticket: int
    captured_ns: int | None
    path: Path
    source: Callable[[], Frame] = field(repr=False)

    def load(self) -> Frame:
        """Return the frame: colour (height, width, 3) uint8 RGB, depth (height, width) uint16.

        Raises:
            ProtocolError: the file is missing, damaged or too large.
        """
        return self.source()


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """Recorded session.

    Attributes:
        path: folder or file.
        info: description from the beginning.
        steps: one row per command.
        chunks: in the order in which they were merged or refused.
        frames: in the order of their requests.
        summary: what the run reported at its end, with the counters of the recorder; None: it had no end.
        warnings: what is missing, damaged or was dropped, in words.
    """

    path: Path
    info: SessionInfo
    steps: StepTable
    chunks: tuple[RecordedChunk, ...] = ()
    frames: tuple[RecordedFrame, ...] = ()
    summary: Mapping[str, Json] | None = None
    warnings: tuple[str, ...] = ()

"""The values that travel between the parts: observations, chunks, directives and commands."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ActionArray",
    "ActionChunk",
    "Command",
    "Directive",
    "FloatArray",
    "Image",
    "LinkState",
    "MotionState",
    "Observation",
    "Prefix",
    "Provenance",
    "RequestDraft",
    "Snapshot",
]

FloatArray: TypeAlias = NDArray[np.float32]
"""Values as they travel: float32."""

ActionArray: TypeAlias = NDArray[np.float64]
"""Setpoints as they are interpolated and limited: float64."""

Image: TypeAlias = NDArray[np.uint8]
"""One camera frame, (height, width, 3), RGB."""


class LinkState(enum.Enum):
    """How the conversation with the server stands."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    DEGRADED = "degraded"
    RECONNECTING = "reconnecting"
    DEAD = "dead"


class MotionState(enum.Enum):
    """What the robot is doing about it."""

    WAITING = "waiting"
    PLAYING = "playing"
    FALLBACK = "fallback"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a robot saw at one policy boundary.

    Attributes:
        state: proprioceptive state in the order of the spec, (state_dim,), float32.
        images: camera name → (height, width, 3) uint8 RGB.
        instruction: what the human asks.
        captured_ns: monotonic time of the state's reading, on the machine that read it.
    """

    state: FloatArray
    images: Mapping[str, Image]
    instruction: str
    captured_ns: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """The part of the running plan that a new chunk must continue (real-time chunking).

    Attributes:
        model: the actions in the policy's own (normalised) space, (n, model_dim), float32.
        robot: the same actions in the robot's units, (n, action_dim), float32.
    """

    model: FloatArray
    robot: FloatArray

    def __len__(self) -> int:
        return int(self.robot.shape[0])


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """The actions of one inference; `robot[i]` is the action for step `step + i`.

    Attributes:
        step: policy step at whose boundary the observation was captured.
        model: actions in the policy's own (normalised) space, (valid_len, model_dim), float32.
        robot: actions in the robot's units, (valid_len, action_dim), float32.
    """

    step: int
    model: FloatArray
    robot: FloatArray

    def __len__(self) -> int:
        return int(self.robot.shape[0])


@dataclass(frozen=True, slots=True)
class RequestDraft:
    """A request taken at a policy boundary, images still to come.

    Attributes:
        ticket: which ask of the worker this answers.
        episode: episode number, raised by every reset.
        step: s0, the step at whose boundary this was taken.
        state: (state_dim,), float32, owned by the draft.
        captured_ns: monotonic time of the state's reading.
        prefix: running plan from s0 on, or None without real-time chunking.
        inference_delay: steps that will be executed before the reply can act; 0 without a prefix.
        episode_start: no chunk of this episode has been merged yet.
        slack_ns: playback left in the plan when this was taken.
        prefix_horizon: steps after s0 at which guidance by the prefix ends; 0 without a prefix.
    """

    ticket: int
    episode: int
    step: int
    state: FloatArray
    captured_ns: int
    prefix: Prefix | None
    inference_delay: int
    episode_start: bool
    slack_ns: int
    prefix_horizon: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A draft with its images: all a request needs."""

    draft: RequestDraft
    images: Mapping[str, Image]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a command came from. Fields are None where no plan action was involved.

    Attributes:
        epoch: the server session that produced the chunk.
        seq: the request that the chunk answered.
        episode: episode number.
        step: policy step of the action.
        index: index of the action in its chunk.
        age_ns: time since the capture of the observation behind the action.
        link: link state at this tick.
        motion: motion state at this tick.
    """

    epoch: int | None
    seq: int | None
    episode: int
    step: int | None
    index: int | None
    age_ns: int | None
    link: LinkState
    motion: MotionState


@dataclass(frozen=True, slots=True)
class Directive:
    """What the engine decides for one tick, before interpolation and limits.

    Attributes:
        motion: PLAYING: move to `knot`; WAITING, FALLBACK: no plan action, follow the fallback of each
            action kind; PAUSED, STOPPED: command nothing.
        knot: plan action of the current step, (action_dim,), float64, in PLAYING only.
        next_knot: the action after it, or None where the plan ends; shapes the arrival velocity only.
        begin: phase below 1 at which this tick begins; negative where it begins in the step before.
        end: phase in (0, 1] at which this tick ends; 1 means that the knot is reached.
        step_s: seconds that one policy step lasts.
        reseed: the limiter and interpolator must start afresh from measured feedback.
        provenance: where the command comes from.
    """

    motion: MotionState
    provenance: Provenance
    knot: ActionArray | None = None
    next_knot: ActionArray | None = None
    begin: float = 0.0
    end: float = 1.0
    step_s: float = 0.0
    reseed: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What goes to the robot in one tick.

    Attributes:
        action: (action_dim,), float64, limited; None where nothing is to be commanded.
        provenance: where it comes from.
        limited: names of the limits that changed the value ("position", "velocity", …); empty: untouched.
        is_moving: a fallback command that differs from the one before it.
        begins_at: of the first command since somebody else may have moved the robot: where it stood then,
            (action_dim,), NaN where nobody knows; None for every other.
    """

    action: ActionArray | None
    provenance: Provenance
    limited: frozenset[str] = field(default_factory=frozenset)
    is_moving: bool = False
    begins_at: ActionArray | None = None

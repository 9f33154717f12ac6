"""Values that the parts exchange: observations, chunks, directives and commands."""

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
    "DepthImage",
    "Directive",
    "FloatArray",
    "Frame",
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
"""Array of the numbers in messages: float32."""

ActionArray: TypeAlias = NDArray[np.float64]
"""Array of setpoints for interpolation and limits: float64."""

Image: TypeAlias = NDArray[np.uint8]
"""One camera frame, (height, width, 3), RGB."""

DepthImage: TypeAlias = NDArray[np.uint16]
"""One frame of a depth camera, (height, width); `units_per_m` of its spec to the metre, 0: no measurement."""

Frame: TypeAlias = Image | DepthImage
"""One frame of either kind."""


class LinkState(enum.Enum):
    """State of the session with the server."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    DEGRADED = "degraded"
    RECONNECTING = "reconnecting"
    DEAD = "dead"


class MotionState(enum.Enum):
    """State of the robot's motion."""

    WAITING = "waiting"
    PLAYING = "playing"
    FALLBACK = "fallback"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Observation:
    """Observation of a robot at one policy boundary.

    Attributes:
        state: proprioceptive state in the order of the spec, (state_dim,), float32.
        images: camera name → (height, width, 3) uint8 RGB.
        instruction: instruction of the human.
        captured_ns: monotonic time of the state's reading, on the machine that read it.
        depth: depth camera name → (height, width) uint16, 0 where nothing was measured.
    """

    state: FloatArray
    images: Mapping[str, Image]
    instruction: str
    captured_ns: int
    depth: Mapping[str, DepthImage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Part of the running plan that a new chunk must continue (real-time chunking).

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
    """Actions of one inference; `robot[i]` is the action for step `step + i`.

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
class Fared:
    """How a robot fared since its last request.

    Attributes:
        played_steps: actions that were commanded.
        starved_steps: policy steps without an action, after the first chunk of an episode.
        oldest_age_ns: largest age of a commanded action, from the capture of its observation.
    """

    played_steps: int = 0
    starved_steps: int = 0
    oldest_age_ns: int = 0


@dataclass(frozen=True, slots=True)
class RequestDraft:
    """Draft of a request, taken at a policy boundary, still without images.

    Attributes:
        ticket: number of the worker's request for a draft.
        episode: episode number; every reset adds 1.
        step: s0, the step at whose boundary the draft was taken.
        state: (state_dim,), float32, owned by the draft.
        captured_ns: monotonic time of the state's reading.
        prefix: running plan from s0 on, or None without real-time chunking.
        inference_delay: steps that will be executed before the reply can act; 0 without a prefix.
        episode_start: no chunk of this episode has been merged yet.
        slack_ns: time until the plan ends, when the draft was taken.
        prefix_horizon: number of steps after s0 at which guidance by the prefix ends; 0 without a prefix.
        fared: how the robot fared since its last request.
        settled_seq: number of the newest request whose chunk was merged or kept out, within the session in
            use; 0: of none.
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
    fared: Fared = Fared()
    settled_seq: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Request draft with its colour images and depth images, ready to be sent."""

    draft: RequestDraft
    images: Mapping[str, Image]
    depth: Mapping[str, DepthImage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of a command. Fields are None if it comes from no plan action.

    Attributes:
        epoch: server session that produced the chunk.
        seq: number of the request that the chunk answered.
        episode: episode number.
        step: policy step of the action.
        index: index of the action in its chunk.
        age_ns: time since the capture of the observation from which the action was computed.
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
    """Decision of the engine for one tick, before interpolation and limits.

    Attributes:
        motion: PLAYING: move to `knot`; WAITING, FALLBACK: there is no plan action, use the fallback of each
            action; PAUSED, STOPPED: command nothing.
        knot: plan action of the current step, (action_dim,), float64, in PLAYING only.
        next_knot: the action after `knot`, or None at the end of the plan; affects only the arrival velocity.
        begin: phase below 1 at which this tick begins; negative if it begins in the previous step.
        end: phase in (0, 1] at which this tick ends; 1 means that the knot is reached.
        step_s: duration of one policy step in seconds.
        reseed: limiter and interpolator must start again from measured feedback.
        provenance: origin of the command.
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
    """Command to the robot in one tick.

    Attributes:
        action: (action_dim,), float64, limited; None if nothing is commanded.
        provenance: origin of the command.
        limited: names of the limits that changed the value ("position", "velocity", …); empty: not changed.
        is_moving: a fallback command that differs from the previous command.
        begins_at: measured position at the first command after others may have moved the robot,
            (action_dim,), NaN where not known; None for every other command.
    """

    action: ActionArray | None
    provenance: Provenance
    limited: frozenset[str] = field(default_factory=frozenset)
    is_moving: bool = False
    begins_at: ActionArray | None = None

"""Parts of the engine: times, phases, what is to be sent, and what is counted."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from vagus.integrations.lerobot_zenoh.v1.control import ControlOperation
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, RemoteObservation

__all__ = ["Control", "Counts", "Frame", "Observed", "Pending", "Phase", "Timing"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times of the original, in seconds."""

    handshake_s: float = 10.0
    action_s: float = 5.0
    startup_s: float = 10.0
    starvation_s: float = 1.0
    source_age_s: float = 5.0
    refill_s: float = 0.5


class Phase(enum.Enum):
    """What a client does."""

    WAITING = "waiting"
    """A control is not acknowledged yet; the robot is held."""
    PAUSED = "paused"
    READY = "ready"
    """It may ask; no row has come since the last control."""
    PLAYING = "playing"
    FAULTED = "faulted"
    """For good."""


@dataclass(frozen=True)
class Control:
    """A control to send."""

    operation: ControlOperation
    generation: int


@dataclass(frozen=True, eq=False)
class Observed:
    """An observation to send, with the generation of its head; `number` counts the frames."""

    generation: int
    number: int
    observation: RemoteObservation


@dataclass
class Counts:
    """What happened to a client.

    Attributes:
        actions: rows executed.
        requests: observations sent.
        replies: replies of which rows were taken.
        useless: replies all of whose rows were past.
        holds: how often it had no row; planned ones are not counted.
        longest_hold_s: until the next row.
        fault: why the run ended; "": it did not.
    """

    actions: int = 0
    requests: int = 0
    replies: int = 0
    useless: int = 0
    holds: int = 0
    longest_hold_s: float = 0.0
    fault: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """What the robot saw at one tick, and how many actions it had executed before it."""

    number: int
    features: FrameFeatures
    captured_ns: int
    cursor: int


@dataclass(frozen=True, eq=False)
class Pending:
    """A request without an answer."""

    asked: Observed
    frame: Frame
    asked_ns: int
    request_id: str = ""

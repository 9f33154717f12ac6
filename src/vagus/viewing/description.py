"""What a viewer shows of a recording: curves, fans of chunks, bands of states, pictures (pure).

All times are seconds since the view's zero, and curves are in order of time. NaN: nothing was there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.recording.session import MERGED

__all__ = [
    "ANSWERED",
    "LINK_LANE",
    "MOTION_LANE",
    "ChunkFan",
    "Cloud",
    "Curve",
    "EpisodeBegin",
    "JointTrack",
    "Picture",
    "RecordingView",
    "StateBand",
    "due_times",
]

Numbers: TypeAlias = NDArray[np.float64]

LINK_LANE = "link"
MOTION_LANE = "motion"
ANSWERED = "answered"
"""Outcome of a chunk of which only the server's side was recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Numbers over time.

    Attributes:
        times_s: (n,), not decreasing.
        values: (n,), NaN where there is no number.
    """

    times_s: Numbers
    values: Numbers

    def __len__(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True, slots=True)
class JointTrack:
    """One number of the action beside the state feature that measures it; or one of them alone.

    Attributes:
        name: of the action, or of the state feature.
        unit: "" where it is not stated.
        column: of the action in the chunks; None: a state feature that no action moves.
        commanded: after all limits.
        measured: None where nothing measures it.
        lower: bound of the command, or None.
        upper: bound of the command, or None.
    """

    name: str
    unit: str
    column: int | None
    commanded: Curve | None
    measured: Curve | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChunkFan:
    """One chunk as it was predicted: action i is due `i + 1` policy steps after the capture.

    Attributes:
        seq: number of the request that it answers; None where not known.
        epoch: server session; None where not known.
        episode: episode of the request.
        step: policy step of its first action.
        captured_s: time of the observation.
        arrived_s: time at which it was merged or refused.
        times_s: (horizon,) when each action is due.
        values: (horizon, action_dim), in the unit of the tracks.
        outcome: "merged", or why it was not; `ANSWERED`: not known.
    """

    seq: int | None
    epoch: int | None
    episode: int
    step: int
    captured_s: float
    arrived_s: float
    times_s: Numbers
    values: Numbers
    outcome: str

    @property
    def is_merged(self) -> bool:
        """Whether it entered the plan, as far as is known."""
        return self.outcome in (MERGED, ANSWERED)


def due_times(captured_s: float, count: int, rate_hz: float) -> Numbers:
    """Return when each of `count` actions for the observation of `captured_s` is due, (count,)."""
    due: Numbers = captured_s + (np.arange(count) + 1) / rate_hz
    return due


@dataclass(frozen=True, slots=True)
class StateBand:
    """Time in one state, or with one limit at work.

    Attributes:
        lane: `LINK_LANE`, `MOTION_LANE`, or "limit " and the name of a limit.
        state: value of the state, or name of the limit.
        begin_s: begin.
        end_s: end.
    """

    lane: str
    state: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class EpisodeBegin:
    """Boundary: this episode begins here."""

    number: int
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame of a camera.

    Attributes:
        camera: name.
        kind: "colour": (height, width, 3) uint8, or "depth": (height, width) uint16, 0 where not measured.
        at_s: time of capture.
        load: reads the frame; raises VagusError or OSError if that is not possible.
        units_per_m: of a depth frame.
        jpeg: reads the bytes of its JPEG file, where there is one.
    """

    camera: str
    kind: str
    at_s: float
    load: Callable[[], NDArray[np.uint8] | NDArray[np.uint16]]
    units_per_m: float = 1000.0
    jpeg: Callable[[], bytes] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Coloured points in space.

    Attributes:
        at_s: time at which they were seen.
        load: reads them, (count, 6) float32: x, y, z in m, then red, green and blue from 0 to 1; raises
            VagusError or OSError if that is not possible.
    """

    at_s: float
    load: Callable[[], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class RecordingView:
    """Everything that a viewer shows of one recording.

    Attributes:
        title: one line.
        facts: what it is, as (label, text).
        warnings: what is missing or was lost, one sentence each.
        begin_s: first time that is shown.
        end_s: last time that is shown.
        began: time of day of the zero, UTC; None where not known.
        tracks: joints first, then state features that no action moves.
        fans: chunks in order of arrival.
        bands: states and limits, in order of begin within each lane.
        episodes: their begins.
        age: age of the observation behind each command, ms.
        max_age_ms: greatest age that is commanded, or None where not known.
        latency: from capture to arrival of each chunk, ms.
        steps: policy step of each command, counted on over episodes; NaN without one.
        pictures: frames in order of time.
        clouds: points in order of time.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    begin_s: float
    end_s: float
    began: datetime | None
    tracks: tuple[JointTrack, ...]
    fans: tuple[ChunkFan, ...]
    bands: tuple[StateBand, ...]
    episodes: tuple[EpisodeBegin, ...]
    age: Curve
    max_age_ms: float | None
    latency: Curve
    steps: Curve
    pictures: tuple[Picture, ...]
    clouds: tuple[Cloud, ...] = ()

    @property
    def duration_s(self) -> float:
        """Time that is shown."""
        return self.end_s - self.begin_s

    @property
    def lanes(self) -> tuple[str, ...]:
        """Names of the lanes with bands: link, motion, then the limits by name."""
        known = {band.lane for band in self.bands}
        states = [lane for lane in (LINK_LANE, MOTION_LANE) if lane in known]
        return (*states, *sorted(known - {LINK_LANE, MOTION_LANE}))

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras with pictures."""
        return tuple(dict.fromkeys(picture.camera for picture in self.pictures))

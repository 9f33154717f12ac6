"""Settings of the control loop and of the recorder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from vagus.control.fallback import Fallbacks
from vagus.control.robot_check import Admission
from vagus.errors import ConfigError
from vagus.setting_ranges import check_count, check_seconds
from vagus.wire.images import check_quality

__all__ = ["LoopConfig", "RecorderConfig", "SensesConfig"]

MAX_WAITING = 1_000_000
"""Largest number of waiting records; more than any memory holds."""


@dataclass(frozen=True, slots=True)
class SensesConfig:
    """Checks of the robot's readings and cameras."""

    max_bad_readings: int = 1
    """Largest number of bad readings of the state in a row (missing, not finite, impossible); one more stops
    the robot."""
    jump_factor: float = 3.0
    """Largest plausible speed of a joint, as a multiple of its velocity limit, plus a share of its range; 0:
    no check."""
    camera_stale_s: float = 2.0
    """Longest time of driving while a camera gives exactly the same frame, in seconds; 0: no limit."""

    def __post_init__(self) -> None:
        check_count("max_bad_readings", self.max_bad_readings, least=0)
        for name in ("jump_factor", "camera_stale_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(name, wanted="a finite number, 0 or above", got=repr(value))


_DURATIONS = (
    "duration_s",
    "episode_s",
    "max_limited_s",
    "return_time_s",
    "ready_time_s",
    "tick_timeout_s",
    "robot_connect_timeout_s",
)


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """Settings of the control loop."""

    duration_s: float | None = None
    """Duration of the run, in seconds; unset: run until stopped."""
    episodes: int | None = None
    """Number of episodes after which the run ends; needs `episode_s`, unless the robot ends its episodes."""
    episode_s: float | None = None
    """Duration of an episode, in seconds; unset: one episode, or until the robot ends it."""
    max_limited_s: float = 5.0
    """Longest time that one action may be limited without a break, in seconds; then the robot is stopped."""
    fallback: Fallbacks = field(default_factory=Fallbacks)
    """Fallback of the actions while there is no plan."""
    vouch_unbounded: tuple[str, ...] = ()
    """Actions to command although nothing limits their speed; logged, recorded and audited."""
    vouch_unmeasured: tuple[str, ...] = ()
    """Positions to command although nothing measures them; logged, recorded and audited."""
    senses: SensesConfig = field(default_factory=SensesConfig)
    """Checks of the robot's readings and cameras."""
    keep_plan_within: float | None = None
    """Largest distance from the last planned action at which the plan is kept after a pause; unset: never
    kept."""
    return_to_start: bool = False
    """Move slowly back to the start position after a normal end."""
    return_time_s: float = 4.0
    """Time for the way back to the start, at the end or as a fallback."""
    move_to_ready: bool = False
    """Move slowly to the robot's ready pose before each episode; the policy is asked from there on."""
    ready_time_s: float = 5.0
    """Shortest time of that way; limits may make it longer."""
    tick_timeout_s: float = 1.0
    """Longest time of the calls into the robot's driver in one tick, in seconds. After it, another thread
    stops the robot, and the run ends."""
    robot_connect_timeout_s: float = 60.0
    """Longest time to connect the robot or to begin an episode, in seconds."""
    realtime_priority: int | None = None
    """Real-time priority of the control thread, 1 to 99; needs the permission of the system; unset: none."""

    @property
    def admission(self) -> Admission:
        """The settings that decide whether a robot is admitted."""
        return Admission(self.fallback, self.vouch_unbounded, self.vouch_unmeasured)

    def __post_init__(self) -> None:
        for name in _DURATIONS:
            value = getattr(self, name)
            if value is not None:
                check_seconds(name, value)
        within = self.keep_plan_within
        if within is not None and not (math.isfinite(within) and within > 0):
            raise ConfigError("keep_plan_within", wanted="a finite number above 0", got=repr(within))
        check_count("episodes", self.episodes)
        if self.realtime_priority is not None and not 1 <= self.realtime_priority <= 99:
            raise ConfigError(
                "realtime_priority", wanted="1 to 99, or unset", got=repr(self.realtime_priority)
            )


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """Settings of the recorder."""

    directory: str = ""
    """Folder for the session folders, or folder of the dataset; empty: no recording."""
    format: Literal["folder", "mcap", "lerobot"] = "folder"
    """folder: one folder per session, with JSON lines and image files. mcap: the same as one file, for
    Foxglove and other tools; needs vagus[mcap]. lerobot: a LeRobotDataset, which is continued if it exists;
    needs LeRobot."""
    images: bool = True
    """Record camera frames: those of the requests, or those of every policy step (lerobot)."""
    provenance: bool = True
    """Record the origin of each action, in columns of its own (lerobot)."""
    repo_id: str = ""
    """Name of the dataset (lerobot), user/name; empty: local/ and the name of the folder."""
    codec: str = "h264"
    """Video codec: h264, hevc, libsvtav1, auto (of the hardware); empty: single images (lerobot)."""
    encoder_threads: int = 1
    """Number of encoder threads per camera (lerobot)."""
    jpeg_quality: int = 90
    """Quality of the recorded frames, 1 to 100."""
    max_waiting_steps: int = 6000
    """Largest number of steps that wait for the disk; further steps are dropped and counted."""
    max_waiting_chunks: int = 600
    """Largest number of chunks that wait for the disk; further chunks are dropped and counted."""
    max_waiting_images: int = 16
    """Largest number of frame sets that wait for the disk; further sets are dropped and counted."""
    flush_s: float = 1.0
    """Longest time until steps are written to the disk, in seconds."""
    private_files: bool = True
    """Only this user may read the recording (files 0600, folders 0700); otherwise the umask decides."""

    def __post_init__(self) -> None:
        check_quality("jpeg_quality", self.jpeg_quality, ConfigError)
        for name in ("max_waiting_steps", "max_waiting_chunks", "max_waiting_images", "encoder_threads"):
            check_count(name, getattr(self, name), most=MAX_WAITING)
        check_seconds("flush_s", self.flush_s)

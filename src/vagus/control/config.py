"""Every setting of the control loop and the recorder, spelled once."""

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
    """How far a robot's readings and cameras are believed."""

    max_bad_readings: int = 1
    """Readings of the state in a row that may be missing, not finite or impossible; one more stops it."""
    jump_factor: float = 3.0
    """How many times as fast as its velocity limit a joint may seem to move, a share of its range on top; 0:
    any jump is believed."""
    camera_stale_s: float = 2.0
    """Longest that the robot is driven while a camera shows the same picture bit by bit; 0: for ever."""

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
    "tick_timeout_s",
    "robot_connect_timeout_s",
)


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """Settings of the control loop."""

    duration_s: float | None = None
    """End after this long; unset: run until stopped."""
    episodes: int | None = None
    """End after this many episodes; needs `episode_s`, unless the robot knows when an episode is over."""
    episode_s: float | None = None
    """Begin a new episode after this long; unset: one episode, or as long as the robot says."""
    max_limited_s: float = 5.0
    """Stop the robot when one action was limited without a break for longer than this."""
    fallback: Fallbacks = field(default_factory=Fallbacks)
    """What each action does while there is no plan."""
    vouch_unbounded: tuple[str, ...] = ()
    """Actions that may be driven though nothing bounds their speed; said at the start, recorded, audited."""
    vouch_unmeasured: tuple[str, ...] = ()
    """Positions that may be driven though nothing measures them; likewise."""
    senses: SensesConfig = field(default_factory=SensesConfig)
    """How far the robot's readings and cameras are believed."""
    keep_plan_within: float | None = None
    """After a pause, keep the plan if the robot is within this of its last planned action; unset: never."""
    return_to_start: bool = False
    """After a normal end, move slowly back to where the robot stood at the beginning."""
    return_time_s: float = 4.0
    """Time for the way back to the start, at the end or as a fallback."""
    tick_timeout_s: float = 1.0
    """Longest that the calls into the robot's driver may take in one tick; then the robot is stopped from
    another thread, and the run ends."""
    robot_connect_timeout_s: float = 60.0
    """Longest that connecting the robot, or the beginning of an episode, may take."""
    realtime_priority: int | None = None
    """Real-time priority (1 to 99) of the control thread; needs the right to it; unset: none."""

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
    """Where session folders are made, or the folder of the dataset; empty: nothing is recorded."""
    format: Literal["folder", "lerobot"] = "folder"
    """folder: a folder per session, of JSON lines and JPEGs. lerobot: a LeRobotDataset, resumed if it is
    there; wants LeRobot installed."""
    images: bool = True
    """Record camera frames: those that went with requests, or those of every policy step (lerobot)."""
    provenance: bool = True
    """Record where each action came from, in columns of its own (lerobot)."""
    repo_id: str = ""
    """Name of the dataset (lerobot), user/name; empty: local/ and the name of the folder."""
    codec: str = "h264"
    """Codec of its videos: h264, hevc, libsvtav1, auto (of the hardware); empty: single images (lerobot)."""
    encoder_threads: int = 1
    """Threads per camera that encode (lerobot)."""
    jpeg_quality: int = 90
    """Quality of the recorded frames, 1 to 100."""
    max_waiting_steps: int = 6000
    """Steps waiting for the disk; further ones are dropped and counted."""
    max_waiting_images: int = 16
    """Sets of frames waiting for the disk; further ones are dropped and counted."""
    flush_s: float = 1.0
    """Steps reach the disk at least this often."""
    private_files: bool = True
    """What is recorded is for this user alone (files 0600, folders 0700); else as the umask says."""

    def __post_init__(self) -> None:
        check_quality("jpeg_quality", self.jpeg_quality, ConfigError)
        for name in ("max_waiting_steps", "max_waiting_images", "encoder_threads"):
            check_count(name, getattr(self, name), most=MAX_WAITING)
        check_seconds("flush_s", self.flush_s)

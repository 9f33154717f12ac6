"""Settings of the robot's side; the documentation takes its defaults from here."""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from vagus.errors import ConfigError
from vagus.setting_ranges import check_count, check_seconds
from vagus.wire.images import DEFAULT_QUALITY, check_quality

__all__ = [
    "AUTO",
    "DelayEstimate",
    "EdgeConfig",
    "ExecuteHorizon",
    "ImageCodec",
    "MergeMode",
    "PlanClock",
    "check_execute_horizon",
]

AUTO: Final = "auto"
"""Execute horizon of a robot that asks as soon as a fresher chunk is worth it and the server has room."""
ExecuteHorizon: TypeAlias = int | Literal["auto"] | None


PIN = re.compile(r"[0-9a-f]{8,64}")


class MergeMode(enum.Enum):
    """Way in which a new chunk replaces the running plan."""

    AUTO = "auto"
    """`rtc` if the server uses the prefix of the plan, otherwise `switch`."""
    RTC = "rtc"
    SWITCH = "switch"
    FINISH = "finish"


class PlanClock(enum.Enum):
    """Clock that advances the plan."""

    STEP = "step"
    """A commanded action advances the plan; a hold does not."""
    TIME = "time"
    """The local clock advances the plan, also during a hold (velocity robots, moving targets)."""


class DelayEstimate(enum.Enum):
    """Estimate of the next round trip that real-time chunking is told, from the last ten of them.

    A long one binds the chunk to the old plan for longer than necessary; after a short one the chunk acts
    later than it assumed. Time-outs, the buffer and the age of actions always count with the worst.
    """

    MAX = "max"
    """The worst, as the RTC paper does; LeRobot keeps the worst of the whole run."""
    Q90 = "q90"
    Q75 = "q75"
    MEDIAN = "median"
    """Half of the replies come later than it; the seldom slow one does not bind the chunks after it."""
    LAST = "last"


class ImageCodec(enum.Enum):
    """Codec of camera frames."""

    AUTO = "auto"
    """Raw to a server on this host, JPEG otherwise."""
    RAW = "raw"
    JPEG = "jpeg"
    PNG = "png"


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Settings of the engine and of the worker thread."""

    buffer_time_s: float = 0.5
    """Request a new chunk when the plan ends in less than this time, in seconds."""
    max_action_age_s: float = 3.0
    """Largest age of an action's observation, in seconds; an older action is not commanded.
    A server with too many robots can ask for a pause between two requests, but for no longer one."""
    execute_horizon: ExecuteHorizon = AUTO
    """When a new chunk is requested although the plan is not short. auto: when the newest observation is an
    eighth of a chunk old (a quarter without real-time chunking), as far as the server has room. A number:
    after so many actions of the running chunk. None: only by buffer time, for the fewest requests. A server
    with many robots may ask for more patience; the plan never ends for that."""
    max_in_flight: int = 4
    """Most requests whose replies are awaited at once, with real-time chunking and execute_horizon auto: one
    more keeps the plan fresh while a reply is under way, and the server continues that reply. 1: one after
    the other."""
    prefix_horizon: int | None = None
    """Number of steps after which the real-time-chunking guidance ends; unset: as the policy recommends."""
    rate_hz: float | None = None
    """Policy steps per second; unset: the rate of the policy's training."""
    rtc: bool = True
    """Use real-time chunking if the policy offers it."""
    delay_estimate: DelayEstimate = DelayEstimate.MEDIAN
    """Delay that real-time chunking is told: median (of the last ten round trips), max (the worst of them),
    q90, q75, or last."""
    merge: MergeMode = MergeMode.AUTO
    """Way in which a new chunk replaces the running plan."""
    plan_clock: PlanClock = PlanClock.STEP
    """Clock of the plan: step (commanded actions advance it) or time (the local clock does)."""
    image_codec: ImageCodec = ImageCodec.AUTO
    """Codec of camera frames; auto: raw for a server on this host, JPEG otherwise."""
    jpeg_quality: int = DEFAULT_QUALITY
    """Quality of JPEG frames, 1 to 100. A lower quality needs fewer bytes, but the policy sees less
    detail."""
    degraded_after_s: float = 1.0
    """Time without an answer to a request after which the link counts as degraded, in seconds."""
    connect_timeout_s: float = 5.0
    """Longest wait for the first contact with a server, in seconds. The robot is connected only after it."""
    start_timeout_s: float = 300.0
    """Longest wait for a server that still loads or warms up, in seconds."""
    handshake_timeout_s: float = 2.0
    """Longest wait for the answer to a session open, in seconds. A robot with a plan waits for half of it at
    most, and for 0.3 s at least, then it tries again."""
    backoff_initial_s: float = 0.5
    """First pause between attempts to reach a server again, in seconds; it doubles each time."""
    backoff_max_s: float = 10.0
    """Longest pause between attempts, in seconds."""
    max_offline_s: float = 60.0
    """Time without a usable chunk after which the robot is stopped and the run ends, in seconds."""
    max_worker_errors: int = 10
    """Number of unexpected worker errors in a row after which the robot is stopped and the run ends."""
    pin_server: str = ""
    """Name of the only server to use; empty: any server of the service."""
    pin_model: str = ""
    """Hash of the only model to accept (its first 8 digits or more, as `vagus serve` prints it)."""
    trust_units: bool = False
    """Accept units that robot or policy does not state; you take the responsibility."""
    seed: int | None = None
    """Seed of the policy's random numbers, for repeatable runs; unset: random."""

    def __post_init__(self) -> None:
        for name in (
            "buffer_time_s",
            "max_action_age_s",
            "degraded_after_s",
            "connect_timeout_s",
            "start_timeout_s",
            "handshake_timeout_s",
            "backoff_initial_s",
            "backoff_max_s",
            "max_offline_s",
        ):
            check_seconds(name, getattr(self, name))
        check_execute_horizon("execute_horizon", self.execute_horizon)
        for name in ("prefix_horizon", "max_in_flight", "max_worker_errors"):
            check_count(name, getattr(self, name))
        _check_pin(self.pin_model)
        check_quality("jpeg_quality", self.jpeg_quality, ConfigError)
        if self.rate_hz is not None and not (math.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ConfigError("rate_hz", wanted="steps per second above 0, or unset", got=repr(self.rate_hz))
        if self.buffer_time_s >= self.max_action_age_s:
            raise ConfigError(
                "buffer_time_s",
                wanted=f"less than max_action_age_s ({self.max_action_age_s})",
                got=repr(self.buffer_time_s),
                fix="a plan older than max_action_age_s is never played",
            )


def check_execute_horizon(name: str, value: ExecuteHorizon) -> None:
    """Raise ConfigError unless `value` is a count of actions, `auto` or None."""
    if isinstance(value, str):
        if value != AUTO:
            raise ConfigError(name, wanted=f"a number of actions, {AUTO}, or None", got=repr(value))
        return
    check_count(name, value)


def _check_pin(pin: str) -> None:
    if pin and not PIN.fullmatch(pin):
        wanted = "8 to 64 hexadecimal digits, as `vagus serve` and `vagus status` print them"
        raise ConfigError("pin_model", wanted=wanted, got=repr(pin))

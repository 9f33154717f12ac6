"""Every setting of the robot's side, spelled once; the defaults of the documentation are these."""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.setting_ranges import check_count, check_seconds
from vagus.wire.images import DEFAULT_QUALITY, check_quality

__all__ = ["EdgeConfig", "ImageCodec", "MergeMode", "PlanClock"]


PIN = re.compile(r"[0-9a-f]{8,64}")


class MergeMode(enum.Enum):
    """How a new chunk takes over from the running plan."""

    AUTO = "auto"
    """`rtc` where the server conditions on our prefix, else `switch`."""
    RTC = "rtc"
    SWITCH = "switch"
    FINISH = "finish"


class PlanClock(enum.Enum):
    """What makes the plan advance."""

    STEP = "step"
    """A commanded action; a hold consumes nothing."""
    TIME = "time"
    """The local clock; a hold consumes the actions that fell due (velocity robots, moving targets)."""


class ImageCodec(enum.Enum):
    """How frames travel."""

    AUTO = "auto"
    """Raw to a server on this host, JPEG otherwise."""
    RAW = "raw"
    JPEG = "jpeg"
    PNG = "png"


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Settings of the engine and of the worker that talks to the server."""

    buffer_time_s: float = 0.5
    """Ask for a new chunk when this much playback is left."""
    max_action_age_s: float = 3.0
    """No action is commanded whose observation is older than this."""
    execute_horizon: int | None = None
    """Ask for a new chunk after this many actions of the running one; unset: by buffer time alone."""
    prefix_horizon: int | None = None
    """End of the real-time-chunking guidance in steps; unset: what the policy recommends."""
    rate_hz: float | None = None
    """Policy steps per second; unset: the rate the policy was trained at."""
    rtc: bool = True
    """Use real-time chunking where the policy offers it."""
    merge: MergeMode = MergeMode.AUTO
    """How a new chunk takes over from the running plan."""
    plan_clock: PlanClock = PlanClock.STEP
    """What makes the plan advance: commanded steps, or time."""
    image_codec: ImageCodec = ImageCodec.AUTO
    """How frames travel; auto: raw to a server on this host, JPEG otherwise."""
    jpeg_quality: int = DEFAULT_QUALITY
    """Quality of frames that travel as JPEG, 1 to 100: less is fewer bytes and blurs what the policy sees."""
    degraded_after_s: float = 1.0
    """The link counts as degraded when a request is unanswered for this long."""
    connect_timeout_s: float = 5.0
    """Give up the first contact after this long; the robot is not connected before it succeeds."""
    start_timeout_s: float = 300.0
    """Wait this long for a server that is there and still loads or warms up."""
    handshake_timeout_s: float = 2.0
    """Longest wait for the answer to one session open."""
    backoff_initial_s: float = 0.5
    """First pause between tries to reach a server again; doubles each time."""
    backoff_max_s: float = 10.0
    """Longest pause between tries."""
    max_offline_s: float = 60.0
    """Stop the robot for good when nothing could be merged for this long."""
    max_worker_errors: int = 10
    """Stop the robot for good after this many unexpected errors of the worker in a row."""
    pin_server: str = ""
    """Talk to this server only; empty: any replica of the service."""
    pin_model: str = ""
    """Be driven by the model of this hash only (its first 8 digits or more, as `vagus serve` prints it)."""
    trust_units: bool = False
    """Vouch for units that robot or policy does not state."""
    seed: int | None = None
    """Seed of the policy's noise, for runs that must repeat; unset: random."""

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
        for name in ("execute_horizon", "prefix_horizon", "max_worker_errors"):
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


def _check_pin(pin: str) -> None:
    if pin and not PIN.fullmatch(pin):
        wanted = "8 to 64 hexadecimal digits, as `vagus serve` and `vagus status` print them"
        raise ConfigError("pin_model", wanted=wanted, got=repr(pin))

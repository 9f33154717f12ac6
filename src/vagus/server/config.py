"""Every setting of the server, spelled once: manifest, flags, help and documentation."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from pathlib import Path

from vagus.errors import ConfigError
from vagus.policies.declare import SpecTable
from vagus.server.scheduler import SCHEDULERS
from vagus.setting_ranges import MAX_COUNT, check_count, check_seconds
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.images import MAX_SIDE
from vagus.wire.schema import MAX_LATENCY_ROWS

__all__ = ["ServeConfig", "ServingChoice"]


MAX_PORT = 65535

UNNAMED = "policy"
"""Model name of a policy that was handed over in code and not loaded by name."""

NAMES = ("revision", "service_name", "server_name")
COUNTS = {
    "max_sessions": 100_000,
    "max_batch": MAX_LATENCY_ROWS,
    "decode_workers": 256,
    "max_image_pixels": MAX_SIDE**2,
    "warm_up_runs": 1000,
    "audit_max_mb": MAX_COUNT,
    "capture_every": MAX_COUNT,
    "capture_max_mb": MAX_COUNT,
    "rtc_prefix_horizon": MAX_COUNT,
}
"""Setting → the most it may be: what is tried one by one, or started at once, has an end."""
TIMES = ("client_grace_s", "session_idle_timeout_s", "drain_timeout_s")
POSITIVES = (
    "trained_rate_hz",
    "rtc_max_guidance",
)


class ServingChoice(enum.Enum):
    """How many robots one process serves."""

    AUTO = "auto"
    """What the policy's family allows."""
    EXCLUSIVE = "exclusive"
    """One robot, whatever the family allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Settings of `vagus serve`: one process, one policy, many robots."""

    policy: str = ""
    """A backend by name (reach, lerobot), or your own as file.py:name or package.module:name."""
    model: str = ""
    """Where the weights come from, and the first segment of the service's keys; empty: the policy's name."""
    revision: str = "main"
    """Revision of the weights; the second segment of the service's keys."""
    service_name: str = "default"
    """Third segment of the service's keys; tells apart two set-ups of one model."""
    server_name: str = "server"
    """Name of this process in keys, logs and status; a random suffix is added."""
    dtype: str = ""
    """Number format of the weights, for backends with a choice; empty: the backend's default."""
    device: str = ""
    """Where inference runs, for backends with a choice, e.g. cuda:0; empty: the backend's default."""
    options: dict[str, bool | int | float | str | tuple[str, ...]] = field(default_factory=dict)
    """Settings of the backend alone, by name, as `vagus serve --policy NAME --help` lists them; arguments of
    the constructor where the policy is a class of your own."""
    spec: SpecTable = field(default_factory=SpecTable)
    """What the policy wants and gives, where it does not say so itself."""

    default_task: str = ""
    """Instruction used where a robot gives none; empty: the policy's default."""
    pin_task: bool = False
    """Refuse every other instruction."""
    trained_rate_hz: float | None = None
    """Rate the policy was trained at, where it does not know; robots at another rate are warned."""
    strict_rate: bool = False
    """Refuse robots at another rate instead."""
    rtc: bool = True
    """Offer real-time chunking where the policy can."""
    rtc_schedule: str = ""
    """How guidance falls off over the prefix: exp, linear, ones or zeros; empty: the policy's default."""
    rtc_max_guidance: float | None = None
    """Bound of the guidance weight; unset: the policy's default."""
    rtc_prefix_horizon: int | None = None
    """Recommended end of the guidance in steps; unset: the policy's default."""

    serving_mode: ServingChoice = ServingChoice.AUTO
    """auto: as many robots as the policy's family allows; exclusive: one."""
    max_sessions: int = 64
    """Robots connected at one time."""
    max_batch: int = 8
    """Largest batch of requests that go through the policy together."""
    scheduler: str = "round_robin"
    """Who is served next: round_robin (whoever was served longest ago)."""
    decode_workers: int = 2
    """Threads that turn bytes into arrays while the device is busy."""
    max_image_pixels: int = 1920 * 1200
    """Largest height · width of one frame; larger ones are refused unread."""
    warm_up: bool = True
    """Run and time the whole request path for every batch size before the first session."""
    warm_up_runs: int = 3
    """Timed runs per batch size, with and without a prefix."""
    client_grace_s: float = 5.0
    """A robot whose liveliness token is gone for this long loses its session."""
    session_idle_timeout_s: float = 300.0
    """A robot not heard for this long loses its session."""
    drain_timeout_s: float = 10.0
    """Longest wait for accepted requests when the server is told to go."""

    exit_on_broken_policy: bool = False
    """End once the policy fails for everybody, so that a supervisor starts it again; else be not ready."""

    health_host: str = "127.0.0.1"
    """Address of the health endpoint; 0.0.0.0, or :: for IPv6, where probes come from other hosts."""
    health_port: int = 0
    """Port of /healthz, /readyz and /metrics; 0: off."""
    audit_path: Path | None = None
    """File that gets one JSON line per request and per turn of a session; unset: off."""
    audit_max_mb: int = 64
    """The audit file is rotated at this size; one older file is kept."""
    capture_dir: Path | None = None
    """Folder that keeps a sample of requests and replies for replay; unset: off."""
    capture_every: int = 100
    """Keep one request in so many."""
    capture_max_mb: int = 256
    """The oldest samples are removed beyond this size."""

    private_files: bool = True
    """What is written of robots is for this user alone (files 0600, folders 0700); else as the umask says."""

    zenoh: ZenohConfig = field(default_factory=ZenohConfig)
    """How to reach the network."""

    def __post_init__(self) -> None:
        for name in NAMES:
            if not getattr(self, name):
                raise ConfigError(name, wanted="a name", got="''")
        for name, most in COUNTS.items():
            check_count(name, getattr(self, name), most=most)
        self._check_numbers()
        if self.scheduler not in SCHEDULERS:
            wanted = f"one of {', '.join(SCHEDULERS)}"
            raise ConfigError("scheduler", wanted=wanted, got=repr(self.scheduler))
        if not 0 <= self.health_port <= MAX_PORT:
            raise ConfigError("health_port", wanted=f"0 to {MAX_PORT}", got=str(self.health_port))

    def _check_numbers(self) -> None:
        for name in TIMES:
            check_seconds(name, getattr(self, name))
        for name in POSITIVES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(name, wanted="a finite number above 0", got=repr(value))

    @property
    def model_name(self) -> str:
        """The model as named in keys and status."""
        return self.model or self.policy or UNNAMED

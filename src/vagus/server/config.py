"""Settings of the server, for manifest, flags and help."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from pathlib import Path

from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.policies.declare import SpecTable
from vagus.server.scheduler import SCHEDULERS
from vagus.server.tenants import Tenant, TenantTable
from vagus.setting_ranges import MAX_COUNT, check_count, check_port, check_seconds
from vagus.transport.keys import sanitise
from vagus.transport.service_name import DEFAULT_NAME, DEFAULT_REVISION
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.images import MAX_SIDE
from vagus.wire.schema import MAX_LATENCY_ROWS

__all__ = ["AdmissionChoice", "ServeConfig", "ServingChoice"]


UNNAMED = "policy"
"""Model name of a policy that was given as an object and not loaded by name."""

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
"""Setting → its largest value."""
TIMES = ("client_grace_s", "session_idle_timeout_s", "drain_timeout_s")
POSITIVES = (
    "trained_rate_hz",
    "rtc_max_guidance",
    "slo_age_s",
)


class ServingChoice(enum.Enum):
    """Number of robots that one process serves."""

    AUTO = "auto"
    """As many robots as the policy's family allows."""
    EXCLUSIVE = "exclusive"
    """One robot, even if the family allows more."""


class AdmissionChoice(enum.Enum):
    """What decides whether one more robot gets a session."""

    PREDICT = "predict"
    """The number of sessions, and the load that is predicted with this robot in."""
    OFF = "off"
    """The number of sessions alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Settings of `vagus serve`: one process, one policy, many robots."""

    policy: str = ""
    """A backend by name (reach, lerobot), your own as file.py:name or package.module:name, the address of
    another system's server (openpi+ws://host:8000), or recorded data (replay:PATH, replay:PATH#episode=3)."""
    model: str = ""
    """Source of the weights, and first segment of the service's keys; empty: the policy's name."""
    revision: str = "main"
    """Revision of the weights; the second segment of the service's keys."""
    service: str = ""
    """Name of the service as robots know it: model, model/revision or model/revision/name, e.g. pi05 or
    pi05/v2/kitchen, wherever the weights are. Servers of one name share the robots. Empty: made of `model`,
    `revision` and `service_name`."""
    service_name: str = "default"
    """Third segment of the service's keys; distinguishes two services of one model."""
    server_name: str = "server"
    """Name of this process in keys, logs and status; a random suffix is added."""
    dtype: str = ""
    """Number format of the weights, if the backend has a choice; empty: the backend's default."""
    device: str = ""
    """Device of the inference, if the backend has a choice, e.g. cuda:0; empty: the backend's default."""
    options: dict[str, bool | int | float | str | tuple[str, ...]] = field(default_factory=dict)
    """Settings of the policy alone, by name, as `vagus serve --policy NAME --help` lists them; arguments of
    the constructor where a class of your own has no `options_type`."""
    spec: SpecTable = field(default_factory=SpecTable)
    """Spec of the policy, if the policy has none itself."""

    default_task: str = ""
    """Instruction for robots that give none; empty: the policy's default."""
    pin_task: bool = False
    """Refuse every other instruction."""
    trained_rate_hz: float | None = None
    """Rate of the training, if the policy does not know it; robots at another rate get a warning."""
    strict_rate: bool = False
    """Refuse robots at another rate, instead of a warning."""
    rtc: bool = True
    """Offer real-time chunking if the policy supports it."""
    rtc_schedule: str = ""
    """Schedule of the guidance weight over the prefix: exp, linear, ones or zeros; empty: the policy's
    default."""
    rtc_max_guidance: float | None = None
    """Bound of the guidance weight; unset: the policy's default."""
    rtc_prefix_horizon: int | None = None
    """Recommended number of steps after which guidance ends; unset: the policy's default."""

    serving_mode: ServingChoice = ServingChoice.AUTO
    """auto: as many robots as the policy's family allows; exclusive: one."""
    max_sessions: int = 64
    """Largest number of robots that are connected at once."""
    max_batch: int = 8
    """Largest number of requests in one batch."""
    scheduler: str = "deadline"
    """Scheduler, which chooses the next robots: deadline (the least slack first; in overload the answers that
    add most) or round_robin (the robot that was served longest ago)."""
    admission: AdmissionChoice = AdmissionChoice.PREDICT
    """predict: refuse a robot, or ask it to request chunks less often, if otherwise robots had no action for
    more than slo_starved_share of the time, by the measured inference times; off: admit up to
    max_sessions."""
    rate_control: bool = True
    """Ask robots for pauses between their requests while there is too much to do."""
    slo_starved_share: float = 0.01
    """Share of the time in which a robot may have no action because of others, 0 to 1."""
    slo_age_s: float | None = None
    """Age that an action may have when it is commanded, in seconds; unset: the length of a chunk, and 0.5 s
    more."""
    decode_workers: int = 2
    """Number of threads that decode requests while the device is busy."""
    max_image_pixels: int = 1920 * 1200
    """Largest height · width of one frame; larger frames are refused before they are decoded."""
    warm_up: bool = True
    """Run and time the whole request path for every batch size before the first session."""
    warm_up_runs: int = 3
    """Number of timed runs per batch size, with and without a prefix."""
    rebalance: bool = True
    """Invite robots to a less loaded server of the same model, a few at a time."""
    client_grace_s: float = 5.0
    """Time after which a robot whose liveliness token is gone loses its session, in seconds."""
    session_idle_timeout_s: float = 300.0
    """Time without a message after which a robot loses its session, in seconds."""
    drain_timeout_s: float = 10.0
    """Longest wait for accepted requests when the server is told to stop, in seconds."""

    exit_on_broken_policy: bool = False
    """Stop the server when the policy fails for every robot, so that a supervisor starts it again. Otherwise
    the server stays, but is not ready."""

    health_host: str = "127.0.0.1"
    """Address of the health endpoint; 0.0.0.0, or :: for IPv6, if probes come from other hosts."""
    health_port: int = 0
    """Port of /healthz, /readyz and /metrics; 0: off."""
    audit_path: Path | None = None
    """Audit file, with one JSON line per request and per event of a session; unset: off."""
    audit_max_mb: int = 64
    """Size at which the audit file is rotated, in MB; one older file is kept."""
    capture_dir: Path | None = None
    """Folder for samples of requests and replies, for replay; unset: off."""
    capture_every: int = 100
    """Capture one of so many requests."""
    capture_max_mb: int = 256
    """Largest size of the capture folder in MB; the oldest samples are removed."""

    private_files: bool = True
    """Only this user may read audit and capture files (files 0600, folders 0700); otherwise the umask
    decides."""

    gateways: tuple[GatewayConfig, ...] = ()
    """Gateways for robots of foreign protocols, as a list of tables with the settings of `vagus gateway`."""

    tenants: tuple[Tenant, ...] = ()
    """Parties that share this server, as a list of tables: name, clients, weight and quotas. Empty: each
    client is a party of its own, without quotas."""

    zenoh: ZenohConfig = field(default_factory=ZenohConfig)
    """Network settings."""

    def __post_init__(self) -> None:
        for name in NAMES:
            if not getattr(self, name):
                raise ConfigError(name, wanted="a name", got="''")
        for name, most in COUNTS.items():
            check_count(name, getattr(self, name), most=most)
        self._check_numbers()
        if not 0 <= self.slo_starved_share <= 1:  # also for NaN
            wanted = "a share from 0 to 1"
            raise ConfigError("slo_starved_share", wanted=wanted, got=repr(self.slo_starved_share))
        self._check_service()
        if self.scheduler not in SCHEDULERS:
            wanted = f"one of {', '.join(SCHEDULERS)}"
            raise ConfigError("scheduler", wanted=wanted, got=repr(self.scheduler))
        check_port("health_port", self.health_port)
        TenantTable(self.tenants)

    def _check_numbers(self) -> None:
        for name in TIMES:
            check_seconds(name, getattr(self, name))
        for name in POSITIVES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(name, wanted="a finite number above 0", got=repr(value))

    @property
    def service_parts(self) -> tuple[str, str, str]:
        """Model, revision and name of the service, as robots know it."""
        if not self.service:
            return self.model_name, self.revision, self.service_name
        model, *rest = self.service.split("/")
        return model, rest[0] if rest else DEFAULT_REVISION, rest[1] if rest[1:] else DEFAULT_NAME

    def _check_service(self) -> None:
        """Raise ConfigError unless the name of the service is spelled the same in keys and in print."""
        if not self.service:
            return
        parts = self.service.split("/")
        if len(parts) > 3 or not all(part and sanitise(part) == part for part in parts):
            wanted = "model, model/revision or model/revision/name, of letters, digits and . _ -"
            raise ConfigError("service", wanted=wanted, got=repr(self.service))
        if self.service_name != DEFAULT_NAME:
            got = f"service {self.service!r} and service_name {self.service_name!r}"
            raise ConfigError("service", wanted="one of service and service_name", got=got)

    @property
    def model_name(self) -> str:
        """Name of the model in keys and status."""
        return self.model or self.policy or UNNAMED

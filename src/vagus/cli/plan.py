"""Command `vagus plan`: how many robots a device carries, from its measured inference times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec
import tyro

from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.output_file import check_output
from vagus.cli.plan_plot import PLOT_SUFFIXES, check_plot, plot_of
from vagus.cli.plan_report import show_plan
from vagus.cli.plan_source import DeviceProfile, profile_from_file, profile_from_network, profile_from_table
from vagus.edge.config import EdgeConfig, ExecuteHorizon, check_execute_horizon
from vagus.errors import ConfigError
from vagus.planning.fleet_plan import Asked, check_slo, curves_of, plan_of
from vagus.planning.planner import Device, Limit, remembered
from vagus.planning.robot_kinds import RobotKind, asking_after, check_demand, typed_kinds
from vagus.planning.trial import ASSUMPTIONS, simulated
from vagus.server.capacity import RobotDemand
from vagus.server.config import ServeConfig
from vagus.setting_ranges import check_count
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["PlanCommand"]

USUAL = EdgeConfig()


@dataclass(frozen=True)
class PlanCommand:
    """Tell how many robots a device carries, how many devices a fleet needs, and which setting buys most.

    The inference times are those of a server on the network, or of a table. Example: vagus plan --latency-ms
    1:25.3 2:34.4 4:53.4 8:94.1 --rate-hz 20 --horizon 10 --buffer-time-s 0.1
    """

    service: str = ""
    """Take the inference times of this service: model/revision/name, as `vagus serve` prints it; empty: of
    the only one on the network."""
    status: Path | None = None
    """Take them from a file that `vagus status --json` has written, instead of the network."""
    latency_ms: tuple[str, ...] = ()
    """Take them from this table instead: pairs BATCH_SIZE:MILLISECONDS."""
    robots: tuple[str, ...] = ()
    """Robots of the fleet, one entry per kind: COUNT, COUNT:RATEhz:HORIZON, or one of them with
    :buffer=0.8s, :execute=25 (or None), :round-trip=40ms. Unset: robots per device alone."""
    rate_hz: float | None = None
    """Policy steps per second of a robot; unset: the rate of the policy's training."""
    horizon: int | None = None
    """Actions in a chunk; unset: the policy's."""
    buffer_time_s: float = USUAL.buffer_time_s
    """Playback left at which a robot requests the next chunk, in seconds."""
    execute_horizon: ExecuteHorizon = USUAL.execute_horizon
    """When a robot requests the next chunk although its plan is not short. auto: as soon as a fresher one is
    worth it and the server has room. A number: after so many actions of a chunk. None: only by buffer
    time."""
    round_trip_ms: float = 10.0
    """Network round trip between robot and server, in ms; `vagus doctor` measures it."""
    slo_starved_share: float = ServeConfig().slo_starved_share
    """Largest share of control steps without an action, of each kind of robots, 0 to 1."""
    max_batch: int | None = None
    """Largest batch of the server; unset: the largest in its table."""
    plot: Path | None = None
    """Draw starved share against robots (.png, .pdf or .svg); needs matplotlib (vagus[plot])."""
    json: bool = False
    """Print JSON for a program."""
    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def __post_init__(self) -> None:
        check_slo(self.slo_starved_share)
        check_count("max_batch", self.max_batch)
        check_execute_horizon("execute_horizon", self.execute_horizon)
        sources = {
            "--service": bool(self.service),
            "--status": self.status is not None,
            "--latency-ms": bool(self.latency_ms),
        }
        given = [flag for flag, is_given in sources.items() if is_given]
        if "--latency-ms" in given and len(given) > 1:
            raise ConfigError("plan", wanted="one source of inference times", got=" and ".join(given))

    def run(self) -> int:
        """Print the plan."""
        if self.plot is not None:
            check_output("plot", self.plot, PLOT_SUFFIXES)
            check_plot()
        profile = self._profile()
        device = self._device(profile)
        kinds = self._kinds(profile)
        limit = Limit(self.slo_starved_share, remembered(simulated))
        asked = Asked(profile.source, kinds, is_fleet=bool(self.robots), max_sessions=profile.max_sessions)
        say(
            "simulating; a fast policy, which carries many robots, takes a minute or two",
            console(stderr=True),
        )
        plan = plan_of(device, asked, limit, (*profile.assumptions, *ASSUMPTIONS))
        screen = console()
        if self.json:
            screen.print_json(msgspec.json.encode(plan).decode())
        else:
            show_plan(plan, screen)
        if self.plot is not None:
            curves = curves_of(device, kinds, limit, plan)
            self.plot.write_bytes(plot_of(plan, curves, self.plot.suffix.lower().removeprefix(".")))
            say(f"written: {self.plot}", console(stderr=True))
        return ExitCode.OK

    def _profile(self) -> DeviceProfile:
        if self.latency_ms:
            return profile_from_table(self.latency_ms)
        if self.status is not None:
            return profile_from_file(self.status, self.service)
        return profile_from_network(self.zenoh, self.service)

    def _device(self, profile: DeviceProfile) -> Device:
        device = profile.device
        largest = max(device.table)
        if self.max_batch is not None and self.max_batch > largest:
            raise ConfigError(
                "max_batch",
                wanted=f"at most {largest}, the largest batch whose time is known",
                got=str(self.max_batch),
            )
        return device if self.max_batch is None else replace(device, max_batch=self.max_batch)

    def _kinds(self, profile: DeviceProfile) -> Sequence[RobotKind]:
        rate_hz = profile.rate_hz if self.rate_hz is None else self.rate_hz
        horizon = profile.horizon if self.horizon is None else self.horizon
        has_pace = rate_hz is not None and horizon is not None
        usual = self._demand(1.0 if rate_hz is None else rate_hz, 1 if horizon is None else horizon)
        if self.robots:
            return typed_kinds(self.robots, usual, has_pace=has_pace)
        if not has_pace:
            fix = "for example --rate-hz 20 --horizon 10"
            raise ConfigError(
                "plan", wanted="--rate-hz and --horizon of the robots", got="no policy", fix=fix
            )
        check_demand(usual, setting="buffer_time_s")
        return (RobotKind(1, usual),)

    def _demand(self, rate_hz: float, horizon: int) -> RobotDemand:
        """Return what a robot does that is not described any further."""
        demand = RobotDemand(
            rate_hz=rate_hz,
            horizon=horizon,
            buffer_s=self.buffer_time_s,
            round_trip_s=self.round_trip_ms / 1000,
            max_action_age_s=USUAL.max_action_age_s,
        )
        return asking_after(demand, self.execute_horizon)

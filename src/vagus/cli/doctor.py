"""Command `vagus doctor`: checks whether a robot can run with a server, and recommends a buffer time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape

from vagus.cli.console import console
from vagus.cli.dialects import show_dialects
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.survey import FoundServer, survey
from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.edge.asking import fair_interval_ns, processor_time_s
from vagus.edge.client.codec import BYTES_PER_PIXEL, DEPTH_BYTES_PER_PIXEL
from vagus.edge.client.pace import Pace
from vagus.edge.client.session import parse_service
from vagus.edge.config import AUTO, EdgeConfig
from vagus.errors import ConfigError, LinkError
from vagus.planning.robot_kinds import asking_after
from vagus.quoting import quoted
from vagus.server.capacity import RobotDemand
from vagus.setting_ranges import check_count
from vagus.transport.link import Link
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.schema import READY, SCHEMA_VERSION, Capabilities

__all__ = ["Advice", "DoctorCommand", "Probe", "advise", "probe"]

SMALL_OBSERVATION_BYTES = 4096
PROBE_TIMEOUT_S = 2.0

MAX_FINDING = 2000
"""Longest finding in characters, because it may quote a server."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Round trips of queries of the size of an observation.

    Attributes:
        sent: number of queries.
        round_trips_ms: time to each received answer.
    """

    sent: int
    round_trips_ms: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Share of the queries without an answer."""
        return 1 - len(self.round_trips_ms) / self.sent

    def quantile_ms(self, share: float) -> float:
        """Return the quantile `share` of the round trips."""
        ordered = sorted(self.round_trips_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Advice:
    """Finding about a server. `is_problem`: the robot would not run well, or not at all."""

    text: str
    is_problem: bool = False


@dataclass(frozen=True)
class DoctorCommand:
    """Check reachability, latency, loss and settings, and recommend a buffer time."""

    service: str = ""
    """model/revision/name, as `vagus serve` prints it; empty: all."""
    count: int = 20
    """Number of test queries per server."""
    dialect: str = ""
    """Address of any policy server, host:port or with a scheme: print which protocol answers there, in which
    version, and whether it keeps to it, and nothing else."""
    json: bool = False
    """Print what --dialect found as JSON."""
    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)
    edge: Annotated[EdgeConfig, tyro.conf.arg(name="")] = field(default_factory=EdgeConfig)
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def run(self) -> int:
        """Print findings; exit 0 if a robot could run."""
        if self.dialect:
            return show_dialects(self.dialect, self.zenoh, as_json=self.json)
        if self.json:
            raise ConfigError("--json", wanted="an address to look at", got="none", fix="--dialect host:port")
        check_count("count", self.count)
        screen = console()
        started_ns = time.monotonic_ns()
        with ZenohLink(self.zenoh) as link:
            opened_ms = (time.monotonic_ns() - started_ns) / NS_PER_MS
            screen.print(
                f"[green]ok[/] network reached in {opened_ms:.0f} ms ({', '.join(self.zenoh.reached)})",
                highlight=False,
            )
            found = survey(link, parse_service(self.service))
            if not found:
                raise LinkError("the router answers but no server is there; start one with `vagus serve`")
            usable = [self._examine(screen, link, server) for server in found]
        return ExitCode.OK if any(usable) else ExitCode.REFUSED

    def _examine(self, screen: Console, link: Link, server: FoundServer) -> bool:
        service, name = escape(str(server.service)), escape(server.key.server)
        screen.print(f"\n[bold]{service}[/] server {name}", highlight=False)
        if server.capabilities is None:
            screen.print(
                f"  [red]problem[/] alive but silent, it may hang: {escape(quoted(server.trouble))}",
                highlight=False,
            )
            return False
        measured = probe(link, server, self.count)
        findings = list(advise(server.capabilities, measured, self.edge))
        for finding in findings:
            mark = "[red]problem[/]" if finding.is_problem else "[green]ok[/]"
            screen.print(f"  {mark} {escape(quoted(finding.text, MAX_FINDING))}", highlight=False)
        return not any(finding.is_problem for finding in findings)


def probe(link: Link, server: FoundServer, count: int) -> Probe:
    """Send `count` queries to a server, of the size of an observation with its cameras."""
    payload = bytes(SMALL_OBSERVATION_BYTES + _frame_bytes(server.capabilities))
    return Probe(count, tuple(_round_trips_ms(link, server.key.status, payload, count)))


def _frame_bytes(said: Capabilities | None) -> int:
    """Return the usual bytes of the compressed frames of a request."""
    if said is None:
        return 0
    pixels = sum(c.height * c.width for c in said.cameras)
    depth_pixels = sum(c.height * c.width for c in said.depth_cameras)
    return round(pixels * BYTES_PER_PIXEL["jpeg"] + depth_pixels * DEPTH_BYTES_PER_PIXEL["delta"])


def _round_trips_ms(link: Link, key: str, payload: bytes, count: int) -> Iterator[float]:
    for _ in range(count):
        asked_ns = time.monotonic_ns()
        answers: Sequence[bytes] = _answers(link, key, payload)
        if answers:
            yield (time.monotonic_ns() - asked_ns) / NS_PER_MS


def _answers(link: Link, key: str, payload: bytes) -> tuple[bytes, ...]:
    try:
        return link.query(key, payload, timeout_s=PROBE_TIMEOUT_S)
    except LinkError:
        return ()  # counted as lost


def advise(said: Capabilities, measured: Probe, edge: EdgeConfig) -> Iterator[Advice]:
    """Yield findings about one server, from its capabilities and the measurements."""
    if not said.schema_min <= SCHEMA_VERSION <= said.schema_max:
        yield Advice(
            f"speaks wire schema {said.schema_min}–{said.schema_max}, this machine {SCHEMA_VERSION}",
            is_problem=True,
        )
    yield Advice(f"phase {said.phase}", is_problem=said.phase != READY)
    if not said.model_hash.startswith(edge.pin_model):
        yield Advice(
            f"its model is {said.model_hash[:12]}, not {edge.pin_model} (--pin-model)", is_problem=True
        )
    if said.failing:
        yield Advice(f"its policy fails for everybody: {said.failing}", is_problem=True)
    if said.load.sessions >= said.load.max_sessions:
        yield Advice(f"all {said.load.max_sessions} sessions are taken", is_problem=True)
    if not measured.round_trips_ms:
        yield Advice("no answer to questions as large as an observation", is_problem=True)
        return
    yield Advice(
        f"round trip p50 {measured.quantile_ms(0.5):.1f} ms, worst {measured.quantile_ms(1.0):.1f} ms, "
        f"loss {measured.loss:.0%}",
        is_problem=measured.loss > 0,
    )
    if said.horizon:  # one that still loads says nothing
        yield from _advise_pace(said, measured, edge)
        yield from _advise_requests(said, measured, edge)


def _advise_pace(said: Capabilities, measured: Probe, edge: EdgeConfig) -> Iterator[Advice]:
    """Yield findings about the policy's speed; `vagus run` accepts the recommended settings."""
    pace = Pace.of(said, rate_hz=edge.rate_hz, round_trip_s=measured.quantile_ms(1.0) / 1000, worst=True)
    why_never = pace.why_never(edge.max_action_age_s)
    if why_never:
        yield Advice(why_never, is_problem=True)
    if pace.is_stop_and_go:
        yield Advice(
            f"a chunk lasts only {pace.chunk_s:.2f} s and the next takes {pace.latency_s:.2f} s: "
            "it will stop and go",
            is_problem=True,
        )
    elif not why_never:
        is_short = edge.buffer_time_s < pace.settings(edge)[0]
        yield Advice(
            f"a chunk takes up to {pace.latency_s * 1000:.0f} ms: {pace.advice(edge)} "
            f"(set: {edge.buffer_time_s:g})",
            is_problem=is_short,
        )
    if pace.chunk_s + edge.buffer_time_s > edge.max_action_age_s:
        yield Advice(
            f"the last actions of a chunk ({pace.chunk_s:.1f} s) are older than --max-action-age-s "
            f"{edge.max_action_age_s:g} when their turn comes; they are never played (all are with "
            f"{pace.wanted_age_s:g})"
        )


def _advise_requests(said: Capabilities, measured: Probe, edge: EdgeConfig) -> Iterator[Advice]:
    """Yield how often a robot requests chunks at most, and what their frames need of the network."""
    rate_hz, frame_bytes = edge.rate_hz or said.rate_hz, _frame_bytes(said)
    if rate_hz <= 0 or not frame_bytes:
        return
    inference_s = Pace.of(said, rate_hz=rate_hz).latency_s
    continues_plan = edge.rtc and said.rtc is not None
    ahead = edge.max_in_flight if continues_plan and edge.execute_horizon == AUTO else 1
    share_ns = fair_interval_ns(inference_s * NS_PER_S, 1, processor_s=processor_time_s(said.decode_per_s))
    robot = RobotDemand(
        rate_hz=rate_hz,
        horizon=said.horizon,
        buffer_s=edge.buffer_time_s,
        share_s=share_ns / NS_PER_S,
        round_trip_s=(inference_s + measured.quantile_ms(0.5) / 1000) / ahead,
        max_action_age_s=edge.max_action_age_s,
    )
    asking = asking_after(robot, edge.execute_horizon, continues_plan=continues_plan)
    per_s = 1 / asking.interval_s(0.0)
    bound = "; a number or None asks less often" if edge.execute_horizon == AUTO else ""
    yield Advice(
        f"a robot asks up to {per_s:.1f} times per second, which is about {8e-6 * per_s * frame_bytes:.1f} "
        f"Mbit/s of frames as JPEG (--execute-horizon {edge.execute_horizon}{bound})"
    )

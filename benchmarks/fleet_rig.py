"""Real processes of a fleet: a router, servers, and robots several to a process; what the robots report."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.process import Program
from vagus.cli.child import Child

__all__ = ["FleetRig", "RobotReport", "Span", "spread"]

PROGRAMS = "benchmarks.programs"
POLICY = f"{Path(__file__).parent / 'programs' / 'table_policy.py'}:TablePolicy"
START_S = 60.0
LOOK_S = 0.5
"""Pause between two looks at the fleet."""


class RobotReport(msgspec.Struct, frozen=True):
    """What one robot did since its last report.

    Attributes:
        name: name of the robot.
        server: server that its session is with; "" without one.
        sessions: servers that it has gone to so far, by itself or invited.
        timeouts: requests without an answer so far.
        worker_errors: unexpected errors of its worker so far.
        round_trip_ms: its last round trip.
        ended: why its run ended; "" while it runs.
        ticks: commands since its first plan action.
        starved: those without an action of a plan.
        oldest_ms: largest age of an action.
        longest_gap_ms: longest time without an action of a plan.
    """

    name: str
    server: str
    sessions: int
    timeouts: int
    worker_errors: int
    round_trip_ms: float
    ended: str
    ticks: int
    starved: int
    oldest_ms: float
    longest_gap_ms: float


class Span:
    """Everything that the robots reported from one moment to another."""

    def __init__(self, before: Mapping[str, RobotReport]) -> None:
        self._sessions = {name: robot.sessions for name, robot in before.items()}
        self._ticks: Counter[str] = Counter()
        self._starved: Counter[str] = Counter()
        self._servers: dict[str, list[str]] = {name: [robot.server] for name, robot in before.items()}
        self.longest_gap_ms = 0.0
        self.oldest_ms = 0.0
        self.last: dict[str, RobotReport] = {}

    def add(self, robots: Iterable[RobotReport]) -> None:
        """Note one report of each robot."""
        for robot in robots:
            self._ticks[robot.name] += robot.ticks
            self._starved[robot.name] += robot.starved
            self.longest_gap_ms = max(self.longest_gap_ms, robot.longest_gap_ms)
            self.oldest_ms = max(self.oldest_ms, robot.oldest_ms)
            self.last[robot.name] = robot
            trail = self._servers.setdefault(robot.name, [])
            if robot.server and (not trail or trail[-1] != robot.server):
                trail.append(robot.server)

    @property
    def starved_shares(self) -> dict[str, float]:
        """Share of the ticks without an action of a plan, by robot; all of them, if it had none at all."""
        return {
            name: self._starved[name] / self._ticks[name] if self._ticks[name] else 1.0 for name in self.last
        }

    @property
    def worst_starved(self) -> float:
        """The largest of these shares."""
        return max(self.starved_shares.values(), default=1.0)

    @property
    def starved_robots(self) -> int:
        """Robots with a tick without an action of a plan."""
        return sum(1 for name in self.last if self._starved[name])

    @property
    def moves(self) -> int:
        """How often a robot went to a server in the span, by itself or invited."""
        return sum(robot.sessions - self._sessions.get(name, 0) for name, robot in self.last.items())

    @property
    def returns(self) -> int:
        """How often a robot came back to a server that it had left in the span."""
        return sum(len(trail) - len(set(trail)) for trail in self._servers.values())

    @property
    def ended(self) -> list[str]:
        """Robots whose run is over, and why."""
        return [f"{name}: {robot.ended}" for name, robot in self.last.items() if robot.ended]


def spread(robots: Iterable[RobotReport], servers: Sequence[str]) -> int:
    """Return how many robots more the fullest server has than the emptiest; -1: one is at none of them."""
    at = Counter(robot.server.rpartition("-")[0] for robot in robots)
    if set(at) - set(servers):
        return -1
    counts = [at[server] for server in servers]
    return max(counts) - min(counts)


class FleetRig:
    """A router, servers by name, and robots; everything ends with the stack."""

    def __init__(self, stack: ExitStack, *, policy: Mapping[str, object], serve: Sequence[str] = ()) -> None:
        """Start the router.

        Args:
            stack: ends all processes.
            policy: arguments of `TablePolicy`.
            serve: further arguments of `vagus serve`.
        """
        self._stack = stack
        self._options = [str(word) for pair in policy.items() for word in pair]
        self._serve = list(serve)
        self.router = stack.enter_context(Program(f"{PROGRAMS}.router"))
        self.endpoint = str(self.router.hello["endpoint"])
        self.servers: dict[str, Child] = {}
        self._robots: list[Program] = []
        self._newest: dict[str, RobotReport] = {}

    def start_server(self, name: str) -> Child:
        """Start a server; it is not ready yet."""
        network = ["--connect", self.endpoint, "--server-name", name]
        command = ["serve", "--policy", POLICY, "--model", "table", *network, *self._serve]
        server = Child(f"server {name}", [*command, "--options", *self._options])
        self.servers[name] = self._stack.enter_context(server)
        return server

    def serve(self, *names: str) -> None:
        """Start servers and wait until all are ready."""
        for name in names:
            self.start_server(name)
        for name in names:
            self.servers[name].wait_for_line("server ready", timeout_s=START_S)

    def kill(self, name: str) -> None:
        """Kill a server with SIGKILL."""
        self.servers.pop(name).signal(signal.SIGKILL)

    def drain(self, name: str) -> Child:
        """Tell a server to end in order."""
        server = self.servers.pop(name)
        server.signal(signal.SIGTERM)
        return server

    def restart_router(self) -> None:
        """Kill the router and start it at the same place."""
        self.router.kill()
        self.router = self._stack.enter_context(Program(f"{PROGRAMS}.router", self.endpoint))

    def start_robots(self, count: int, processes: int, edge: Mapping[str, object]) -> None:
        """Start robots and wait until all run: so many in all, in so many processes, with these settings."""
        share = -(-count // processes)
        firsts = range(1, count + 1, share)
        told = json.dumps(edge)
        programs = [
            Program(
                f"{PROGRAMS}.fleet_robots",
                self.endpoint,
                str(first),
                str(min(share, count + 1 - first)),
                told,
                python=sys.executable,
            )
            for first in firsts
        ]
        with ThreadPoolExecutor(len(programs)) as pool:
            self._robots += pool.map(self._stack.enter_context, programs)

    def report(self) -> list[RobotReport]:
        """Return what each robot did since the last call."""
        answers = [program.ask() for program in self._robots]
        robots = [msgspec.convert(one, RobotReport) for answer in answers for one in _listed(answer)]
        self._newest = {robot.name: robot for robot in robots}
        return robots

    def begin_span(self) -> Span:
        """Begin a span now."""
        self.report()
        return Span(self._newest)

    def watch(self, span: Span, seconds: float) -> None:
        """Look at the robots for so long."""
        self.wait(span, lambda _: False, seconds)

    def wait(
        self, span: Span, is_true: Callable[[Sequence[RobotReport]], bool], timeout_s: float
    ) -> float | None:
        """Look until something is true of a report; return after how many seconds, None: not in time."""
        begin_s = time.monotonic()
        while True:
            robots = self.report()
            span.add(robots)
            passed_s = time.monotonic() - begin_s
            if is_true(robots):
                return passed_s
            if passed_s >= timeout_s:
                return None
            time.sleep(LOOK_S)

    def balance(self, robots: Iterable[RobotReport]) -> dict[str, int]:
        """Return how many robots are at each server."""
        at = Counter(robot.server.rpartition("-")[0] or "nobody" for robot in robots)
        return {name: at[name] for name in {**dict.fromkeys(self.servers, 0), **at}}

    def is_balanced(self, robots: Iterable[RobotReport], *, most: int = 2) -> bool:
        """Whether every robot is at a living server, and the spread is at most so much."""
        return 0 <= spread(robots, list(self.servers)) <= most


def _listed(answer: Mapping[str, object]) -> list[object]:
    robots = answer["robots"]
    assert isinstance(robots, list)
    return robots

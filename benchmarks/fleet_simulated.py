"""A thousand robots on many servers in simulated time, with all rules that serve."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report import Aim, Table, number
from vagus.clock import NS_PER_MS, NS_PER_S, seconds_to_ns
from vagus.edge.client.first_contact import CHOICES
from vagus.planning.fleet_hooks import Move
from vagus.planning.fleet_result import FleetResult
from vagus.planning.serving_hooks import ServingHooks
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import ServerView, SimulatedServer, latency_rows
from vagus.planning.simulation import simulate
from vagus.server.config import ServeConfig
from vagus.server.rebalancing import ROUND_NS, Guest, Neighbour, invitations
from vagus.server.scheduler import SCHEDULERS
from vagus.wire.fill import emptiest, fills, pick, water_filled
from vagus.wire.schema import Load

__all__ = ["ServingRules", "Thousand", "play_thousand"]

ROBOTS, QUICK_ROBOTS = 1000, 100
PER_SERVER = 25
LATENCY = latency_rows({1: 40.0, 8: 60.0})
MAX_BATCH = 8
MAX_SESSIONS = 64
DURATION_S = 125.0
SETTLED_S = 10.0
LOST_S, ADDED_S = 30.0, 60.0
"""One server is lost at the first moment for good, and another one appears at the second."""
STATUS_NS = NS_PER_S
"""What a robot or server knows of the load of others is as old as this at most."""
ROUND_TRIP_NS = 100 * NS_PER_MS
BUFFER_S = 1.2
SPREAD_AIM = 2


class ServingRules(ServingHooks):
    """All decisions of a fleet as robots and servers make them, by a status that is up to a second old.

    Args:
        seed: seed of all random numbers.

    Attributes:
        spreads: (seconds, largest number of robots at a living server less the smallest), at each round.
        moved_s: when each invitation was made.
        trails: robot → servers that it was sent to, in turn.
    """

    moves_every_s = ROUND_NS / NS_PER_S

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._draw = random.Random(seed).random  # noqa: S311 - which server a robot tries is no secret
        self._said: dict[str, Load] = {}
        self._said_ns = -STATUS_NS
        self._home: dict[str, str] = {}
        self._since_ns: dict[str, int] = {}
        self._invited_ns: dict[str, int] = {}
        self.spreads: list[tuple[float, int]] = []
        self.moved_s: list[float] = []
        self.trails: dict[str, list[str]] = {}

    def choose(self, robot: SimulatedRobot, servers: Sequence[ServerView], now_ns: int) -> Sequence[str]:
        """Return the living servers, the first choice first.

        At first contact that is the emptier of two that are asked. A robot that has lost its server knows
        only what was said a moment ago; it draws one, each as likely as it has to take sessions.
        """
        self._hear(servers, now_ns)
        living = [view for view in servers if view.is_up]
        before = self._home.get(robot.name)
        if before is None:
            asked = self._drawn(living, [1.0] * len(living))[:CHOICES]
            first = asked[emptiest([_load(view) for view in asked], self._draw)]
        else:
            arriving = max(self._said[before].sessions, 1)
            weights = water_filled(fills([self._said[view.name] for view in living]), arriving)
            first = self._drawn(living, weights)[0]
        self._note(robot.name, first.name, now_ns)
        return [first.name, *(view.name for view in living if view is not first)]

    def _drawn(self, servers: Sequence[ServerView], weights: Sequence[float]) -> list[ServerView]:
        left, heavy, drawn = list(servers), list(weights), []
        while left:
            at = pick(heavy, self._draw)
            heavy.pop(at)
            drawn.append(left.pop(at))
        return drawn

    def moves(self, servers: Sequence[ServerView], now_ns: int) -> Sequence[Move]:
        """Return the invitations that each server makes by itself."""
        self._hear(servers, now_ns)
        living = [view for view in servers if view.is_up]
        counts = [len(view.robots) for view in living]
        self.spreads.append((now_ns / NS_PER_S, max(counts) - min(counts)))
        return [move for view in living for move in self._invited_by(view, living, now_ns)]

    def _invited_by(self, view: ServerView, living: Sequence[ServerView], now_ns: int) -> list[Move]:
        others = [Neighbour(one.name, self._said[one.name]) for one in living if one.name != view.name]
        robots = {robot.name: robot for robot in view.robots}
        guests = [self._guest(robot) for robot in view.robots]
        invited = invitations(_load(view), others, guests, now_ns, self._draw)
        for one in invited:
            self.moved_s.append(now_ns / NS_PER_S)
            self._invited_ns[one.client] = now_ns
            self._note(one.client, one.target, now_ns)
        return [Move(robots[one.client], one.target) for one in invited]

    def _guest(self, robot: SimulatedRobot) -> Guest:
        return Guest(
            robot.name,
            self._since_ns[robot.name],
            self._invited_ns.get(robot.name),
            seconds_to_ns(robot.buffer_s),
            ROUND_TRIP_NS,
            can_move=True,
        )

    def _hear(self, servers: Sequence[ServerView], now_ns: int) -> None:
        if now_ns - self._said_ns >= STATUS_NS:
            self._said_ns = now_ns
            self._said.update((view.name, _load(view)) for view in servers if view.is_up or not self._said)

    def _note(self, robot: str, server: str, now_ns: int) -> None:
        self._home[robot] = server
        self._since_ns[robot] = now_ns
        self.trails.setdefault(robot, []).append(server)


def _load(view: ServerView) -> Load:
    return Load(sessions=len(view.robots), max_sessions=view.max_sessions)


@dataclass(frozen=True, slots=True)
class Thousand:
    """What became of the simulated fleet.

    Attributes:
        result: what robots and servers did, from the tenth second on.
        rules: who was sent where.
        took_s: time that the simulation took.
    """

    result: FleetResult
    rules: ServingRules
    took_s: float

    def spread_from(self, from_s: float, until_s: float = DURATION_S) -> int:
        """Return the largest spread over the servers in a span of time; 0 without a look in it."""
        return max((spread for at_s, spread in self.rules.spreads if from_s <= at_s < until_s), default=0)

    @property
    def worst_starved(self) -> float:
        """Largest share of starved ticks of a robot."""
        return max(robot.starved_share for robot in self.result.robots)

    @property
    def invited_to_new(self) -> int:
        """Invitations from the moment on at which the new server appears."""
        return sum(at_s >= ADDED_S for at_s in self.rules.moved_s)

    @property
    def returns(self) -> int:
        """How often a robot was sent back to a server where it had been."""
        return sum(len(trail) - len(set(trail)) for trail in self.rules.trails.values())

    def to_table(self) -> Table:
        """Return a table with one row."""
        result = self.result
        row = (
            str(len(result.robots)),
            str(len(result.servers)),
            number(100 * self.worst_starved),
            str(self.spread_from(LOST_S - 10, LOST_S)),
            str(self.spread_from(LOST_S + 1, LOST_S + 1 + ROUND_NS / NS_PER_S)),
            str(self.spread_from(ADDED_S + 60)),
            str(self.invited_to_new),
            str(self.returns),
            number(self.took_s),
        )
        columns = (
            "robots",
            "servers",
            "worst starved %",
            "spread before the loss",
            "right after it",
            "a minute after the new one",
            "invitations by it",
            "came back",
            "simulated in s",
        )
        caption = (
            f"simulated, {DURATION_S:.0f} s: "
            f"one server is lost at {LOST_S:.0f} s, another one comes at {ADDED_S:.0f} s"
        )
        return Table(caption, columns, [row])

    def to_aims(self) -> list[Aim]:
        """Return what was promised of it."""
        return [
            Aim("simulated: worst starved share", self.worst_starved, 0.005),
            Aim("simulated: spread a minute after a new server", self.spread_from(ADDED_S + 60), SPREAD_AIM),
            Aim("simulated: invitations per robot of a new server", self.invited_to_new / PER_SERVER, 1.5),
        ]


def play_thousand(*, quick: bool) -> Thousand:
    """Simulate a thousand robots, each with two seconds of actions in a chunk, asked for at 1.2 s."""
    count = QUICK_ROBOTS if quick else ROBOTS
    robots = [
        SimulatedRobot(f"arm-{n}", rate_hz=30.0, horizon=60, buffer_s=BUFFER_S, start_s=5.0 * n / count)
        for n in range(count)
    ]
    scheduler = SCHEDULERS[ServeConfig().scheduler]
    downs: list[tuple[float, float] | None] = [None] * (count // PER_SERVER)
    downs[0] = (LOST_S, 10 * DURATION_S)
    downs.append((0.0, ADDED_S))
    servers = [
        SimulatedServer(f"s{n}", LATENCY, MAX_BATCH, scheduler, max_sessions=MAX_SESSIONS, down_s=down)
        for n, down in enumerate(downs)
    ]
    rules = ServingRules()
    begin_s = time.monotonic()
    result = simulate(robots, servers, duration_s=DURATION_S, hooks=rules, measured_from_s=SETTLED_S)
    return Thousand(result, rules, time.monotonic() - begin_s)

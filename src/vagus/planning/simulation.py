"""Simulation of a fleet: robots, networks, servers and their schedulers under simulated time (pure).

What decides in it is the code that serves: the scheduler, the latency profile that follows what is served,
and the robot's rule when to ask. The device is a table of times, the network a law, and the plan a number of
actions: nothing is computed but when. The same arguments give the same result.

    robots = [SimulatedRobot(f"arm-{i}", rate_hz=20, horizon=10, buffer_s=0.2) for i in range(8)]
    server = SimulatedServer("gpu", latency_rows({1: 73, 2: 110, 3: 142}), 3, SCHEDULERS["round_robin"])
    result = simulate(robots, [server], duration_s=60)
    print(result.starved_share, result.servers[0].busy)

Events are handled in the order of their time. At the same time answers come before ticks, and the scheduler
decides last.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.asking import fair_interval_ns
from vagus.planning.fleet_hooks import FleetHooks, RowTimes
from vagus.planning.fleet_result import FleetResult, RobotResult, ServerResult
from vagus.planning.network_law import NormalDraws
from vagus.planning.simulated_robot import FleetRequest, RobotCounts, RobotRun, SimulatedRobot
from vagus.planning.simulated_server import RunningBatch, ServerRun, SimulatedServer

__all__ = ["simulate"]

LOSS_NOTICED_NS = NS_PER_S // 10
"""Time after which a robot notices that its server is gone: its liveliness token is dropped."""
RETRY_NS = NS_PER_S
"""Time between two attempts of a robot that no server admits."""


def simulate(
    robots: Sequence[SimulatedRobot],
    servers: Sequence[SimulatedServer],
    *,
    duration_s: float,
    hooks: FleetHooks | None = None,
    seed: int = 0,
    measured_from_s: float = 0.0,
) -> FleetResult:
    """Return what a fleet does in `duration_s` seconds.

    Args:
        robots: the robots; each opens a session at its `start_s`.
        servers: the servers.
        duration_s: simulated time, in seconds.
        hooks: admission, rates, choice of servers, and moves; None: none of them.
        seed: seed of all random numbers.
        measured_from_s: what robots do before is not counted: a fleet that starts at once starves at first.
    """
    fleet = _Fleet(robots, servers, hooks or FleetHooks(), seed)
    fleet.run(seconds_to_ns(duration_s), seconds_to_ns(measured_from_s))
    return fleet.result(duration_s)


class _Kind(enum.IntEnum):
    """Kind of an event; of those at the same time, the lower number is handled first."""

    SERVER_DOWN = 0
    SERVER_UP = 1
    REPLY = 2
    ARRIVE = 3
    DONE = 4
    JOIN = 5
    MOVES = 6
    TIMEOUT = 7
    ASK = 8
    DECIDE = 9


class _Event(NamedTuple):
    """Event at a robot or a server (`subject` is its index)."""

    at_ns: int
    kind: int
    number: int
    subject: int
    payload: object


class _Reply(NamedTuple):
    """Answer on its way to a robot."""

    request: FleetRequest
    min_interval_ns: int
    share_ns: int


class _Fleet:
    """State of the simulation."""

    def __init__(
        self,
        robots: Sequence[SimulatedRobot],
        servers: Sequence[SimulatedServer],
        hooks: FleetHooks,
        seed: int,
    ) -> None:
        self._draws = NormalDraws(seed)
        self._hooks = hooks
        self._robots = [RobotRun(robot, index) for index, robot in enumerate(robots)]
        self._robot_index = {robot.name: index for index, robot in enumerate(robots)}
        self._servers = [ServerRun(server, robots, self._draws) for server in servers]
        self._server_index = {server.name: index for index, server in enumerate(servers)}
        self._home: dict[int, int] = {}
        """Robot → server of its session."""
        self._events: list[_Event] = []
        self._number = 0
        self._newest: dict[tuple[int, int], int] = {}
        """Kind and subject → number of the event that stands; older ones of the same kind are void."""
        self._handlers = {int(kind): getattr(self, f"_{kind.name.lower()}") for kind in _Kind}
        self._plan_events()

    def _plan_events(self) -> None:
        for robot in self._robots:
            self._push(seconds_to_ns(robot.spec.start_s), _Kind.JOIN, robot.index)
        for index, server in enumerate(self._servers):
            if server.spec.down_s is not None:
                down_s, up_s = server.spec.down_s
                self._push(seconds_to_ns(down_s), _Kind.SERVER_DOWN, index)
                self._push(seconds_to_ns(up_s), _Kind.SERVER_UP, index)
        if self._hooks.moves_every_s:
            self._push(seconds_to_ns(self._hooks.moves_every_s), _Kind.MOVES, 0)

    def _push(self, at_ns: int, kind: _Kind, subject: int, payload: object = None) -> int:
        self._number += 1
        heapq.heappush(self._events, _Event(at_ns, kind, self._number, subject, payload))
        return self._number

    def _push_only(self, at_ns: int, kind: _Kind, subject: int) -> None:
        """Push an event that makes an earlier one of its kind at the same subject void."""
        self._newest[kind, subject] = self._push(at_ns, kind, subject)

    def run(self, end_ns: int, measured_from_ns: int) -> None:
        """Handle all events before `end_ns`."""
        is_measured = measured_from_ns == 0
        while self._events and self._events[0].at_ns < end_ns:
            event = heapq.heappop(self._events)
            if not is_measured and event.at_ns >= measured_from_ns:
                is_measured = True
                self._forget_played(measured_from_ns)
            if self._newest.get((event.kind, event.subject), event.number) == event.number:
                self._handlers[event.kind](event)
        for robot in self._robots:
            robot.advance(end_ns)

    def _forget_played(self, now_ns: int) -> None:
        for robot in self._robots:
            robot.advance(now_ns)
            robot.played = RobotCounts()

    # -- sessions ---------------------------------------------------------------------------------------

    def _join(self, event: _Event) -> None:
        """Try the servers in the order of choice; if none admits the robot, try again later."""
        robot, now_ns = self._robots[event.subject], event.at_ns
        if robot.index in self._home:
            return
        views = [server.view(now_ns) for server in self._servers]
        by_name = {view.name: view for view in views}
        for name in self._hooks.choose(robot.spec, views, now_ns):
            if by_name[name].is_up and self._admit(robot, name, now_ns):
                return
        self._push(now_ns + RETRY_NS, _Kind.JOIN, robot.index)

    def _admit(self, robot: RobotRun, name: str, now_ns: int) -> bool:
        index = self._server_index[name]
        answer = self._hooks.admit(robot.spec, self._servers[index].view(now_ns), now_ns)
        if not answer.is_admitted:
            return False
        self._leave(robot)
        self._servers[index].open(robot.index)
        self._home[robot.index] = index
        is_first = now_ns == seconds_to_ns(
            robot.spec.start_s
        )  # it opened its session before it began to tick
        robot.join(answer.execute_horizon)
        self._plan_ask(robot, now_ns if is_first else now_ns + robot.spec.network.round_trip_ns)
        return True

    def _leave(self, robot: RobotRun) -> None:
        home = self._home.pop(robot.index, None)
        if home is not None:
            self._servers[home].close(robot.index)

    def _server_down(self, event: _Event) -> None:
        server = self._servers[event.subject]
        orphans = sorted(server.sessions)
        server.fail()
        for index in orphans:
            del self._home[index]
            noticed_ns = event.at_ns + LOSS_NOTICED_NS + self._robots[index].spec.network.round_trip_ns
            self._push(noticed_ns, _Kind.JOIN, index)

    def _server_up(self, event: _Event) -> None:
        self._servers[event.subject].come_back()

    def _moves(self, event: _Event) -> None:
        views = [server.view(event.at_ns) for server in self._servers]
        for move in self._hooks.moves(views, event.at_ns):
            robot = self._robots[self._robot_index[move.robot.name]]
            if robot.index in self._home and self._servers[self._server_index[move.server]].is_up:
                self._admit(robot, move.server, event.at_ns)
        self._push(event.at_ns + seconds_to_ns(self._hooks.moves_every_s), _Kind.MOVES, 0)

    # -- requests ---------------------------------------------------------------------------------------

    def _plan_ask(self, robot: RobotRun, from_ns: int) -> None:
        at_ns = robot.asks_at_ns(from_ns)
        if at_ns is not None:
            self._push_only(at_ns, _Kind.ASK, robot.index)

    def _ask(self, event: _Event) -> None:
        robot = self._robots[event.subject]
        home = self._home.get(robot.index)
        if home is None or robot.outstanding is not None:
            return
        request = robot.ask(event.at_ns)
        arrives_ns = robot.spec.network.arrival_ns(event.at_ns, self._draws)
        self._push(arrives_ns, _Kind.ARRIVE, home, request)
        self._push_only(event.at_ns + robot.timeout_ns, _Kind.TIMEOUT, robot.index)

    def _timeout(self, event: _Event) -> None:
        robot = self._robots[event.subject]
        robot.advance(event.at_ns)
        if robot.give_up():
            self._plan_ask(robot, event.at_ns)

    def _arrive(self, event: _Event) -> None:
        self._servers[event.subject].submit(cast("FleetRequest", event.payload), event.at_ns)
        self._push_only(event.at_ns, _Kind.DECIDE, event.subject)

    def _decide(self, event: _Event) -> None:
        decision = self._servers[event.subject].decide(event.at_ns)
        if isinstance(decision, RunningBatch):
            self._push(decision.end_ns, _Kind.DONE, event.subject, decision)
        elif decision is not None:
            self._push_only(decision, _Kind.DECIDE, event.subject)

    def _done(self, event: _Event) -> None:
        server, forward = self._servers[event.subject], cast("RunningBatch", event.payload)
        if not server.finish(forward, event.at_ns):
            return
        view = server.view(event.at_ns) if self._hooks.limits_rate else None
        share_ns = fair_interval_ns(
            (forward.end_ns - forward.begin_ns) / len(forward.rows),
            len(server.sessions),
            processor_s=server.spec.processor_s,
        )
        for row in forward.rows:
            if row.request.robot not in server.sessions:
                continue  # it left meanwhile: nothing is published to it
            spec = self._robots[row.request.robot].spec
            times = RowTimes(
                row.candidate.ready_ns,
                forward.begin_ns - row.candidate.ready_ns,
                forward.end_ns - forward.begin_ns,
            )
            interval_ns = 0 if view is None else self._hooks.min_interval_ns(spec, view, event.at_ns, times)
            server.answered(row.candidate, event.at_ns, interval_ns)
            arrives_ns = spec.network.arrival_ns(event.at_ns, self._draws)
            self._push(arrives_ns, _Kind.REPLY, row.request.robot, _Reply(row.request, interval_ns, share_ns))
        self._push_only(event.at_ns, _Kind.DECIDE, event.subject)

    def _reply(self, event: _Event) -> None:
        robot, reply = self._robots[event.subject], cast("_Reply", event.payload)
        robot.merge(
            reply.request, event.at_ns, min_interval_ns=reply.min_interval_ns, share_ns=reply.share_ns
        )
        self._plan_ask(robot, event.at_ns)

    # -- result -----------------------------------------------------------------------------------------

    def result(self, duration_s: float) -> FleetResult:
        """Return the result."""
        admitted = [robot for robot in self._robots if robot.played.requests or robot.index in self._home]
        return FleetResult(
            robots=tuple(
                RobotResult(robot.spec, self._home_of(robot.index), robot.played, _ages_s(robot))
                for robot in admitted
            ),
            servers=tuple(
                ServerResult.of(
                    server.spec.name, server.served, robots=len(server.sessions), duration_s=duration_s
                )
                for server in self._servers
            ),
            refused=tuple(robot.spec for robot in self._robots if robot not in admitted),
            duration_s=duration_s,
        )

    def _home_of(self, robot: int) -> str:
        home = self._home.get(robot)
        return "" if home is None else self._servers[home].spec.name


def _ages_s(robot: RobotRun) -> NDArray[np.float64]:
    """Return the age of each action that the robot commanded, in seconds."""
    runs = np.array(robot.played.runs or [(0, 0)], dtype=np.int64)
    first_ns, counts = runs[:, 0], runs[:, 1]
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    ages_ns = np.repeat(first_ns, counts) + place * robot.step_ns
    return np.asarray(ages_ns / NS_PER_S, dtype=np.float64)

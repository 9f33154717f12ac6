"""Decisions in the simulation of a fleet that are not the scheduler's: admission, rates, choice, moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import ServerView

__all__ = ["AdmissionAnswer", "FleetHooks", "Move", "RowTimes"]


@dataclass(frozen=True, slots=True)
class AdmissionAnswer:
    """Answer of a server to a robot that wants a session.

    Attributes:
        is_admitted: it may come.
        execute_horizon: actions that it executes at least before it asks again; 0: as it likes.
    """

    is_admitted: bool = True
    execute_horizon: int = 0


class RowTimes(NamedTuple):
    """Times of an answered request, in ns: its arrival, its wait for its batch, and how long that took."""

    arrived_ns: int
    wait_ns: int
    batch_ns: int


class Move(NamedTuple):
    """Invitation to a robot to go to another server."""

    robot: SimulatedRobot
    server: str


class FleetHooks:
    """Decisions of servers and robots; override what a simulation is about.

    Here each robot goes where the fewest are, everybody is admitted, no rate is limited, and nobody moves.

    Attributes:
        moves_every_s: time between two calls of `moves`, in seconds; 0: never.
        limits_rate: whether `min_interval_ns` is asked at all.
    """

    moves_every_s: float = 0.0
    limits_rate: bool = False

    def choose(
        self,
        robot: SimulatedRobot,  # noqa: ARG002 - a real choice needs it
        servers: Sequence[ServerView],
        now_ns: int,  # noqa: ARG002 - likewise
    ) -> Sequence[str]:
        """Return the names of the servers that the robot tries, the first first."""
        return [view.name for view in sorted(servers, key=lambda view: len(view.robots)) if view.is_up]

    def admit(
        self,
        robot: SimulatedRobot,  # noqa: ARG002 - a real admission needs it
        server: ServerView,
        now_ns: int,  # noqa: ARG002 - likewise
    ) -> AdmissionAnswer:
        """Return whether a server takes a robot: here, up to its largest number of sessions."""
        return AdmissionAnswer(is_admitted=len(server.robots) < server.max_sessions)

    def min_interval_ns(
        self,
        robot: SimulatedRobot,  # noqa: ARG002 - a real limit needs it
        server: ServerView,  # noqa: ARG002 - likewise
        now_ns: int,  # noqa: ARG002 - likewise
        times: RowTimes,  # noqa: ARG002 - likewise
    ) -> int:
        """Return the shortest time between two requests of a robot, as an answer to it says it."""
        return 0

    def moves(
        self,
        servers: Sequence[ServerView],  # noqa: ARG002 - real invitations need it
        now_ns: int,  # noqa: ARG002 - likewise
    ) -> Sequence[Move]:
        """Return the robots that are invited elsewhere."""
        return ()

"""Result of a simulated fleet: what its robots commanded, how old it was, and what its servers did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_S
from vagus.planning.simulated_robot import RobotCounts, SimulatedRobot
from vagus.planning.simulated_server import Served

__all__ = ["FleetResult", "RobotResult", "ServerResult", "jain"]


@dataclass(frozen=True, slots=True)
class RobotResult:
    """Result of one robot.

    Attributes:
        robot: the robot.
        server: server of its session at the end; "": none would have it.
        played: its counters.
        ages_s: age of each action that it commanded, (useful,), in seconds.
    """

    robot: SimulatedRobot
    server: str
    played: RobotCounts
    ages_s: NDArray[np.float64]

    @property
    def progress(self) -> float:
        """Share of its ticks in which it commanded an action of a plan."""
        ticks = self.played.useful + self.played.starved
        return self.played.useful / ticks if ticks else 0.0

    @property
    def starved_share(self) -> float:
        """Share of its ticks without an action of a plan, those before the first chunk included."""
        return 1.0 - self.progress


@dataclass(frozen=True, slots=True)
class ServerResult:
    """Result of one server.

    Attributes:
        name: its name.
        busy: share of the time that its device worked.
        batches: batch size → number of batches.
        wait_p50_s: median time that a request waited for its batch, in seconds.
        wait_p99_s: the same, of the slowest hundredth.
        lost: requests that were lost with the server.
        robots: sessions at the end.
    """

    name: str
    busy: float
    batches: Counter[int]
    wait_p50_s: float
    wait_p99_s: float
    lost: int
    robots: int

    @classmethod
    def of(cls, name: str, served: Served, *, robots: int, duration_s: float) -> ServerResult:
        """Return the result of a run."""
        waits_s = np.array(served.waits_ns or [0]) / NS_PER_S
        p50_s, p99_s = (float(wait_s) for wait_s in np.percentile(waits_s, (50, 99)))
        busy = served.busy_ns / NS_PER_S / duration_s
        return cls(name, busy, served.batches, p50_s, p99_s, served.lost, robots)

    @property
    def mean_batch(self) -> float:
        """Requests per batch."""
        batches = self.batches.total()
        return sum(size * count for size, count in self.batches.items()) / batches if batches else 0.0


@dataclass(frozen=True, slots=True)
class FleetResult:
    """Result of a fleet.

    Attributes:
        robots: result of each robot that was admitted, in the order of the fleet.
        servers: result of each server.
        refused: robots that no server admitted.
        duration_s: simulated time, in seconds.
    """

    robots: tuple[RobotResult, ...]
    servers: tuple[ServerResult, ...]
    refused: tuple[SimulatedRobot, ...]
    duration_s: float

    def of(self, name: str) -> RobotResult:
        """Return the result of one robot.

        Raises:
            KeyError: no robot of this name was admitted.
        """
        for result in self.robots:
            if result.robot.name == name:
                return result
        raise KeyError(name)

    @property
    def useful(self) -> int:
        """Actions of a plan that all robots commanded."""
        return sum(result.played.useful for result in self.robots)

    @property
    def starved_share(self) -> float:
        """Share of all ticks without an action of a plan."""
        ticks = sum(result.played.useful + result.played.starved for result in self.robots)
        return 1.0 - self.useful / ticks if ticks else 0.0

    @property
    def weighted_progress(self) -> float:
        """Mean of the robots' progress, each with its weight."""
        weights = sum(result.robot.weight for result in self.robots)
        return sum(result.robot.weight * result.progress for result in self.robots) / weights

    @property
    def fairness(self) -> float:
        """Jain's index of the robots' progress: 1 if all have the same, 1/n if one has all."""
        return jain([result.progress for result in self.robots])

    def within(self, age_s: float) -> float:
        """Return the share of the commanded actions that were at most this old."""
        ages_s = np.concatenate([result.ages_s for result in self.robots] or [np.zeros(0)])
        return float(np.mean(ages_s <= age_s)) if len(ages_s) else 0.0

    def age_s(self, percentile: float) -> float:
        """Return a percentile of the age of all commanded actions, in seconds."""
        ages_s = np.concatenate([result.ages_s for result in self.robots] or [np.zeros(0)])
        return float(np.percentile(ages_s, percentile)) if len(ages_s) else 0.0


def jain(values: Sequence[float]) -> float:
    """Return Jain's index of fairness: (Σx)² / (n·Σx²); 1.0 where all are 0."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0

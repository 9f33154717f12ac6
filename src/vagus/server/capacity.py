"""Arithmetic of a device and its robots: requests per second, share of the device, starved share.

A fluid model: every robot repeats the same cycle, and a batch starts when the device is free. Pure; the
admission, the planner and the simulation of a fleet use it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from vagus.clock import NS_PER_S
from vagus.edge.asking import fair_interval_ns

__all__ = [
    "BatchLatency",
    "FleetForecast",
    "RobotDemand",
    "Robots",
    "best_batch",
    "demand_share",
    "forecast",
    "requests_per_s_at",
]

ROUNDING_STEPS = 1e-6
"""Part of a step that is noise of floating point."""
MAX_HALVINGS = 40
"""Most halvings of the interval that holds the delay at the server."""
RESOLUTION_S = 1e-7
"""Length of this interval that is short enough. All robots of a lost server open sessions at once, and each
open computes the delay several times."""
MAX_DELAY_S = 1e4
"""Longest delay at the server that is looked for."""


class BatchLatency(Protocol):
    """Inference time by batch size."""

    def ms(self, size: int) -> float:
        """Return the milliseconds of a batch with `size` rows; above 0, and never less for more rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotDemand:
    """What one robot asks of a server.

    Attributes:
        rate_hz: policy steps per second.
        horizon: actions in a chunk.
        buffer_s: time before the end of its plan at which it requests the next chunk; 0: a client that asks
            when its chunk has ended, and waits.
        execute_horizon: actions of a chunk after which it requests the next one already; 0: by buffer only.
        observe_steps: steps after an observation at which it requests the next chunk already, as far as the
            device has room; 0: it does not.
        share_s: time between two such requests at which it uses no more than its part of the server.
        processor_s: time of the server's processor for one request; 0: not known.
        least_executed: actions of a chunk that it agreed to execute before it requests the next one.
        round_trip_s: network round trip.
        weight: its share of the device counts so many times.
        max_action_age_s: it executes no older action.
    """

    rate_hz: float
    horizon: int
    buffer_s: float = 0.0
    execute_horizon: int = 0
    observe_steps: int = 0
    share_s: float = 0.0
    processor_s: float = 0.0
    least_executed: int = 0
    round_trip_s: float = 0.0
    weight: float = 1.0
    max_action_age_s: float = math.inf

    @property
    def step_s(self) -> float:
        """Length of a policy step."""
        return 1 / self.rate_hz

    @property
    def chunk_s(self) -> float:
        """Time from the capture of an observation to the last moment at which its chunk can be played."""
        return min(self.horizon * self.step_s, self.max_action_age_s)

    @property
    def is_blocking(self) -> bool:
        """Whether it asks only when its chunk has ended: it stands still during each answer, always."""
        return self.buffer_s <= 0 and not self.is_eager

    @property
    def is_eager(self) -> bool:
        """Whether it requests chunks sooner than its buffer demands."""
        return self.execute_horizon > 0 or self.observe_steps > 0

    @property
    def as_patient(self) -> RobotDemand:
        """The same robot if it executes as much of a chunk as it can before it asks again."""
        return self if self.is_blocking else self.agreed(self.horizon)

    def served_in(self, latency_s: float) -> RobotDemand:
        """Return how the robot asks if no answer is there sooner than this after its observation.

        No answer could be there before the end of its plan if that is longer than its buffer: then it asks
        when its chunk has ended, and stops and goes.
        """
        is_too_late = not self.is_eager and latency_s > self.buffer_s
        return replace(self, buffer_s=0.0) if is_too_late and self.buffer_s > 0 else self

    def agreed(self, least_executed: int) -> RobotDemand:
        """Return the same robot after it agreed to execute so many actions before the next request."""
        return replace(self, least_executed=least_executed)

    def interval_s(self, delay_s: float) -> float:
        """Return the time from request to request, capture to capture.

        Args:
            delay_s: time from the arrival of a request at the server to the departure of its answer.
        """
        latency_s = delay_s + self.round_trip_s
        if self.is_blocking:
            return self.chunk_s + latency_s
        return latency_s + self._played_before_request_s(latency_s)

    def starved_share(self, delay_s: float, *, interval_s: float | None = None) -> float:
        """Return the share of time without an action, 0–1, if each answer takes this time.

        Args:
            delay_s: as in `interval_s`.
            interval_s: time from request to request; None: as the robot likes.
        """
        interval_s = self.interval_s(delay_s) if interval_s is None else interval_s
        return min(max(self.gap_s(delay_s, interval_s) / interval_s, 0.0), 1.0)

    def gap_s(self, delay_s: float, interval_s: float) -> float:
        """Return the time without an action in each interval; below 0: so long the plan goes on.

        A chunk can be played until its length after its observation; but one that is waited for is played
        whole from its arrival on.
        """
        latency_s = delay_s + self.round_trip_s
        return latency_s if self.is_blocking else interval_s + latency_s - self.chunk_s

    def longest_agreeable(self, delay_s: float) -> int:
        """Return the largest `least_executed` at which the plan does not end before the next answer."""
        left_s = self.chunk_s - 2 * (delay_s + self.round_trip_s) - self.step_s
        return max(math.floor(left_s * self.rate_hz + ROUNDING_STEPS), 0)

    def _played_before_request_s(self, latency_s: float) -> float:
        """Return how long a chunk is played, from its merge on, before the next request."""
        left_s = max(self.chunk_s - latency_s, 0.0)
        by_buffer_s = max(left_s - self.buffer_s, 0.0)
        own_s = min(by_buffer_s, self._used_up_s(latency_s))
        agreed_s = min(self.least_executed * self.step_s, max(left_s - latency_s - self.step_s, 0.0))
        return max(own_s, agreed_s)

    def _used_up_s(self, latency_s: float) -> float:
        """Return how long a chunk is played, from its merge on, until it is replaced with a full buffer."""
        if self.execute_horizon:
            return self.execute_horizon * self.step_s
        if self.observe_steps:
            return max(self.observe_steps * self.step_s - latency_s, self.share_s - latency_s, 0.0)
        return math.inf


Robots: TypeAlias = Sequence[RobotDemand] | Mapping[RobotDemand, int]
"""Robots of a fleet, one by one, or how many there are of each kind."""


@dataclass(frozen=True, slots=True)
class FleetForecast:
    """What becomes of some robots on one device.

    Attributes:
        requests_per_s: requests of all robots.
        demand: share of the device, at its best batch size, that they would use if nobody waited for others;
            above 1: they will ask less often than they like.
        least_demand: the same if each robot asks as rarely as it can without starving; above 1: they starve.
        batch: mean rows of a batch.
        busy: share of time in which the device runs, 0–1.
        delay_s: mean time from the arrival of a request to the departure of its answer.
        starved_share: share of time without an action, the worst robot's, 0–1.
        starved_by_others: as much of it as the robot would not starve alone on the device, 0–1; without
            clients that wait for each answer: they stand still in any case.
    """

    requests_per_s: float
    demand: float
    least_demand: float
    batch: float
    busy: float
    delay_s: float
    starved_share: float
    starved_by_others: float


def requests_per_s_at(latency: BatchLatency, batch: int) -> float:
    """Return the requests per second of a device that always runs batches of this size."""
    return 1000 * batch / latency.ms(batch)


def best_batch(latency: BatchLatency, *, max_batch: int, longest_s: float = math.inf) -> int:
    """Return the batch size with the most requests per second; the smaller of two that are equal.

    Args:
        latency: inference time by batch size.
        max_batch: largest batch.
        longest_s: longest time of a batch; one row is always allowed.
    """
    sizes = [size for size in range(1, max_batch + 1) if size == 1 or latency.ms(size) <= 1000 * longest_s]
    return max(sizes, key=lambda size: (requests_per_s_at(latency, size), -size))


def demand_share(latency: BatchLatency, robots: Robots, *, max_batch: int) -> float:
    """Return the share of the device that these robots would use if nobody waited for others.

    What they would like to have beyond that, while there is room, does not count: they do without it.

    Args:
        latency: inference time by batch size.
        robots: all robots that the device serves.
        max_batch: largest batch.
    """
    needed = Counter[RobotDemand]()
    for robot, count in Counter(robots).items():
        needed[replace(robot, observe_steps=0, share_s=0.0)] += count
    device, fleet = _device_of(latency, needed, max_batch=max_batch)
    return _requests_per_s(fleet, device.seconds[1]) / device.most_per_s


def forecast(latency: BatchLatency, robots: Robots, *, max_batch: int) -> FleetForecast:
    """Return what becomes of these robots on one device.

    Args:
        latency: inference time by batch size.
        robots: all robots that the device serves.
        max_batch: largest batch.
    """
    device, fleet = _device_of(latency, robots, max_batch=max_batch)
    if not fleet:
        return FleetForecast(0.0, 0.0, 0.0, 1.0, 0.0, device.seconds[1], 0.0, 0.0)
    delay_s = device.delay_s(fleet)
    rate = _requests_per_s(fleet, delay_s)
    batch, busy = device.batch_at(rate)
    starved = {robot: device.starved_share(robot, delay_s, batch, busy) for robot in fleet}
    alone = {robot: device.starved_alone(robot) for robot in fleet}
    return FleetForecast(
        requests_per_s=rate,
        demand=demand_share(latency, fleet, max_batch=max_batch),
        least_demand=_requests_per_s(_patient(fleet), device.seconds[1]) / device.most_per_s,
        batch=batch,
        busy=busy,
        delay_s=delay_s,
        starved_share=max(starved.values()),
        starved_by_others=max(
            (max(starved[robot] - alone[robot], 0.0) for robot in fleet if not robot.is_blocking), default=0.0
        ),
    )


class _Device:
    """Device that starts a batch of all that waits as soon as it is free."""

    def __init__(self, latency: BatchLatency, max_batch: int, *, count: int) -> None:
        self.others = 1 - 1 / max(count, 1)
        """Part of the work that is not a robot's own: nobody waits for itself."""
        self.seconds: Mapping[int, float] = {
            size: latency.ms(size) / 1000 for size in range(1, max_batch + 1)
        }
        self.best = best_batch(latency, max_batch=max_batch)
        self.most_per_s = self.best / self.seconds[self.best]

    def batch_at(self, requests_per_s: float) -> tuple[float, float]:
        """Return the mean rows of a batch at this rate, and the busy share.

        Rows go alone while one at a time keeps up; then the device is always busy, and a batch holds what
        came during the one before it.
        """
        busy = requests_per_s * self.seconds[1]
        if busy <= 1:
            return 1.0, busy
        missing = 1 - busy
        for size in range(2, self.best + 1):
            spare = size - requests_per_s * self.seconds[size]
            if spare >= 0:
                return size - 1 - missing / (spare - missing), 1.0
            missing = spare
        return float(self.best), 1.0

    def batch_s(self, rows: float) -> float:
        """Return the time of a batch; between two sizes on the line between them."""
        size = min(int(rows), self.best)
        more = min(size + 1, self.best)
        return self.seconds[size] + (rows - size) * (self.seconds[more] - self.seconds[size])

    def delay_s(self, fleet: Mapping[RobotDemand, int]) -> float:
        """Return the mean delay at which the robots ask exactly as often as the device answers.

        With more delay they ask less often and the device needs less, so there is one such delay.
        """
        low, high = 0.0, min(max(self.seconds[1], RESOLUTION_S), MAX_DELAY_S)
        while high < MAX_DELAY_S and self._needed_s(_requests_per_s(fleet, high)) > high:
            low, high = high, min(2 * high, MAX_DELAY_S)
        for _ in range(MAX_HALVINGS):
            if high - low <= RESOLUTION_S:
                break
            middle = (low + high) / 2
            if self._needed_s(_requests_per_s(fleet, middle)) > middle:
                low = middle
            else:
                high = middle
        return high

    def _needed_s(self, requests_per_s: float) -> float:
        """Return the mean delay at this rate; infinite if the device cannot keep up."""
        if requests_per_s > self.most_per_s:
            return math.inf
        batch, busy = self.batch_at(requests_per_s)
        return self.batch_s(batch) * (1 + self.others * busy / 2)

    def starved_share(self, robot: RobotDemand, delay_s: float, batch: float, busy: float) -> float:
        """Return the starved share of a robot: a request finds the device busy, and waits for its rest."""
        interval_s, batch_s = robot.interval_s(delay_s), self.batch_s(batch)
        busy *= self.others
        least_s = max(delay_s - batch_s * busy / 2, batch_s)  # in overload also the queue
        gap_s = robot.gap_s(least_s, interval_s)
        at_once, waiting = max(gap_s, 0.0), _mean_above_zero(gap_s, gap_s + batch_s)
        return min(((1 - busy) * at_once + busy * waiting) / interval_s, 1.0)

    def starved_alone(self, robot: RobotDemand) -> float:
        return robot.starved_share(self.seconds[1])


def _device_of(
    latency: BatchLatency, robots: Robots, *, max_batch: int
) -> tuple[_Device, Counter[RobotDemand]]:
    """Return the device, and the robots as they ask on it."""
    given, fleet = Counter(robots), Counter[RobotDemand]()
    device = _Device(latency, max_batch, count=given.total())
    row_ns = NS_PER_S / device.most_per_s
    for robot, count in given.items():
        asking = robot.served_in(device.seconds[1] + robot.round_trip_s)
        if asking.observe_steps:
            share_ns = fair_interval_ns(row_ns, given.total(), processor_s=asking.processor_s)
            asking = replace(asking, share_s=share_ns / NS_PER_S)
        fleet[asking] += count
    return device, fleet


def _requests_per_s(fleet: Mapping[RobotDemand, int], delay_s: float) -> float:
    return sum(_rates(fleet, delay_s))


def _patient(fleet: Mapping[RobotDemand, int]) -> Mapping[RobotDemand, int]:
    patient: Counter[RobotDemand] = Counter()
    for robot, count in fleet.items():
        patient[robot.as_patient] += count
    return patient


def _rates(fleet: Mapping[RobotDemand, int], delay_s: float) -> Iterable[float]:
    for robot, count in fleet.items():
        yield count / robot.interval_s(delay_s)


def _mean_above_zero(low: float, high: float) -> float:
    """Return the mean of what lies above 0 of a number that is anywhere between `low` and `high`."""
    if high <= low:
        return max(low, 0.0)
    top, bottom = max(high, 0.0), max(low, 0.0)
    return float((top**2 - bottom**2) / (2 * (high - low)))

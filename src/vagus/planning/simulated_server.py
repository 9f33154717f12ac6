"""One server in the simulation of a fleet: its requests, its scheduler, its device and its profile."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vagus.clock import NS_PER_MS, NS_PER_S, seconds_to_ns
from vagus.planning.network_law import NormalDraws
from vagus.planning.simulated_robot import FleetRequest, SimulatedRobot
from vagus.server.batch_profile import BatchProfile
from vagus.server.scheduler import Batch, Candidate, Scheduler, Wait, expected_after
from vagus.wire.schema import LatencyRow

__all__ = ["Arrived", "RunningBatch", "Served", "ServerRun", "ServerView", "SimulatedServer", "latency_rows"]

BUSY_WINDOW_NS = 5 * NS_PER_S
"""Window of the reported load, as the server's own."""
SHARE_HALF_LIFE_NS = 5 * NS_PER_S
"""Time after which used device time counts half in the share of a tenant."""
LEAST_WAIT_NS = NS_PER_MS
"""Shortest wait that a scheduler can ask for, as in the server's pipeline."""
MEDIAN_TO_MAX = 1.1
"""Slowest run of a warm-up for its median, where a table says only the median."""


def latency_rows(table: dict[int, float]) -> tuple[LatencyRow, ...]:
    """Return the rows of a warm-up for a table from batch size to milliseconds."""
    return tuple(
        LatencyRow(batch_size=size, p50_ms=ms, max_ms=MEDIAN_TO_MAX * ms) for size, ms in table.items()
    )


@dataclass(frozen=True, slots=True)
class SimulatedServer:
    """One server of a fleet.

    Attributes:
        name: its name.
        latency: what its batches take in truth; sizes between lie on the line.
        max_batch: largest batch.
        scheduler: the function that chooses its batches.
        believed: what its warm-up measured, if that is not the truth.
        sigma: spread of the logarithm of a batch's time; 0: always the same.
        max_sessions: largest number of robots.
        down_s: time without it, (begin, end) in seconds; None: it never fails.
        processor_s: time of its processor for one request, in seconds, which its robots know; the simulation
            does not wait for it. 0: not known.
    """

    name: str
    latency: tuple[LatencyRow, ...]
    max_batch: int
    scheduler: Scheduler
    believed: tuple[LatencyRow, ...] | None = None
    sigma: float = 0.0
    max_sessions: int = 1 << 30
    down_s: tuple[float, float] | None = None
    processor_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request at a server."""

    request: FleetRequest
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class RunningBatch:
    """A batch in the device, and when it ends."""

    rows: tuple[Arrived, ...]
    begin_ns: int
    end_ns: int


@dataclass(slots=True)
class Served:
    """What a server did.

    Attributes:
        busy_ns: time that its device worked.
        batches: batch size → number of batches.
        waits_ns: time that each served request waited for its batch.
        lost: requests that were lost with the server.
    """

    busy_ns: int = 0
    batches: Counter[int] = field(default_factory=Counter)
    waits_ns: list[int] = field(default_factory=list)
    lost: int = 0


@dataclass(frozen=True, slots=True)
class ServerView:
    """What others see of a server: its status.

    Attributes:
        name: its name.
        robots: robots with a session.
        max_sessions: largest number of them.
        waiting: requests that wait.
        busy: share of the last seconds that its device worked.
        profile: its latency profile.
        max_batch: largest batch.
        is_up: it lives.
    """

    name: str
    robots: tuple[SimulatedRobot, ...]
    max_sessions: int
    waiting: int
    busy: float
    profile: BatchProfile
    max_batch: int
    is_up: bool


class ServerRun:
    """State of one server. All times are ns of the simulation."""

    def __init__(self, spec: SimulatedServer, robots: Sequence[SimulatedRobot], draws: NormalDraws) -> None:
        self.spec = spec
        self.served = Served()
        self.sessions: set[int] = set()
        self.running: RunningBatch | None = None
        self.is_up = True
        self.profile = self._warm_profile()
        self._robots = robots
        self._draws = draws
        self._truth = BatchProfile(spec.latency)
        self._ready: dict[int, Arrived] = {}
        self._mailbox: dict[int, FleetRequest] = {}
        self._last_served: dict[int, int] = {}
        self._batches = 0
        self._expected: dict[int, Candidate] = {}
        self._used: dict[str, tuple[float, int]] = {}
        self._recent: deque[tuple[int, int]] = deque()

    def _warm_profile(self) -> BatchProfile:
        return BatchProfile(self.spec.latency if self.spec.believed is None else self.spec.believed)

    def view(self, now_ns: int) -> ServerView:
        """Return its status."""
        return ServerView(
            self.spec.name,
            tuple(self._robots[index] for index in sorted(self.sessions)),
            self.spec.max_sessions,
            len(self._ready) + len(self._mailbox),
            self._busy(now_ns),
            self.profile,
            self.spec.max_batch,
            self.is_up,
        )

    def _busy(self, now_ns: int) -> float:
        begin_ns = max(now_ns - BUSY_WINDOW_NS, 0)
        while self._recent and self._recent[0][1] <= begin_ns:
            self._recent.popleft()
        busy = sum(min(end, now_ns) - max(begin, begin_ns) for begin, end in self._recent)
        return busy / max(now_ns - begin_ns, 1)

    # -- sessions and failure ---------------------------------------------------------------------------

    def open(self, robot: int) -> None:
        """Open a session."""
        self.sessions.add(robot)
        self._last_served[robot] = self._batches

    def close(self, robot: int) -> None:
        """Close a session; its waiting requests are gone."""
        self.sessions.discard(robot)
        self._ready.pop(robot, None)
        self._mailbox.pop(robot, None)
        self._last_served.pop(robot, None)
        self._expected.pop(robot, None)

    def fail(self) -> None:
        """Lose all that is in work."""
        lost = len(self._ready) + len(self._mailbox)
        self.served.lost += lost + (len(self.running.rows) if self.running else 0)
        for robot in tuple(self.sessions):
            self.close(robot)
        self.running, self.is_up = None, False

    def come_back(self) -> None:
        """Begin again with the profile of a warm-up."""
        self.is_up, self.profile = True, self._warm_profile()

    # -- requests ---------------------------------------------------------------------------------------

    def submit(self, request: FleetRequest, now_ns: int) -> None:
        """Take a request: the newest of a robot wins, and one that is in the device is waited for."""
        if request.robot not in self.sessions:
            return
        if self.running and any(row.request.robot == request.robot for row in self.running.rows):
            self._mailbox[request.robot] = request
        else:
            waiting = self._ready.get(request.robot)
            since_ns = now_ns if waiting is None else waiting.candidate.waiting_from_ns
            self._ready[request.robot] = Arrived(request, self._candidate(request, now_ns, since_ns))

    def _candidate(self, request: FleetRequest, now_ns: int, since_ns: int) -> Candidate:
        robot = self._robots[request.robot]
        slack_ns = request.slack_ns
        if robot.said_slack_s is not None:
            slack_ns = seconds_to_ns(robot.said_slack_s)
        rate_hz = robot.said_rate_hz or robot.rate_hz
        return Candidate(
            epoch=request.robot,
            last_served=self._last_served[request.robot],
            ready_ns=now_ns,
            due_ns=max(now_ns, now_ns + slack_ns - robot.network.round_trip_ns),
            batch_key=robot.batch_key,
            tenant=robot.party,
            weight=robot.weight,
            rate_hz=rate_hz,
            gain_s=self._gain_s(robot, request),
            waits_since_ns=since_ns,
        )

    def _gain_s(self, robot: SimulatedRobot, request: FleetRequest) -> float:
        """Return what the answer adds, as far as the robot's words go."""
        rate_hz = robot.said_rate_hz or robot.rate_hz
        if robot.said_slack_s is None:
            return (robot.horizon - request.left) / rate_hz
        return max(robot.horizon / rate_hz - robot.said_slack_s, 0.0)

    def decide(self, now_ns: int) -> RunningBatch | int | None:
        """Start the batch that the scheduler chooses; return it, or until when it waits, or None."""
        if self.running is not None or not self._ready or not self.is_up:
            return None
        ready = [self._with_share(arrived.candidate, now_ns) for arrived in self._ready.values()]
        decision = self.spec.scheduler(
            ready, self.profile, now_ns, max_batch=self.spec.max_batch, expected=self._expected_at(now_ns)
        )
        if isinstance(decision, Wait):
            return None if decision.until_ns is None else max(decision.until_ns, now_ns + LEAST_WAIT_NS)
        self.running = self._start(decision, now_ns)
        return self.running

    def _expected_at(self, now_ns: int) -> list[Candidate]:
        """Return the next requests of the sessions that have none now."""
        return [
            candidate
            for robot, candidate in self._expected.items()
            if robot not in self._ready and candidate.ready_ns > now_ns
        ]

    def _start(self, batch: Batch, now_ns: int) -> RunningBatch:
        rows = tuple(self._ready.pop(candidate.epoch) for candidate in batch.candidates)
        key = rows[0].candidate.batch_key
        factor = math.exp(self.spec.sigma * self._draws.draw()) if self.spec.sigma else 1.0
        end_ns = now_ns + round(self._truth.ms(len(rows), key) * factor * NS_PER_MS)
        self._batches += 1
        for row in rows:
            self._last_served[row.request.robot] = self._batches
            self.served.waits_ns.append(now_ns - row.candidate.ready_ns)
        self.served.batches[len(rows)] += 1
        return RunningBatch(rows, now_ns, end_ns)

    def finish(self, forward: RunningBatch, now_ns: int) -> bool:
        """End a batch; return False if it was lost with the server."""
        if self.running is not forward:
            return False
        self.running = None
        took_ns = forward.end_ns - forward.begin_ns
        self.served.busy_ns += took_ns
        self._recent.append((forward.begin_ns, forward.end_ns))
        self.profile.note(len(forward.rows), took_ns / NS_PER_MS, forward.rows[0].candidate.batch_key)
        for row in forward.rows:
            seconds = took_ns / NS_PER_S / len(forward.rows)
            self._charge(row.candidate.tenant, seconds / row.candidate.weight, now_ns)
            waiting = self._mailbox.pop(row.request.robot, None)
            if waiting is not None:
                self.submit(waiting, now_ns)
        return True

    def answered(self, served: Candidate, now_ns: int, min_interval_ns: int) -> None:
        """Note that a request was answered, and which pause the answer asks for."""
        self._expected[served.epoch] = expected_after(served, now_ns, min_interval_ns=min_interval_ns)

    # -- shares -----------------------------------------------------------------------------------------

    def _charge(self, tenant: str, seconds: float, now_ns: int) -> None:
        self._used[tenant] = (self._share(tenant, now_ns) + seconds, now_ns)

    def _share(self, tenant: str, now_ns: int) -> float:
        seconds, at_ns = self._used.get(tenant, (0.0, now_ns))
        return float(seconds * 0.5 ** ((now_ns - at_ns) / SHARE_HALF_LIFE_NS))

    def _with_share(self, candidate: Candidate, now_ns: int) -> Candidate:
        return replace(candidate, share=self._share(candidate.tenant, now_ns))

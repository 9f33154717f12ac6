"""Who is served next: the deadline scheduler against others, with many robots under simulated time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.fleet_simulated import ServingRules
from benchmarks.report import Aim, Report, Table, number
from benchmarks.schedulers import earliest_deadline, first_come, look_ahead
from vagus.planning.fleet_hooks import FleetHooks
from vagus.planning.fleet_result import FleetResult
from vagus.planning.network_law import NetworkLaw
from vagus.planning.serving_hooks import ServingHooks
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import SimulatedServer, latency_rows
from vagus.planning.simulation import simulate
from vagus.server.scheduler import SCHEDULERS, Scheduler

__all__ = ["run"]

Milliseconds = Mapping[int, float]

L40S: Milliseconds = {1: 73.0, 2: 109.8, 3: 142.4, 4: 177.5, 5: 211.1}
"""π0.5 with ten flow steps; batch size → ms."""
H200: Milliseconds = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1, 16: 175.0, 32: 341.0}
"""π0, compiled, three cameras, ten steps."""
OTHERS: Mapping[str, Scheduler] = {
    "first come": first_come,
    "round robin": SCHEDULERS["round_robin"],
    "earliest deadline": earliest_deadline,
    "look ahead": look_ahead,
}
ALL: Mapping[str, Scheduler] = {**OTHERS, "deadline": SCHEDULERS["deadline"]}
CLAIRVOYANT = {1: (1636, 0.04), 2: (1517, 0.66), 3: (1501, 0.73), 5: (1473, 0.76)}
"""Weight of the fast robot → useful actions and its progress, found by a search that knows the future."""
WEIGHTS = (0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0)
NEAR = 1.015
"""Factor by which the clairvoyant search may be better."""
CAPPED_CONTENTION = "contention, rate control"
"""The published 112 is what a rule for the rate of the requests reaches."""
LATE_SHARE = 0.01
SLO_AGE_S = 0.8
"""Oldest action within the objective: a chunk of 0.5 s, and three times the largest batch."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A public configuration.

    Attributes:
        robots: the fleet.
        latency: batch size → ms.
        max_batch: largest batch.
        duration_s: measured time.
        warm_up_s: time before it.
    """

    robots: Sequence[SimulatedRobot]
    latency: Milliseconds
    max_batch: int
    duration_s: float
    warm_up_s: float = 0.0

    def run(
        self, scheduler: Scheduler, *, max_batch: int = 0, hooks: FleetHooks | None = None
    ) -> FleetResult:
        """Return what the fleet does."""
        server = SimulatedServer(
            "gpu", latency_rows(dict(self.latency)), max_batch or self.max_batch, scheduler
        )
        duration_s = self.duration_s + self.warm_up_s
        return simulate(
            self.robots, [server], duration_s=duration_s, hooks=hooks, measured_from_s=self.warm_up_s
        )


def fleet(
    count: int, *, horizon: int = 10, buffer_s: float = 0.2, one_way_s: float = 0.005
) -> list[SimulatedRobot]:
    """Return equal robots at 20 Hz."""
    network = NetworkLaw(one_way_s)
    return [SimulatedRobot(f"arm-{n}", 20.0, horizon, buffer_s, network=network) for n in range(count)]


def shapes(fast: int, slow: int, *, weight: float = 1.0) -> list[SimulatedRobot]:
    """Return robots with chunks of 6 (weighted) and of 10, that ask with 0.1 s left."""
    robots = fleet(fast + slow, buffer_s=0.1, one_way_s=0.0025)
    return [
        replace(
            robot, asks_after_action=True, horizon=6 if n < fast else 10, weight=weight if n < fast else 1.0
        )
        for n, robot in enumerate(robots)
    ]


def one_fast(weight: float = 1.0) -> Setup:
    """Return armory-one-fast: one robot with chunks of 6 and nine with chunks of 10."""
    return Setup(shapes(1, 9, weight=weight), L40S, 3, duration_s=10, warm_up_s=0.05)


def three_rates(base_s: float, row_s: float, max_batch: int, duration_s: float) -> Setup:
    """Return three robots at 30, 20 and 10 Hz with chunks of 2, 3 and 4."""
    kinds = ((30.0, 2, 0.04, 0.005), (20.0, 3, 0.08, 0.01), (10.0, 4, 0.15, 0.02))
    robots = [
        SimulatedRobot(
            f"{rate_hz:g} Hz", rate_hz, horizon, buffer_s, network=NetworkLaw(way_s), asks_after_action=True
        )
        for rate_hz, horizon, buffer_s, way_s in kinds
    ]
    latency = {size: 1000 * (base_s + row_s * size) for size in range(1, max_batch + 1)}
    return Setup(robots, latency, max_batch, duration_s)


def run(*, quick: bool) -> Report:
    """Simulate the public configurations with each scheduler."""
    report = Report("Scheduling: who is served next, under simulated time")
    for part in (
        _one_fast,
        _plane,
        _three_rates,
        _half_fast,
        _capacity,
        _overload,
        _networks,
        _lost,
        _thousand,
    ):
        part(report, quick=quick)
    report.notes.append(
        "configurations and clairvoyant numbers are public; with 5 ms there and back, first come and "
        "earliest deadline come out as published (1481 useful, progress 0.73), round robin with 1498 for 1497"
    )
    return report


def _one_fast(report: Report, *, quick: bool) -> None:  # noqa: ARG001 - it takes a second
    rows = [(name, *_facts(one_fast().run(scheduler))) for name, scheduler in ALL.items()]
    rows.append(("unbatched", *_facts(one_fast().run(first_come, max_batch=1))))
    columns = ("", "useful actions", "starved %", "fast progress", "fairness")
    report.tables.append(Table("armory-one-fast, equal weights", columns, rows))


def _facts(result: FleetResult) -> tuple[str, ...]:
    fast = result.robots[0].progress
    return (str(result.useful), number(100 * result.starved_share), number(fast), f"{result.fairness:.3f}")


def _plane(report: Report, *, quick: bool) -> None:
    weights = sorted(set(CLAIRVOYANT) if quick else {*WEIGHTS, *CLAIRVOYANT})
    points = {weight: one_fast(weight).run(ALL["deadline"]) for weight in weights}
    rows: list[tuple[str, ...]] = []
    for weight, result in points.items():
        there = CLAIRVOYANT.get(int(weight)) if weight == int(weight) else None
        said = ("", "") if there is None else (str(there[0]), number(there[1]))
        rows.append((number(weight), str(result.useful), number(result.robots[0].progress), *said))
    columns = (
        "weight of the fast robot",
        "useful actions",
        "fast progress",
        "clairvoyant useful",
        "fast progress",
    )
    report.tables.append(Table("armory-one-fast, deadline, by weight", columns, rows))
    for weight, (useful, progress) in CLAIRVOYANT.items():
        misses = [max(useful / r.useful, progress / max(r.robots[0].progress, 1e-9)) for r in points.values()]
        report.aims.append(
            Aim(f"plane: clairvoyant at weight {weight} against the nearest point", min(misses), NEAR)
        )


def _three_rates(report: Report, *, quick: bool) -> None:  # noqa: ARG001 - it takes a second
    setups = {
        "contention": three_rates(0.1, 0.03, 1, 6.65),
        "batching": three_rates(0.08, 0.03, 2, 6.7),
        "heterogeneous": three_rates(0.03, 0.008, 1, 2.05),
    }
    useful = {
        name: {who: setup.run(scheduler).useful for who, scheduler in ALL.items()}
        for name, setup in setups.items()
    }
    useful[CAPPED_CONTENTION] = {
        who: setups["contention"].run(scheduler, hooks=ServingHooks(max_starved_share=None)).useful
        for who, scheduler in ALL.items()
    }
    rows = [(name, *(str(count) for count in counts.values())) for name, counts in useful.items()]
    report.tables.append(Table("30, 20 and 10 Hz; useful actions", ("", *ALL), rows))
    for name, wanted in ((CAPPED_CONTENTION, 112), ("batching", 148)):
        report.aims.append(
            Aim(f"{name}: {wanted} useful actions against ours", wanted / useful[name]["deadline"], 1)
        )


def _half_fast(report: Report, *, quick: bool) -> None:
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    for count in (4, 10) if quick else (2, 4, 6, 8, 10):
        setup = Setup(shapes(count // 2, count - count // 2), L40S, 3, 10 if quick else 60)
        useful = {who: setup.run(scheduler).useful for who, scheduler in ALL.items()}
        useful["unbatched"] = setup.run(first_come, max_batch=1).useful
        worst = max(worst, max(useful.values()) / useful["deadline"])
        rows.append((f"{count} robots", *(str(number_) for number_ in useful.values())))
    report.tables.append(Table("half fast, half slow; useful actions", ("", *ALL, "unbatched"), rows))
    report.aims.append(Aim("half fast: best other against ours, worst fleet", worst, 1.0))


def _capacity(report: Report, *, quick: bool) -> None:
    seconds = 8 if quick else 12
    everyone = {**ALL, "unbatched": first_come}

    def starved(count: int, latency: Milliseconds, size: int, who: str) -> float:
        setup = Setup(fleet(count), latency, 1 if who == "unbatched" else size, seconds, warm_up_s=2)
        return setup.run(everyone[who]).starved_share

    counts = (12, 24, 32) if quick else range(8, 41, 4)
    rows = [
        (f"{count} robots", *(number(100 * starved(count, H200, 32, who)) for who in everyone))
        for count in counts
    ]
    report.tables.append(Table("H200, equal robots, batch ≤ 32; starved %", ("", *everyone), rows))
    carried: dict[str, tuple[int, int]] = {}
    for who in everyone:
        few, many = ((4, 5), (12, 17, 25)) if quick else (range(1, 9), range(10, 30))
        l40s = max((n for n in few if starved(n, L40S, 5, who) <= LATE_SHARE), default=0)
        h200 = max((n for n in many if starved(n, H200, 32, who) <= LATE_SHARE), default=0)
        carried[who] = (l40s, h200)
    table = [
        ("L40S", *(str(n) for n, _ in carried.values())),
        ("H200", *(str(n) for _, n in carried.values())),
    ]
    report.tables.append(Table("robots per device with at most 1 % starved", ("", *everyone), table))
    for bound, ours, name in zip((5, 25), carried["deadline"], ("L40S", "H200"), strict=True):
        report.aims.append(Aim(f"{name}: robots short of the best batch size's {bound}", bound - ours, 1))
    fairness = [Setup(fleet(n), L40S, 3, seconds).run(ALL["deadline"]).fairness for n in (5, 10, 15)]
    report.aims.append(
        Aim("unfairness among equals (1 − Jain), worst of 5, 10, 15 robots", 1 - min(fairness), 0.01)
    )


def _overload(report: Report, *, quick: bool) -> None:
    rows: list[tuple[str, ...]] = []
    for factor in (2, 3):
        setup = Setup(fleet(25 * factor, buffer_s=0.4), H200, 8, 5 if quick else 20, warm_up_s=5)
        for name, scheduler in ALL.items():
            for is_capped in (False, True):
                hooks = ServingHooks(max_starved_share=None) if is_capped else None
                result = setup.run(scheduler, hooks=hooks)
                within = result.within(SLO_AGE_S)
                label = f"{factor}×, {name}, {'capped' if is_capped else 'uncapped'}"
                facts = (
                    number(100 * within),
                    number(result.age_s(99)),
                    str(result.useful),
                    f"{result.fairness:.3f}",
                )
                rows.append((label, *facts))
                if is_capped and name == "deadline":
                    report.aims.append(
                        Aim(f"{factor}× overload, capped: share outside the SLO", 1 - within, 0.05)
                    )
    columns = ("H200, batch ≤ 8", f"within {SLO_AGE_S:g} s %", "p99 age s", "useful actions", "fairness")
    report.tables.append(Table("overload: 50 and 75 robots on a device for 25", columns, rows))


def _networks(report: Report, *, quick: bool) -> None:
    law = NetworkLaw(0.01, sigma=1.0, outages=((12.0, 12.3),))
    robots = [replace(robot, network=law) for robot in fleet(20, buffer_s=0.3)]
    setup = Setup(robots, H200, 8, 10 if quick else 40, warm_up_s=2)
    rows = [(name, number(100 * setup.run(scheduler).starved_share)) for name, scheduler in ALL.items()]
    report.tables.append(
        Table("H200, 20 robots, heavy-tailed network, an outage of 0.3 s", ("", "starved %"), rows)
    )


def _lost(report: Report, *, quick: bool) -> None:
    robots = fleet(24, horizon=30, buffer_s=1.2)
    rows: list[tuple[str, ...]] = []
    for name, scheduler in ALL.items():
        servers = [SimulatedServer(f"gpu-{n}", latency_rows(dict(H200)), 8, scheduler) for n in range(2)]
        servers[1] = replace(servers[1], down_s=(10.0, 14.0))
        hooks, duration_s = ServingRules(), 40 if quick else 74
        result = simulate(robots, servers, duration_s=duration_s, hooks=hooks, measured_from_s=2)
        starved, places = result.starved_share, [server.robots for server in result.servers]
        rows.append((name, number(100 * starved), *(str(count) for count in places)))
        if name == "deadline":
            spread = max(places) - min(places)
            report.aims.append(Aim("a server lost for 4 s: spread of the robots a minute after", spread, 2))
            report.aims.append(Aim("a server lost for 4 s: share starved", starved, 0))
    columns = ("", "starved %", "robots at gpu-0", "at gpu-1")
    report.tables.append(Table("two H200, 24 robots with 1.2 s of buffer, one lost for 4 s", columns, rows))


def _thousand(report: Report, *, quick: bool) -> None:
    servers = [SimulatedServer(f"gpu-{n}", latency_rows(dict(H200)), 8, ALL["deadline"]) for n in range(48)]
    result = simulate(fleet(1000), servers, duration_s=3 if quick else 10, measured_from_s=2)
    busy = [server.busy for server in result.servers]
    row = (number(100 * result.starved_share), f"{result.fairness:.4f}", number(min(busy)), number(max(busy)))
    columns = ("starved %", "fairness", "least busy", "most busy")
    report.tables.append(Table("1,000 robots on 48 H200", columns, [row]))

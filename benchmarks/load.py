"""Hundreds of robots at a steady rate: what is lost, what the network costs, how memory and threads grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.fleet_rig import FleetRig
from benchmarks.process import Program
from benchmarks.report import Aim, Report, Table, number
from benchmarks.sampling import percentile, turns

__all__ = ["Footprint", "footprint", "run", "slope"]

PROGRAMS = "benchmarks.programs"
SIDE = 224
REQUEST_BYTES = SIDE * SIDE * 3
"""One raw frame: 150 kB."""
HORIZON = 60
REPLY_BYTES = 3300
"""Two tensors of 60 × 6 float32 and what goes with them."""
RATE_HZ = 2.0
SERVERS = ("a", "b")
STEPS, QUICK_STEPS = (50, 50, 100, 100), (4, 4)
"""Robots that are added one step after the other, each step in a process of its own."""
BLOCK_S, QUICK_BLOCK_S = 20.0, 1.0
ROUNDS, QUICK_ROUNDS = 3, 1
POLICY: Mapping[str, object] = {"alone_ms": 2, "eight_ms": 6, "horizon": HORIZON, "side": SIDE}
NETWORK_AIM = 2.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory and threads of a process: resident megabytes, and threads of every kind."""

    megabytes: float
    threads: int


@dataclass(slots=True)
class Contestant:
    """Robots of one kind, in processes of so many, and what became of their requests."""

    name: str
    clients: list[tuple[Program, int]] = field(default_factory=list)
    sent: int = 0
    lost: int = 0
    events: int = 0
    network_ms: list[float] = field(default_factory=list)

    def take_turn(self, seconds: float) -> None:
        """Ask with all robots for so long."""

        def ask(client: tuple[Program, int]) -> dict[str, object]:
            return client[0].ask(robots=client[1], rate_hz=RATE_HZ, seconds=seconds)

        with ThreadPoolExecutor(len(self.clients)) as pool:
            for answer in pool.map(ask, self.clients):
                self._note(answer)

    def _note(self, answer: Mapping[str, object]) -> None:
        sent, lost, events, spent = (answer[what] for what in ("sent", "lost", "events", "network_ms"))
        assert isinstance(sent, int)
        assert isinstance(lost, int)
        assert isinstance(events, dict)
        assert isinstance(spent, list)
        self.sent += sent
        self.lost += lost
        self.events += sum(events.values())
        self.network_ms += spent

    def forget(self) -> None:
        """Forget what became of the requests so far."""
        self.sent = self.lost = self.events = 0
        self.network_ms.clear()


def run(*, quick: bool) -> Report:
    """Open 300 robots in steps; then ask with all of them for a minute, ours and Zenoh alone in turn."""
    steps = QUICK_STEPS if quick else STEPS
    rounds, block_s = (QUICK_ROUNDS, QUICK_BLOCK_S) if quick else (ROUNDS, BLOCK_S)
    size_kb = REQUEST_BYTES / 1000
    report = Report(f"Load: {sum(steps)} robots × {RATE_HZ:g} Hz × {size_kb:.0f} kB, one router, two servers")
    with ExitStack() as stack:
        rig = FleetRig(stack, policy=POLICY, serve=("--max-sessions", "512"))
        rig.serve(*SERVERS)
        ours, alone = Contestant("vagus"), Contestant("Zenoh alone")
        growth = _grow(stack, rig, ours, steps, seconds=1.0 if quick else 5.0)
        _open_alone(stack, rig.endpoint, alone, steps)
        for contestant in turns((ours, alone), rounds):
            contestant.take_turn(block_s)
        after = _footprints(rig)
    report.tables += [_network_table(ours, alone), _growth_table(growth)]
    ratio = percentile(ours.network_ms, 99) / percentile(alone.network_ms, 99)
    report.aims.append(Aim("share of requests lost", ours.lost / ours.sent, 0.0))
    report.aims.append(Aim("p99 of the network part, to Zenoh alone", ratio, NETWORK_AIM))
    last, minutes = growth[-1][1]["server"], len(SERVERS) * rounds * block_s / 60
    report.notes.append(
        f"after {minutes:.1f} minutes of load: server {after['server'].megabytes:.0f} MB "
        f"({last.megabytes:.0f} MB before), {after['server'].threads} threads ({last.threads} before)"
    )
    return report


def footprint(pid: int) -> Footprint:
    """Return the memory and threads of a process."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    told = {name: rest.split() for name, _, rest in lines}
    return Footprint(int(told["VmRSS"][0]) / 1024, int(told["Threads"][0]))


def slope(counts: Sequence[int], values: Sequence[float]) -> float:
    """Return by how much a value grows with each robot: the straight line with the smallest squares."""
    return float(np.polyfit(counts, values, 1)[0])


def _open_alone(stack: ExitStack, endpoint: str, alone: Contestant, steps: Sequence[int]) -> None:
    for name in SERVERS:
        stack.enter_context(Program(f"{PROGRAMS}.raw_zenoh", "serve", endpoint, name, str(REPLY_BYTES)))
    first = 1
    for count in steps:
        told = (endpoint, str(first), str(count), str(REQUEST_BYTES), ",".join(SERVERS))
        alone.clients.append((stack.enter_context(Program(f"{PROGRAMS}.raw_zenoh", "ask", *told)), count))
        first += count


def _grow(
    stack: ExitStack, rig: FleetRig, ours: Contestant, steps: Sequence[int], *, seconds: float
) -> list[tuple[int, dict[str, Footprint]]]:
    """Open the robots step by step; return the footprints after each step, while all so far ask."""
    found: list[tuple[int, dict[str, Footprint]]] = []
    first = 1
    for count in steps:
        told = (rig.endpoint, str(first), str(count), str(SIDE))
        ours.clients.append((stack.enter_context(Program(f"{PROGRAMS}.load", *told)), count))
        first += count
        ours.take_turn(seconds)
        found.append((first - 1, _footprints(rig)))
    ours.forget()
    return found


def _footprints(rig: FleetRig) -> dict[str, Footprint]:
    pids = {"server": rig.servers[SERVERS[0]].pid, "router": rig.router.pid}
    return {name: footprint(pid) for name, pid in pids.items()}


def _network_table(ours: Contestant, alone: Contestant) -> Table:
    rows = [
        (
            contestant.name,
            str(contestant.sent),
            str(contestant.lost),
            str(contestant.events),
            *(
                number(percentile(contestant.network_ms, percent) / percentile(alone.network_ms, percent))
                for percent in (50, 99)
            ),
            *(number(percentile(contestant.network_ms, percent)) for percent in (50, 99)),
        )
        for contestant in (ours, alone)
    ]
    columns = ("", "requests", "lost", "refused", "ratio p50", "ratio p99", "ms p50", "ms p99")
    return Table("network part: the round trip less what the server says it spent; in turn", columns, rows)


def _growth_table(growth: Sequence[tuple[int, Mapping[str, Footprint]]]) -> Table:
    counts = [count for count, _ in growth]
    rows = [
        (
            str(count),
            *(number(found[name].megabytes) for name in ("server", "router")),
            *(str(found[name].threads) for name in ("server", "router")),
        )
        for count, found in growth
    ]
    per_robot = [
        number(slope(counts, [getattr(found[name], what) for _, found in growth]))
        for what in ("megabytes", "threads")
        for name in ("server", "router")
    ]
    rows.append(("for each robot more", *per_robot))
    columns = ("robots", "a server, MB", "router, MB", "threads of the server", "threads of the router")
    return Table("memory and threads; each server has half of the robots", columns, rows)

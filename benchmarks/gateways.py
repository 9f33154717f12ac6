"""What a gateway costs: robots of three foreign protocols at vagus, and at a server of their own kind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.foreign import MissingPeerError, openpi_python
from benchmarks.frames import save_frames
from benchmarks.process import Program
from benchmarks.programs.device import NETWORK, accelerator_called, has_gpu
from benchmarks.report import Aim, Report, Table, number
from benchmarks.sampling import percentile, turns

__all__ = ["run"]

PROGRAMS = "benchmarks.programs"
ROBOTS, QUICK_ROBOTS = 8, 2
ROUNDS, QUICK_ROUNDS = 5, 1
TURN_S = {1: 1.5, ROBOTS: 3.0}
"""Robots → seconds of a turn."""
WARM_UP_S, QUICK_TURN_S = 0.5, 0.3
LARGEST_P50 = 1.3
"""Aim: the median round trip of one robot, inference included, against the reference's."""
LARGEST_REFERENCE_RATE = 0.5
"""Aim: the reference's requests per second with eight robots, against ours."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A protocol as it is measured.

    Attributes:
        name: for the tables.
        protocol: of the gateway.
        profile: of the gateway.
        program: has both the reference server and the robots.
        version: first argument of that program, if it has one.
        device: whose time an inference takes; `network`: a real one, where there is a GPU.
        needs_openpi: the program runs in the environment of the real openpi-client.
        is_smoke: it is also in the quick run.
    """

    name: str
    protocol: str
    profile: str
    program: str
    version: tuple[str, ...] = ()
    device: str = "pi0"
    needs_openpi: bool = False
    is_smoke: bool = True


WIRES = (
    Wire("openpi", "openpi", "droid", "openpi_droid", needs_openpi=True),
    Wire(
        "openpi, gentle device",
        "openpi",
        "droid",
        "openpi_droid",
        device="gentle",
        needs_openpi=True,
        is_smoke=False,
    ),
    Wire("GR00T N1.5", "gr00t", "so100", "gr00t_so100", ("n1.5",), is_smoke=False),
    Wire("GR00T N1.7", "gr00t", "so100", "gr00t_so100", ("n1.7",)),
    Wire("LeRobot gRPC", "lerobot_grpc", "so100", "lerobot_so100"),
    Wire(
        "GR00T N1.7, network on a GPU",
        "gr00t",
        "so100",
        "gr00t_so100",
        ("n1.7",),
        device=NETWORK,
        is_smoke=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that robots are connected to.

    Attributes:
        name: for the tables.
        number: of the server, as the robots' process counts them.
        behind: the processes that work for it.
    """

    name: str
    number: int
    behind: tuple[Program, ...]

    @property
    def cpu_ns(self) -> int:
        """CPU time of these processes so far."""
        return sum(program.cpu_ns for program in self.behind)


@dataclass(slots=True)
class Contestant:
    """Robots at one server: so many at once, and what their requests took; lists have one number per turn.

    Attributes:
        served: the server.
        robots: that ask.
        client: the process that they are in.
        spent_ms: round trips of all turns.
        medians_ms: medians of them.
        rates_hz: requests answered per second.
        cpu_ms: of the processes behind, per request.
    """

    served: Served
    robots: int
    client: Program
    spent_ms: list[float] = field(default_factory=list)
    medians_ms: list[float] = field(default_factory=list)
    rates_hz: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def take_turn(self, seconds: float) -> None:
        """Ask for so long."""
        before_ns = self.served.cpu_ns
        answer = self.client.ask(server=self.served.number, robots=self.robots, seconds=seconds)
        by_robot, elapsed_s = answer["spent_ms"], answer["elapsed_s"]
        assert isinstance(by_robot, list)
        assert isinstance(elapsed_s, float)
        spent_ms = [value for values in by_robot for value in values]
        self.spent_ms += spent_ms
        self.medians_ms.append(percentile(spent_ms, 50))
        self.rates_hz.append(len(spent_ms) / elapsed_s)
        self.cpu_ms.append((self.served.cpu_ns - before_ns) / 1e6 / len(spent_ms))


def run(*, quick: bool) -> Report:
    """Measure each protocol with one robot and with eight (quick: some protocols, two robots)."""
    report = Report("Gateways: foreign robots at vagus and at their own kind of server")
    most = QUICK_ROBOTS if quick else ROBOTS
    for wire in WIRES:
        if quick and not wire.is_smoke:
            continue
        if wire.device == NETWORK and not has_gpu():
            report.notes.append(f"{wire.name}: not measured, there is no torch here that sees a GPU")
            continue
        with ExitStack() as stack:
            try:
                client, servers = _start(stack, wire, most)
            except MissingPeerError as error:
                report.notes.append(str(error))
                continue
            for robots in (1, most):
                contestants = [Contestant(served, robots, client) for served in servers]
                _compete(contestants, quick=quick)
                _tell(report, wire, contestants)
    return report


def _start(stack: ExitStack, wire: Wire, robots: int) -> tuple[Program, list[Served]]:
    """Return the robots' process, and the servers: the reference first."""
    frames = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "frames.npy"
    save_frames(frames, 1)
    python = openpi_python() if wire.needs_openpi else sys.executable

    def start(name: str, *arguments: str, python: str = sys.executable) -> Program:
        return stack.enter_context(Program(f"{PROGRAMS}.{name}", *arguments, python=python))

    gateway_of = (wire.protocol, wire.profile)
    reference = start(wire.program, "server", *wire.version, wire.device, python=python)
    inside = start("gateway_server", *gateway_of, wire.device)
    router = start("router")
    endpoint = str(router.hello["endpoint"])
    server = start("gateway_server", *gateway_of, wire.device, endpoint)
    gateway = start("gateway", *gateway_of, endpoint)
    ports = [str(listening.hello["port"]) for listening in (reference, inside, gateway)]
    arguments = ("client", *wire.version, str(frames), str(robots), *ports)
    return start(wire.program, *arguments, python=python), [
        Served("reference", 0, (reference,)),
        Served("vagus, gateway in the server", 1, (inside,)),
        Served("vagus, gateway and router beside it", 2, (gateway, router, server)),
    ]


def _compete(contestants: Sequence[Contestant], *, quick: bool) -> None:
    turn_s = QUICK_TURN_S if quick else TURN_S[contestants[0].robots]
    for c in contestants:
        c.client.ask(server=c.served.number, robots=c.robots, seconds=0 if quick else WARM_UP_S)
    for contestant in turns(contestants, QUICK_ROUNDS if quick else ROUNDS):
        contestant.take_turn(turn_s)


def _tell(report: Report, wire: Wire, contestants: Sequence[Contestant]) -> None:
    reference, inside, _ = contestants
    robots, is_one = reference.robots, reference.robots == 1
    alone_ms = accelerator_called(wire.device).batch_ms(1)
    rows = [
        (
            c.served.name,
            number(_ratio(c.medians_ms, reference.medians_ms)),
            number(percentile(c.spent_ms, 50)),
            number(percentile(c.spent_ms, 99)),
            *((number(percentile(c.spent_ms, p) - alone_ms) for p in (50, 99)) if is_one else ()),
            number(_ratio(c.rates_hz, reference.rates_hz)),
            number(percentile(c.rates_hz, 50)),
            number(percentile(c.cpu_ms, 50)),
        )
        for c in contestants
    ]
    bare = ("p50 ms without inference", "p99") if is_one else ()
    columns = ("", "p50 ratio", "p50 ms", "p99 ms", *bare, "rate ratio", "requests/s", "CPU ms per request")
    count = "one robot" if is_one else f"{robots} robots"
    caption = f"{wire.name}, {count}; inference of a row {alone_ms:g} ms; ratios to the reference"
    report.tables.append(Table(caption, columns, rows))
    if is_one:
        ratio = _ratio(inside.medians_ms, reference.medians_ms)
        report.aims.append(Aim(f"{wire.name}, one robot: p50 against the reference", ratio, LARGEST_P50))
        return
    if robots < ROBOTS:
        return
    ratio = 1 / _ratio(inside.rates_hz, reference.rates_hz)
    best = accelerator_called(wire.device).batch_ms(robots) / (robots * alone_ms)
    text = f"{wire.name}, {robots} robots: requests/s of the reference against ours (at best {number(best)})"
    report.aims.append(Aim(text, ratio, LARGEST_REFERENCE_RATE))


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds."""
    return percentile([one / other for one, other in zip(ours, theirs, strict=True)], 50)

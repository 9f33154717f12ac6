"""What a request costs apart from inference: three 640×480 cameras and a state there, fifty actions back."""

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
from benchmarks.report import Aim, Report, Table, number
from benchmarks.sampling import percentile, turns

__all__ = ["run"]

MOMENTS = 8
WARM_UP = 5
PROGRAMS = "benchmarks.programs"

LOOPBACK = 0.0
"""A path without a rate limit."""
PATHS = {LOOPBACK: "loopback", 1000.0: "1 Gbit/s", 100.0: "100 Mbit/s"}
BLOCKS = {LOOPBACK: 30, 1000.0: 12, 100.0: 4}
"""Requests in a row before the next contestant's turn."""
ROUNDS = 16
AIMS = {LOOPBACK: 1.0, 1000.0: 0.35, 100.0: 0.12}


@dataclass(slots=True)
class Contestant:
    """A client, the processes that serve it, and what its requests took.

    Attributes:
        name: for the table.
        client: makes the requests.
        behind: server and whatever else works for it on the other side.
        is_ours: vagus in its default setting, to which the aims apply.
        is_raw: frames travel uncompressed.
    """

    name: str
    client: Program
    behind: Sequence[Program]
    is_ours: bool = False
    is_raw: bool = False
    spent_ms: list[float] = field(default_factory=list)
    client_cpu_ms: list[float] = field(default_factory=list)
    behind_cpu_ms: list[float] = field(default_factory=list)
    request_bytes: int = 0
    parts_ms: dict[str, list[float]] = field(default_factory=dict)

    def take_turn(self, requests: int) -> None:
        """Make requests and note what they took."""
        before = sum(program.cpu_ns for program in self.behind)
        answer = self.client.ask(requests=requests)
        spent_ns = answer["spent_ns"]
        assert isinstance(spent_ns, list)
        self.spent_ms += [value / 1e6 for value in spent_ns]
        self.client_cpu_ms.append(_number_in(answer, "cpu_ns") / 1e6 / requests)
        self.behind_cpu_ms.append((sum(p.cpu_ns for p in self.behind) - before) / 1e6 / requests)
        self.request_bytes = round(_number_in(answer, "request_bytes"))
        parts_ms = answer["parts_ms"]
        assert isinstance(parts_ms, list)
        for parts in parts_ms:
            for name, value in parts.items():
                self.parts_ms.setdefault(name, []).append(value)

    @property
    def p50_ms(self) -> float:
        """Median."""
        return percentile(self.spent_ms, 50)


class Arena:
    """The servers, and clients at the far end of a path to each."""

    def __init__(self, stack: ExitStack, report: Report) -> None:
        self._stack = stack
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._frames = str(folder / "frames.npy")
        save_frames(folder / "frames.npy", MOMENTS)
        self._router = self._start("router")
        self._vagus = self._start("server", str(self._router.hello["endpoint"]), "3")
        self._zmq = self._start("zmq_npy", "server")
        self._tcp = self._start("tcp_jpeg", "server")
        self._openpi_python: str | None = None
        try:
            self._openpi_python = openpi_python()
            self._openpi = self._start("openpi", "server", python=self._openpi_python)
        except MissingPeerError as error:
            report.notes.append(str(error))

    def contestants(self, stack: ExitStack, rate_mbit: float) -> list[Contestant]:
        """Return clients whose path has this rate; they end with `stack`."""
        arena = _At(self, stack, rate_mbit)
        place = "near" if rate_mbit == LOOPBACK else "far"
        both = (self._vagus, self._router)
        found = [
            Contestant(
                "vagus, auto (raw, shared memory)" if place == "near" else "vagus, auto (JPEG)",
                arena.vagus(self._router, "auto", place),
                both,
                is_ours=True,
            )
        ]
        if place == "near":
            found.append(Contestant("vagus, JPEG pinned", arena.vagus(self._router, "jpeg", place), both))
        if self._openpi_python is not None:
            client = arena.peer("openpi", self._openpi, self._openpi_python)
            found.append(Contestant("openpi-client 0.1.2, raw", client, (self._openpi,), is_raw=True))
        client = arena.peer("zmq_npy", self._zmq)
        found.append(Contestant("ZMQ + npy, raw", client, (self._zmq,), is_raw=True))
        client = arena.peer("tcp_jpeg", self._tcp)
        found.append(Contestant("plain TCP, same JPEG", client, (self._tcp,)))
        return found

    @property
    def frames(self) -> str:
        """File of the frames."""
        return self._frames

    def _start(self, name: str, *arguments: str, python: str = sys.executable) -> Program:
        return self._stack.enter_context(Program(f"{PROGRAMS}.{name}", *arguments, python=python))


class _At:
    """Starts clients at the far end of one path."""

    def __init__(self, arena: Arena, stack: ExitStack, rate_mbit: float) -> None:
        self._frames = arena.frames
        self._stack = stack
        self._rate_mbit = rate_mbit

    def vagus(self, router: Program, codec: str, place: str) -> Program:
        endpoint = f"tcp/127.0.0.1:{self._port_to(router)}"
        arguments = (self._frames, endpoint, codec, place)
        return self._stack.enter_context(Program(f"{PROGRAMS}.vagus_client", *arguments))

    def peer(self, name: str, server: Program, python: str = sys.executable) -> Program:
        arguments = ("client", self._frames, str(self._port_to(server)))
        return self._stack.enter_context(Program(f"{PROGRAMS}.{name}", *arguments, python=python))

    def _port_to(self, server: Program) -> int:
        port = server.hello["port"]
        assert isinstance(port, int)
        if self._rate_mbit == LOOPBACK:
            return port
        proxy = Program(f"{PROGRAMS}.proxy", str(port), str(self._rate_mbit))
        near = self._stack.enter_context(proxy).hello["port"]
        assert isinstance(near, int)
        return near


def run(*, quick: bool) -> Report:
    """Measure loopback, 1 Gbit/s and 100 Mbit/s."""
    report = Report("Round trip: everything but inference, three 640×480 cameras")
    with ExitStack() as stack:
        arena = Arena(stack, report)
        for rate_mbit, path in PATHS.items():
            with ExitStack() as clients:
                contestants = arena.contestants(clients, rate_mbit)
                _compete(contestants, BLOCKS[rate_mbit], 2 if quick else ROUNDS)
            _tell(report, path, contestants, AIMS[rate_mbit], near=rate_mbit == LOOPBACK)
    return report


def _compete(contestants: Sequence[Contestant], block: int, rounds: int) -> None:
    for contestant in contestants:
        contestant.client.ask(requests=min(WARM_UP, block))
    for contestant in turns(contestants, rounds):
        contestant.take_turn(block)


def _tell(report: Report, path: str, contestants: Sequence[Contestant], bound: float, *, near: bool) -> None:
    (ours,) = [contestant for contestant in contestants if contestant.is_ours]
    peers = [c for c in contestants if c.is_raw or (near and c.name.startswith("plain TCP"))]
    fastest = min(peers, key=lambda peer: peer.p50_ms)
    rows = [
        (
            c.name,
            number(c.p50_ms / fastest.p50_ms),
            number(c.p50_ms),
            number(percentile(c.spent_ms, 99)),
            number(percentile(c.client_cpu_ms, 50)),
            number(percentile(c.behind_cpu_ms, 50)),
            f"{c.request_bytes / 1e6:.2f}",
        )
        for c in contestants
    ]
    columns = ("", "p50 ratio", "p50 ms", "p99 ms", "CPU client ms", "CPU server side ms", "request MB")
    count = len(ours.spent_ms)
    report.tables.append(Table(f"{path}; {count} requests each, ratio to {fastest.name}", columns, rows))
    report.notes += [f"{path}, {c.name}: {_where(c)}" for c in contestants if c.parts_ms]
    kind = "fastest peer" if near else "fastest peer with raw frames"
    report.aims.append(Aim(f"{path}: p50 against the {kind}", ours.p50_ms / fastest.p50_ms, bound))


def _where(contestant: Contestant) -> str:
    """Return where the time of a median request went."""
    parts = {name: percentile(values, 50) for name, values in contestant.parts_ms.items()}
    rest = contestant.p50_ms - sum(parts.values())
    told = ", ".join(f"{name} {number(value)}" for name, value in parts.items())
    return f"{told}, path and hand-overs {number(rest)} of {number(contestant.p50_ms)} ms"


def _number_in(answer: dict[str, object], name: str) -> float:
    value = answer[name]
    assert isinstance(value, int | float)
    return value

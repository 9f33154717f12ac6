"""What one server answers for many robots at once, and what a row of a batch costs."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.frames import save_frames
from benchmarks.process import Program
from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile, turns

__all__ = ["run"]

PROGRAMS = "benchmarks.programs"
SESSIONS = (1, 8, 64)
ROUNDS, QUICK_ROUNDS = 5, 1
BLOCK_S, QUICK_BLOCK_S = 3.0, 1.0


@dataclass(slots=True)
class Crowd:
    """So many robots at one server.

    Attributes:
        sessions: robots that ask.
        client: the process that they are in.
        behind: server and router.
        rates_hz: requests answered per second, one number per turn.
        spreads: the most often served robot's servings less the least often served one's, per turn.
        cpu_ms: of server and router per request, per turn.
        lost: requests without an answer.
    """

    sessions: int
    client: Program
    behind: tuple[Program, ...]
    rates_hz: list[float] = field(default_factory=list)
    spreads: list[int] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    lost: int = 0

    def take_turn(self, seconds: float) -> None:
        """Ask for so long."""
        before_ns = sum(program.cpu_ns for program in self.behind)
        answer = self.client.ask(sessions=self.sessions, seconds=seconds)
        served, elapsed_s, lost = answer["served"], answer["elapsed_s"], answer["lost"]
        assert isinstance(served, list)
        assert isinstance(elapsed_s, float)
        assert isinstance(lost, int)
        self.rates_hz.append(sum(served) / elapsed_s)
        self.spreads.append(max(served) - min(served))
        self.cpu_ms.append((sum(p.cpu_ns for p in self.behind) - before_ns) / 1e6 / max(sum(served), 1))
        self.lost += lost


def run(*, quick: bool) -> Report:
    """Ask with 1, 8 and 64 sessions, state alone and with one JPEG camera."""
    report = Report("Throughput: many robots, one server")
    for cameras in (0, 1):
        with ExitStack() as stack:
            crowds = _start(stack, cameras)
            for crowd in turns(crowds, QUICK_ROUNDS if quick else ROUNDS):
                crowd.take_turn(QUICK_BLOCK_S if quick else BLOCK_S)
        report.tables.append(_table(crowds, cameras))
    return report


def _start(stack: ExitStack, cameras: int) -> list[Crowd]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    frames = folder / "frames.npy"
    save_frames(frames, 1)
    router = stack.enter_context(Program(f"{PROGRAMS}.router"))
    endpoint = str(router.hello["endpoint"])
    server = stack.enter_context(Program(f"{PROGRAMS}.server", endpoint, str(cameras)))
    arguments = (str(frames), endpoint, str(cameras), str(max(SESSIONS)))
    client = stack.enter_context(Program(f"{PROGRAMS}.crowd", *arguments))
    return [Crowd(sessions, client, (server, router)) for sessions in SESSIONS]


def _table(crowds: list[Crowd], cameras: int) -> Table:
    base = percentile(crowds[0].rates_hz, 50)
    rows = [
        (
            f"{crowd.sessions} sessions",
            number(percentile(crowd.rates_hz, 50) / base),
            number(percentile(crowd.rates_hz, 50)),
            str(max(crowd.spreads)),
            number(percentile(crowd.cpu_ms, 50)),
            str(crowd.lost),
        )
        for crowd in crowds
    ]
    columns = ("", "rate ratio", "requests/s", "largest spread of servings", "CPU ms per request", "lost")
    what = "state alone" if cameras == 0 else f"{cameras} JPEG camera 640×480"
    return Table(f"{what}; every robot asks again at once; ratio to one robot", columns, rows)

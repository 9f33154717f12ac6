"""How late the ticks of a control loop are while it streams two cameras, against the same loop alone."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.frames import save_frames
from benchmarks.process import Program, ProgramError
from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile, turns

__all__ = ["run"]

PROGRAMS = "benchmarks.programs"
MOMENTS = 4
CAMERAS = 2
ROUNDS, QUICK_ROUNDS = 8, 1
BLOCK_S, QUICK_BLOCK_S = 10.0, 3.0


@dataclass(slots=True)
class Contestant:
    """One way to run the loop, and how late its ticks were."""

    name: str
    place: str
    lateness_us: list[float] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0

    def take_turn(self, frames: str, endpoint: str, seconds: float) -> None:
        """Run the loop once, in a process of its own."""
        with Program(f"{PROGRAMS}.loop", frames, self.place, endpoint) as program:
            answer = program.ask(seconds=seconds)
        if answer["reason"] != "finished":
            raise ProgramError(f"{self.name}: the loop ended by itself: {answer['reason']} {answer['error']}")
        lateness, requests = answer["lateness_us"], answer["requests"]
        assert isinstance(lateness, list)
        assert isinstance(requests, int)
        self.lateness_us += lateness
        self.requests += requests
        self.seconds += seconds


def run(*, quick: bool) -> Report:
    """Run the loop alone, with raw frames to this host, and with JPEG as to another host."""
    alone = Contestant("loop without engine", "none")
    contestants = (
        alone,
        Contestant("engine, 2 cameras raw (same host)", "near"),
        Contestant("engine, 2 cameras JPEG (as to another host)", "far"),
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        frames = folder / "frames.npy"
        save_frames(frames, MOMENTS)
        endpoint = str(stack.enter_context(Program(f"{PROGRAMS}.router")).hello["endpoint"])
        stack.enter_context(Program(f"{PROGRAMS}.server", endpoint, str(CAMERAS)))
        for contestant in turns(contestants, QUICK_ROUNDS if quick else ROUNDS):
            contestant.take_turn(str(frames), endpoint, QUICK_BLOCK_S if quick else BLOCK_S)
    return _report(alone, contestants)


def _report(alone: Contestant, contestants: tuple[Contestant, ...]) -> Report:
    report = Report("Control isolation: lateness of ticks at 100 Hz")
    base = {percent: percentile(alone.lateness_us, percent) for percent in (50.0, 99.0, 99.9)}
    rows = []
    for c in contestants:
        late = {percent: percentile(c.lateness_us, percent) for percent in base}
        rows.append(
            (
                c.name,
                *(number(late[percent] / base[percent]) for percent in base),
                *(number(late[percent] / 1000) for percent in base),
                number(c.requests / c.seconds),
            )
        )
    percents = ("p50", "p99", "p99.9")
    columns = ("", *(f"{p} ratio" for p in percents), *(f"{p} ms" for p in percents), "requests/s")
    caption = f"{len(alone.lateness_us)} ticks each; robot, router and server share this machine's cores"
    report.tables.append(Table(caption, columns, rows))
    return report

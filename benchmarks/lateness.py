"""How late the ticks of a control loop are: contestants that take turns with one server, and their table."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.frames import save_frames
from benchmarks.process import Program, ProgramError
from benchmarks.report import Table, number
from benchmarks.sampling import percentile, turns

__all__ = ["Contestant", "lateness_table", "play"]

PROGRAMS = "benchmarks.programs"
MOMENTS = 4
CAMERAS = 2
ROUNDS, QUICK_ROUNDS = 8, 1
BLOCK_S, QUICK_BLOCK_S = 10.0, 3.0
PERCENTS = (50.0, 99.0, 99.9)


@dataclass(slots=True)
class Contestant:
    """One way to run the loop, and how late its ticks were.

    Attributes:
        name: for the table.
        place: of the server, as the program `loop` takes it.
        format: of the recording; "": none.
    """

    name: str
    place: str
    format: str = ""
    lateness_us: list[float] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    counters: Counter[str] = field(default_factory=Counter)

    def take_turn(self, frames: str, endpoint: str, folder: str, seconds: float) -> None:
        """Run the loop once, in a process of its own."""
        recording = (self.format, folder) if self.format else ()
        with Program(f"{PROGRAMS}.loop", frames, self.place, endpoint, *recording) as program:
            answer = program.ask(seconds=seconds)
        if answer["reason"] != "finished":
            raise ProgramError(f"{self.name}: the loop ended by itself: {answer['reason']} {answer['error']}")
        lateness, requests, counters = answer["lateness_us"], answer["requests"], answer["counters"]
        assert isinstance(lateness, list)
        assert isinstance(requests, int)
        assert isinstance(counters, dict)
        cpu_s = answer["cpu_s"]
        assert isinstance(cpu_s, float)
        self.lateness_us += lateness
        self.requests += requests
        self.seconds += seconds
        self.cpu_s += cpu_s
        self.counters.update(counters)


def play(contestants: Sequence[Contestant], *, quick: bool) -> None:
    """Let each contestant run the loop in turns, all with one router and one server."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        frames = folder / "frames.npy"
        save_frames(frames, MOMENTS)
        endpoint = str(stack.enter_context(Program(f"{PROGRAMS}.router")).hello["endpoint"])
        stack.enter_context(Program(f"{PROGRAMS}.server", endpoint, str(CAMERAS)))
        for number_, contestant in enumerate(turns(contestants, QUICK_ROUNDS if quick else ROUNDS)):
            seconds = QUICK_BLOCK_S if quick else BLOCK_S
            contestant.take_turn(str(frames), endpoint, str(folder / f"runs-{number_}"), seconds)


def lateness_table(caption: str, contestants: Sequence[Contestant]) -> Table:
    """Return how late the ticks of each were, also as a ratio to the first."""
    first = contestants[0]
    base = {percent: percentile(first.lateness_us, percent) for percent in PERCENTS}
    rows = []
    for c in contestants:
        late = {percent: percentile(c.lateness_us, percent) for percent in PERCENTS}
        rows.append(
            (
                c.name,
                *(number(late[percent] / base[percent]) for percent in PERCENTS),
                *(number(late[percent] / 1000) for percent in PERCENTS),
                number(c.requests / c.seconds),
            )
        )
    percents = ("p50", "p99", "p99.9")
    columns = ("", *(f"{p} ratio" for p in percents), *(f"{p} ms" for p in percents), "requests/s")
    return Table(caption, columns, rows)

"""What recording costs the control loop, by format, against the same loop that records nothing."""

from __future__ import annotations

import importlib.util

from benchmarks.lateness import Contestant, lateness_table, play
from benchmarks.report import Report, Table, number

__all__ = ["run"]

PACKAGES = {"folder": "vagus", "mcap": "mcap", "lerobot": "lerobot"}
"""Format → the package that it needs; one that is not installed is left out."""
KINDS = frozenset({"steps", "chunks", "images", "frames"})
"""Counters of what recorders have written."""


def run(*, quick: bool) -> Report:
    """Run the loop with two cameras: without a recorder, and with one of each format."""
    formats = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
    contestants = [
        Contestant("no recording", "near"),
        *(Contestant(name, "near", name) for name in formats),
    ]
    play(contestants, quick=quick)
    ticks = len(contestants[0].lateness_us)
    caption = f"{ticks} ticks each at 100 Hz, 2 cameras of 640×480 with each request; one machine for all"
    report = Report("Recording: lateness of ticks at 100 Hz")
    report.tables.append(lateness_table(caption, contestants))
    report.tables.append(_written(contestants))
    return report


def _written(contestants: list[Contestant]) -> Table:
    base_s = contestants[0].cpu_s / contestants[0].seconds
    rows = []
    for c in contestants:
        dropped = sum(count for name, count in c.counters.items() if "dropped" in name or "unseen" in name)
        written = sum(count for name, count in c.counters.items() if name in KINDS)
        cpu = c.cpu_s / c.seconds
        rows.append((c.name, number(cpu), number(cpu / base_s), str(written), str(dropped)))
    columns = ("", "CPU s/s of the robot's process", "ratio", "records written", "dropped")
    return Table("What was written, by the robot's process", columns, rows)

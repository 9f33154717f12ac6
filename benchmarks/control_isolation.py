"""How late the ticks of a control loop are while it streams two cameras, against the same loop alone."""

from __future__ import annotations

from benchmarks.lateness import Contestant, lateness_table, play
from benchmarks.report import Report

__all__ = ["run"]


def run(*, quick: bool) -> Report:
    """Run the loop alone, with raw frames to this host, and with JPEG as to another host."""
    contestants = (
        Contestant("loop without engine", "none"),
        Contestant("engine, 2 cameras raw (same host)", "near"),
        Contestant("engine, 2 cameras JPEG (as to another host)", "far"),
    )
    play(contestants, quick=quick)
    ticks = len(contestants[0].lateness_us)
    caption = f"{ticks} ticks each; robot, router and server share this machine's cores"
    report = Report("Control isolation: lateness of ticks at 100 Hz")
    report.tables.append(lateness_table(caption, contestants))
    return report

"""Table of trials over real processes beside simulated ones."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vagus.cli.bench_report import cell_text, gain_text
from vagus.cli.console import say
from vagus.quoting import quoted
from vagus.trials.agreement import MOST_LATE_TICKS, Agreement, ProcessCell

__all__ = ["show_processes"]


def show_processes(cells: Sequence[ProcessCell], screen: Console) -> None:
    """Print the cells in their order."""
    table = Table(
        "delay",
        "chunks",
        "real",
        "episodes",
        "left out",
        "simulated",
        "real more",
        "agrees",
        "by measured delays",
        "real more",
        "agrees",
        "as told",
    )
    for cell in cells:
        table.add_row(*map(Text, _row(cell)))  # as they are: ":100:" is no picture
    screen.print(table)
    for line in _explained(cells):
        say(line, screen)


def _explained(cells: Sequence[ProcessCell]) -> tuple[str, ...]:
    under_law = sum(cell.simulated.agrees for cell in cells)
    measured = sum(cell.traced.agrees for cell in cells)
    return (
        f"agree: {under_law} of {len(cells)} under the delay, {measured} under the measured delays; one in "
        "twenty does not by chance, where both are the same",
        f"left out: episodes in which more than {MOST_LATE_TICKS} ticks were missing: the machine was busy",
        "real more: episode by episode; agrees: the interval of that holds 0, and the two intervals overlap",
        "as told: chunks that were taken at the step that the delay says",
    )


def _row(cell: ProcessCell) -> tuple[str, ...]:
    return (
        quoted(cell.law) if ":" in cell.law else f"{cell.law} ms",
        cell.method,
        cell_text(cell.real.success),
        str(cell.real.episodes),
        str(cell.left_out),
        *_beside(cell.simulated),
        *_beside(cell.traced),
        f"{cell.as_wanted:.1%}",
    )


def _beside(other: Agreement) -> tuple[str, str, str]:
    return cell_text(other.cell.success), gain_text(other.gap), "yes" if other.agrees else "no"

"""What a benchmark prints: small Markdown tables, aims, and why something was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Aim", "Report", "Table", "number"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a caption; every cell is text already."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_markdown(self) -> str:
        """Return the table, columns aligned."""
        lines = [list(self.columns), *(list(row) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        drawn = [_line(line, widths) for line in lines]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([f"**{self.caption}**", "", drawn[0], rule, *drawn[1:]])


@dataclass(frozen=True, slots=True)
class Aim:
    """A ratio that was promised, and what it came to; `bound` is the largest that keeps the promise."""

    text: str
    ratio: float
    bound: float

    @property
    def is_met(self) -> bool:
        """Whether the promise was kept in this run."""
        return self.ratio <= self.bound

    def to_markdown(self) -> str:
        """Return one line."""
        verdict = "met" if self.is_met else "MISSED"
        return f"- {self.text}: {number(self.ratio)} (aim ≤ {number(self.bound)}) — {verdict}"


@dataclass(slots=True)
class Report:
    """All that one benchmark has to say."""

    name: str
    tables: list[Table] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_markdown(self) -> str:
        """Return heading, tables, aims and notes."""
        parts = [f"## {self.name}", *(table.to_markdown() for table in self.tables)]
        if self.aims:
            parts.append("\n".join(aim.to_markdown() for aim in self.aims))
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)


def number(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"

"""What `vagus bench delay` prints and writes: the cells of a study, complete or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vagus.cli.console import say
from vagus.quoting import quoted
from vagus.trials.agreement import ProcessCell
from vagus.trials.delay_law import DelayLaw
from vagus.trials.study import Estimate, StudyCell

__all__ = ["ShownLaw", "StudyReport", "cell_text", "gain_text", "show_study", "shown_law"]

HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ShownLaw:
    """A law of delay in a report.

    Attributes:
        name: as it was typed.
        words: in words.
        constant_ms: the delay if it is always the same; None: it is not.
    """

    name: str
    words: str
    constant_ms: float | None


@dataclass(frozen=True, slots=True)
class StudyReport:
    """A study and what came of it, as it is written to a file.

    Attributes:
        policy: the policy as it was named.
        model_hash: digest of all that changes its outputs.
        world: the world as it was named.
        episodes: episodes of each cell.
        seed: seed of the first one.
        baseline: way of playing that the others are compared with.
        inference_ms: part of each delay that is the policy's device at work.
        laws: the laws of delay, in order.
        methods: the ways of playing, in order.
        notes: what was left out, and what is unusual.
        cells: those that are complete.
        is_complete: whether all are.
        processes: those over real processes that are complete, with their simulated ones.
    """

    policy: str
    model_hash: str
    world: str
    episodes: int
    seed: int
    baseline: str
    laws: tuple[ShownLaw, ...]
    methods: tuple[str, ...]
    notes: tuple[str, ...] = ()
    inference_ms: float = 0.0
    cells: tuple[StudyCell, ...] = ()
    is_complete: bool = False
    processes: tuple[ProcessCell, ...] = ()

    def of(self, cells: Sequence[StudyCell], *, of: int) -> StudyReport:
        """Return the report with these cells, out of so many, in the order of laws and methods."""
        laws = [law.name for law in self.laws]
        ordered = sorted(cells, key=lambda cell: (laws.index(cell.law), self.methods.index(cell.method)))
        return replace(self, cells=tuple(ordered), is_complete=len(cells) == of)

    def to_json(self) -> bytes:
        """Return the report as a JSON document; an interval without an end is null."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def shown_law(law: DelayLaw) -> ShownLaw:
    """Return a law in words."""
    usual = f"{law.usual_ms:g} ms"
    if law.trace_ms:
        return ShownLaw(law.name, f"recorded: {Path(law.name.partition(':')[2]).stem}", None)
    if law.outage_share:
        return ShownLaw(law.name, f"{usual}, {law.outage_share:.0%} in outages of {law.outage_s:g} s", None)
    if law.rare_share:
        return ShownLaw(law.name, f"{usual}, {law.rare_share:.0%} of {law.rare_ms:g} ms", None)
    if law.sigma:
        return ShownLaw(law.name, f"lognormal, {usual} σ {law.sigma:g}", None)
    return ShownLaw(law.name, usual, law.usual_ms)


def show_study(report: StudyReport, screen: Console) -> None:
    """Print the table of a study."""
    say(
        f"{quoted(report.policy)} ({report.model_hash[:HASH_DIGITS]}) in {quoted(report.world)}: "
        f"{report.episodes} episodes from seed {report.seed} in each row, intervals of 95 %",
        screen,
    )
    if not report.is_complete:
        whole = len(report.laws) * len(report.methods)
        say(f"ended early: {len(report.cells)} of {whole} rows are complete", screen)
    table = Table(
        "delay",
        "chunks",
        "success",
        f"more than {report.baseline}",
        "starved",
        "acceleration",
        "requests",
        "came late",
    )
    for law in report.laws:
        for cell in (cell for cell in report.cells if cell.law == law.name):
            table.add_row(*(escape(text) for text in _row(law, cell)))
        table.add_section()
    screen.print(table)
    say(
        "starved: steps without an action of the plan; acceleration: of the commands, root mean square; "
        "requests: per episode; came late: chunks that came later than the policy was told",
        screen,
    )


def _row(law: ShownLaw, cell: StudyCell) -> tuple[str, ...]:
    return (
        quoted(law.words),
        cell.method,
        cell_text(cell.success),
        gain_text(cell.gain),
        f"{cell.starved:.1%}",
        f"{cell.acceleration:.3g}",
        f"{cell.requests:.1f}",
        f"{cell.underestimated:.1%}",
    )


def cell_text(share: Estimate) -> str:
    """Return a share with its interval, in percent."""
    return f"{100 * share.mean:.1f} % ± {100 * share.half_width:.1f}"


def gain_text(gain: Estimate | None) -> str:
    """Return a difference with its interval, in points; a star where its interval is on one side of 0."""
    if gain is None:
        return ""
    mark = " *" if abs(gain.mean) > gain.half_width else ""
    return f"{100 * gain.mean:+.1f} ± {100 * gain.half_width:.1f}{mark}"

"""Progress of a study: a bar on a terminal, a line per complete row elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vagus.cli.bench_report import cell_text
from vagus.cli.console import say
from vagus.quoting import quoted
from vagus.trials.study import StudyCell
from vagus.trials.study_run import DelayStudy, StudyProgress

__all__ = ["StudyLine"]

TELLING_S = 60.0
"""Time left that is worth telling."""


class StudyLine:
    """Shows where a study is.

    Args:
        screen: where.
        study: the study.
    """

    def __init__(self, screen: Console, study: DelayStudy) -> None:
        self._screen = screen
        self._cells = study.cells
        self._told = 0
        self._begin_s = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} episodes"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self._task = self._bar.add_task("the study begins", total=study.cells * len(study.seeds))

    def __enter__(self) -> StudyLine:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, now: StudyProgress) -> None:
        """Show that an episode has ended."""
        self._bar.update(
            self._task, completed=now.episodes, description=f"{now.method}, {quoted(now.law, 40)}"
        )

    def tell(self, cell: StudyCell) -> None:
        """Tell a complete cell, where no bar is shown."""
        self._told += 1
        if self._screen.is_terminal:
            return
        left_s = (time.monotonic() - self._begin_s) / self._told * (self._cells - self._told)
        left = f" (about {left_s / 60:.0f} min left)" if left_s > TELLING_S else ""
        text = (
            f"{self._told}/{self._cells}: {cell.method}, {quoted(cell.law)}: {cell_text(cell.success)}{left}"
        )
        say(text, self._screen)

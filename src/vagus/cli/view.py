"""Command `vagus view`: shows what was recorded, as a page or a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.output_file import check_output
from vagus.errors import ConfigError
from vagus.private_files import write_file
from vagus.viewing.drawing import DRAWING_SUFFIXES, drawing_of
from vagus.viewing.page import page_of
from vagus.viewing.sources import view_of
from vagus.viewing.stretch import stretch_of

__all__ = ["ViewCommand"]

PAGE_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class ViewCommand:
    """Show a recorded session: commands, chunks, states, ages, limits and pictures over time.

    Example: vagus view runs/20260304-050607-arm-1f2e --html arm.html
    """

    path: Annotated[Path, tyro.conf.Positional]
    """Folder of a recorded session."""
    html: Path | None = None
    """Write a page for any browser, one file that needs no network."""
    png: Path | None = None
    """Draw a picture (.png, .pdf or .svg); needs matplotlib (vagus[view])."""
    begin: float | None = None
    """First time to show, in seconds since the first command; unset: from its begin."""
    end: float | None = None
    """Last time to show, in seconds since the first command; unset: to its end."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def __post_init__(self) -> None:
        for name in ("begin", "end"):
            given = getattr(self, name)
            if given is not None and not math.isfinite(given):
                raise ConfigError(name, wanted="a finite number of seconds", got=str(given))

    def run(self) -> int:
        """Show the recording.

        Raises:
            ConfigError: there is no recording, nothing of it in this stretch, or a file cannot be written.
        """
        if self.html is None and self.png is None:
            raise ConfigError("view", wanted="--html FILE or --png FILE", got="neither")
        if self.html is not None:
            check_output("html", self.html, PAGE_SUFFIXES)
        if self.png is not None:
            check_output("png", self.png, DRAWING_SUFFIXES)
        view = stretch_of(view_of(self.path), self.begin, self.end)
        for warning in view.warnings:
            say(f"warning: {warning}", console(stderr=True))
        _write(self.html, lambda _: page_of(view).encode())
        _write(self.png, lambda path: drawing_of(view, path.suffix.lower().removeprefix(".")))
        return ExitCode.OK


def _write(path: Path | None, make: Callable[[Path], bytes]) -> None:
    """Write a file for its owner alone, as the recording is; None: nothing is wanted."""
    if path is None:
        return
    content = make(path)
    write_file(path, content)
    say(f"written: {path} ({len(content) / 1e6:.1f} MB)")

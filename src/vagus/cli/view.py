"""Command `vagus view`: shows what was recorded, in Rerun, as a page or as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated

import tyro

from vagus.cameras.camera_file import load_extrinsics, load_intrinsics
from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.output_file import check_output
from vagus.errors import ConfigError
from vagus.import_path import load_brought
from vagus.private_files import write_file
from vagus.viewing.description import RecordingView
from vagus.viewing.drawing import DRAWING_SUFFIXES, drawing_of
from vagus.viewing.page import page_of
from vagus.viewing.sources import view_of
from vagus.viewing.standing import StandingCamera, depth_camera_of, with_sizes_checked
from vagus.viewing.stretch import stretch_of

__all__ = ["ViewCommand"]

PAGE_SUFFIXES = (".html", ".htm")
RERUN_SUFFIXES = (".rrd",)
NO_OFFSET = (0.0, 0.0, 0.0)
"""Points are shown in the frame that the file of extrinsics names."""


@dataclass(frozen=True)
class ViewCommand:
    """Show what was recorded: commands, chunks, states, ages, limits and pictures over time.

    Without a file to write, the Rerun viewer opens; it needs a display and vagus[view]. Example: vagus view
    runs/20260304-050607-arm-1f2e --html arm.html
    """

    path: Annotated[Path, tyro.conf.Positional]
    """Recorded session, folder of requests that a server has captured, LeRobot dataset, or debug folder of
    PointAct."""
    html: Path | None = None
    """Write a page for any browser, one file that needs no network."""
    png: Path | None = None
    """Draw a picture (.png, .pdf or .svg); needs matplotlib (vagus[view])."""
    save: Path | None = None
    """Write a recording for the Rerun viewer (.rrd); needs rerun-sdk (vagus[view])."""
    session: str = ""
    """Of captured requests: the session to show (client:epoch), or its client; empty: the first."""
    episode: int | None = None
    """Of a dataset: the episode to show; unset: the first."""
    intrinsics: Path | None = None
    """For Rerun: shows depth frames as points in space; the depth camera's file (YAML, TOML, JSON)."""
    extrinsics: Path | None = None
    """Where that camera stands (YAML, TOML, JSON); unset: points are seen from the camera."""
    depth_camera: str = ""
    """Depth camera of these files; empty: the only one."""
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
        if self.intrinsics is None and (self.extrinsics is not None or self.depth_camera):
            given = "extrinsics" if self.extrinsics is not None else "depth_camera"
            raise ConfigError("intrinsics", wanted=f"a file beside {given}", got="none")
        if self.intrinsics is not None and self.save is None and (self.html or self.png):
            raise ConfigError(
                "intrinsics", wanted="--save, or no file: points are for Rerun", got="no --save"
            )

    def run(self) -> int:
        """Show the recording.

        Raises:
            ConfigError: there is no recording, nothing of it in this stretch, or a file cannot be written.
        """
        outputs = (
            ("html", self.html, PAGE_SUFFIXES),
            ("png", self.png, DRAWING_SUFFIXES),
            ("save", self.save, RERUN_SUFFIXES),
        )
        for flag, path, suffixes in outputs:
            if path is not None:
                check_output(flag, path, suffixes)
        has_file = any(path is not None for _, path, _ in outputs)
        rerun = None if has_file and self.save is None else _rerun()
        whole = view_of(self.path, session=self.session, episode=self.episode)
        view = stretch_of(whole, self.begin, self.end)
        standing = self._standing(whole)
        if standing is not None:
            view = with_sizes_checked(view, standing)
        _tell(view.warnings)
        _write(self.html, lambda _: page_of(view).encode())
        _write(self.png, lambda path: drawing_of(view, path.suffix.lower().removeprefix(".")))
        if rerun is not None:
            self._show(rerun, view, standing)
        return ExitCode.OK

    def _standing(self, view: RecordingView) -> StandingCamera | None:
        """Return the camera whose depth is shown in space; None: nothing is asked."""
        if self.intrinsics is None:
            return None
        return StandingCamera(
            depth_camera_of(view, self.depth_camera),
            load_intrinsics(self.intrinsics),
            None if self.extrinsics is None else load_extrinsics(self.extrinsics, NO_OFFSET),
        )

    def _show(self, rerun: ModuleType, view: RecordingView, standing: StandingCamera | None) -> None:
        """Write the file for Rerun, or open its viewer."""
        if self.save is None:
            _tell(rerun.show_view(view, standing))
            return
        _tell(rerun.save_view(view, self.save, standing))
        _tell_written(self.save, self.save.stat().st_size)


def _rerun() -> ModuleType:
    return load_brought("vagus.integrations.rerun.output", subject="the Rerun viewer", extra="view")


def _tell(warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}", console(stderr=True))


def _write(path: Path | None, make: Callable[[Path], bytes]) -> None:
    """Write a file for its owner alone, as the recording is; None: nothing is wanted."""
    if path is None:
        return
    content = make(path)
    write_file(path, content)
    _tell_written(path, len(content))


def _tell_written(path: Path, size_bytes: int) -> None:
    say(f"written: {path} ({size_bytes / 1e6:.1f} MB)")

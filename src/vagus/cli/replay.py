"""Command `vagus replay`: recorded data again, against a server of today or on another network."""

from __future__ import annotations

import math
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import tyro
from rich.console import Console
from rich.markup import escape

from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.forecast_report import show_forecast
from vagus.cli.joints import joints_table
from vagus.cli.log_output import LogFlags
from vagus.cli.needed import check_needed
from vagus.cli.signals import ended_by_signals
from vagus.edge.client.session import parse_service
from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.recording.reader import read
from vagus.replay.captures import read_captures
from vagus.replay.conversation import Resending
from vagus.replay.forecast import forecast
from vagus.replay.network import NetworkChange
from vagus.replay.place import PlaceKind, kind_of
from vagus.replay.resend import ResendReport, resend
from vagus.setting_ranges import check_seconds
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["ReplayCommand"]

SHOWN_TROUBLES = 10
OF_CAPTURES = ("service", "name", "tolerance", "timeout_s", "other_model", "zenoh")
"""Settings that have an effect for captures alone."""


@dataclass(frozen=True)
class ReplayCommand:
    """Send captured requests to a running server, or play a recorded session on another network.

    Of captures, the answers are compared with those captured: exit code 0 if they are the same, 11 if not,
    any other if they could not be compared. Example: vagus replay captures --service reach

    Of a session, it is told what would have happened: exit code 0 if no tick more than in the recording would
    have been without a plan, 11 otherwise. No server is asked. Example: vagus replay SESSION --latency-ms 150
    """

    path: Annotated[Path, tyro.conf.Positional]
    """Captures (`capture_dir` of a server), or a recorded session (`vagus run --record`)."""
    service: str = ""
    """Service as model/revision/name, as `vagus serve` and `vagus status` print it; empty: the only
    service."""
    name: str = field(default_factory=lambda: f"replay-{socket.gethostname()}")
    """Name of this client, unique among the robots of a server."""
    tolerance: float = 1e-4
    """Largest difference of an action that counts as the same, in the action's own unit; 0: every bit."""
    timeout_s: float = 10.0
    """Longest wait for the answer to one request, in seconds."""
    other_model: bool = False
    """Compare captures of another model, or of one that they do not name, too."""
    network: Annotated[NetworkChange, tyro.conf.arg(name="")] = field(default_factory=NetworkChange)
    json: bool = False
    """Print the result as JSON for a program."""
    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def run(self) -> int:
        """Replay what is at the path."""
        kind = kind_of(self.path)
        if kind is PlaceKind.DATASET:
            raise ConfigError(
                "replay",
                wanted="captures of a server, or a recorded session",
                got=f"a LeRobot dataset ({self.path})",
                fix=f"`vagus serve --policy replay:{self.path}` plays it",
            )
        if kind is PlaceKind.SESSION:
            self._check_unused(OF_CAPTURES, "captures: a session is played without a server")
            check_needed(self.network, NetworkChange(), ("cut_for_s",), "cut_every_s")
            return self._forecast()
        if self.network != NetworkChange():
            raise ConfigError("network", wanted="a recorded session", got=f"captures, and {self.network}")
        return self._resend()

    def _check_unused(self, names: Sequence[str], needed: str) -> None:
        """Raise ConfigError if a setting was given that has no effect."""
        unset = ReplayCommand(self.path)
        for name in names:
            if getattr(self, name) != getattr(unset, name):
                raise ConfigError(
                    name, wanted=f"{needed}, so the flag has no effect", got=f"{getattr(self, name)}"
                )

    def _forecast(self) -> int:
        found = forecast(read(self.path), self.network)
        if self.json:
            sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        else:
            show_forecast(found, console())
        return ExitCode.OK if found.is_as_smooth else ExitCode.DIFFERENT

    def _resend(self) -> int:
        """Send the requests one after the other, and print what differs."""
        check_seconds("timeout_s", self.timeout_s)
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ConfigError("tolerance", wanted="0 or a finite number above it", got=repr(self.tolerance))
        settings = Resending(
            parse_service(self.service), self.name, self.tolerance, self.timeout_s, self.other_model
        )
        folder = read_captures(self.path)
        with ended_by_signals(), ZenohLink(self.zenoh) as link:
            report = resend(link, folder, settings, lambda _: None)
        if self.json:
            sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        else:
            _show(report, console())
        return exit_code_of_report(report)


def exit_code_of_report(report: ResendReport) -> ExitCode:
    """Return the exit code: what could not be compared is neither the same nor different."""
    if report.different or report.failed:
        return ExitCode.DIFFERENT
    return ExitCode.OK if report.is_same else ExitCode.FAILED


def _show(report: ResendReport, screen: Console) -> None:
    for warning in report.warnings:
        screen.print(f"[yellow]warning[/] {escape(quoted(warning, 2000))}", highlight=False, soft_wrap=True)
    whose = "the captured model" if report.is_same_model else "another model than captured"
    say(
        f"server {quoted(report.server)}: {quoted(report.model)}, hash {report.model_hash[:12]}, {whose}",
        screen,
    )
    screen.print(joints_table(report.joints))
    for trouble in report.troubles[:SHOWN_TROUBLES]:
        say(f"{trouble['sample']}: {trouble['verdict']}: {trouble['why']}", screen)
    left = report.different + report.failed + report.unanswered - SHOWN_TROUBLES
    if left > 0:
        say(f"and {left} more", screen)
    say(
        f"{report.requests} requests of {report.sessions} sessions: {report.same} same, "
        f"{report.different} different, {report.failed} failed, {report.unanswered} without an answer, "
        f"{report.skipped} skipped (tolerance {report.tolerance:g})",
        screen,
    )

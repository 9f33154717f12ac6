"""Report at the end of `vagus run`: a table for people, one line of JSON for programs."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from rich.markup import escape
from rich.table import Table

from vagus.cli.exit_code import ExitCode
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.edge.client.client import ClientStatus
from vagus.errors import ProtocolError
from vagus.malformed import MALFORMED

__all__ = ["RunSummary", "exit_code_for", "summarise", "summary_in", "summary_table"]

_StateT = TypeVar("_StateT", bound=enum.Enum)

LISTED = 20
"""Largest count of list items in the table."""

_EXIT_CODES = {
    EndReason.FINISHED: ExitCode.OK,
    EndReason.INTERRUPTED: ExitCode.INTERRUPTED,
    EndReason.TERMINATED: ExitCode.OK,
    EndReason.HUNG: ExitCode.HUNG,
    EndReason.DEAD: ExitCode.DEAD,
    EndReason.LIMITED: ExitCode.LIMITED,
    EndReason.ROBOT_ERROR: ExitCode.ROBOT,
    EndReason.ERROR: ExitCode.FAILED,
}


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a robot, as `--json` prints it."""

    reason: str
    error: str
    exit_code: int
    duration_s: float
    ticks: int
    missed: int
    lateness_ms: dict[str, float]
    link_s: dict[str, float]
    motion_s: dict[str, float]
    starved_s: float
    longest_gap_s: float
    plan_actions: int
    commands: int
    limited: dict[str, int]
    camera_errors: int
    state_errors: int
    episodes: int
    counters: dict[str, int]
    refusals: list[str]
    """Server's reason of a refused request → number of requests."""
    latency_ms: dict[str, float]
    """Mean time from an observation to its chunk: total and parts."""
    round_trips: int
    """Number of chunks in the mean."""
    robot: dict[str, object]
    """Report of the robot about itself, if it has one."""
    recording: str
    """Folder of the recording, or ""."""
    recorded: dict[str, int] = {}
    """What was recorded, and under names with "dropped" what was lost."""


def exit_code_for(reason: EndReason, *, is_stopped: bool = True) -> ExitCode:
    """Return the exit code for the reason of the end, and for whether the robot could be stopped."""
    return _EXIT_CODES[reason] if is_stopped else ExitCode.NOT_STOPPED


def summarise(
    summary: LoopSummary,
    counters: Mapping[str, int],
    robot: object,
    recording: str = "",
    *,
    recorded: Mapping[str, int] | None = None,
    client: ClientStatus | None = None,
) -> RunSummary:
    """Return the summary of a run.

    Args:
        summary: summary of the loop.
        counters: counters of the client.
        robot: the robot; its `report()` is included if it returns a dataclass.
        recording: folder of the recording, or "".
        recorded: counters of the recorder.
        client: state of the client at the end.
    """
    report = getattr(robot, "report", None)
    said = report() if callable(report) else None
    return RunSummary(
        reason=summary.reason.value,
        error=summary.error,
        exit_code=int(exit_code_for(summary.reason, is_stopped=summary.is_stopped)),
        duration_s=summary.duration_s,
        ticks=summary.ticks,
        missed=summary.missed,
        lateness_ms=dict(summary.lateness_ms),
        link_s=_by_value(summary.link_s),
        motion_s=_by_value(summary.motion_s),
        starved_s=summary.starved_s,
        longest_gap_s=summary.longest_gap_s,
        plan_actions=summary.plan_actions,
        commands=summary.commands,
        limited=dict(summary.limited),
        camera_errors=summary.camera_errors,
        state_errors=summary.state_errors,
        episodes=summary.episodes,
        counters=dict(counters),
        refusals=[] if client is None else [str(refusal) for refusal in client.refusals],
        latency_ms={} if client is None or client.mean_parts is None else client.mean_parts.as_ms,
        round_trips=0 if client is None else client.round_trips,
        robot=_fields(said),
        recording=recording,
        recorded=dict(recorded or {}),
    )


def summary_in(output: str) -> RunSummary:
    """Return the summary in the output of `vagus run --json`.

    Raises:
        ProtocolError: there is none.
    """
    said = [line for line in output.splitlines() if line.startswith("{")]
    try:
        return msgspec.json.decode(said[-1] if said else "", type=RunSummary)
    except MALFORMED as error:
        raise ProtocolError(f"no summary of a run ({error}):\n{output}") from error


def summary_table(run: RunSummary) -> Table:
    """Return the summary as a table for people."""
    table = Table(title=f"run ended: {run.reason}", show_header=False, title_justify="left")
    rows = {
        "duration": _duration(run),
        "lateness": ", ".join(f"{name} {value:.2f} ms" for name, value in run.lateness_ms.items()),
        "link": _seconds(run.link_s),
        "motion": _seconds(run.motion_s),
        "plan": _plan(run),
        "episodes": str(run.episodes) if run.episodes else "",
        "robot": _robot(run.robot),
        "limited": ", ".join(f"{name} {ticks} ticks" for name, ticks in run.limited.items()) or "never",
        "counted": ", ".join(f"{name} {count}" for name, count in sorted(run.counters.items())),
        "latency": _latency(run.latency_ms, run.round_trips),
        "refusals": "\n".join(run.refusals),
        "recording": run.recording,
        "recorded": ", ".join(f"{name} {count}" for name, count in sorted(run.recorded.items())),
        "error": run.error,
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, escape(text))
    return table


def _duration(run: RunSummary) -> str:
    missed = f", {run.missed} missed" if run.lateness_ms else ""  # under LeRobot's loop nobody knows
    return f"{run.duration_s:.1f} s, {run.ticks} ticks{missed}"


def _plan(run: RunSummary) -> str:
    share = f" ({run.starved_s / run.duration_s:.0%} of the time)" if run.starved_s and run.duration_s else ""
    longest = f"; longest time between two {run.longest_gap_s:.2f} s" if run.plan_actions else ""
    return f"{run.plan_actions} actions; without one for {run.starved_s:.2f} s{share}{longest}"


def _robot(said: Mapping[str, object]) -> str:
    """Return the numbers in a robot's report, and the last items of its lists."""
    parts = []
    for name, value in said.items():
        if isinstance(value, (bool, int, float)):
            parts.append(f"{name} {value:g}")
        elif isinstance(value, (list, tuple)) and all(isinstance(one, (int, float)) for one in value):
            listed = ", ".join(f"{one:g}" for one in value[-LISTED:])
            parts.append(f"{name} {'… ' if len(value) > LISTED else ''}{listed or 'none'}")
    return "; ".join(parts)


def _latency(spent_ms: Mapping[str, float], round_trips: int) -> str:
    if not spent_ms:
        return ""
    parts = " + ".join(f"{name} {value:.0f}" for name, value in spent_ms.items() if name != "total")
    return f"{spent_ms['total']:.0f} ms = {parts} (mean of {round_trips} chunks)"


def _fields(said: object) -> dict[str, object]:
    if not dataclasses.is_dataclass(said) or isinstance(said, type):
        return {}
    return dataclasses.asdict(said)


def _by_value(seconds: Mapping[_StateT, float]) -> dict[str, float]:
    return {str(state.value): spent for state, spent in seconds.items()}


def _seconds(spent: Mapping[str, float]) -> str:
    return ", ".join(f"{state} {seconds:.1f} s" for state, seconds in spent.items() if seconds)

"""What `vagus replay SESSION` prints: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vagus.cli.console import say
from vagus.cli.joints import joints_table
from vagus.quoting import quoted
from vagus.replay.forecast import Forecast, Holds

__all__ = ["show_forecast"]


def show_forecast(found: Forecast, screen: Console) -> None:
    """Print what would have happened."""
    for warning in found.warnings:
        screen.print(f"[yellow]warning[/] {escape(quoted(warning, 2000))}", highlight=False, soft_wrap=True)
    say(f"with {found.network}: {found.verdict}", screen)
    table = Table("", "recorded", "then")
    table.add_row("without a plan", _held(found.recorded), _held(found.simulated))
    table.add_row("first action", _seconds(found.recorded.first_s), _seconds(found.simulated.first_s))
    table.add_row("limited, ticks", _counts(found.recorded_limited), _counts(found.limited))
    table.add_row("requests", "", f"{len(found.requests)}: {_counts(_fates(found))}")
    table.add_row("counted", "", _counts(found.outcomes))
    screen.print(table)
    screen.print(joints_table(found.joints))
    if found.pauses:
        say(f"{found.pauses} pauses in the recording: the plan was dropped there", screen)
    say("This cannot be known:", screen)
    for line in found.cannot_know:
        say(f"- {line}", screen)


def _held(holds: Holds) -> str:
    return f"{holds.ticks} ticks ({holds.share:.1%}), {holds.times} times, at most {holds.longest_s:.2f} s"


def _seconds(time_s: float | None) -> str:
    return "never" if time_s is None else f"after {time_s:.2f} s"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "none"


def _fates(found: Forecast) -> dict[str, int]:
    fates = [str(request["fate"]) for request in found.requests]
    return {fate: fates.count(fate) for fate in set(fates)}

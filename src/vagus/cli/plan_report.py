"""What `vagus plan` prints: the answer first, then the table, the settings, and what it rests on."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vagus.cli.console import say
from vagus.planning.fleet_plan import BatchRow, FleetPlan, KindRow
from vagus.quoting import quoted

__all__ = ["show_plan"]

LIMITS = {
    "device": "the device",
    "decoding": "decoding on the server's processor",
}


def show_plan(plan: FleetPlan, screen: Console) -> None:
    """Print a plan."""
    profile = ", ".join(f"{size}: {ms:.4g}" for size, ms in plan.latency_ms.items())
    say(f"inference, ms per batch size: {profile} ({quoted(plan.source)})", screen)
    for kind in plan.kinds:
        say(f"robots: {_kind(kind, has_count=bool(plan.fleet))}", screen)
    say(_answer(plan), screen)
    if _places(plan):
        say(_places(plan), screen)
    if plan.fleet:
        say(_devices(plan), screen)
    screen.print(_batches(plan))
    if plan.knobs:
        screen.print(_knobs(plan))
    say("This rests on:", screen)
    for line in plan.assumptions:
        say(f"- {line}", screen)


def _kind(kind: KindRow, *, has_count: bool) -> str:
    asked = f", asks after {kind.execute_horizon} actions" if kind.execute_horizon else ""
    asked = ", asks as the server has room" if kind.observe_steps else asked
    return (
        f"{f'{kind.count} × ' if has_count else ''}{kind.rate_hz:g} Hz, chunks of {kind.horizon}, "
        f"buffer {kind.buffer_s:g} s{asked}, round trip {kind.round_trip_ms:g} ms"
    )


def _answer(plan: FleetPlan) -> str:
    limit = f"at most {100 * plan.slo_starved_share:.3g} % of the steps without an action"
    if not plan.robots_per_device:
        return f"not one robot per device with {limit}: see which setting helps"
    robots = "1 robot" if plan.robots_per_device == 1 else f"{plan.robots_per_device} robots"
    if plan.limited_by == "sessions":
        why = "the policy serves one at a time" if plan.robots_per_device == 1 else "more are not simulated"
        return f"{robots} per device, {why}; {limit}"
    return f"{robots} per device, limited by {LIMITS[plan.limited_by]}; {limit}"


def _places(plan: FleetPlan) -> str:
    most = plan.max_sessions
    if most is None or plan.robots_per_device <= most:
        return ""
    return f"the server lets {most} robots connect: raise its max_sessions"


def _devices(plan: FleetPlan) -> str:
    if plan.devices is None:
        return f"{plan.fleet} robots: no number of devices is enough, for a robot alone on one starves"
    hands = " or ".join(map(str, sorted(set(plan.robots_per_hand), reverse=True)))
    fleet = "1 robot needs" if plan.fleet == 1 else f"{plan.fleet} robots need"
    devices = "1 device" if plan.devices == 1 else f"{plan.devices} devices"
    return f"{fleet} {devices}, with {hands} on each"


def _batches(plan: FleetPlan) -> Table:
    table = Table("batch up to", "robots", "starved", "with 1 more", "busy", "mean batch", "limit")
    for row in plan.batches:
        style = "bold" if row.max_batch == plan.max_batch else ""
        table.add_row(*(escape(cell) for cell in _cells(row)), style=style)
    return table


def _cells(row: BatchRow) -> tuple[str, ...]:
    return (
        str(row.max_batch),
        str(row.robots),
        _share(row.starved_share),
        _share(row.starved_share_beyond),
        "" if row.busy is None else f"{row.busy:.0%}",
        "" if row.mean_batch is None else f"{row.mean_batch:.1f}",
        "not reached" if row.limited_by == "sessions" else row.limited_by,
    )


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _knobs(plan: FleetPlan) -> Table:
    table = Table("setting", "now", "then", "robots", "change")
    for knob in plan.knobs:
        gain = knob.robots - plan.robots_per_device
        table.add_row(knob.name, knob.before, knob.after, str(knob.robots), f"{gain:+d}" if gain else "none")
    return table

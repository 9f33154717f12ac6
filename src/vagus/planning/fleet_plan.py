"""Plan of a fleet: robots per device by batch size, devices for all, and what each setting buys. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from vagus.errors import ConfigError
from vagus.planning.knobs import Knob, knobs_of
from vagus.planning.planner import Capacity, Device, Limit, capacity_of, devices_for, hand_of
from vagus.planning.robot_kinds import RobotKind

__all__ = ["BatchRow", "FleetPlan", "KindRow", "ShareCurve", "check_slo", "curves_of", "plan_of"]

MAX_ROWS = 6
"""Batch sizes in the table: 1 and its doublings, the largest always."""
CURVE_POINTS = 16
CURVE_REACH = 1.5
"""A curve ends at so many times the robots that the device carries."""


class KindRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of robots."""

    count: int
    rate_hz: float
    horizon: int
    buffer_s: float
    execute_horizon: int
    """0: by no number."""
    observe_steps: int
    """Steps after an observation at which it asks already while there is room; 0: it does not."""
    round_trip_ms: float

    @classmethod
    def of(cls, kind: RobotKind) -> KindRow:
        """Return the row of a kind."""
        said = kind.demand
        return cls(
            count=kind.count,
            rate_hz=said.rate_hz,
            horizon=said.horizon,
            buffer_s=said.buffer_s,
            execute_horizon=said.execute_horizon,
            observe_steps=said.observe_steps,
            round_trip_ms=said.round_trip_s * 1000,
        )


class BatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one device carries with batches up to a size."""

    max_batch: int
    robots: int
    """Robots that it carries; 0: not even one."""
    limited_by: str
    """device, decoding or sessions."""
    starved_share: float | None
    """Share of control steps without an action at this number, 0–1; None: not even one robot."""
    starved_share_beyond: float | None
    """The same with one robot more; None: the server does not admit it."""
    busy: float | None
    """Share of time in which the device runs, 0–1."""
    mean_batch: float | None
    requests_per_s: float | None

    @classmethod
    def of(cls, max_batch: int, found: Capacity) -> BatchRow:
        """Return the row of a capacity."""
        trial, beyond = found.trial, found.beyond
        return cls(
            max_batch=max_batch,
            robots=found.robots,
            limited_by=found.limited_by,
            starved_share=None if trial is None else trial.starved_share,
            starved_share_beyond=None if beyond is None else beyond.starved_share,
            busy=None if trial is None else trial.busy,
            mean_batch=None if trial is None else trial.batch,
            requests_per_s=None if trial is None else trial.requests_per_s,
        )


class ShareCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Starved share against the number of robots, with batches up to a size."""

    max_batch: int
    carried: int
    robots: list[int]
    starved_share: list[float]


class FleetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What `vagus plan` prints, as `--json` has it."""

    source: str
    """Where the inference times are from."""
    latency_ms: dict[int, float]
    """Batch size → inference time."""
    max_batch: int
    kinds: list[KindRow]
    slo_starved_share: float
    """Largest share of control steps without an action, of each kind of robots, 0–1."""
    robots_per_device: int
    limited_by: str
    max_sessions: int | None
    """Robots that the server lets connect; None: not known."""
    batches: list[BatchRow]
    fleet: int
    """Robots asked about; 0: none."""
    devices: int | None
    """Devices for them; None: not asked, or no number is enough."""
    robots_per_hand: list[int]
    """Robots on each of these devices, different ones alone."""
    knobs: list[Knob]
    assumptions: list[str]


def check_slo(share: float) -> None:
    """Raise ConfigError unless some robots can keep to this share and some cannot."""
    if not (math.isfinite(share) and 0 < share < 1):
        raise ConfigError(
            "slo_starved_share",
            wanted="a share of control steps above 0 and below 1, for example 0.01",
            got=f"{share:g}",
            fix="no share at all cannot be promised, for a network may always be late" if share == 0 else "",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about a fleet.

    Attributes:
        source: where the inference times are from, in words.
        kinds: the robots; if their number is not asked about, one of each.
        is_fleet: whether their number is asked about, too.
        max_sessions: robots that the server lets connect; None: not known.
    """

    source: str
    kinds: Sequence[RobotKind]
    is_fleet: bool
    max_sessions: int | None = None


def plan_of(device: Device, asked: Asked, limit: Limit, assumptions: Sequence[str]) -> FleetPlan:
    """Return the plan of a fleet."""
    sizes = batch_sizes(device)
    found = {size: capacity_of(replace(device, max_batch=size), asked.kinds, limit) for size in sizes}
    own = found[device.max_batch]
    total = sum(kind.count for kind in asked.kinds) if asked.is_fleet else 0
    needed = devices_for(device, asked.kinds, limit) if asked.is_fleet else None
    return FleetPlan(
        source=asked.source,
        latency_ms=dict(device.table),
        max_batch=device.max_batch,
        kinds=[KindRow.of(kind) for kind in asked.kinds],
        slo_starved_share=limit.slo_starved_share,
        robots_per_device=own.robots,
        limited_by=own.limited_by,
        max_sessions=asked.max_sessions,
        batches=[BatchRow.of(size, capacity) for size, capacity in found.items()],
        fleet=total,
        devices=None if needed is None else needed[0],
        robots_per_hand=[] if needed is None else [trial.robots for trial in needed[1]],
        knobs=knobs_of(device, asked.kinds, limit),
        assumptions=list(assumptions),
    )


def batch_sizes(device: Device) -> list[int]:
    """Return the batch sizes to compare: doublings of 1 in the table, its largest, and the device's own."""
    largest = max(device.table)
    doublings = [2**k for k in range(largest.bit_length()) if 2**k <= largest]
    kept = doublings if len(doublings) < MAX_ROWS else [1, *doublings[-MAX_ROWS + 2 :]]
    return sorted({*kept, largest, device.max_batch})


def curves_of(device: Device, kinds: Sequence[RobotKind], limit: Limit, plan: FleetPlan) -> list[ShareCurve]:
    """Return starved share against robots, one curve for each batch size of a plan."""
    reach = max(math.ceil(CURVE_REACH * max(row.robots for row in plan.batches)), 2)
    reach = min(reach, device.max_robots)
    counts = sorted({round(1 + (reach - 1) * k / (CURVE_POINTS - 1)) for k in range(CURVE_POINTS)})
    return [
        _curve(replace(device, max_batch=row.max_batch), kinds, limit, counts, row) for row in plan.batches
    ]


def _curve(
    device: Device, kinds: Sequence[RobotKind], limit: Limit, counts: Sequence[int], row: BatchRow
) -> ShareCurve:
    robots = sorted({*counts, row.robots, min(row.robots + 1, device.max_robots)} - {0})
    trials = [limit.engine(device, hand_of(kinds, count)) for count in robots]
    shares = [trial.starved_share for trial in trials]
    return ShareCurve(max_batch=row.max_batch, carried=row.robots, robots=robots, starved_share=shares)

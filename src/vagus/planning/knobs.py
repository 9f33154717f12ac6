"""Which setting buys most: each is varied alone, and the robots per device are counted again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from vagus.edge.config import AUTO
from vagus.planning.planner import Device, Limit, capacity_of
from vagus.planning.robot_kinds import ONLY_BY_BUFFER, RobotKind
from vagus.server.capacity import RobotDemand

__all__ = ["Knob", "knobs_of"]

TWICE = 2.0
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting, varied.

    Attributes:
        name: the setting.
        before: what it is.
        after: what it would be.
        robots: robots per device then.
    """

    name: str
    before: str
    after: str
    robots: int


def knobs_of(device: Device, mix: Sequence[RobotKind], limit: Limit) -> list[Knob]:
    """Return what each setting would change, the one that carries most robots first."""
    varied = [*_of_device(device, mix), *_of_robots(device, mix)]
    found = [
        Knob(name, before, after, capacity_of(other, robots, limit).robots)
        for name, before, after, other, robots in varied
    ]
    return sorted(found, key=lambda knob: -knob.robots)


Varied = tuple[str, str, str, Device, Sequence[RobotKind]]


def _of_device(device: Device, mix: Sequence[RobotKind]) -> Iterator[Varied]:
    yield "device", "as it is", "twice as fast", device.faster(TWICE), mix
    largest = max(device.table)
    for size in sorted({1, largest} - {device.max_batch}):
        yield "largest batch", str(device.max_batch), str(size), replace(device, max_batch=size), mix


def _of_robots(device: Device, mix: Sequence[RobotKind]) -> Iterator[Varied]:
    for times in (HALF, TWICE):
        changed = _with_buffers(mix, times)
        if all(kind.demand.buffer_s < kind.demand.chunk_s for kind in changed):
            yield "buffer", _spoken(mix, _buffer), _spoken(changed, _buffer), device, changed
    if any(kind.demand.is_eager for kind in mix):
        free = _changed(mix, lambda one: replace(one, execute_horizon=0, observe_steps=0))
        yield "execute horizon", _spoken(mix, _executed), ONLY_BY_BUFFER, device, free
    else:
        half = _changed(mix, lambda one: replace(one, execute_horizon=max(one.horizon // 2, 1)))
        yield "execute horizon", ONLY_BY_BUFFER, _spoken(half, _executed), device, half
    if any(kind.demand.round_trip_s for kind in mix):
        near = _changed(mix, lambda one: replace(one, round_trip_s=one.round_trip_s * HALF))
        yield "round trip", _spoken(mix, _round_trip), _spoken(near, _round_trip), device, near


def _with_buffers(mix: Sequence[RobotKind], times: float) -> tuple[RobotKind, ...]:
    return _changed(mix, lambda one: replace(one, buffer_s=one.buffer_s * times))


def _changed(mix: Sequence[RobotKind], change: Callable[[RobotDemand], RobotDemand]) -> tuple[RobotKind, ...]:
    return tuple(replace(kind, demand=change(kind.demand)) for kind in mix)


def _spoken(mix: Sequence[RobotKind], of: Callable[[RobotDemand], str]) -> str:
    return " and ".join(dict.fromkeys(of(kind.demand) for kind in mix))


def _buffer(demand: RobotDemand) -> str:
    return f"{demand.buffer_s:g} s"


def _executed(demand: RobotDemand) -> str:
    if demand.observe_steps:
        return AUTO
    return str(demand.execute_horizon) if demand.execute_horizon else ONLY_BY_BUFFER


def _round_trip(demand: RobotDemand) -> str:
    return f"{demand.round_trip_s * 1000:g} ms"

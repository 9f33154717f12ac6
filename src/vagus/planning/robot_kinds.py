"""Kinds of robots in a fleet, as a person types them: "30:20hz:10" or "6:10hz:50:buffer=0.8s". Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vagus.edge.asking import observe_steps
from vagus.edge.config import AUTO, ExecuteHorizon
from vagus.errors import ConfigError
from vagus.server.capacity import RobotDemand
from vagus.setting_ranges import MAX_COUNT, MAX_S

__all__ = ["MAX_ROBOTS", "ONLY_BY_BUFFER", "RobotKind", "asking_after", "check_demand", "typed_kinds"]

MAX_ROBOTS = 10_000
"""Largest fleet that is planned at once."""
MAX_RATE_HZ = 10_000.0
MAX_ROUND_TRIP_S = 60.0
WANTED = "COUNT, COUNT:RATEhz:HORIZON, or one of them with :buffer=0.8s, :execute=25, :round-trip=40ms"
ONLY_BY_BUFFER = "None"
"""Execute horizon of a kind that asks by its buffer alone, spelled as for the command `run`."""
NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?")
TIME = re.compile(rf"({NUMBER.pattern})(ms|s)")
MAX_DIGITS = 9
NAMED = BUFFER, EXECUTE, ROUND_TRIP = ("buffer", "execute", "round-trip")
"""Names in an entry."""


@dataclass(frozen=True, slots=True)
class RobotKind:
    """Some robots that ask alike.

    Attributes:
        count: number of them.
        demand: how each of them asks.
    """

    count: int
    demand: RobotDemand

    def __str__(self) -> str:
        said = self.demand
        more = f", asks after {said.execute_horizon}" if said.execute_horizon else ""
        more = ", asks as the server has room" if said.observe_steps else more
        return (
            f"{self.count} × {said.rate_hz:g} Hz, chunks of {said.horizon}, buffer {said.buffer_s:g} s"
            f"{more}, round trip {said.round_trip_s * 1000:g} ms"
        )


def typed_kinds(
    entries: Sequence[str], usual: RobotDemand, *, has_pace: bool = True
) -> tuple[RobotKind, ...]:
    """Return the kinds of a fleet.

    Args:
        entries: as typed, one per kind.
        usual: what an entry does not say.
        has_pace: whether it is known at which rate and horizon; otherwise each entry must say both.

    Raises:
        ConfigError: an entry is wrong, or a robot cannot run like that.
    """
    kinds = tuple(_kind(entry, usual, has_pace=has_pace) for entry in entries)
    total = sum(kind.count for kind in kinds)
    if total > MAX_ROBOTS:
        raise ConfigError("robots", wanted=f"at most {MAX_ROBOTS} in all", got=str(total))
    return kinds


def asking_after(
    demand: RobotDemand, execute_horizon: ExecuteHorizon, *, continues_plan: bool = True
) -> RobotDemand:
    """Return the same robot with this execute horizon.

    Args:
        demand: the robot.
        execute_horizon: as in its settings.
        continues_plan: its chunks continue its plan; counts with `auto`.
    """
    if execute_horizon == AUTO:
        steps = observe_steps(demand.horizon, continues_plan=continues_plan)
        return replace(demand, execute_horizon=0, observe_steps=steps)
    return replace(demand, execute_horizon=int(execute_horizon or 0), observe_steps=0)


def check_demand(demand: RobotDemand, *, setting: str = "robots") -> None:
    """Raise ConfigError if no robot can run like that, or if it would ask without a pause."""
    said = f"{demand.rate_hz:g} Hz, chunks of {demand.horizon}"
    for name, value, most in (
        ("rate_hz", demand.rate_hz, MAX_RATE_HZ),
        ("horizon", demand.horizon, MAX_COUNT),
        ("buffer_time_s", demand.buffer_s, MAX_S),
    ):
        if not (math.isfinite(value) and 0 < value <= most):
            raise ConfigError(name, wanted=f"a number above 0, at most {most:g}", got=repr(value))
    if not 0 <= demand.execute_horizon <= demand.horizon:
        wanted = f"1 to the horizon, {demand.horizon}, {AUTO}, or {ONLY_BY_BUFFER}"
        raise ConfigError("execute_horizon", wanted=wanted, got=str(demand.execute_horizon))
    if not (math.isfinite(demand.round_trip_s) and 0 <= demand.round_trip_s <= MAX_ROUND_TRIP_S):
        wanted = f"0 to {MAX_ROUND_TRIP_S * 1000:g} ms"
        raise ConfigError("round_trip_ms", wanted=wanted, got=f"{demand.round_trip_s * 1000:g}")
    if demand.buffer_s >= demand.chunk_s:
        raise ConfigError(
            setting,
            wanted=f"a buffer below the {demand.chunk_s:g} s that a chunk lasts ({said})",
            got=f"{demand.buffer_s:g} s",
            fix="such a robot asks without a pause; set a shorter buffer, for example --buffer-time-s "
            f"{demand.chunk_s / 2:.2g}, here and at the robot",
        )


def _kind(entry: str, usual: RobotDemand, *, has_pace: bool) -> RobotKind:
    count, *parts = entry.strip().split(":")
    if not (count.isdecimal() and 1 <= int(count) <= MAX_ROBOTS):
        got = f"{entry!r}"
        raise ConfigError("robots", wanted=f"{WANTED}; COUNT from 1 to {MAX_ROBOTS}", got=got)
    positional = [part for part in parts if "=" not in part]
    named = [part for part in parts if "=" in part]
    if positional != parts[: len(positional)] or len(positional) not in (0, 2):
        raise ConfigError("robots", wanted=WANTED, got=repr(entry))
    demand = usual
    if positional:
        rate_hz, horizon = _rate(entry, positional[0]), _whole(entry, positional[1])
        demand = replace(usual, rate_hz=rate_hz, horizon=horizon)
        demand = asking_after(demand, AUTO) if usual.observe_steps else demand
    elif not has_pace:
        fix = "for example 30:20hz:10, or --rate-hz and --horizon for all"
        raise ConfigError("robots", wanted="a rate and a horizon for each kind", got=repr(entry), fix=fix)
    demand = _with_named(demand, entry, named)
    check_demand(demand, setting=f"robots {entry}")
    return RobotKind(int(count), demand)


def _with_named(demand: RobotDemand, entry: str, parts: Sequence[str]) -> RobotDemand:
    said: dict[str, str] = {}
    for part in parts:
        name, _, text = part.partition("=")
        if name not in NAMED:
            wanted = f"one of {', '.join(f'{known}=' for known in NAMED)}"
            raise ConfigError(f"robots {entry}", wanted=wanted, got=repr(part))
        if name in said:
            raise ConfigError(f"robots {entry}", wanted=f"{name}= once", got="it twice")
        said[name] = text
    if BUFFER in said:
        demand = replace(demand, buffer_s=_seconds(entry, said[BUFFER]))
    if EXECUTE in said:
        demand = asking_after(demand, _execute_horizon(entry, said[EXECUTE]))
    if ROUND_TRIP in said:
        demand = replace(demand, round_trip_s=_seconds(entry, said[ROUND_TRIP]))
    return demand


def _execute_horizon(entry: str, text: str) -> ExecuteHorizon:
    if text == ONLY_BY_BUFFER:
        return None
    return AUTO if text == AUTO else _whole(entry, text)


def _rate(entry: str, text: str) -> float:
    number = text.lower().removesuffix("hz")
    if number == text.lower() or not NUMBER.fullmatch(number):
        raise ConfigError(f"robots {entry}", wanted="a rate such as 20hz", got=repr(text))
    return float(number)


def _whole(entry: str, text: str) -> int:
    if not text.isdecimal() or len(text) > MAX_DIGITS:
        raise ConfigError(f"robots {entry}", wanted="a number of actions", got=repr(text))
    return int(text)


def _seconds(entry: str, text: str) -> float:
    found = TIME.fullmatch(text)
    if found is None:
        raise ConfigError(f"robots {entry}", wanted="a time with its unit, 0.8s or 40ms", got=repr(text))
    return float(found[1]) / (1000 if found[2] == "ms" else 1)

"""Text of the manifest of a LeRobot checkpoint, which a person must check line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.policies.declare import SpecTable

__all__ = ["ACTION", "STATE", "Stated", "manifest_of"]

STATE = "observation.state"
ACTION = "action"

UNIT = "lerobot_norm"
"""The unit that most LeRobot arms report: motor positions normalised by the calibration."""

VELOCITY = ".vel"
"""End of the names of velocities, e.g. those of a base."""


@dataclass(frozen=True, slots=True)
class Stated:
    """Statements of the checkpoint about itself.

    Attributes:
        actions: names, or None where it has none.
        action_dim: numbers in an action.
        states: key of a state vector → numbers in it, in the order of `STATES`; empty: it looks at none.
        cameras: camera name → key of its frames.
        sizes: camera name → height and width.
        rate_hz: of the simulator it was trained in, or None.
    """

    actions: tuple[str, ...] | None
    action_dim: int
    states: Mapping[str, int]
    cameras: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]
    rate_hz: float | None

    @property
    def state_dim(self) -> int:
        """Numbers in all state vectors."""
        return sum(self.states.values())


def manifest_of(
    model: str, stated: Stated, table: SpecTable, rate_hz: float | None, options: LeRobotOptions
) -> str:
    """Return a manifest in YAML that states everything; names that nobody gave are numbers."""
    actions = stated.actions or _names(list(table.actions), {ACTION: stated.action_dim})
    mirrored = list(actions) if stated.states == {STATE: stated.action_dim} else []
    state = _names(list(table.state) or mirrored, stated.states)
    lines = [
        "policy: lerobot",
        f"model: {json.dumps(model)}",
        "options:",
        *_options(replace(options, allowed_sources=options.allowed_sources or (model,))),
        f"trained_rate_hz: {rate_hz or 30:g}  # the fps of the data it was trained on",
        "spec:  # in the units of that data: joints in deg if it was recorded with use_degrees",
        *_entries("actions", actions, table.actions),
        *_entries("state", state, table.state),
        *_kinds(actions, table.kinds),
    ]
    return "\n".join(lines) + "\n"


def _options(options: LeRobotOptions) -> list[str]:
    """Return the backend's own settings that are not their defaults."""
    usual = LeRobotOptions()
    told = {entry.name: getattr(options, entry.name) for entry in fields(options)}
    return [f"  {name}: {json.dumps(value)}" for name, value in told.items() if value != getattr(usual, name)]


def _names(given: Sequence[str], sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Return the given names if there are enough, else numbers behind what each vector is called."""
    if len(given) == sum(sizes.values()):
        return tuple(given)
    return tuple(f"{key.rpartition('.')[2]}_{n}" for key, size in sizes.items() for n in range(size))


def _entries(title: str, names: Sequence[str], units: Mapping[str, str]) -> list[str]:
    if not names:
        return [f"  {title}: {{}}"]
    lines = [f"    {json.dumps(name)}: {json.dumps(units.get(name) or UNIT)}" for name in names]
    return [f"  {title}:", *lines]


def _kinds(names: Sequence[str], stated: Mapping[str, str]) -> list[str]:
    """Return the kinds of actions that are not positions; LeRobot ends the names of velocities in `.vel`."""
    kinds = {name: "velocity" for name in names if name.endswith(VELOCITY)}
    kinds.update({name: kind for name, kind in stated.items() if name in names})
    lines = [f"    {json.dumps(name)}: {json.dumps(kind)}" for name, kind in kinds.items()]
    return ["  kinds:", *lines] if lines else []

"""Layouts of an Astribot S1's numbers: 16, 22 or 25 of them, and the order of its waypoints (pure).

16: two arms, two grippers. 22: these, head and torso. 25: these and the chassis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vagus.errors import PolicyError
from vagus.quoting import quoted

__all__ = ["PARTS", "WIDTHS", "action_of", "expanded", "names_of", "parts_of", "waypoint_of"]

Numbers: TypeAlias = NDArray[np.float64]

PARTS: Final = {
    "arm_left": slice(0, 7),
    "arm_right": slice(7, 14),
    "gripper_left": slice(14, 15),
    "gripper_right": slice(15, 16),
    "head": slice(16, 18),
    "torso": slice(18, 22),
    "chassis": slice(22, 25),
}
"""Part → its numbers in a state or an action."""
WIDTHS: Final = (16, 22, 25)
_ORDER: Final = ("torso", "arm_left", "gripper_left", "arm_right", "gripper_right", "head", "chassis")
"""Parts in a waypoint; the chassis only of 25 numbers."""


def names_of(width: int) -> tuple[str, ...]:
    """Return the names of the 16, 22 or 25 numbers: arm_left_1 to arm_left_7, …, gripper_left, …, chassis_3.

    A part of one number has the name of the part; the others count from 1.

    Raises:
        PolicyError: another width.
    """
    if width not in WIDTHS:
        raise PolicyError(f"names: wanted a width of {WIDTHS}, got {width!r}")
    return tuple(name for part, span in PARTS.items() if span.stop <= width for name in _names(part, span))


def expanded(actions: ArrayLike, rest: ArrayLike) -> Numbers:
    """Return actions of 16 or 22 numbers as ones of 22 or 25.

    Args:
        actions: (16 or 22,), or (horizon, 16 or 22).
        rest: numbers of the parts that are added, in their order, for every action: where these parts stand.
            There is no default: zeros would move a head or a torso that stands elsewhere.

    Raises:
        PolicyError: widths that do not go together, NaN or infinity.
    """
    rows, added = np.asarray(actions, np.float64), np.asarray(rest, np.float64)
    is_row = rows.ndim in (1, 2) and added.ndim == 1
    if not is_row or rows.shape[-1] not in WIDTHS or not len(added):
        raise PolicyError(
            f"actions: wanted {WIDTHS} numbers and others to add, got {_told(rows)}, {_told(added)}"
        )
    if rows.shape[-1] + len(added) not in WIDTHS:
        more = [width - rows.shape[-1] for width in WIDTHS if width > rows.shape[-1]]
        raise PolicyError(f"rest: wanted {more} numbers for actions of {rows.shape[-1]}, got {len(added)}")
    whole: Numbers = np.concatenate((rows, np.broadcast_to(added, (*rows.shape[:-1], len(added)))), axis=-1)
    return _finite(whole, "actions")


def waypoint_of(action: ArrayLike) -> list[list[float]]:
    """Return the waypoint of an action (22 or 25,): a list of numbers for each part, in the robot's order.

    Raises:
        PolicyError: another width, NaN or infinity.
    """
    numbers = np.asarray(action, np.float64)
    if numbers.ndim != 1 or len(numbers) not in WIDTHS[1:]:
        raise PolicyError(
            f"waypoint: wanted {WIDTHS[1:]} numbers, got {_told(numbers)}; expand 16 numbers first"
        )
    _finite(numbers, "waypoint")
    return [numbers[PARTS[part]].tolist() for part in parts_of(len(numbers))]


def action_of(waypoint: Sequence[Sequence[float]]) -> Numbers:
    """Return the action (22 or 25,) of a waypoint: the inverse of `waypoint_of`.

    Raises:
        PolicyError: other parts, NaN or infinity.
    """
    width = WIDTHS[-1] if len(waypoint) == len(_ORDER) else WIDTHS[1]
    parts = parts_of(width)
    sizes = [PARTS[part].stop - PARTS[part].start for part in parts]
    if [len(numbers) for numbers in waypoint] != sizes:
        got = quoted([len(numbers) for numbers in waypoint], 80)
        raise PolicyError(f"waypoint: wanted {sizes} numbers for {', '.join(parts)}, got {got}")
    action = np.empty(width)
    for part, numbers in zip(parts, waypoint, strict=True):
        action[PARTS[part]] = numbers
    return _finite(action, "waypoint")


def _names(part: str, span: slice) -> list[str]:
    count = span.stop - span.start
    return [part] if count == 1 else [f"{part}_{at}" for at in range(1, count + 1)]


def parts_of(width: int) -> tuple[str, ...]:
    """Return the parts of a waypoint of 22 or 25 numbers, in the robot's order."""
    return tuple(part for part in _ORDER if PARTS[part].stop <= width)


def _finite(numbers: Numbers, name: str) -> Numbers:
    if not np.isfinite(numbers).all():
        raise PolicyError(f"{name}: wanted finite numbers, got NaN or infinity")
    return numbers


def _told(numbers: Numbers) -> str:
    return f"shape {numbers.shape}"

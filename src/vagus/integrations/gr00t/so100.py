"""Actions of GR00T for an SO-100 or SO-101 arm as LeRobot's actions, named by motor (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from vagus.errors import PolicyError, SpecError
from vagus.gateways.msgpack import AnyArray

__all__ = ["SO100_ACTIONS", "so100_actions"]

SO100_ACTIONS: Final = (
    "shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos",
    "gripper.pos",
)  # fmt: skip
"""Names of the numbers in `single_arm` and `gripper`, in this order, as LeRobot calls them."""
_WIDTHS: Final = {"single_arm": 5, "gripper": 1}


def so100_actions(
    actions: Mapping[str, AnyArray], order: Sequence[str] = SO100_ACTIONS
) -> list[dict[str, float]]:
    """Return a whole chunk as one action per step, each number under its motor's name; units are unchanged.

    Args:
        actions: `single_arm` (horizon, 5) and `gripper` (horizon, 1) or (horizon,), with or without `action.`
            before their names, and an axis of size 1 for the batch before both or none.
        order: names of the robot's motors in its own order; the keys of each action follow it.

    Raises:
        PolicyError: a missing array, another shape, or a number that is not finite. No step is returned then.
        SpecError: names that are not those of this arm.
    """
    if sorted(order) != sorted(SO100_ACTIONS):
        raise SpecError("order", wanted=f"the names {', '.join(SO100_ACTIONS)}", got=", ".join(order))
    arm, gripper = (_steps(actions, name) for name in _WIDTHS)
    if len(arm) != len(gripper):
        raise PolicyError(
            f"actions: wanted equal horizons, got {len(arm)} of the arm, {len(gripper)} of the gripper"
        )
    chunk = np.concatenate([arm, gripper], axis=1)
    if not np.isfinite(chunk).all():
        raise PolicyError("actions: wanted finite numbers, got NaN or infinity")
    columns = [SO100_ACTIONS.index(name) for name in order]
    return [dict(zip(order, step, strict=True)) for step in chunk[:, columns].tolist()]


def _steps(actions: Mapping[str, AnyArray], name: str) -> np.ndarray:
    """Return the array `name` as (horizon, width)."""
    array = actions.get(f"action.{name}", actions.get(name))
    width = _WIDTHS[name]
    if array is None:
        raise PolicyError(f"actions: wanted {name}, got {', '.join(sorted(actions)) or 'none'}")
    steps = array[0] if array.ndim == 3 and len(array) == 1 else array
    if width == 1 and steps.ndim == 1:
        steps = steps[:, np.newaxis]
    if steps.ndim != 2 or steps.shape[1] != width or not len(steps) or steps.dtype.kind != "f":
        raise PolicyError(f"{name}: wanted floats (horizon, {width}), got {array.shape} of {array.dtype}")
    return steps

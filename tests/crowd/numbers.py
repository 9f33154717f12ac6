"""Numbers that say who asked: state and pictures of a robot, the answer to them, and its check."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vagus.types import FloatArray, Image

__all__ = ["HORIZON", "NAMES", "SIZE", "UNITS", "answer_to", "instruction_of", "pictures_of", "read_answer"]

NAMES = tuple(
    f"{joint}.pos"
    for joint in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
)
UNITS = {name: "lerobot_norm" if name == "gripper.pos" else "deg" for name in NAMES}
SIZE = (480, 640)
HORIZON = 60
COUNTED = 0.1
"""What one request adds to the third number; a row of an answer adds a hundredth of it."""
ROW = COUNTED / 100
WRIST = 50
"""Difference of the two cameras' pictures."""
UNTOLD = 255
"""A picture that does not say to which request it belongs."""
COUNTERS = 251
MIXED = 99.0
"""Last number of an answer to a state and a picture of different requests."""
CLOSE = 2e-4
"""Largest error of a number after it was float32, and radians on the way."""

Floats = NDArray[np.float64]


def state_of(who: int, life: int, counter: int) -> Floats:
    """Return the state of robot `who`: its number, that of its process, and that of the request."""
    return np.array([who, life, counter * COUNTED, 0.0, 0.0, 0.0])


def pictures_of(who: int, counter: int | None = None) -> dict[str, Image]:
    """Return the pictures of robot `who`, which say the same."""
    pictures = {}
    for name, value in (("front", who), ("wrist", WRIST + who)):
        picture = np.full((*SIZE, 3), value, np.uint8)
        picture[..., 1] = UNTOLD if counter is None else counter % COUNTERS
        pictures[name] = picture
    return pictures


def instruction_of(who: int) -> str:
    """Return the instruction of robot `who`, which says the same."""
    return f"robot {who}"


def told_by(state: FloatArray) -> tuple[int, int, int]:
    """Return the numbers of robot, process and request that a state says."""
    return round(float(state[0])), round(float(state[1])), round(float(state[2]) / COUNTED)


def answer_to(state: FloatArray, images: Mapping[str, Image], instruction: str) -> FloatArray:
    """Return the chunk (HORIZON, 6) that says who asked: by state, instruction and each picture."""
    _, _, counter = told_by(state)
    front, wrist = images["front"][0, 0], images["wrist"][-1, -1]
    told = [int(picture[1]) for picture in (front, wrist)]
    is_mixed = any(one not in (UNTOLD, counter % COUNTERS) for one in told)
    chunk = np.zeros((HORIZON, len(NAMES)))
    chunk[:, 0:2] = state[0:2]
    chunk[:, 2] = counter * COUNTED + np.arange(HORIZON) * ROW
    chunk[:, 3] = int(instruction.split()[1]) if instruction.startswith("robot ") else 0
    chunk[:, 4] = wrist[0]
    chunk[:, 5] = MIXED if is_mixed else front[0]
    answer: FloatArray = chunk.astype(np.float32)
    return answer


def fixed_numbers(who: int, life: int) -> dict[int, float]:
    """Return the numbers of an answer, by place, that are the same for each request of a process."""
    return {0: who, 1: life, 3: who, 4: WRIST + who, 5: who}


def read_answer(actions: Floats, who: int, life: int, *, first_row: int | None = 0) -> int:
    """Return the number of the request that rows of an answer, (rows, 6), belong to.

    Args:
        actions: rows of one answer, in the order of `NAMES`.
        who: number of the robot.
        life: number of its process.
        first_row: which row of the answer the first one is; None: any.

    Raises:
        ValueError: it is not of this robot, of several requests, or its rows do not follow each other.
    """
    for place, wanted in fixed_numbers(who, life).items():
        if not np.allclose(actions[:, place], wanted, rtol=0.0, atol=CLOSE):
            raise ValueError(f"{NAMES[place]}: wanted {wanted}, got {actions[:, place].tolist()}")
    counters = np.floor(actions[:, 2] / COUNTED + ROW / COUNTED / 2)
    rows = np.round((actions[:, 2] - counters * COUNTED) / ROW)
    first = rows[0] if first_row is None else first_row
    told = counters * COUNTED + rows * ROW
    if len(set(counters)) > 1 or not np.allclose(told, actions[:, 2], rtol=0.0, atol=CLOSE):
        raise ValueError(f"not one request: {actions[:, 2].tolist()}")
    if not np.array_equal(rows, first + np.arange(len(rows))):
        raise ValueError(f"rows that do not follow each other: {rows.tolist()}")
    return int(counters[0])

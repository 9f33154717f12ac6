"""Table of the commands of a session, built from lines in blocks, so that a long session fits into memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vagus.recording.lines import LineFaults, StepLine
from vagus.recording.session import StepTable
from vagus.types import LinkState, MotionState

__all__ = ["build_steps"]

_ScalarT = TypeVar("_ScalarT", bound=np.generic)

BLOCK_ROWS = 4096
MAX_CELLS = 1 << 28
"""Most numbers in `action` and `state` together, 2 GB: a day at 100 Hz with 30 numbers."""
NONE = -1
INTEGERS = ("t_ns", "epoch", "seq", "episode", "step", "index")


class _Columns:
    """Columns of the table while it grows."""

    def __init__(self) -> None:
        self.integers: dict[str, list[NDArray[np.int64]]] = {name: [] for name in INTEGERS}
        self.age_ms: list[NDArray[np.float64]] = []
        self.is_moving: list[NDArray[np.bool_]] = []
        self.action: list[NDArray[np.float64]] = []
        self.state: list[NDArray[np.float64]] = []
        self.link: list[LinkState] = []
        self.motion: list[MotionState] = []
        self.limited: list[frozenset[str]] = []
        self._sets: dict[tuple[str, ...], frozenset[str]] = {}

    def add(self, rows: Sequence[StepLine], action_dim: int, state_dim: int) -> None:
        """Add a block of rows, all of these widths."""
        for name in INTEGERS:
            given = (getattr(row, name) for row in rows)
            column = np.fromiter((NONE if v is None else v for v in given), np.int64, len(rows))
            self.integers[name].append(column)
        ages = (math.nan if row.age_ms is None else row.age_ms for row in rows)
        self.age_ms.append(np.fromiter(ages, np.float64, len(rows)))
        self.is_moving.append(np.fromiter((row.is_moving for row in rows), np.bool_, len(rows)))
        nothing: list[float | None] = [math.nan] * action_dim
        self.action.append(_block([row.action or nothing for row in rows], action_dim))
        self.state.append(_block([row.state for row in rows], state_dim))
        self.link.extend(row.link for row in rows)
        self.motion.extend(row.motion for row in rows)
        self.limited.extend(self._set(row.limited) for row in rows)

    def table(self, action_dim: int, state_dim: int) -> StepTable:
        """Return the table."""
        integers = {name: _joined(parts, np.int64) for name, parts in self.integers.items()}
        return StepTable(
            **integers,
            age_ms=_joined(self.age_ms, np.float64),
            link=tuple(self.link),
            motion=tuple(self.motion),
            limited=tuple(self.limited),
            is_moving=_joined(self.is_moving, np.bool_),
            action=_stacked(self.action, action_dim),
            state=_stacked(self.state, state_dim),
        )

    def _set(self, names: list[str]) -> frozenset[str]:
        key = tuple(names)
        return self._sets.setdefault(key, frozenset(key))


def build_steps(
    lines: Iterable[StepLine], faults: LineFaults, *, action_dim: int | None, state_dim: int | None
) -> StepTable:
    """Return the table of the lines; a line of another width is counted in `faults` and left out.

    Args:
        lines: the commands in their order.
        faults: takes what does not fit.
        action_dim: numbers of a command; None: those of the first command.
        state_dim: numbers of the state; None: those of the first line.
    """
    columns = _Columns()
    rest = iter(lines)
    seen = cells = 0
    while block := list(islice(rest, BLOCK_ROWS)):
        if action_dim is None:
            action_dim = next((len(row.action) for row in block if row.action), None)
        if state_dim is None:
            state_dim = len(block[0].state)
        width = action_dim or 0
        fitting = []
        for number, row in enumerate(block, start=seen + 1):
            if len(row.action) in (0, width) and len(row.state) == state_dim:
                fitting.append(row)
            else:
                got = f"{len(row.action)} and {len(row.state)}"
                faults.note(number, f"wanted {width} actions and {state_dim} state features, got {got}")
        seen += len(block)
        cells += len(fitting) * (width + state_dim)
        if cells > MAX_CELLS:
            faults.note(seen, f"wanted at most {MAX_CELLS} numbers, got more; the rest is left out")
            break
        columns.add(fitting, width, state_dim)
    return columns.table(action_dim or 0, state_dim or 0)


def _block(rows: list[list[float | None]], width: int) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def _joined(parts: list[NDArray[_ScalarT]], kind: type[_ScalarT]) -> NDArray[_ScalarT]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _stacked(parts: list[NDArray[np.float64]], width: int) -> NDArray[np.float64]:
    """Return blocks as one; those before the first command had no width yet and are of NaN."""
    wide = [part if part.shape[1] == width else np.full((len(part), width), math.nan) for part in parts]
    return np.concatenate(wide) if wide else np.empty((0, width))

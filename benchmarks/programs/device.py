"""A device's time for a batch, spent waiting: no CPU time, so that what a process uses is the network's part.

Imports the standard library only: it also runs in the foreign client's own environment. A real network on a
GPU may take the place of the wait, where there is one.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import time
from bisect import bisect_left
from typing import Protocol, cast

__all__ = ["NETWORK", "Accelerator", "Device", "accelerator_called", "has_gpu"]

NETWORK = "network"
"""Name of a real network on a GPU."""

TABLES_MS = {
    "pi0": {1: 25.0, 2: 34.0, 4: 53.0, 8: 94.0},
    "gentle": {1: 40.0, 8: 60.0},
}
"""Name → rows of a batch → milliseconds; between them it is taken to be straight. `pi0`: π0 on an H200, as
published. `gentle`: a network whose rows cost little in a batch."""


class Accelerator(Protocol):
    """What takes the time of an inference."""

    def batch_ms(self, rows: int) -> float:
        """Return the time for a batch of so many rows, in milliseconds."""
        ...

    def infer(self, rows: int) -> None:
        """Take the time for a batch."""
        ...


class Device:
    """Takes a device's time.

    Args:
        name: which one of the tables.
    """

    def __init__(self, name: str) -> None:
        self._table_ms = TABLES_MS[name]

    def batch_ms(self, rows: int) -> float:
        """Return the time for a batch of 1 to 8 rows, in milliseconds."""
        sizes, times = list(self._table_ms), list(self._table_ms.values())
        at = max(bisect_left(sizes, rows), 1)
        share = (rows - sizes[at - 1]) / (sizes[at] - sizes[at - 1])
        return times[at - 1] + share * (times[at] - times[at - 1])

    def infer(self, rows: int) -> None:
        """Wait for as long as the device takes."""
        time.sleep(self.batch_ms(rows) / 1000)


@functools.cache
def accelerator_called(name: str) -> Accelerator:
    """Return a device that waits, or the network on a GPU, made once in a process."""
    if name != NETWORK:
        return Device(name)
    return cast("Accelerator", importlib.import_module("benchmarks.programs.network").FlowNetwork())


def has_gpu() -> bool:
    """Return whether torch is installed here and sees a GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    return bool(importlib.import_module("torch").cuda.is_available())

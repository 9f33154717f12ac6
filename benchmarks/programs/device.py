"""A device's time for a batch, spent waiting: no CPU time, so that what a process uses is the network's part.

Imports the standard library only: it also runs in the foreign client's own environment.
"""

from __future__ import annotations

import time
from bisect import bisect_left

__all__ = ["Device"]

TABLES_MS = {
    "pi0": {1: 25.0, 2: 34.0, 4: 53.0, 8: 94.0},
    "gentle": {1: 40.0, 8: 60.0},
}
"""Name → rows of a batch → milliseconds; between them it is taken to be straight. `pi0`: π0 on an H200, as
published. `gentle`: a network whose rows cost little in a batch."""


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

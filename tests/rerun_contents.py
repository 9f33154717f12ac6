"""What a Rerun file holds, read with Rerun's own reader."""

from __future__ import annotations

import importlib
from pathlib import Path

from vagus.clock import NS_PER_S

__all__ = ["RerunContents"]

TIMELINES = ("session_time", "wall_clock", "policy_step")


class RerunContents:
    """Columns of a Rerun file by entity; times as whole numbers, nanoseconds or steps."""

    def __init__(self, path: Path) -> None:
        self.reader = importlib.import_module("rerun.chunk").RrdReader(path)
        self.timelines: set[str] = set()
        self.columns: dict[str, dict[str, list[list[object] | None]]] = {}
        self.times: dict[str, dict[str, list[int]]] = {}
        for chunk in self.reader.stream():
            self.timelines |= set(chunk.timeline_names)
            columns = self.columns.setdefault(chunk.entity_path, {})
            times = self.times.setdefault(chunk.entity_path, {})
            batch = chunk.to_record_batch()
            for name in batch.schema.names:
                if name in TIMELINES:
                    times.setdefault(name, []).extend(batch.column(name).cast("int64").to_pylist())
                else:
                    columns.setdefault(name, []).extend(batch.column(name).to_pylist())

    def column(self, path: str, name: str) -> list[list[object] | None]:
        """Return a column of an entity, a list per row."""
        return self.columns.get(path, {}).get(name, [])

    def numbers(self, path: str) -> list[float]:
        """Return the numbers of a curve, without its gaps."""
        return [float(str(row[0])) for row in self.column(path, "Scalars:scalars") if row]

    def times_s(self, path: str) -> list[float]:
        """Return the session times of an entity's rows, seconds."""
        return [t_ns / NS_PER_S for t_ns in self.times[path]["session_time"]]

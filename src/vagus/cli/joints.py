"""Table of the differences per joint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from rich.markup import escape
from rich.table import Table

from vagus.quoting import quoted
from vagus.replay.differences import JointDifference

__all__ = ["joints_in", "joints_table"]


def joints_table(joints: Iterable[JointDifference]) -> Table:
    """Return a table with a row per joint."""
    table = Table("joint", "unit", "largest difference", "mean", "rows")
    for joint in joints:
        numbers = (f"{joint.max:.6g}", f"{joint.mean:.6g}", str(joint.rows))
        table.add_row(escape(quoted(joint.name)), escape(quoted(joint.unit)), *numbers)
    return table


def joints_in(report: Mapping[str, object]) -> list[JointDifference]:
    """Return the differences in a robot's report; none if it is no replay."""
    try:
        return msgspec.convert(report.get("joints"), list[JointDifference])
    except msgspec.ValidationError:
        return []

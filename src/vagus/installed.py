"""Names from installed packages: entry points of the groups `vagus.robots` and `vagus.policies`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

__all__ = ["POLICIES", "ROBOTS", "installed"]

ROBOTS = "vagus.robots"
POLICIES = "vagus.policies"


def installed(group: str) -> Mapping[str, str]:
    """Return name → "package.module:name" of a group, without an import of these modules."""
    points = importlib.metadata.entry_points(group=group)
    return {point.name: f"{point.module}:{point.attr}" for point in points}

"""Settings of a PointAct server as the brain; nothing of the extra is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.setting_ranges import check_count

__all__ = ["MAX_ROWS", "PointActOptions"]

MAX_ROWS = 64
"""Most robots in one question: more of them have too many keys and values to be read quickly."""


@dataclass(frozen=True, slots=True)
class PointActOptions(ArmOptions):
    """Settings in `options` for `pointact+tcp://host:port` and `pointact+http://host:port`."""

    repo_id: str = ""
    """Model that is asked for, as PointAct's own programs name it; empty: the server's only one."""
    max_rows: int = 16
    """Most robots in one question; 1 for a server that answers only the first of them."""

    def __post_init__(self) -> None:
        ArmOptions.__post_init__(self)
        check_count("max_rows", self.max_rows, most=MAX_ROWS)

"""Outcome of a run, in our loop or in LeRobot's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vagus.control.loop_stats import LoopSummary
from vagus.edge.client.client import ClientStatus

__all__ = ["RunOutcome"]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Outcome of a run that is over.

    Attributes:
        summary: what the loop counted.
        counters: what the client counted.
        client: how the client stood at the end.
        recording: where it was recorded, or "".
    """

    summary: LoopSummary
    counters: Mapping[str, int]
    client: ClientStatus
    recording: str = ""

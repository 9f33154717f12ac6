"""Parts of a control loop, the interface of each, and the status that the loop shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.control.camera import ClientPort
from vagus.control.controller import EnginePort
from vagus.control.loop_stats import LoopStats, LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.edge.handoff import Settled
from vagus.robots.robot import Robot
from vagus.types import (
    Command,
    DepthImage,
    FloatArray,
    Frame,
    Image,
    LinkState,
    MotionState,
    RequestDraft,
)

__all__ = ["LoopPorts", "LoopStatus", "RecorderPort", "status_of"]


class RecorderPort(Protocol):
    """Interface of a recorder for the loop; no method may block.

    What is handed over is the recorder's: nobody changes it afterwards.
    """

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts of recorded items, and under names with "dropped" of lost ones."""
        ...

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Record one command (control thread)."""
        ...

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        """Record a chunk that was merged or kept out at this tick (control thread)."""
        ...

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        """Record the colour and depth images of one request (camera thread)."""
        ...

    def close(self, summary: LoopSummary) -> None:
        """Write what is left, and the summary; after the robot was stopped."""
        ...


@dataclass(frozen=True, slots=True)
class LoopPorts:
    """Parts of a control loop.

    Attributes:
        robot: not connected yet.
        engine: of an open client.
        client: takes the snapshots.
        motion: made from the mapping's actions and state names.
        mapping: between the robot's order and the policy's.
        recorder: closed by the loop, after the robot; None: nothing is recorded.
        read_images: instead of the robot's own, where somebody else looks through its cameras too.
    """

    robot: Robot
    engine: EnginePort
    client: ClientPort
    motion: Motion
    mapping: OrderMapping
    recorder: RecorderPort | None = None
    read_images: Callable[[], Mapping[str, Frame]] | None = None


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """Status of the loop at its last tick, for a status line on another thread."""

    now_ns: int
    link: LinkState
    motion: MotionState
    episode: int
    step: int
    playback_left_s: float
    age_ms: float | None
    lateness_ms: float
    ticks: int
    missed: int
    limited: frozenset[str]


def status_of(
    now_ns: int, command: Command, engine: EnginePort, stats: LoopStats, lateness_ms: float
) -> LoopStatus:
    """Return the status of a loop at a tick with this command."""
    provenance = command.provenance
    return LoopStatus(
        now_ns=now_ns,
        link=provenance.link,
        motion=provenance.motion,
        episode=provenance.episode,
        step=engine.step,
        playback_left_s=engine.playback_left_ns / NS_PER_S,
        age_ms=None if provenance.age_ns is None else provenance.age_ns / NS_PER_MS,
        lateness_ms=lateness_ms,
        ticks=stats.ticks,
        missed=stats.missed,
        limited=command.limited,
    )

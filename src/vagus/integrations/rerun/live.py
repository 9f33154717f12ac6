"""A running robot in the Rerun viewer: what the loop does goes to a process that shows it.

Nothing here can delay the loop or end it. What the process is too slow for is skipped and counted; if it or
the viewer ends, or there never was one, the run goes on without.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.edge.client.handshake import Contract
from vagus.edge.handoff import Settled
from vagus.errors import ConfigError
from vagus.integrations.rerun.live_messages import (
    LiveChunk,
    LiveFrame,
    LiveJoint,
    LiveMessage,
    LiveOpening,
    LiveSteps,
)
from vagus.integrations.rerun.live_process import ViewerProcess
from vagus.recording.registry import Run
from vagus.threads import Supervised
from vagus.transport.keys import ServiceKey
from vagus.types import Command, DepthImage, FloatArray, Frame, Image, RequestDraft

__all__ = ["LiveView", "opening_of", "start_live_view"]

logger = logging.getLogger(__name__)

POLL_S = 0.2
"""Period at which commands are sent; the control thread wakes nobody."""
MAX_STEPS, MAX_CHUNKS, MAX_FRAMES = 5000, 64, 8
"""Commands, chunks and sets of frames that may wait; of more, the newest are skipped."""
MAX_BATCH = 500
CLOSE_S = 1.0
"""Longest wait at the end for a viewer that takes nothing."""


def start_live_view(target: str, run: Run, mapping: OrderMapping, contract: Contract) -> LiveView:
    """Start the process that shows a run.

    Args:
        target: address of a running viewer, a .rrd file, or "" for a viewer that is started here.
        run: description of the run.
        mapping: between the robot's order and the policy's.
        contract: with the server.

    Raises:
        ConfigError: Rerun is not installed.
    """
    if importlib.util.find_spec("rerun") is None:
        raise ConfigError(
            "view",
            wanted="the package rerun",
            got="an installation without it",
            fix='pip install "vagus[view]"',
        )
    view = LiveView(ViewerProcess())
    view.start(opening_of(target, run, mapping, contract))
    return view


def opening_of(target: str, run: Run, mapping: OrderMapping, contract: Contract) -> LiveOpening:
    """Return what the process must know of a run."""
    said, places = contract.capabilities, {name: place for place, name in enumerate(mapping.state_names)}
    service = ServiceKey.of(said.model, said.revision, said.service_name).text
    facts = {"robot": f"{run.name} ({run.robot})", "policy": service, "model": contract.model_hash}
    about = "\n".join(f"- {label}: {text}" for label, text in {**facts, "task": run.task(contract)}.items())
    return LiveOpening(
        target=target,
        title=f"{run.name} driven by {service}",
        about=about,
        began_ns=round(datetime.now(timezone.utc).timestamp() * NS_PER_S),
        zero_ns=monotonic_ns(),
        step_rate_hz=contract.step_rate_hz,
        joints=tuple(
            LiveJoint(f.name, places.get(f.feedback or f.name, -1), f.limits.lower, f.limits.upper)
            for f in mapping.actions
        ),
        state=mapping.state_names,
        cameras=tuple(camera.name for camera in contract.policy.cameras),
        depth_cameras={camera.name: camera.units_per_m for camera in contract.policy.depth_cameras},
    )


@dataclass(frozen=True, slots=True)
class _Step:
    now_ns: int
    command: Command
    state: FloatArray


class LiveView:
    """A `RecorderPort` that shows what it gets.

    Args:
        process: takes messages; one that is slow or gone costs what it misses, and nothing else.

    Attributes:
        counters: shown and skipped commands, chunks and frames.
    """

    def __init__(self, process: ViewerProcess) -> None:
        self._process = process
        self._steps: deque[_Step] = deque()
        self._chunks: deque[tuple[int, Settled]] = deque()
        self._frames: deque[tuple[int, Mapping[str, Frame]]] = deque()
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._is_gone = False
        self._sender = Supervised(self._send_all, name="vagus-view")
        self.counters: Counter[str] = Counter()

    def start(self, opening: LiveOpening) -> None:
        """Begin to show."""
        self._opening = opening
        self._sender.start()

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Show one command; returns at once."""
        if self._is_gone or len(self._steps) >= MAX_STEPS:
            self.counters["view_steps_skipped"] += 1
            return
        self._steps.append(_Step(now_ns, command, state))

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        """Show a chunk; returns at once."""
        if self._is_gone or len(self._chunks) >= MAX_CHUNKS:
            self.counters["view_chunks_skipped"] += 1
            return
        self._chunks.append((now_ns, settled))

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        """Show the frames of one request; returns at once."""
        if self._is_gone or len(self._frames) >= MAX_FRAMES:
            self.counters["view_frames_skipped"] += len(images) + len(depth)
            return
        self._frames.append((draft.captured_ns, {**images, **depth}))

    def close(self, summary: LoopSummary | None = None) -> None:  # noqa: ARG002 - the viewer stays open
        """End the process, after `CLOSE_S` at most; the viewer stays open. May be called twice."""
        self._stopping.set()
        self._sender.join(CLOSE_S)
        if self._sender.is_alive():
            self._giving_up.set()
            self._process.kill()  # its pipe is full; now the sender's write fails
            self._sender.join(CLOSE_S)
        self._skip_all()
        self._process.close()
        skipped = {name: count for name, count in self.counters.items() if "skipped" in name and count}
        if skipped:
            logger.warning("the viewer has missed some of the run: %s", skipped)

    def _send_all(self) -> None:
        self._send(self._opening)
        while not self._stopping.wait(POLL_S):
            self._send_waiting()
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what waits: commands and chunks first, then frames while no more wait than one batch."""
        while self._steps and not self._giving_up.is_set():
            taken = [self._steps.popleft() for _ in range(min(len(self._steps), MAX_BATCH))]
            self._count("view_steps", len(taken), is_sent=self._send(_steps_message(taken)))
        while self._chunks and not self._giving_up.is_set():
            self._count("view_chunks", 1, is_sent=self._send(_chunk_message(*self._chunks.popleft())))
        while self._frames and len(self._steps) < MAX_BATCH and not self._giving_up.is_set():
            captured_ns, frames = self._frames.popleft()
            for camera, frame in frames.items():
                self._count("view_frames", 1, is_sent=self._send(_frame_message(camera, captured_ns, frame)))

    def _send(self, message: LiveMessage) -> bool:
        """Send one message; return whether it was taken."""
        if self._is_gone:
            return False
        try:
            self._process.send(message)
        except OSError:
            self._is_gone = True
            if not self._stopping.is_set():
                logger.warning("the viewer is gone (%s); the run goes on without", self._process.last_words())
        return not self._is_gone

    def _count(self, name: str, count: int, *, is_sent: bool) -> None:
        if count:
            self.counters[name if is_sent else f"{name}_skipped"] += count

    def _skip_all(self) -> None:
        self._count("view_steps", len(self._steps), is_sent=False)
        self._count("view_chunks", len(self._chunks), is_sent=False)
        self._count("view_frames", sum(len(frames) for _, frames in self._frames), is_sent=False)
        for waiting in (self._steps, self._chunks, self._frames):
            waiting.clear()


def _steps_message(steps: list[_Step]) -> LiveSteps:
    origins = [step.command.provenance for step in steps]
    return LiveSteps(
        t_ns=[step.now_ns for step in steps],
        episode=[origin.episode for origin in origins],
        step=[origin.step for origin in origins],
        age_ms=[None if origin.age_ns is None else origin.age_ns / NS_PER_MS for origin in origins],
        link=[origin.link.value for origin in origins],
        motion=[origin.motion.value for origin in origins],
        limited=[sorted(step.command.limited) for step in steps],
        action=[[] if step.command.action is None else step.command.action.tolist() for step in steps],
        state=[step.state.tolist() for step in steps],
    )


def _chunk_message(now_ns: int, settled: Settled) -> LiveChunk:
    proposal = settled.proposal
    return LiveChunk(
        t_ns=now_ns,
        captured_ns=proposal.source.captured_ns,
        seq=proposal.source.seq,
        epoch=proposal.source.epoch,
        episode=proposal.draft.episode,
        step=proposal.chunk.step,
        outcome=settled.outcome,
        actions=proposal.chunk.robot.tolist(),
    )


def _frame_message(camera: str, captured_ns: int, frame: Frame) -> LiveFrame:
    is_depth = frame.dtype == np.uint16
    content = np.ascontiguousarray(frame, "<u2" if is_depth else np.uint8).tobytes()
    return LiveFrame(camera, captured_ns, frame.shape[0], frame.shape[1], is_depth, content)

"""Messages of a run, written into a Rerun recording as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

import numpy as np
import rerun as rr

from vagus.clock import NS_PER_S
from vagus.integrations.rerun.entities import ABOUT, AGE, CHUNKS, EPISODES, LATENCY, joint_path, slot_path
from vagus.integrations.rerun.live_messages import LiveChunk, LiveFrame, LiveMessage, LiveOpening, LiveSteps
from vagus.integrations.rerun.slots import SlotAllocator
from vagus.integrations.rerun.writer import RerunWriter, Stroke
from vagus.types import LinkState, MotionState
from vagus.viewing.description import LINK_LANE, MOTION_LANE, ChunkFan, Numbers, due_times
from vagus.viewing.palette import COMMANDED

__all__ = ["LiveWriter"]

MS_PER_S = 1000.0
BOUNDS_S = 2.0
"""Time from point to point of a bound's line."""


class LiveWriter:
    """Writer of one run.

    Args:
        stream: recording stream of Rerun, with a sink.
        opening: beginning of the run.
    """

    def __init__(self, stream: rr.RecordingStream, opening: LiveOpening) -> None:
        self._opening = opening
        self._writer = RerunWriter(stream, datetime.fromtimestamp(opening.began_ns / NS_PER_S, timezone.utc))
        self._slots = SlotAllocator()
        self._declared: set[tuple[bool, int]] = set()
        self._states: dict[str, str | None] = {}
        self._episode: int | None = None
        self._before = 0
        """Policy steps of earlier episodes."""
        self._step = 0
        self._bounds_due_s = float("-inf")
        self._declare()

    def take(self, message: LiveMessage) -> None:
        """Write what a message says."""
        if isinstance(message, LiveSteps):
            self._take_steps(message)
        elif isinstance(message, LiveChunk):
            self._take_chunk(message)
        elif isinstance(message, LiveFrame):
            self._take_frame(message)

    def _declare(self) -> None:
        opening, writer = self._opening, self._writer
        writer.document(ABOUT, f"# {opening.title}\n\n{opening.about}")
        for joint in opening.joints:
            writer.declare_joint(joint.name)
        writer.declare_lane(LINK_LANE, [state.value for state in LinkState])
        writer.declare_lane(MOTION_LANE, [state.value for state in MotionState])
        writer.style(AGE, Stroke("#333333", 1.5, "age of the action (ms)"))
        writer.style(LATENCY, Stroke(COMMANDED, 1.5, "latency of a chunk (ms)"))

    def _take_steps(self, rows: LiveSteps) -> None:
        times_s = np.array([self._seconds(t_ns) for t_ns in rows.t_ns])
        steps = np.array(list(self._counted_on(rows)), np.float64)
        actions = _table(rows.action, len(self._opening.joints))
        states = _table(rows.state, len(self._opening.state))
        for column, joint in enumerate(self._opening.joints):
            path = joint_path(joint.name)
            self._writer.curve(f"{path}/commanded", times_s, actions[:, column], steps)
            if joint.place >= 0:
                self._writer.curve(f"{path}/measured", times_s, states[:, joint.place], steps)
        self._take_bounds(times_s[-1:], steps[-1:])
        ages = np.array([np.nan if age is None else age for age in rows.age_ms])
        self._writer.curve(AGE, times_s, ages, steps)
        self._take_states(LINK_LANE, rows.link, times_s, steps)
        self._take_states(MOTION_LANE, rows.motion, times_s, steps)
        limits = {name for limited in rows.limited for name in limited}
        for lane in sorted(
            {f"limit {name}" for name in limits} | {n for n in self._states if n.startswith("limit ")}
        ):
            name = lane.removeprefix("limit ")
            at_work = [name if name in limited else None for limited in rows.limited]
            self._take_states(lane, at_work, times_s, steps)

    def _take_bounds(self, at: Numbers, step: Numbers) -> None:
        """Write the bounds again, so that their lines go on."""
        if at[0] < self._bounds_due_s:
            return
        self._bounds_due_s = float(at[0]) + BOUNDS_S
        for joint in self._opening.joints:
            for name, bound in (("lower", joint.lower), ("upper", joint.upper)):
                if bound is not None:
                    self._writer.curve(f"{joint_path(joint.name)}/{name}", at, np.array([bound]), step)

    def _counted_on(self, rows: LiveSteps) -> Iterator[int]:
        """Yield the policy step of each command, counted on over episodes; note where one begins."""
        for t_ns, episode, step in zip(rows.t_ns, rows.episode, rows.step, strict=True):
            if episode != self._episode:
                self._before = 0 if self._episode is None else self._step + 1
                self._episode = episode
                at = np.array([self._seconds(t_ns)])
                self._writer.texts(
                    EPISODES, at, [(f"episode {episode} begins", "INFO")], np.array([self._before])
                )
            if step is not None:
                self._step = self._before + step
            yield self._step

    def _take_states(self, lane: str, states: Sequence[str | None], times_s: Numbers, steps: Numbers) -> None:
        """Write where a lane changes."""
        before = self._states.get(lane)
        changed = [k for k, state in enumerate(states) if state != (states[k - 1] if k else before)]
        if lane not in (LINK_LANE, MOTION_LANE) and lane not in self._states:
            self._writer.declare_lane(lane, [lane.removeprefix("limit ")])
        self._states[lane] = states[-1]
        self._writer.states(lane, times_s[changed], [states[k] for k in changed], steps[changed])

    def _take_chunk(self, chunk: LiveChunk) -> None:
        fan = self._fan(chunk)
        slot = self._slots.slot_for(fan)
        key = (slot.is_merged, slot.number)
        is_free = np.append(fan.times_s > slot.after_s, True)
        times_s = np.append(fan.times_s, fan.times_s[-1])[is_free]
        steps = (self._before + chunk.step + np.append(np.arange(len(fan.times_s)), len(fan.times_s) - 1))[
            is_free
        ]
        for column, joint in enumerate(self._opening.joints):
            if key not in self._declared:
                self._writer.declare_slot(joint.name, slot)
            values = np.append(fan.values[:, column], np.nan)[is_free]
            self._writer.curve(slot_path(joint.name, slot), times_s, values, steps.astype(np.float64))
        self._declared.add(key)
        at, step = np.array([fan.arrived_s]), np.array([float(self._step)])
        level = "INFO" if fan.is_merged else "WARN"
        told = f"request {chunk.seq}: {chunk.outcome}, {len(fan.times_s)} actions from step {chunk.step}"
        self._writer.texts(CHUNKS, at, [(told, level)], step)
        self._writer.curve(LATENCY, at, (at - fan.captured_s) * MS_PER_S, step)

    def _fan(self, chunk: LiveChunk) -> ChunkFan:
        captured_s = self._seconds(chunk.captured_ns)
        return ChunkFan(
            seq=chunk.seq,
            epoch=chunk.epoch,
            episode=chunk.episode,
            step=chunk.step,
            captured_s=captured_s,
            arrived_s=self._seconds(chunk.t_ns),
            times_s=due_times(captured_s, len(chunk.actions), self._opening.step_rate_hz),
            values=np.array(chunk.actions, np.float64),
            outcome=chunk.outcome,
        )

    def _take_frame(self, frame: LiveFrame) -> None:
        at_s, step = self._seconds(frame.captured_ns), float(self._step)
        if frame.is_depth:
            depth = np.frombuffer(frame.content, "<u2").reshape(frame.height, frame.width)
            units = self._opening.depth_cameras.get(frame.camera, MS_PER_S)
            self._writer.depth(frame.camera, at_s, depth.astype(np.uint16), step, units)
            return
        image = np.frombuffer(frame.content, np.uint8).reshape(frame.height, frame.width, 3)
        self._writer.colour(frame.camera, at_s, image, step)

    def _seconds(self, t_ns: int) -> float:
        return (t_ns - self._opening.zero_ns) / NS_PER_S


def _table(rows: Sequence[Sequence[float]], width: int) -> Numbers:
    """Return (n, width); a row without numbers is NaN."""
    return np.array([row or [np.nan] * width for row in rows], np.float64).reshape(len(rows), width)

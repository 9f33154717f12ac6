"""A recording as entities of Rerun: curves, chunks, states, texts and frames on three timelines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import rerun as rr

from vagus.errors import VagusError
from vagus.integrations.rerun.entities import (
    ABOUT,
    AGE,
    CHUNKS,
    EPISODES,
    LATENCY,
    joint_path,
    slot_path,
)
from vagus.integrations.rerun.slots import CurveSlot, SlotAllocator
from vagus.integrations.rerun.writer import RerunWriter, Stroke
from vagus.viewing.description import (
    ChunkFan,
    Cloud,
    Curve,
    JointTrack,
    Numbers,
    Picture,
    RecordingView,
    StateBand,
)
from vagus.viewing.palette import COMMANDED

__all__ = ["write_view"]


def write_view(stream: rr.RecordingStream, view: RecordingView) -> tuple[str, ...]:
    """Write a view into a recording stream of Rerun; return warnings about what could not be read."""
    writer = RerunWriter(stream, view.began)
    steps = _StepClock(view.steps)
    _write_curves(writer, view, steps)
    _write_fans(writer, view, steps)
    for lane in view.lanes:
        _write_lane(writer, [band for band in view.bands if band.lane == lane], steps)
    _write_texts(writer, view, steps)
    failures = [why for why in (_write_picture(writer, picture, steps) for picture in view.pictures) if why]
    failures += [why for why in (_write_cloud(writer, cloud, steps) for cloud in view.clouds) if why]
    warnings = (f"{len(failures)} frames could not be read, the first: {failures[0]}",) if failures else ()
    writer.document(ABOUT, _about(view, warnings))
    return warnings


class _StepClock:
    """Policy step at a time: that of the last command before it."""

    def __init__(self, steps: Curve) -> None:
        is_known = np.isfinite(steps.values)
        self._times_s, self._steps = steps.times_s[is_known], steps.values[is_known]

    def at(self, times_s: Numbers) -> Numbers:
        """Return the policy steps at these times; 0 before the first."""
        if not len(self._times_s):
            return np.zeros(len(times_s))
        places = np.searchsorted(self._times_s, times_s, side="right") - 1
        result: Numbers = np.where(places >= 0, self._steps[places], 0.0)
        return result

    def of(self, fan: ChunkFan) -> Numbers:
        """Return the policy steps for which the actions of a chunk were meant."""
        last = self.at(np.array([fan.captured_s]))
        begins_before = len(self._times_s) and self._times_s[0] <= fan.captured_s
        first: Numbers = last + np.arange(len(fan.times_s)) + (1.0 if begins_before else 0.0)
        return first


def _write_curves(writer: RerunWriter, view: RecordingView, steps: _StepClock) -> None:
    for track in view.tracks:
        writer.declare_joint(track.name)
        for name, curve in _curves_of(track, view):
            writer.curve(
                f"{joint_path(track.name)}/{name}", curve.times_s, curve.values, steps.at(curve.times_s)
            )
    writer.style(AGE, Stroke("#333333", 1.5, "age of the action (ms)"))
    writer.style(LATENCY, Stroke(COMMANDED, 1.5, "latency of a chunk (ms)"))
    writer.curve(AGE, view.age.times_s, view.age.values, steps.at(view.age.times_s))
    writer.curve(LATENCY, view.latency.times_s, view.latency.values, steps.at(view.latency.times_s))


def _curves_of(track: JointTrack, view: RecordingView) -> Iterator[tuple[str, Curve]]:
    for name, curve in (("commanded", track.commanded), ("measured", track.measured)):
        if curve is not None:
            yield name, curve
    ends_s = np.array([view.begin_s, view.end_s])
    for name, bound in (("lower", track.lower), ("upper", track.upper)):
        if bound is not None:
            yield name, Curve(ends_s, np.full(2, bound))


def _write_fans(writer: RerunWriter, view: RecordingView, steps: _StepClock) -> None:
    """Write each chunk into a slot, with a gap behind it."""
    allocator = SlotAllocator()
    slots: dict[tuple[bool, int], list[tuple[CurveSlot, ChunkFan]]] = {}
    for fan in sorted(view.fans, key=lambda one: one.captured_s):
        slot = allocator.slot_for(fan)
        slots.setdefault((slot.is_merged, slot.number), []).append((slot, fan))
    joints = [(track.name, track.column) for track in view.tracks if track.column is not None]
    for members in slots.values():
        times_s = np.concatenate([_cut(slot, fan, fan.times_s, end=fan.times_s[-1]) for slot, fan in members])
        counted = np.concatenate(
            [_cut(slot, fan, steps.of(fan), end=steps.of(fan)[-1]) for slot, fan in members]
        )
        for name, column in joints:
            writer.declare_slot(name, members[0][0])
            values = np.concatenate(
                [_cut(slot, fan, fan.values[:, column], end=np.nan) for slot, fan in members]
            )
            writer.curve(slot_path(name, members[0][0]), times_s, values, counted)


def _cut(slot: CurveSlot, fan: ChunkFan, numbers: Numbers, *, end: float) -> Numbers:
    """Return the numbers of a chunk for which its slot is free, and `end`."""
    return np.append(numbers[fan.times_s > slot.after_s], end)


def _write_lane(writer: RerunWriter, bands: Sequence[StateBand], steps: _StepClock) -> None:
    """Write the changes of one lane, and its end."""
    times_s: list[float] = []
    states: list[str | None] = []
    for place, band in enumerate(bands):
        times_s.append(band.begin_s)
        states.append(band.state)
        if place + 1 == len(bands) or bands[place + 1].begin_s > band.end_s:
            times_s.append(band.end_s)
            states.append(None)
    times = np.array(times_s)
    writer.declare_lane(bands[0].lane, [band.state for band in bands])
    writer.states(bands[0].lane, times, states, steps.at(times))


def _write_texts(writer: RerunWriter, view: RecordingView, steps: _StepClock) -> None:
    begins = np.array([episode.at_s for episode in view.episodes])
    texts = [(f"episode {episode.number} begins", "INFO") for episode in view.episodes]
    writer.texts(EPISODES, begins, texts, steps.at(begins))
    arrivals = np.array([fan.arrived_s for fan in view.fans])
    said = [
        (
            f"request {fan.seq}: {fan.outcome}, {len(fan.times_s)} actions from step {fan.step}",
            "INFO" if fan.is_merged else "WARN",
        )
        for fan in view.fans
    ]
    writer.texts(CHUNKS, arrivals, said, steps.at(arrivals))


def _write_picture(writer: RerunWriter, picture: Picture, steps: _StepClock) -> str:
    """Write one frame; return why it cannot be read, or ""."""
    step = float(steps.at(np.array([picture.at_s]))[0])
    try:
        if picture.jpeg is not None:
            writer.jpeg(picture.camera, picture.at_s, picture.jpeg(), step)
        elif picture.kind == "depth":
            frame = picture.load().astype(np.uint16, copy=False)
            writer.depth(picture.camera, picture.at_s, frame, step, picture.units_per_m)
        else:
            writer.colour(picture.camera, picture.at_s, picture.load().astype(np.uint8, copy=False), step)
    except (VagusError, OSError) as error:
        return str(error)
    return ""


def _write_cloud(writer: RerunWriter, cloud: Cloud, steps: _StepClock) -> str:
    """Write points; return why they cannot be read, or ""."""
    try:
        writer.cloud(cloud.at_s, cloud.load(), float(steps.at(np.array([cloud.at_s]))[0]))
    except (VagusError, OSError) as error:
        return str(error)
    return ""


def _about(view: RecordingView, warnings: Sequence[str]) -> str:
    rows = [f"| {label} | {_cell(text)} |" for label, text in view.facts]
    lacks = [f"- {_cell(warning)}" for warning in (*view.warnings, *warnings)]
    return "\n".join([f"# {_cell(view.title)}", "", "| | |", "|---|---|", *rows, "", *lacks])


def _cell(text: str) -> str:
    """Return text without what Markdown takes for markup."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|" else char for char in " ".join(text.split()))

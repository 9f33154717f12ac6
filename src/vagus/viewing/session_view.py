"""View of a recorded session (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.features import ActionFeature, StateFeature
from vagus.recording.session import RecordedChunk, RecordedFrame, RecordedSession, StepTable
from vagus.viewing.description import (
    LINK_LANE,
    MOTION_LANE,
    ChunkFan,
    Curve,
    EpisodeBegin,
    JointTrack,
    Numbers,
    Picture,
    RecordingView,
    StateBand,
    due_times,
)
from vagus.viewing.session_facts import facts_of, lacks_of, max_age_ms_of, title_of
from vagus.viewing.spans import bands_of

__all__ = ["view_of_session"]

DEFAULT_UNITS_PER_M = 1000.0
"""Depth in millimetres, where the recording does not say its unit."""


def view_of_session(session: RecordedSession) -> RecordingView:
    """Return the view of a session; what it lacks is missing in the view, and said in its warnings."""
    zero_ns = _zero_ns(session)
    times_s = _seconds(session.steps.t_ns, zero_ns)
    fans, lost_fans = _fans(session, zero_ns)
    pictures, lost_pictures = _pictures(session, zero_ns)
    last_s = float(times_s[-1]) if len(times_s) else 0.0
    ends = [last_s, *(float(fan.times_s[-1]) for fan in fans), *(picture.at_s for picture in pictures)]
    warnings = [*session.warnings, *lost_fans, *lost_pictures, *lacks_of(session)]
    return RecordingView(
        title=title_of(session),
        facts=tuple(facts_of(session, last_s)),
        warnings=tuple(warnings),
        begin_s=0.0,
        end_s=max(ends),
        began=session.info.wall_at(zero_ns),
        tracks=tuple(_tracks(session, times_s)),
        fans=fans,
        bands=tuple(_bands(session.steps, times_s)),
        episodes=tuple(_episodes(session.steps, times_s)),
        age=Curve(times_s, session.steps.age_ms),
        max_age_ms=max_age_ms_of(session.info.settings),
        latency=_latency(fans),
        steps=Curve(times_s, _counted_on(session.steps)),
        pictures=pictures,
    )


def _zero_ns(session: RecordedSession) -> int:
    """Return the monotonic time of the view's zero: of the first command, chunk or frame."""
    firsts = [
        *session.steps.t_ns[:1].tolist(),
        *(chunk.captured_ns for chunk in session.chunks[:1]),
        *(frame.captured_ns for frame in session.frames[:1] if frame.captured_ns is not None),
    ]
    return min(firsts, default=session.info.began_ns or 0)


def _seconds(times_ns: NDArray[np.int64], zero_ns: int) -> Numbers:
    """Return seconds since the zero, exact to the microsecond however long the machine is up."""
    result: Numbers = (times_ns - zero_ns) / NS_PER_S
    return result


def _tracks(session: RecordedSession, times_s: Numbers) -> Iterator[JointTrack]:
    """Yield a track per action, with the state that measures it, then the states that measure none."""
    info, steps = session.info, session.steps
    widths = steps.action.shape[1], steps.state.shape[1]
    actions = info.action_features or [ActionFeature(name, "") for name in _unnamed("action", widths[0])]
    features = info.state_features or [StateFeature(name, "") for name in _unnamed("state", widths[1])]
    places = {feature.name: place for place, feature in enumerate(features)}
    columns = [Curve(times_s, steps.state[:, place]) for place in range(steps.state.shape[1])]
    shown: set[int] = set()
    for column, feature in enumerate(actions):
        place = places.get(feature.feedback or feature.name)
        is_measured = place is not None and place < len(columns)
        shown |= {place} if place is not None else set()
        yield JointTrack(
            feature.name,
            feature.unit,
            column,
            Curve(times_s, steps.action[:, column]),
            columns[place] if place is not None and is_measured else None,
            feature.limits.lower,
            feature.limits.upper,
        )
    for place, (state, curve) in enumerate(zip(features, columns, strict=False)):
        if place not in shown:
            yield JointTrack(state.name, state.unit, None, None, curve)


def _unnamed(word: str, count: int) -> list[str]:
    return [f"{word} {place + 1}" for place in range(count)]


def _fans(session: RecordedSession, zero_ns: int) -> tuple[tuple[ChunkFan, ...], tuple[str, ...]]:
    """Return the fans, and a warning where they cannot be drawn."""
    rate_hz = session.info.step_rate_hz or (session.info.policy.rate_hz if session.info.policy else None)
    if not session.chunks:
        return (), ()
    if not rate_hz:
        return (), ("the recording does not say its policy steps per second, so no fans are shown",)
    return tuple(_fan(chunk, zero_ns, rate_hz) for chunk in session.chunks if len(chunk)), ()


def _fan(chunk: RecordedChunk, zero_ns: int, rate_hz: float) -> ChunkFan:
    captured_s = (chunk.captured_ns - zero_ns) / NS_PER_S
    return ChunkFan(
        seq=chunk.seq,
        epoch=chunk.epoch,
        episode=chunk.episode,
        step=chunk.step,
        captured_s=captured_s,
        arrived_s=(chunk.t_ns - zero_ns) / NS_PER_S,
        times_s=due_times(captured_s, len(chunk), rate_hz),
        values=chunk.robot.astype(np.float64),
        outcome=chunk.outcome,
    )


def _latency(fans: tuple[ChunkFan, ...]) -> Curve:
    return Curve(
        np.array([fan.arrived_s for fan in fans]),
        np.array([(fan.arrived_s - fan.captured_s) * NS_PER_S / NS_PER_MS for fan in fans]),
    )


def _bands(steps: StepTable, times_s: Numbers) -> Iterator[StateBand]:
    yield from bands_of(LINK_LANE, [state.value for state in steps.link], times_s)
    yield from bands_of(MOTION_LANE, [state.value for state in steps.motion], times_s)
    for name in sorted(frozenset().union(*steps.limited)):
        at_work = [name if name in limits else None for limits in steps.limited]
        yield from bands_of(f"limit {name}", at_work, times_s)


def _episodes(steps: StepTable, times_s: Numbers) -> Iterator[EpisodeBegin]:
    if not len(steps):
        return
    changes = np.flatnonzero(np.diff(steps.episode)) + 1
    for row in (0, *changes.tolist()):
        yield EpisodeBegin(int(steps.episode[row]), float(times_s[row]))


def _counted_on(steps: StepTable) -> Numbers:
    """Return the policy steps of the commands, those of an episode after those of the one before."""
    counted = np.where(steps.step >= 0, steps.step.astype(np.float64), np.nan)
    before = 0.0
    for episode in dict.fromkeys(steps.episode.tolist()):
        rows = (steps.episode == episode) & (steps.step >= 0)
        counted[rows] += before
        before = float(counted[rows].max(initial=before - 1.0)) + 1.0
    return counted


def _pictures(session: RecordedSession, zero_ns: int) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Return the pictures in order of time, and a warning about those that have none."""
    begins = _begins_of_steps(session.steps)
    policy = session.info.policy
    units = {camera.name: camera.units_per_m for camera in policy.depth_cameras} if policy else {}
    pictures, lost = [], 0
    for frame in session.frames:
        at_ns = frame.captured_ns
        if at_ns is None:
            at_ns = begins.get((frame.episode, frame.step))
        if at_ns is None:
            lost += 1
            continue
        pictures.append(_picture(frame, (at_ns - zero_ns) / NS_PER_S, units))
    pictures.sort(key=lambda picture: picture.at_s)
    return tuple(pictures), (f"{lost} frames belong to no command and are not shown",) if lost else ()


def _begins_of_steps(steps: StepTable) -> dict[tuple[int, int], int]:
    """Return (episode, step) → time of the first command of that step, ns."""
    rows = zip(steps.episode.tolist(), steps.step.tolist(), steps.t_ns.tolist(), strict=True)
    return {(episode, step): t_ns for episode, step, t_ns in reversed([*rows])}


def _picture(frame: RecordedFrame, at_s: float, units_per_m: Mapping[str, float]) -> Picture:
    is_jpeg = frame.path.suffix == ".jpg"
    return Picture(
        frame.camera,
        frame.kind.value,
        at_s,
        frame.load,
        units_per_m.get(frame.camera, DEFAULT_UNITS_PER_M),
        frame.path.read_bytes if is_jpeg else None,
    )

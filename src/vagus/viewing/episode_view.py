"""View of one recorded episode of rows at a steady rate, such as one of a dataset (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from vagus.recording.episode import RecordedEpisode, RowFrame
from vagus.types import Image, MotionState
from vagus.viewing.description import MOTION_LANE, Curve, JointTrack, Numbers, Picture, RecordingView
from vagus.viewing.spans import bands_of

__all__ = ["view_of_episode"]

FALLBACK, STEP, AGE_MS = "vagus.fallback", "vagus.step", "vagus.age_ms"
"""Columns with the origin of each action, in a dataset that vagus has recorded."""


def view_of_episode(episode: RecordedEpisode) -> RecordingView:
    """Return the view of an episode; with the columns of its origin, also its states, ages and steps."""
    times_s = np.arange(len(episode)) / episode.rate_hz
    nothing = np.full(len(episode), np.nan)
    ages, steps = (episode.columns.get(name, nothing).astype(np.float64) for name in (AGE_MS, STEP))
    is_ours = FALLBACK in episode.columns
    told = "the dataset has no columns of vagus, so no states, ages and steps are shown"
    return RecordingView(
        title=episode.name,
        facts=tuple(_facts(episode)),
        warnings=() if is_ours else (told,),
        begin_s=0.0,
        end_s=float(times_s[-1]),
        began=None,
        tracks=tuple(_tracks(episode, times_s)),
        fans=(),
        bands=tuple(bands_of(MOTION_LANE, _motion(episode), times_s)) if is_ours else (),
        episodes=(),
        age=Curve(times_s, np.where(ages < 0, np.nan, ages)),
        max_age_ms=None,
        latency=Curve(np.zeros(0), np.zeros(0)),
        steps=Curve(times_s, np.where(steps < 0, np.nan, steps)),
        pictures=tuple(
            Picture(frame.camera, "colour", frame.row / episode.rate_hz, partial(_load, frame))
            for frame in episode.frames
        ),
    )


def _facts(episode: RecordedEpisode) -> Iterator[tuple[str, str]]:
    yield "robot", episode.robot_type
    yield "length", f"{len(episode) / episode.rate_hz:.1f} s, {len(episode)} rows"
    yield "rate", f"{episode.rate_hz:g} rows per second"
    if episode.instruction:
        yield "instruction", episode.instruction


def _tracks(episode: RecordedEpisode, times_s: Numbers) -> Iterator[JointTrack]:
    names = [feature.name for feature in episode.state_features]
    shown: set[str] = set()
    for column, action in enumerate(episode.action_features):
        name = action.feedback or action.name
        shown.add(name)
        measured = Curve(times_s, episode.states[:, names.index(name)]) if name in names else None
        commanded = Curve(times_s, episode.actions[:, column])
        yield JointTrack(
            action.name, action.unit, column, commanded, measured, action.limits.lower, action.limits.upper
        )
    for place, state in enumerate(episode.state_features):
        if state.name not in shown:
            yield JointTrack(state.name, state.unit, None, None, Curve(times_s, episode.states[:, place]))


def _motion(episode: RecordedEpisode) -> list[str | None]:
    held = episode.columns[FALLBACK].astype(bool).tolist()
    known = episode.columns[STEP].tolist() if STEP in episode.columns else [0] * len(held)
    return [
        MotionState.FALLBACK.value if is_held else MotionState.PLAYING.value if step >= 0 else None
        for is_held, step in zip(held, known, strict=True)
    ]


def _load(frame: RowFrame[Image]) -> Image:
    return frame.load()

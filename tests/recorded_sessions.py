"""Hand-made recorded sessions, with an outage, refused chunks, limits and two episodes."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np

from vagus.features import ActionFeature, Limits, StateFeature
from vagus.recording.session import (
    MERGED,
    FrameKind,
    Json,
    RecordedChunk,
    RecordedFrame,
    RecordedSession,
    SessionInfo,
    StepTable,
)
from vagus.types import LinkState, MotionState

__all__ = ["BEGAN_NS", "EPOCH", "NAMES", "empty_session", "session_of", "with_frames"]

NAMES = ("shoulder.pos", "elbow.pos", "gripper.pos")
UNITS = ("rad", "rad", "0-1")
EPOCH = 77
BEGAN_NS = 5_000_000_000_000
TICK_HZ, STEP_HZ, HORIZON = 50, 25, 20
OUTAGE = (0.45, 0.6)
"""Share of the session at which the link is gone, and when a plan is there again."""


def session_of(seconds: float = 8.0, *, path: Path = Path("runs/made")) -> RecordedSession:
    """Return a session of two episodes in the middle of which the link is gone for a while."""
    count = round(seconds * TICK_HZ)
    times_s = np.arange(count) / TICK_HZ
    share = times_s / seconds
    is_out = (share > OUTAGE[0]) & (share < OUTAGE[1])
    is_plan = ~is_out & (times_s >= 0.2)
    episode = (share >= 0.75).astype(np.int64)
    step = np.where(is_plan, _steps(is_plan, episode), -1)
    wanted = _wanted(times_s)
    action = np.where((times_s >= 0.2)[:, None], wanted, np.nan)
    limited = tuple(frozenset({"velocity"}) if 0.2 < s < 0.22 else frozenset() for s in share.tolist())
    steps = StepTable(
        t_ns=BEGAN_NS + (times_s * 1e9).astype(np.int64),
        epoch=np.where(is_plan, EPOCH, -1),
        seq=np.where(is_plan, (times_s / 0.4).astype(np.int64) + 1, -1),
        episode=episode,
        step=step,
        index=np.where(is_plan, step % 10, -1),
        age_ms=np.where(is_plan, 80.0 + 400.0 * (times_s % 0.4), np.nan),
        link=tuple(LinkState.RECONNECTING if out else LinkState.STREAMING for out in is_out.tolist()),
        motion=tuple(map(_motion, is_plan.tolist(), times_s.tolist())),
        limited=limited,
        is_moving=np.zeros(count, np.bool_),
        action=action,
        state=_wanted(times_s - 0.04),
    )
    chunks = tuple(_chunk(k, at) for k, at in enumerate(np.arange(0.0, seconds, 0.4).tolist()))
    kept = tuple(c for c in chunks if not OUTAGE[0] < (c.t_ns - BEGAN_NS) / 1e9 / seconds < OUTAGE[1])
    refused = replace(kept[-1], outcome="stale_chunk", t_ns=kept[-1].t_ns + 1)
    summary: dict[str, Json] = {"loop": {"reason": "finished", "error": ""}, "recorder": {"steps": count}}
    return RecordedSession(path, _info(), steps, (*kept, refused), (), summary, ())


def _wanted(
    times_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.stack([np.sin(times_s * (k + 1) * 0.7) * (1.0 - 0.2 * k) for k in range(3)], axis=1)


def _steps(
    is_plan: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    episode: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    ticks = np.zeros(len(is_plan), np.int64)
    for number in np.unique(episode):
        rows = episode == number
        ticks[rows] = np.cumsum(is_plan[rows]) - 1
    return ticks * STEP_HZ // TICK_HZ


def _motion(is_plan: bool, at_s: float) -> MotionState:
    if is_plan:
        return MotionState.PLAYING
    return MotionState.WAITING if at_s < 0.2 else MotionState.FALLBACK


def _chunk(number: int, captured_s: float) -> RecordedChunk:
    due_s = captured_s + (np.arange(HORIZON) + 1) / STEP_HZ
    drift = 0.05 * np.sin(number) * (due_s - captured_s)[:, None]
    robot = (_wanted(due_s) + drift).astype(np.float32)
    return RecordedChunk(
        t_ns=BEGAN_NS + round((captured_s + 0.08) * 1e9),
        epoch=EPOCH,
        seq=number + 1,
        ticket=number,
        captured_ns=BEGAN_NS + round(captured_s * 1e9),
        episode=0,
        step=round(captured_s * STEP_HZ),
        next_step=round((captured_s + 0.08) * STEP_HZ),
        outcome=MERGED,
        robot=robot,
        model=robot,
        state=np.zeros(3, np.float32),
    )


def _info() -> SessionInfo:
    limits = Limits(lower=-0.9, upper=0.9, velocity=1.5)
    return SessionInfo(
        format=2,
        vagus="0.1.0",
        robot_label="sim",
        robot_name="arm <3>",
        action_features=tuple(
            ActionFeature(name, unit, limits=limits, feedback=name)
            for name, unit in zip(NAMES, UNITS, strict=True)
        ),
        state_features=tuple(StateFeature(name, unit) for name, unit in zip(NAMES, UNITS, strict=True)),
        service="reach/v1/default",
        model_hash="0123456789abcdef",
        instruction="reach the target",
        tick_rate_hz=float(TICK_HZ),
        step_rate_hz=float(STEP_HZ),
        settings={"edge": {"max_action_age_s": 3.0}},
        began_wall=datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc),
        began_ns=BEGAN_NS,
    )


def with_frames(session: RecordedSession, *, cameras: tuple[str, ...] = ("front",)) -> RecordedSession:
    """Return the session with a colour frame per chunk and camera, and a depth camera `depth`."""
    frames = [
        RecordedFrame(
            camera,
            FrameKind.COLOUR,
            chunk.episode,
            chunk.step,
            chunk.ticket,
            chunk.captured_ns,
            Path(f"{camera}.png"),
            partial(_colour, k),
        )
        for k, chunk in enumerate(session.chunks)
        for camera in cameras
    ]
    depths = [
        RecordedFrame(
            "depth",
            FrameKind.DEPTH,
            chunk.episode,
            chunk.step,
            chunk.ticket,
            chunk.captured_ns,
            Path("depth.png"),
            _depth,
        )
        for chunk in session.chunks
    ]
    return replace(session, frames=(*frames, *depths))


def _colour(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = np.full((120, 160, 3), 90, np.uint8)
    left = (number * 7) % 140
    image[50:70, left : left + 20] = (220, 120, 30)
    return image


def _depth() -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    rows = np.linspace(400, 1500, 48).astype(np.uint16)
    depth = np.repeat(rows[:, None], 64, axis=1)
    depth[:8, :8] = 0
    return depth


def empty_session(session: RecordedSession) -> RecordedSession:
    """Return the session without a single command, chunk or frame."""
    nothing = StepTable(*(getattr(session.steps, entry.name)[:0] for entry in fields(StepTable)))
    return replace(session, steps=nothing, chunks=(), frames=(), summary=None)

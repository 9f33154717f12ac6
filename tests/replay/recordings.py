"""Recorded sessions that were never recorded, for tests of what plays them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vagus.features import ActionFeature, ActionKind, Limits, StateFeature
from vagus.recording.session import (
    MERGED,
    FrameKind,
    RecordedChunk,
    RecordedFrame,
    RecordedSession,
    SessionInfo,
    StepTable,
)
from vagus.specs import CameraSpec, DepthCameraSpec, PolicySpec, RobotSpec
from vagus.types import DepthImage, Image, LinkState, MotionState

TICKS_PER_STEP = 2
TICK_NS = 50_000_000
BOUNDS = Limits(lower=-1.0, upper=1.0, velocity=2.0)
ACTIONS = (
    ActionFeature("joint", "rad", limits=BOUNDS, feedback="joint"),
    ActionFeature("wheel", "m/s", kind=ActionKind.VELOCITY, limits=Limits(lower=-1.0, upper=1.0)),
)
STATE = (StateFeature("other", "rad"), StateFeature("joint", "rad"))
CAMERA = CameraSpec("front", 4, 6)
DEPTH_CAMERA = DepthCameraSpec("ahead", 2, 3, units_per_m=4000.0)
POLICY = PolicySpec("test", ACTIONS, STATE, (CAMERA,), horizon=4, model_dim=2, rate_hz=10.0)


def knot(step: int, episode: int = 0) -> list[float]:
    """Return the planned action of a step."""
    return [0.1 * step + 0.01 * episode, 0.5]


def session(
    steps: int = 6, *, episodes: Sequence[int] = (0,), has_chunks: bool = True, has_info: bool = True
) -> RecordedSession:
    """Return a session of two ticks a step; joint commands are half a step behind at the first of them."""
    rows = [(e, s, half) for e in episodes for s in range(steps) for half in range(TICKS_PER_STEP)]
    count = len(rows)
    action = [[knot(s, e)[0] - 0.05 * (1 - half), 0.5] for e, s, half in rows]
    state = [[9.0, knot(s, e)[0] - 0.02 + 0.01 * half] for e, s, half in rows]
    table = StepTable(
        t_ns=np.arange(count) * TICK_NS,
        epoch=np.full(count, 7),
        seq=np.array([1 + s // 3 + 100 * e for e, s, _ in rows]),
        episode=np.array([e for e, _, _ in rows]),
        step=np.array([s for _, s, _ in rows]),
        index=np.array([s % 3 for _, s, _ in rows]),
        age_ms=np.full(count, 10.0),
        link=(LinkState.STREAMING,) * count,
        motion=(MotionState.PLAYING,) * count,
        limited=(frozenset[str](),) * count,
        is_moving=np.zeros(count, np.bool_),
        action=np.array(action).reshape(count, 2),
        state=np.array(state).reshape(count, 2),
    )
    chunks = tuple(chunk(e, begin) for e in episodes for begin in range(0, steps, 3))
    frames = tuple(frame(e, begin) for e in episodes for begin in range(0, steps, 3))
    info = SessionInfo(
        format=2,
        robot=RobotSpec("arm", ACTIONS, STATE, (CAMERA,), 20.0) if has_info else None,
        action_features=ACTIONS,
        state_features=STATE,
        cameras=(CAMERA,) if has_info else (),
        policy=POLICY if has_info else None,
        tick_rate_hz=20.0,
        step_rate_hz=10.0,
        instruction="go",
    )
    return RecordedSession(Path("/runs/arm"), info, table, chunks if has_chunks else (), frames)


def chunk(episode: int, begin: int) -> RecordedChunk:
    rows = np.array([knot(begin + at, episode) for at in range(4)], np.float32)
    return RecordedChunk(
        t_ns=begin * TICKS_PER_STEP * TICK_NS,
        epoch=7,
        seq=1 + begin // 3 + 100 * episode,
        ticket=1,
        captured_ns=begin * TICKS_PER_STEP * TICK_NS - 10,
        episode=episode,
        step=begin,
        next_step=begin,
        outcome=MERGED,
        robot=rows,
        model=rows,
        state=np.zeros(2, np.float32),
    )


def frame(episode: int, step: int) -> RecordedFrame:
    return RecordedFrame(
        "front",
        FrameKind.COLOUR,
        episode,
        step,
        1,
        0,
        Path("f.jpg"),
        functools.partial(picture, episode, step),
    )


def picture(episode: int, step: int) -> Image:
    return np.full((4, 6, 3), 10 * episode + step, np.uint8)


def with_depth(recorded: RecordedSession) -> RecordedSession:
    """Return the session with a depth frame beside every colour frame."""
    deep = tuple(
        dataclasses.replace(
            colour,
            camera=DEPTH_CAMERA.name,
            kind=FrameKind.DEPTH,
            path=Path("f.png"),
            source=functools.partial(ranges, colour.episode, colour.step),
        )
        for colour in recorded.frames
    )
    info = dataclasses.replace(recorded.info, depth_cameras=(DEPTH_CAMERA,))
    return dataclasses.replace(recorded, info=info, frames=(*recorded.frames, *deep))


def ranges(episode: int, step: int) -> DepthImage:
    return np.array([[0, 1, 65535], [episode, step, 1000 + step]], np.uint16)


def without_plan(recorded: RecordedSession) -> RecordedSession:
    """Return the session with commands of a fallback only."""
    steps = recorded.steps
    return dataclasses.replace(recorded, steps=dataclasses.replace(steps, step=np.full(len(steps), -1)))

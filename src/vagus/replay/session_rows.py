"""Episodes of a recorded session as rows: one per policy step, or one per tick. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, ProtocolError
from vagus.features import ActionKind
from vagus.recording.episode import RecordedEpisode, RowFrame
from vagus.recording.session import FrameKind, RecordedChunk, RecordedFrame, RecordedSession
from vagus.types import ActionArray, DepthImage, Image

__all__ = ["choose_episode", "episodes_of", "rows_by_step", "rows_by_tick"]

Rows = NDArray[np.intp]


def episodes_of(session: RecordedSession) -> tuple[int, ...]:
    """Return the numbers of the episodes in which an action of a plan was commanded.

    Raises:
        ConfigError: there is none.
    """
    steps = session.steps
    found = tuple(int(number) for number in np.unique(steps.episode[steps.step >= 0]))
    if not found:
        raise ConfigError(
            f"session {session.path}",
            wanted="commands of a policy",
            got=f"{len(steps)} commands, none of a plan" if len(steps) else "no command at all",
        )
    return found


def choose_episode(there: Sequence[int], wanted: int | None, what: str) -> int:
    """Return the wanted episode, or the first.

    Raises:
        ConfigError: it is not there.
    """
    if wanted is None:
        return there[0]
    if wanted not in there:
        raise ConfigError(f"episode of {what}", wanted=f"one of {list(there)}", got=str(wanted))
    return wanted


def rows_by_step(session: RecordedSession, episode: int) -> RecordedEpisode:
    """Return an episode with a row per policy step, from step 0 or the first that was commanded.

    The action of a step is the one in the chunk that it was taken from; where the recording has no such
    chunk, it is the command at the end of the step. A step that was passed over repeats the one before.

    Raises:
        ConfigError: deltas without chunks: their commands are shares of an action.
    """
    steps, chunks = session.steps, _by_request(session.chunks, episode)
    places = np.flatnonzero((steps.episode == episode) & (steps.step >= 0))
    numbers = steps.step[places]
    order = np.argsort(numbers, kind="stable")
    places, numbers = places[order], numbers[order]
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    lasts = np.append(firsts[1:], len(numbers)) - 1
    wanted = np.arange(numbers[0], numbers[-1] + 1)
    at = np.searchsorted(numbers[firsts], wanted, side="right") - 1
    actions = np.stack([_knot(session, int(place), chunks) for place in places[lasts]])[at]
    states = steps.state[places[firsts]][at]
    return _episode(
        session, f"episode {episode}", actions, states, rate_hz=session.info.step_rate_hz, frames=()
    )


def rows_by_tick(session: RecordedSession, episode: int) -> RecordedEpisode:
    """Return an episode with a row per command, in the order in which they were sent."""
    steps = session.steps
    places = np.flatnonzero(steps.episode == episode)
    colour, depth = list[RowFrame[Image]](), list[RowFrame[DepthImage]]()
    for frame in session.frames:
        if frame.episode != episode:
            continue
        row = _row_of(frame, steps.step[places])
        if frame.kind is FrameKind.DEPTH:
            depth.append(RowFrame(frame.camera, row, _DepthLoader(frame)))
        else:
            colour.append(RowFrame(frame.camera, row, _ColourLoader(frame)))
    recorded = _episode(
        session,
        f"episode {episode}",
        steps.action[places],
        steps.state[places],
        rate_hz=session.info.tick_rate_hz,
        frames=sorted(colour, key=lambda frame: frame.row),
    )
    seen = {frame.camera for frame in depth}
    return replace(
        recorded,
        depth_cameras=tuple(
            replace(c, may_repeat=True) for c in session.info.depth_cameras if c.name in seen
        ),
        depth_frames=tuple(sorted(depth, key=lambda frame: frame.row)),
    )


def _by_request(chunks: Iterable[RecordedChunk], episode: int) -> dict[tuple[int, int], RecordedChunk]:
    return {(chunk.epoch, chunk.seq): chunk for chunk in chunks if chunk.episode == episode}


def _knot(session: RecordedSession, place: int, chunks: dict[tuple[int, int], RecordedChunk]) -> ActionArray:
    """Return the planned action of the step that ends at a row."""
    steps = session.steps
    chunk = chunks.get((int(steps.epoch[place]), int(steps.seq[place])))
    index = int(steps.index[place])
    if chunk is not None and 0 <= index < len(chunk):
        return np.asarray(chunk.robot[index], np.float64)
    deltas = [f.name for f in session.info.action_features if f.kind is ActionKind.DELTA]
    if deltas:
        raise ConfigError(
            f"session {session.path}",
            wanted=f"the chunks of its policy, because {deltas} are changes and a command is a share of one",
            got="a recording without them, of an earlier version",
        )
    return np.asarray(steps.action[place], np.float64)


def _episode(
    session: RecordedSession,
    what: str,
    actions: ActionArray,
    states: ActionArray,
    *,
    rate_hz: float | None,
    frames: Sequence[RowFrame[Image]],
) -> RecordedEpisode:
    info = session.info
    if rate_hz is None:
        raise ConfigError(f"session {session.path}", wanted="its rates in metadata.json", got="none")
    seen = {frame.camera for frame in frames}
    horizon = None if info.policy is None else info.policy.horizon
    return RecordedEpisode(
        name=f"session {session.path.name}, {what}",
        robot_type=info.robot.robot_type if info.robot is not None else "replay",
        action_features=info.action_features,
        state_features=info.state_features,
        cameras=tuple(replace(c, may_repeat=True) for c in info.cameras if c.name in seen or not frames),
        rate_hz=rate_hz,
        actions=actions,
        states=states,
        frames=tuple(frames),
        horizon=horizon,
        instruction=info.instruction,
    )


def _row_of(frame: RecordedFrame, steps: NDArray[np.int64]) -> int:
    """Return the first row of the step that a frame was taken at, or the last before it."""
    found = np.flatnonzero(steps >= frame.step)
    return int(found[0]) if len(found) else max(len(steps) - 1, 0)


@dataclass(frozen=True, slots=True)
class _ColourLoader:
    """Loads a colour frame."""

    frame: RecordedFrame

    def __call__(self) -> Image:
        image = self.frame.load()
        if image.dtype != np.uint8:
            raise ProtocolError(f"frame {self.frame.path}: wanted a colour frame, got {image.dtype}")
        return np.asarray(image, np.uint8)


@dataclass(frozen=True, slots=True)
class _DepthLoader:
    """Loads a depth frame."""

    frame: RecordedFrame

    def __call__(self) -> DepthImage:
        image = self.frame.load()
        if image.dtype != np.uint16:
            raise ProtocolError(f"frame {self.frame.path}: wanted a depth frame, got {image.dtype}")
        return np.asarray(image, np.uint16)

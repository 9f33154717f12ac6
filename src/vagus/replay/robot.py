"""Robot that measures and sees what was recorded, and compares what it is told with what was commanded."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from vagus.errors import ConfigError, RobotError
from vagus.features import ActionFeature, lacking_bounds, resolved_feedback
from vagus.recording.episode import RecordedEpisode, RowFrame
from vagus.replay.differences import Differences
from vagus.replay.place import parse_place
from vagus.replay.sources import load_ticks
from vagus.specs import CameraSpec, RobotSpec
from vagus.types import ActionArray, DepthImage, FloatArray, Frame, Image

__all__ = ["ReplayReport", "ReplayRobot", "make_replay_robot"]

FrameT = TypeVar("FrameT", Image, DepthImage)


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """Differences between what a policy commanded and what was recorded.

    Attributes:
        recording: what was fed to the policy.
        rows: number of commands that were compared; a row per tick.
        left: rows that the run did not reach.
        largest: largest difference of all joints, each in its own unit.
        joints: per joint: name, unit, largest and mean difference, number of rows.
    """

    recording: str
    rows: int
    left: int
    largest: float
    joints: tuple[dict[str, str | float], ...]


class ReplayRobot:
    """Feeds recorded episodes to a policy, row by row. An `EpisodicRobot`; nothing moves.

    The recording stands at its first row until the first command, as the recorded robot stood. Each command
    is compared with the recorded one of its row, and takes the recording one row further. What the policy
    commands does not change what is measured next: the loop is open.

    Args:
        episodes: at least one, all of one robot.
    """

    def __init__(self, episodes: Sequence[RecordedEpisode]) -> None:
        first = episodes[0]
        self._episodes = tuple(episodes)
        self._frames = tuple(_by_camera(episode.frames) for episode in episodes)
        self._depth = tuple(_by_camera(episode.depth_frames) for episode in episodes)
        names = [feature.name for feature in first.state_features]
        self._spec = RobotSpec(
            robot_type=first.robot_type,
            actions=tuple(_driven(feature, names) for feature in first.action_features),
            state=first.state_features,
            cameras=_cameras(first, self._frames[0]),
            rate_hz=first.rate_hz,
            depth_cameras=tuple(replace(camera, is_required=True) for camera in first.depth_cameras),
        )
        self._differences = Differences(
            [feature.name for feature in first.action_features],
            [feature.unit for feature in first.action_features],
        )
        self._lock = threading.Lock()
        self._episode = 0
        self._row = 0
        self._rows = 0

    @property
    def spec(self) -> RobotSpec:
        """Spec of the recorded robot, in the names of the recorded policy."""
        return self._spec

    @property
    def recorded_episodes(self) -> int:
        """Number of episodes; after as many the run is over."""
        return len(self._episodes)

    def connect(self) -> None:
        """Nothing to connect."""

    def read_state(self) -> FloatArray:
        """Return the recorded state of the present row, (state_dim,)."""
        with self._lock:
            episode = self._episodes[self._episode]
            state = episode.states[min(self._row, len(episode) - 1)]
        return np.asarray(state, np.float32)

    def read_images(self) -> Mapping[str, Frame]:
        """Return the newest recorded frame of every camera up to the present row, or else the next one.

        Colour is (height, width, 3) uint8 RGB, depth (height, width) uint16 in the recorded unit.

        Raises:
            RobotError: a file is damaged.
        """
        with self._lock:
            row, colour, depth = self._row, self._frames[self._episode], self._depth[self._episode]
        images: dict[str, Frame] = {name: _newest(frames, row).load() for name, frames in colour.items()}
        names = [camera.name for camera in self._spec.depth_cameras if camera.name in depth]
        return images | {name: _newest(depth[name], row).load() for name in names}

    def command(self, action: ActionArray) -> None:
        """Compare an action with the recorded one, (action_dim,), and go on to the next row."""
        with self._lock:
            episode = self._episodes[self._episode]
            if self._row >= len(episode):
                return
            self._differences.add(episode.actions[self._row][None], np.asarray(action, np.float64)[None])
            self._rows += 1
            self._row += 1

    @property
    def is_episode_over(self) -> bool:
        """Whether the present episode has no more rows."""
        with self._lock:
            return self._row >= len(self._episodes[self._episode])

    def begin_episode(self) -> None:
        """Go to the beginning of the next episode.

        Raises:
            RobotError: there is none.
        """
        with self._lock:
            if self._episode + 1 >= len(self._episodes):
                raise RobotError("the recording is over: it has no further episode")
            self._episode += 1
            self._row = 0

    def stop(self) -> None:
        """Nothing moves."""

    def close(self) -> None:
        """Nothing to release; `report` still works."""

    def report(self) -> ReplayReport:
        """Return the differences so far."""
        with self._lock:
            total = sum(map(len, self._episodes))
            joints = self._differences.joints()
            return ReplayReport(
                recording="; ".join(episode.name for episode in self._episodes),
                rows=self._rows,
                left=total - self._rows,
                largest=self._differences.largest,
                joints=tuple(
                    {"name": j.name, "unit": j.unit, "max": j.max, "mean": j.mean, "rows": j.rows}
                    for j in joints
                ),
            )


def make_replay_robot(place: str) -> ReplayRobot:
    """Return the robot of the recording at a place: PATH, or PATH#episode=3.

    Raises:
        ConfigError: no recording with observations is there, or one without frames of a camera.
    """
    episodes = load_ticks(parse_place(place))
    if not len(episodes[0]):
        raise ConfigError("robot", wanted="a recording with commands", got=f"none in {place}")
    return ReplayRobot(episodes)


def _driven(feature: ActionFeature, names: Sequence[str]) -> ActionFeature:
    """Return the feature as one that may be commanded: nothing moves, so nothing need bound or measure it."""
    feedback = feature.feedback if feature.feedback in names else None
    (resolved,) = resolved_feedback([replace(feature, feedback=feedback)], names)
    is_unbounded = bool(lacking_bounds(resolved))
    return replace(resolved, vouch_unbounded=is_unbounded, vouch_unmeasured=not resolved.is_measured)


def _by_camera(frames: Sequence[RowFrame[FrameT]]) -> dict[str, list[RowFrame[FrameT]]]:
    """Return the frames of each camera, by row."""
    cameras: dict[str, list[RowFrame[FrameT]]] = defaultdict(list)
    for frame in sorted(frames, key=lambda one: one.row):
        cameras[frame.camera].append(frame)
    return dict(cameras)


def _cameras(
    episode: RecordedEpisode, frames: Mapping[str, Sequence[RowFrame[Image]]]
) -> tuple[CameraSpec, ...]:
    """Return the cameras whose frames are there; an old recording leaves their size to the frames.

    Raises:
        ProtocolError: a first frame is damaged.
    """
    known = {camera.name: camera for camera in episode.cameras}
    found = []
    for name in sorted(frames):
        if name not in known:
            height, width = frames[name][0].load().shape[:2]
            known[name] = CameraSpec(name, height, width)
        found.append(replace(known[name], is_required=True, may_repeat=True))
    return tuple(found)


def _newest(frames: Sequence[RowFrame[FrameT]], row: int) -> RowFrame[FrameT]:
    """Return the last frame up to a row; before the first one, the first."""
    before = [frame for frame in frames if frame.row <= row]
    return before[-1] if before else frames[0]

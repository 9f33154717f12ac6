"""Reader of one episode of a LeRobot dataset on this computer; frames are decoded when they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from vagus.errors import ConfigError, ProtocolError
from vagus.features import ActionFeature, StateFeature
from vagus.integrations.lerobot.dataset.provenance import COLUMNS
from vagus.quoting import quoted
from vagus.recording.episode import RecordedEpisode, RowFrame
from vagus.specs import CameraSpec
from vagus.types import ActionArray, Image
from vagus.units import UNKNOWN_UNIT

__all__ = ["read_dataset_episode"]

ACTION, STATE, IMAGES = "action", "observation.state", "observation.images."
COLOURS = 3


class Rows(Protocol):
    """Interface of a dataset that is used here: frames by number, each a mapping of column to tensor."""

    def __getitem__(self, index: int) -> Mapping[str, object]: ...


def read_dataset_episode(root: Path, episode: int) -> RecordedEpisode:
    """Return an episode of the dataset in a folder; units are not stated in a dataset.

    Raises:
        ConfigError: it cannot be read, has no such episode, or no actions and states.
    """
    dataset = _opened(root, episode)
    features: Mapping[str, Mapping[str, object]] = dataset.meta.features
    for column in (ACTION, STATE):
        if column not in features:
            raise ConfigError(f"dataset {root}", wanted=f"a column {column}", got=f"{sorted(features)}")
    table = dataset.hf_dataset.with_format("numpy")
    actions, states = (_column(table[name]) for name in (ACTION, STATE))
    cameras = tuple(_cameras(features))
    tasks = dataset[0].get("task", "")
    return RecordedEpisode(
        name=f"dataset {root.name}, episode {episode}",
        robot_type=str(dataset.meta.robot_type or "replay"),
        action_features=tuple(ActionFeature(name, UNKNOWN_UNIT) for name in _names(features, ACTION)),
        state_features=tuple(StateFeature(name, UNKNOWN_UNIT) for name in _names(features, STATE)),
        cameras=cameras,
        rate_hz=float(dataset.meta.fps),
        actions=actions,
        states=states,
        frames=tuple(
            RowFrame(camera.name, row, _Loader(dataset, row, f"{IMAGES}{camera.name}"))
            for row in range(len(actions))
            for camera in cameras
        ),
        instruction=str(tasks),
        columns={name: _column(table[name])[:, 0] for name in COLUMNS if name in features},
    )


def _opened(root: Path, episode: int) -> LeRobotDataset:
    """Return the dataset with this episode alone. Nothing is fetched from elsewhere.

    Raises:
        ConfigError: it cannot be read, or has no such episode.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        dataset = LeRobotDataset(f"local/{root.name}", root=root, episodes=[episode])
        count = int(dataset.meta.total_episodes)
        rows = len(dataset)
    except Exception as error:
        raise ConfigError(
            f"dataset {root}",
            wanted=f"a LeRobot dataset with an episode {episode}",
            got=f"{type(error).__name__}: {quoted(error)}",
        ) from error
    if episode >= count or not rows:
        raise ConfigError(f"episode of dataset {root}", wanted=f"0 to {count - 1}", got=str(episode))
    return dataset


def _column(rows: Iterable[object]) -> ActionArray:
    """Return a column, (n, width), float64."""
    return np.stack([np.atleast_1d(np.asarray(row, np.float64)) for row in rows])


def _names(features: Mapping[str, Mapping[str, object]], column: str) -> Sequence[str]:
    """Return the names of a column's numbers."""
    names, shape = features[column].get("names"), features[column].get("shape")
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return [str(name) for name in names]
    width = int(shape[0]) if isinstance(shape, (list, tuple)) and shape else 0
    return [f"{column}_{number}" for number in range(width)]


def _cameras(features: Mapping[str, Mapping[str, object]]) -> Iterable[CameraSpec]:
    for name, feature in features.items():
        shape = feature.get("shape")
        if name.startswith(IMAGES) and isinstance(shape, (list, tuple)) and len(shape) == COLOURS:
            height, width, depth = (int(size) for size in shape)
            if depth != COLOURS:  # stored as (3, height, width)
                height, width = width, depth
            yield CameraSpec(name.removeprefix(IMAGES), height, width, may_repeat=True)


@dataclass(frozen=True, slots=True)
class _Loader:
    """Loads one frame of one camera."""

    dataset: Rows
    row: int
    column: str

    def __call__(self) -> Image:
        frame = np.asarray(self.dataset[self.row][self.column], np.float32)
        if frame.ndim != COLOURS or frame.shape[0] != COLOURS:
            raise ProtocolError(f"frame {self.column}: wanted (3, height, width), got {frame.shape}")
        return np.ascontiguousarray(np.rint(frame.transpose(1, 2, 0) * 255.0).clip(0, 255).astype(np.uint8))

"""Provenance columns of a LeRobot dataset: the origin of each frame's action.

LeRobot's strategies make a frame from the observation that the engine was given, and hand it to the dataset,
at once or (highlight) much later. So what is known of an action is kept under what its observation held.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_MS
from vagus.types import MotionState, Provenance

__all__ = ["COLUMNS", "ColumnDataset", "FrameShape", "ProvenanceLog", "RecordedDataset", "add_columns"]

logger = logging.getLogger(__name__)

Feature: TypeAlias = "dict[str, object]"
Cell: TypeAlias = "NDArray[np.int64] | NDArray[np.float32] | NDArray[np.bool_]"
Row: TypeAlias = "dict[str, Cell]"
Fingerprint: TypeAlias = "tuple[bytes, tuple[int, ...]]"

FALLBACK = "vagus.fallback"
COLUMNS: Mapping[str, str] = {
    "vagus.session": "int64",
    "vagus.seq": "int64",
    "vagus.step": "int64",
    "vagus.chunk_index": "int64",
    "vagus.age_ms": "float32",
    FALLBACK: "bool",
}
"""Column → dtype, each of shape (1,). −1 where no action of a plan was involved; `fallback`: a hold."""

STATE = "observation.state"
IMAGES = "observation.images."


class Meta(Protocol):
    """Interface of a dataset's metadata that is used here."""

    @property
    def features(self) -> MutableMapping[str, Feature]:
        """Column → dtype, shape and names."""
        ...


class ColumnDataset(Protocol):
    """Interface of a LeRobotDataset that is used here."""

    @property
    def meta(self) -> Meta:
        """Its metadata."""
        ...

    @property
    def num_frames(self) -> int:
        """Frames in finished episodes."""
        ...

    def clear_episode_buffer(self, *args: object, **kwargs: object) -> None:
        """Begin the episode in progress again."""
        ...

    def add_frame(self, frame: dict[str, object]) -> None:
        """Take a frame into the episode in progress."""
        ...

    def save_episode(self, *args: object, **kwargs: object) -> None:
        """Write the episode in progress; may take seconds."""
        ...


class FrameShape:
    """Recognises an observation in the frame that was made of it: same state, same picture objects."""

    def __init__(self, dataset_features: Mapping[str, Mapping[str, object]]) -> None:
        names = dataset_features.get(STATE, {}).get("names")
        self._state_names = [str(name) for name in names] if isinstance(names, Sequence) else []
        self._cameras = [key for key in dataset_features if key.startswith(IMAGES)]

    def of_observation(self, observation: Mapping[str, object]) -> Fingerprint:
        """Return the fingerprint of an observation as the engine gets it."""
        state = np.array([observation[name] for name in self._state_names], dtype=np.float32)
        return state.tobytes(), tuple(id(observation[key.removeprefix(IMAGES)]) for key in self._cameras)

    def of_frame(self, frame: Mapping[str, object]) -> Fingerprint:
        """Return the fingerprint of a frame before it was handed to a dataset."""
        state = np.asarray(frame.get(STATE, ()), dtype=np.float32)
        return state.tobytes(), tuple(id(frame.get(key)) for key in self._cameras)


class ProvenanceLog:
    """Commands that followed the last `size` observations."""

    def __init__(self, shape: FrameShape, *, size: int) -> None:
        self._shape = shape
        self._size = size
        self._rows: OrderedDict[Fingerprint, Row] = OrderedDict()

    def note(self, observation: Mapping[str, object], provenance: Provenance) -> None:
        """Keep where the action upon `observation` came from."""
        key = self._shape.of_observation(observation)
        self._rows.pop(key, None)
        self._rows[key] = row_of(provenance)
        if len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def clear(self) -> None:
        """Somebody else moves the robot from now on."""
        self._rows.clear()

    def row(self, frame: Mapping[str, object]) -> Row:
        """Return the columns of a frame; those of nobody where it is none of ours, e.g. a human's."""
        known = self._rows.get(self._shape.of_frame(frame))
        return dict(row_of(None) if known is None else known)


def row_of(provenance: Provenance | None) -> Row:
    """Return the columns of one action; None: no action of ours."""
    if provenance is None or provenance.motion is not MotionState.PLAYING or provenance.age_ns is None:
        is_hold = provenance is not None
        return _row(-1, -1, -1, -1, age_ms=-1.0, is_fallback=is_hold)
    known = [
        -1 if value is None else value
        for value in (provenance.epoch, provenance.seq, provenance.step, provenance.index)
    ]
    return _row(*known, age_ms=provenance.age_ns / NS_PER_MS, is_fallback=False)


def _row(session: int, seq: int, step: int, index: int, *, age_ms: float, is_fallback: bool) -> Row:
    values = (session, seq, step, index, age_ms, is_fallback)
    return {
        name: np.array([value], dtype=dtype)
        for (name, dtype), value in zip(COLUMNS.items(), values, strict=True)
    }


def add_columns(dataset: ColumnDataset) -> bool:
    """Declare our columns in a dataset that has no frame yet; return whether its frames carry them.

    LeRobot writes the features of `meta` to disk with the first episode, and begins an episode by them.
    """
    features = dataset.meta.features
    if set(COLUMNS) <= set(features):
        return True
    if dataset.num_frames:
        logger.warning("the dataset to be resumed has no provenance columns; none are recorded")
        return False
    for name, dtype in COLUMNS.items():
        features[name] = {"dtype": dtype, "shape": (1,), "names": None}
    dataset.clear_episode_buffer()
    return True


class RecordedDataset:
    """A stock dataset whose frames get our columns on their way in; everything else is its own.

    An episode begins with an action of a plan or a human's: who trains on it is not taught to stand first.

    Args:
        dataset: a LeRobotDataset; its features have the columns, if these are to be filled.
        journal: knows where actions came from.
        before_saving: called before an episode is written, for seconds nobody commands the robot.
        has_columns: whether the columns are filled.
    """

    def __init__(
        self,
        dataset: ColumnDataset,
        journal: ProvenanceLog,
        before_saving: Callable[[], None],
        *,
        has_columns: bool,
    ) -> None:
        self._dataset = dataset
        self._journal = journal
        self._before_saving = before_saving
        self._has_columns = has_columns
        self._has_begun = False
        self._was_held = False

    def add_frame(self, frame: dict[str, object]) -> None:
        """Add the columns and hand it on, unless it is a hold before the first action of an episode."""
        row = self._journal.row(frame)
        is_hold = bool(row[FALLBACK].item())
        if is_hold and not self._has_begun:
            self._was_held = True
            return
        self._has_begun = True
        self._dataset.add_frame({**frame, **row} if self._has_columns else frame)

    def save_episode(self, *args: object, **kwargs: object) -> None:
        """Write the episode in progress, the robot standing; one that never began is no episode."""
        self._before_saving()
        if self._was_held and not self._has_begun:
            logger.warning("an episode in which the robot never had a plan is not saved")
        else:
            self._dataset.save_episode(*args, **kwargs)
        self._has_begun = self._was_held = False

    def clear_episode_buffer(self, *args: object, **kwargs: object) -> None:
        """Begin the episode in progress again."""
        self._dataset.clear_episode_buffer(*args, **kwargs)
        self._has_begun = self._was_held = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type] # a LeRobotDataset has a length

    def __getitem__(self, index: int) -> object:
        return self._dataset[index]  # type: ignore[index] # and items

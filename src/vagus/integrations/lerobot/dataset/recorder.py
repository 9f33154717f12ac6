"""Recorder of a run as a LeRobot dataset, in a process of its own.

The control thread cuts ticks into frames; a thread looks through the cameras whenever a frame begins; another
hands complete frames to the writing process, which encodes. What is too much for them is dropped and counted.
The writer finishes the dataset when its pipe ends, so also when this process is killed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import numpy as np

from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.edge.handoff import Settled
from vagus.errors import ConfigError
from vagus.integrations.lerobot.dataset.frames import Cut, DatasetFrame, FrameCutter
from vagus.integrations.lerobot.dataset.messages import EndEpisode, OpenDataset, WriteFrame, WriterReply
from vagus.integrations.lerobot.dataset.process import CLOSE_S, WriterProcess
from vagus.integrations.lerobot.dataset.provenance import COLUMNS, row_of
from vagus.specs import ActionKind, RobotSpec
from vagus.threads import Supervised
from vagus.types import ActionArray, Command, DepthImage, FloatArray, Frame, Image, RequestDraft

__all__ = ["DatasetRecorder", "DatasetSettings", "FrameSink", "start_dataset_recorder"]

logger = logging.getLogger(__name__)

WAITING_S = 5.0
"""Seconds of frames that may wait for the writer: it takes no more while it saves an episode."""
POLL_S = 0.005
"""Period of the check whether a frame has its images."""
IDLE_S = 0.5
"""Longest time until a stop is noticed while there are no frames."""


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """Settings of a recorded dataset.

    Attributes:
        root: its folder; one that is there is resumed.
        repo_id: its name.
        rate_hz: frames per second, a whole number.
        task: what the robot is told to do.
        codec: of the video; "" for single images.
        encoder_threads: of the encoder.
        has_images: the cameras are recorded.
        has_provenance: where each action came from is recorded, in columns of its own.
        is_private: its files are for this user alone.
    """

    root: str
    repo_id: str
    rate_hz: float
    task: str
    codec: str = "h264"
    encoder_threads: int = 1
    has_images: bool = True
    has_provenance: bool = True
    is_private: bool = True


def start_dataset_recorder(
    spec: RobotSpec,
    settings: DatasetSettings,
    *,
    mapping: OrderMapping,
    read_images: Callable[[], Mapping[str, Frame]],
) -> DatasetRecorder:
    """Open the dataset and return its recorder, running.

    Args:
        spec: of the robot; the dataset has its names, order and cameras.
        settings: what to record.
        mapping: from the policy's order of actions to the robot's.
        read_images: the robot's frames in its own names; called on a thread of the recorder.

    Raises:
        ConfigError: LeRobot is not installed, the folder cannot be used, or what is there is another dataset.
    """
    if settings.rate_hz != round(settings.rate_hz):
        raise ConfigError(
            "rate of the dataset",
            wanted="a whole number of frames per second",
            got=f"{settings.rate_hz:g} Hz",
        )
    cameras = {c.name: (c.height, c.width) for c in spec.cameras} if settings.has_images else {}
    order = OpenDataset(
        root=settings.root,
        repo_id=settings.repo_id,
        fps=round(settings.rate_hz),
        robot_type=spec.robot_type,
        actions=tuple(feature.name for feature in spec.actions),
        state=tuple(feature.name for feature in spec.state),
        cameras=cameras,
        columns=dict(COLUMNS) if settings.has_provenance else {},
        codec=settings.codec,
        encoder_threads=settings.encoder_threads,
        is_private=settings.is_private,
    )
    writer = WriterProcess()
    writer.open(order)
    cutter = FrameCutter(
        period_s=1 / settings.rate_hz,
        tick_s=1 / spec.rate_hz,
        summed=np.array([feature.kind is ActionKind.DELTA for feature in mapping.actions]),
    )
    waiting = round(WAITING_S * settings.rate_hz)
    recorder = DatasetRecorder(
        cutter, writer, settings.task, to_robot=mapping.action_to_robot, max_waiting=waiting
    )
    recorder.start(read_images if cameras else None, tuple(cameras))
    return recorder


class FrameSink(Protocol):
    """Interface that takes frames in order."""

    def send(self, message: WriteFrame | EndEpisode, images: Mapping[str, Image] | None = None) -> None:
        """Take a message; may block.

        Raises:
            OSError: it will never take one again.
        """
        ...

    def close(self) -> WriterReply | None:
        """Finish; None: it still is at it."""
        ...


class DatasetRecorder:
    """A `RecorderPort` that writes a LeRobot dataset.

    Args:
        cutter: makes frames of ticks.
        writer: an open dataset.
        task: of every frame.
        to_robot: from the policy's order of actions to the robot's.
        max_waiting: frames that may wait for the cameras, and for the writer.

    Attributes:
        counters: frames, frames_dropped (the writer was too slow), frames_unseen (no pictures).
    """

    def __init__(
        self,
        cutter: FrameCutter,
        writer: FrameSink,
        task: str,
        *,
        to_robot: Callable[[ActionArray], ActionArray],
        max_waiting: int,
    ) -> None:
        self._cutter = cutter
        self._writer = writer
        self._task = task
        self._to_robot = to_robot
        self._max_waiting = max_waiting
        self._waiting: deque[DatasetFrame | EndEpisode] = deque()
        self._wanted: deque[DatasetFrame] = deque()
        self._is_wanted = threading.Event()
        self._stopping = threading.Event()
        self._is_gone = False
        self._cameras: tuple[str, ...] = ()
        self._looker: threading.Thread | None = None
        self._sender = Supervised(self._send_all, name="vagus-dataset-sender")
        self.counters: Counter[str] = Counter()

    def start(self, read_images: Callable[[], Mapping[str, Frame]] | None, cameras: tuple[str, ...]) -> None:
        """Start; `read_images` gives the frames of these cameras, None: there are none."""
        self._cameras = cameras
        if read_images is not None:
            self._looker = Supervised(partial(self._look_all, read_images), name="vagus-dataset-cameras")
            self._looker.start()
        self._sender.start()

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Take one command; returns at once."""
        cut = self._cutter.step(now_ns, command, state)
        self._enqueue(cut)
        if cut.begun is None:
            return
        if self._looker is None:
            cut.begun.images, cut.begun.is_looked_at = {}, True
            return
        if len(self._wanted) >= self._max_waiting:
            cut.begun.is_looked_at = True  # the cameras hang
            return
        self._wanted.append(cut.begun)
        self._is_wanted.set()

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        """Nothing: a dataset has no place for chunks; a session folder has."""

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        """Nothing: frames have pictures of their own, and a dataset has no depth."""

    def close(self, summary: LoopSummary | None = None) -> None:  # noqa: ARG002 - a dataset has no place for it
        """Hand over what is left and wait for the dataset to be finished. Twice is harmless."""
        if self._stopping.is_set():
            return
        self._enqueue(self._cutter.end())
        self._stopping.set()
        self._is_wanted.set()
        self._sender.join(CLOSE_S)
        reply = self._writer.close()
        self.counters["frames_missed"] = self._cutter.missed
        lost = {name: count for name, count in self.counters.items() if name != "frames" and count}
        if lost:
            logger.warning("the dataset lacks frames: %s", lost)
        if reply is None:
            logger.warning("the dataset is still being written, by a process of its own")
        elif reply.error:
            logger.error("the dataset could not be finished: %s", reply.error)
        else:
            logger.info("the dataset has %d episodes, %d frames", reply.episodes, reply.frames)

    def _enqueue(self, cut: Cut) -> None:
        if cut.done is not None and len(self._waiting) >= self._max_waiting:
            self.counters["frames_dropped"] += 1
        elif cut.done is not None:
            self._waiting.append(cut.done)
        if cut.is_end:
            self._waiting.append(EndEpisode())

    def _look_all(self, read_images: Callable[[], Mapping[str, Frame]]) -> None:
        while not self._stopping.is_set():
            self._is_wanted.wait(IDLE_S)
            self._is_wanted.clear()
            while self._wanted:
                frame = self._wanted.popleft()
                if not self._wanted:  # else it is too late for this one
                    self._look(frame, read_images)
                frame.is_looked_at = True

    def _look(self, frame: DatasetFrame, read_images: Callable[[], Mapping[str, Frame]]) -> None:
        try:
            seen = read_images()
            frame.images = {name: cast("Image", seen[name]) for name in self._cameras}
        except BaseException as error:  # noqa: BLE001 - a camera's fault costs a frame of the dataset
            logger.debug("no pictures for a frame: %s", error)

    def _send_all(self) -> None:
        while self._waiting or not self._stopping.is_set():
            if not self._waiting or not self._is_ready(self._waiting[0]):
                self._stopping.wait(POLL_S)
                continue
            self._send(self._waiting.popleft())

    def _is_ready(self, item: DatasetFrame | EndEpisode) -> bool:
        return isinstance(item, EndEpisode) or item.is_looked_at or self._stopping.is_set()

    def _send(self, item: DatasetFrame | EndEpisode) -> None:
        if isinstance(item, DatasetFrame) and item.images is None:
            self.counters["frames_unseen"] += 1
            return
        if self._is_gone:
            self.counters["frames_dropped"] += isinstance(item, DatasetFrame)
            return
        try:
            if isinstance(item, EndEpisode):
                self._writer.send(item)
            else:
                self._writer.send(self._message(item), item.images)
                self.counters["frames"] += 1
        except OSError as error:
            self._is_gone = True
            self.counters["frames_dropped"] += isinstance(item, DatasetFrame)
            logger.error("the dataset's writer is gone (%s); nothing more is recorded", error)  # noqa: TRY400

    def _message(self, frame: DatasetFrame) -> WriteFrame:
        return WriteFrame(
            task=self._task,
            state=frame.state.tolist(),
            action=self._to_robot(frame.action).tolist(),
            columns={name: float(cell.item()) for name, cell in row_of(frame.provenance).items()},
        )

"""Process that writes a LeRobot dataset from a pipe, so that encoders and tables do not delay a robot.

It goes on until the pipe ends, however the robot's process ended, then saves and finalises. Signals are not
for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from vagus.errors import ConfigError
from vagus.integrations.lerobot.dataset.messages import (
    EndEpisode,
    OpenDataset,
    WriteFrame,
    WriterReply,
    read_images,
    read_message,
)
from vagus.types import Image

__all__ = ["DatasetWriter", "main"]

NICENESS = 10
"""Niceness of this process, so that the robot's process comes first."""
QUEUE_FRAMES = 10_000
"""LeRobot's encoder drops pictures, not rows, when its queue is full; `_make_room` keeps it from that."""
BACKLOG_FRAMES = 60
"""Largest number of images that wait for the encoder before the pipe must wait."""
OTHERS = 0o077
"""What is nobody else's: this process does nothing but write the dataset."""
PRESETS = {"h264": "ultrafast", "hevc": "ultrafast", "libsvtav1": 12}
"""Codec → what keeps up with two cameras on one small core."""


class DatasetWriter:
    """Open dataset, new or continued.

    Args:
        order: what to open.

    Raises:
        ConfigError: the folder holds a dataset of other features or another rate, or something else.
    """

    def __init__(self, order: OpenDataset) -> None:
        self._order = order
        self._features = _features(order)
        root = Path(order.root)
        self._dataset = self._resume(root) if _has_episodes(root) else self._create(root)

    @property
    def reply(self) -> WriterReply:
        """How much is saved."""
        return WriterReply(episodes=self._dataset.num_episodes, frames=self._dataset.num_frames)

    def add(self, frame: WriteFrame, images: dict[str, Image]) -> None:
        """Add a frame to the episode in progress."""
        self._make_room()
        columns = {
            name: np.array([frame.columns[name]], dtype=dtype) for name, dtype in self._order.columns.items()
        }
        self._dataset.add_frame(
            {
                "observation.state": np.array(frame.state, dtype=np.float32),
                "action": np.array(frame.action, dtype=np.float32),
                **{f"observation.images.{name}": image for name, image in images.items()},
                **columns,
                "task": frame.task,
            }
        )

    def end_episode(self) -> None:
        """Save the episode in progress, if it has frames."""
        if self._dataset.has_pending_frames():
            self._dataset.save_episode()

    def close(self) -> None:
        """Save what is there and finalise."""
        try:
            self.end_episode()
        finally:
            self._dataset.finalize()

    def _create(self, root: Path) -> LeRobotDataset:
        order = self._order
        _make_way(root)
        return LeRobotDataset.create(
            repo_id=order.repo_id,
            fps=order.fps,
            features=self._features,
            root=root,
            robot_type=order.robot_type,
            use_videos=bool(order.codec),
            **_encoding(order),
        )

    def _resume(self, root: Path) -> LeRobotDataset:
        dataset = LeRobotDataset.resume(self._order.repo_id, root=root, **_encoding(self._order))
        meta = dataset.meta
        if meta.fps != self._order.fps:
            raise ConfigError("dataset to resume", wanted=f"{self._order.fps} fps", got=f"{meta.fps} fps")
        for name, feature in self._features.items():
            has = meta.features.get(name, {})
            told = {key: has.get(key) for key in ("dtype", "names")} | {"shape": tuple(has.get("shape", ()))}
            if told != feature:
                raise ConfigError("dataset to resume", wanted=f"{name}: {feature}", got=str(told))
        extra = [name for name in meta.features if _is_own(name) and name not in self._features]
        if extra:
            raise ConfigError("dataset to resume", wanted=f"{sorted(self._features)}", got=f"also {extra}")
        return dataset

    def _make_room(self) -> None:
        """Wait until the encoder has caught up; meanwhile the pipe waits, and the recorder counts."""
        encoder = getattr(self._dataset.writer, "_streaming_encoder", None)
        queues = getattr(encoder, "_frame_queues", {})
        while any(queue.qsize() > BACKLOG_FRAMES for queue in queues.values()):
            time.sleep(0.005)


def main() -> int:
    """Serve the pipe on standard input; replies go to standard output, one line of JSON each."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print is no reply
    pipe = os.fdopen(0, "rb", buffering=0, closefd=False)
    try:
        done = _serve(pipe, replies)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and this process is at its end
        text = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        _tell(replies, WriterReply(error=text))
        return 1
    _tell(replies, done)
    return 0


def _serve(pipe: BinaryIO, replies: BinaryIO) -> WriterReply:
    order = read_message(pipe)
    if not isinstance(order, OpenDataset):
        return WriterReply()  # never wanted
    if order.is_private:
        os.umask(OTHERS)
    writer = DatasetWriter(order)
    _tell(replies, writer.reply)
    try:
        _write_all(pipe, writer, order)
    finally:
        writer.close()
    return writer.reply


def _write_all(pipe: BinaryIO, writer: DatasetWriter, order: OpenDataset) -> None:
    while (message := read_message(pipe)) is not None:
        if isinstance(message, EndEpisode):
            writer.end_episode()
        elif isinstance(message, WriteFrame):
            images = read_images(pipe, order.cameras)
            if images is None:
                return
            writer.add(message, images)


def _tell(replies: BinaryIO, reply: WriterReply) -> None:
    try:
        replies.write(msgspec.json.encode(reply) + b"\n")
    except OSError:
        sys.stderr.write("the recorder is gone\n")


def _has_episodes(root: Path) -> bool:
    info = root / "meta" / "info.json"
    return info.is_file() and msgspec.json.decode(info.read_bytes())["total_episodes"] > 0


def _make_way(root: Path) -> None:
    """Remove an empty folder, which LeRobot makes itself, or a dataset that never got an episode.

    Raises:
        ConfigError: there is something else.
    """
    if not root.exists():
        return
    found = {entry.name for entry in root.iterdir()}
    if found - {"meta", "images"} or (found and not (root / "meta" / "info.json").is_file()):
        raise ConfigError(
            "recorder directory", wanted="a new or empty folder, or a LeRobot dataset", got=str(root)
        )
    shutil.rmtree(root)


def _features(order: OpenDataset) -> dict[str, dict[str, object]]:
    kind = "video" if order.codec else "image"
    cameras = {
        f"observation.images.{name}": _feature(kind, (*size, 3), ["height", "width", "channels"])
        for name, size in order.cameras.items()
    }
    columns = {name: _feature(dtype, (1,), None) for name, dtype in order.columns.items()}
    return {
        "observation.state": _feature("float32", (len(order.state),), list(order.state)),
        "action": _feature("float32", (len(order.actions),), list(order.actions)),
        **cameras,
        **columns,
    }


def _feature(dtype: str, shape: tuple[int, ...], names: list[str] | None) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "names": names}


def _is_own(name: str) -> bool:
    return name == "action" or name.startswith(("observation.", "vagus."))


def _encoding(order: OpenDataset) -> dict[str, object]:
    if not order.codec:
        return {"image_writer_threads": max(order.encoder_threads, 1)}
    encoder = RGBEncoderConfig(vcodec=order.codec, preset=PRESETS.get(order.codec))
    return {
        "rgb_encoder": encoder,
        "streaming_encoding": True,
        "encoder_queue_maxsize": QUEUE_FRAMES,
        "encoder_threads": order.encoder_threads,
    }


if __name__ == "__main__":
    sys.exit(main())

"""Messages from the recorder to the process that writes a LeRobot dataset.

A message is its length (u32, little-endian), itself as msgpack, and, for a frame with pictures, the raw bytes
of each camera in the order of `OpenDataset.cameras`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, TypeAlias

import msgspec
import numpy as np

from vagus.pipes import read_exactly, read_framed, write_framed, write_whole
from vagus.types import Image

__all__ = [
    "EndEpisode",
    "Message",
    "OpenDataset",
    "WriteFrame",
    "WriterReply",
    "read_images",
    "read_message",
    "write_message",
]


class OpenDataset(msgspec.Struct, frozen=True, tag="open"):
    """Order to make a dataset, or to continue an existing one.

    Attributes:
        root: its folder.
        repo_id: its name.
        fps: frames per second.
        robot_type: of the robot.
        actions: names.
        state: names.
        cameras: name → (height, width).
        columns: further numbers of each frame, name → dtype.
        codec: of the video; "" for single images.
        encoder_threads: that encode it.
        is_private: its files are for this user alone.
    """

    root: str
    repo_id: str
    fps: int
    robot_type: str
    actions: tuple[str, ...]
    state: tuple[str, ...]
    cameras: dict[str, tuple[int, int]]
    columns: dict[str, str]
    codec: str
    encoder_threads: int
    is_private: bool = True


class WriteFrame(msgspec.Struct, frozen=True, tag="frame"):
    """Order to add a frame; its images follow."""

    task: str
    state: list[float]
    action: list[float]
    columns: dict[str, float]


class EndEpisode(msgspec.Struct, frozen=True, tag="end"):
    """Order to save the episode."""


class WriterReply(msgspec.Struct, frozen=True):
    """Answer of the writer: when the dataset is open, when it is finished, or after a failure.

    Attributes:
        error: why it gave up; "": it did not.
        episodes: in the dataset.
        frames: in the dataset.
    """

    error: str = ""
    episodes: int = 0
    frames: int = 0


Message: TypeAlias = "OpenDataset | WriteFrame | EndEpisode"

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(OpenDataset | WriteFrame | EndEpisode)


def write_message(pipe: BinaryIO, message: Message, images: Mapping[str, Image] | None = None) -> None:
    """Write a message and the pictures that go with it, in the order of `images`.

    Raises:
        OSError: the writer is gone.
    """
    write_framed(pipe, msgspec.msgpack.encode(message))
    for image in (images or {}).values():
        write_whole(pipe, memoryview(np.ascontiguousarray(image)).cast("B"))


def read_message(pipe: BinaryIO) -> Message | None:
    """Return the next message, or None at the end, also where it broke off."""
    body = read_framed(pipe)
    return None if body is None else _decoder.decode(body)


def read_images(pipe: BinaryIO, cameras: Mapping[str, tuple[int, int]]) -> dict[str, Image] | None:
    """Return the pictures that follow a frame, or None where they broke off."""
    images: dict[str, Image] = {}
    for name, (height, width) in cameras.items():
        content = read_exactly(pipe, height * width * 3)
        if content is None:
            return None
        images[name] = np.frombuffer(content, dtype=np.uint8).reshape(height, width, 3)
    return images

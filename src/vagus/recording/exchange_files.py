"""Files of one exchange with a policy that sees points: picture, points, and what was asked and answered.

Each exchange is a folder with a number as its name: `image.png`, `points.ply` and `exchange.json`, which is
written last.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from vagus.errors import ProtocolError
from vagus.malformed import MALFORMED
from vagus.private_files import read_file
from vagus.types import FloatArray, Image
from vagus.wire.images import MAX_SIDE
from vagus.wire.png import decode_png, png_size

__all__ = [
    "IMAGE",
    "POINTS",
    "TOLD",
    "ToldExchange",
    "exchange_folders",
    "load_image",
    "load_points",
    "load_told",
    "ply_of",
]

IMAGE: Final = "image.png"
POINTS: Final = "points.ply"
TOLD: Final = "exchange.json"

MAX_POINTS: Final = 1 << 20
MAX_TOLD_BYTES: Final = 4 << 20
MAX_IMAGE_BYTES: Final = 64 << 20
MAX_WIDTH: Final = 256
"""Most numbers of a state, and of an action."""

_ROW: Final = np.dtype([("place", "<f4", 3), ("colour", "u1", 3)])
_HEAD: Final = (
    "ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
    "property float x\nproperty float y\nproperty float z\n"
    "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
)


class ToldExchange(msgspec.Struct, frozen=True, kw_only=True):
    """What `exchange.json` says and a viewer shows; it may say more.

    Attributes:
        at: time of day at which it was kept, UTC; None where an earlier version did not say it.
        step: policy step of the request.
        task: instruction.
        names: of the joints, as in `state` and in each row of `joints`.
        units: of the joints.
        rate_hz: actions per second.
        state: the joints when it was asked.
        pose: of the gripper, as it was sent.
        joints: answer as joints, one row per action; None: refused.
        refused: why the answer, or its rest, was refused; None: it was not.
    """

    at: datetime | None = None
    step: int = 0
    task: str = ""
    names: list[str] = []
    units: list[str] = []
    rate_hz: float = 0.0
    state: list[float | None] = []
    pose: list[float | None] = []
    joints: list[list[float | None]] | None = None
    refused: str | None = None


def ply_of(points: FloatArray) -> bytes:
    """Return points as a PLY file: x, y, z in m as float32, and colours from 0 to 255.

    Args:
        points: (count, 6): x, y, z in m, then red, green and blue from 0 to 1.
    """
    rows = np.zeros(len(points), _ROW)
    rows["place"] = points[:, :3]
    rows["colour"] = np.rint(255.0 * points[:, 3:])
    return _HEAD.format(count=len(points)).encode() + rows.tobytes()


def exchange_folders(folder: Path) -> list[Path]:
    """Return the folders of complete exchanges in `folder`, in the order in which they were kept."""
    if not folder.is_dir():
        return []
    numbered = [path for path in folder.iterdir() if path.name.isascii() and path.name.isdigit()]
    return sorted((path for path in numbered if (path / TOLD).is_file()), key=lambda path: int(path.name))


def load_told(folder: Path) -> ToldExchange:
    """Return what was asked and answered in one exchange.

    Raises:
        ProtocolError: the file is damaged, or has more numbers than an arm has.
        OSError: it cannot be read.
    """
    path = folder / TOLD
    try:
        told = msgspec.json.decode(read_file(path, max_bytes=MAX_TOLD_BYTES), type=ToldExchange)
    except MALFORMED as error:
        raise ProtocolError(f"{path}: wanted what was asked and answered, got {error}") from error
    widths = {len(told.state), *(len(row) for row in told.joints or ())}
    if len(widths) > 1 or max(widths) > MAX_WIDTH or len(told.pose) > MAX_WIDTH:
        raise ProtocolError(f"{path}: wanted as many joints in each row, got {sorted(widths)[:4]}")
    return told


def load_points(folder: Path) -> FloatArray:
    """Return the points of one exchange, (count, 6), as `ply_of` takes them.

    Raises:
        ProtocolError: the file is not as `ply_of` writes it, or a number in it is not finite.
        OSError: it cannot be read.
    """
    path = folder / POINTS
    content = read_file(path, max_bytes=len(_HEAD) + 32 + MAX_POINTS * _ROW.itemsize)
    head, mark, body = content.partition(b"end_header\n")
    count, rest = divmod(len(body), _ROW.itemsize)
    if rest or head + mark != _HEAD.format(count=count).encode():
        raise ProtocolError(f"{path}: wanted a PLY file of coloured points as vagus writes it, got another")
    rows = np.frombuffer(body, _ROW)
    points = np.concatenate([rows["place"], rows["colour"] / np.float32(255.0)], axis=1, dtype=np.float32)
    if not np.isfinite(points).all():
        raise ProtocolError(f"{path}: wanted finite numbers, got others")
    return points


def load_image(folder: Path) -> Image:
    """Return the picture of one exchange, (height, width, 3) uint8 RGB.

    Raises:
        ProtocolError: the file is damaged, or too large.
        OSError: it cannot be read.
    """
    path = folder / IMAGE
    content = read_file(path, max_bytes=MAX_IMAGE_BYTES)
    try:
        return _decoded(content)
    except ProtocolError as error:
        raise ProtocolError(f"{path}: {error}") from error


def _decoded(png: bytes) -> Image:
    height, width = png_size(png)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ProtocolError(f"wanted a PNG with sides of 1 to {MAX_SIDE} pixels, got {width}×{height}")
    return decode_png(png, height=height, width=width)

"""A debug folder made by hand: exchanges of an arm with two joints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vagus.recording.exchange_files import IMAGE, TOLD, ply_of
from vagus.recording.exchange_files import POINTS as POINTS_FILE
from vagus.wire.png import encode_png

__all__ = ["PICTURE", "POINTS", "keep"]

POINTS = np.array([[0.1, -0.2, 0.3, 1.0, 0.0, 0.2], [0.0, 0.5, 0.25, 0.0, 1.0, 0.5]], np.float32)
PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def keep(
    folder: Path,
    number: int,
    *,
    at: str | None = None,
    step: int = 0,
    state: tuple[float, ...] = (0.1, 0.2),
    joints: list[list[float]] | None = None,
    refused: str | None = None,
    more: Mapping[str, object] | None = None,
) -> Path:
    """Keep one exchange; return its folder."""
    path = folder / f"{number:08d}"
    path.mkdir()
    (path / IMAGE).write_bytes(encode_png(PICTURE))
    (path / POINTS_FILE).write_bytes(ply_of(POINTS))
    told = {
        "names": ["shoulder", "elbow"], "units": ["deg", "deg"], "rate_hz": 10.0, "task": "put the cube",
        "at": at, "step": step, "state": list(state), "pose": [0.1, 0.2, 0.3, 0, 0, 0, 1],
        "joints": joints, "refused": refused, **(more or {}),
    }  # fmt: skip
    (path / TOLD).write_text(json.dumps({key: value for key, value in told.items() if key != "at" or value}))
    return path

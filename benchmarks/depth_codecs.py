"""Bytes and times of depth frames in each codec of the wire, against the PNG of Pillow if it is installed."""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile, turns
from vagus.demo.arm import HOME, Camera
from vagus.demo.depth import DEPTH_SPEC, DepthScene
from vagus.specs import CameraSpec, DepthCameraSpec
from vagus.types import DepthImage
from vagus.wire.depth import DEPTH_CODECS, decode_depth, encode_depth
from vagus.wire.schema import DepthMessage

__all__ = ["NOISES", "CodecContestant", "run", "seen"]

HEIGHT, WIDTH = 480, 640
CAMERA = Camera.looking_at(
    CameraSpec(DEPTH_SPEC.name, HEIGHT, WIDTH),
    position=(0.75, 0.2, 1.35),
    at=(0.27, 0.0, 0.18),
    focal_px=700.0,
)
TARGET = np.array([0.35, -0.1, 0.2])
NOISES = ((1000.0, 0.001), (1000.0, 0.003), (10_000.0, 0.001))
"""Units to the metre, and noise in metres at one metre: that of a stereo camera grows with depth squared."""
HOLE, HOLES = 8, 0.04
"""Side in pixels, and share of the frame, of patches where a stereo camera finds no match."""


@dataclass(slots=True)
class CodecContestant:
    """A codec, and what it took."""

    name: str
    encode: Callable[[DepthImage], bytes]
    decode: Callable[[bytes], DepthImage]
    packed: int = 0
    encode_ms: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)

    def take_turn(self, frame: DepthImage) -> None:
        """Encode and decode once, and note bytes and times; what comes back is what went in."""
        begin_s = time.perf_counter()
        packed = self.encode(frame)
        between_s = time.perf_counter()
        decoded = self.decode(packed)
        self.decode_ms.append(1000.0 * (time.perf_counter() - between_s))
        self.encode_ms.append(1000.0 * (between_s - begin_s))
        self.packed = len(packed)
        if not np.array_equal(decoded, frame):
            raise AssertionError(f"{self.name} changed a frame")


def seen(units_per_m: float, noise_m: float, *, seed: int = 0) -> DepthImage:
    """Return a depth frame of the simulated arm, (480, 640) uint16, as a stereo camera would give it."""
    random = np.random.default_rng(seed)
    spec = DepthCameraSpec(DEPTH_SPEC.name, HEIGHT, WIDTH, units_per_m)
    true_m = DepthScene(CAMERA, spec).measure(HOME, TARGET) / units_per_m
    grain = random.normal(size=(HEIGHT + 2, WIDTH + 2))
    shifted = [grain[y : y + HEIGHT, x : x + WIDTH] for y in range(3) for x in range(3)]
    noise = np.sum(shifted, axis=0) / 3.0  # neighbours are alike, as a stereo matcher makes them
    is_hole = np.kron(random.random((HEIGHT // HOLE, WIDTH // HOLE)) < HOLES, np.ones((HOLE, HOLE), bool))
    noisy = np.where(is_hole | (true_m == 0), 0.0, true_m + noise * noise_m * true_m**2)
    frame: DepthImage = np.rint(noisy * units_per_m).clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
    return frame


def run(*, quick: bool) -> Report:
    """Return bytes and times of each codec, for each noise."""
    report = Report("depth_codecs")
    if _pillow() is None:
        report.notes.append("Pillow is not measured: it is not installed here (pip install pillow).")
    for units_per_m, noise_m in NOISES:
        frame = seen(units_per_m, noise_m)
        report.tables.append(_table(frame, units_per_m, noise_m, rounds=2 if quick else 50))
    return report


def _table(frame: DepthImage, units_per_m: float, noise_m: float, *, rounds: int) -> Table:
    peer = _pillow()
    contestants = [*map(_own, DEPTH_CODECS), *([] if peer is None else [peer])]
    for contestant in turns(contestants, rounds):
        contestant.take_turn(frame)
    rows = [
        [
            one.name,
            number(frame.nbytes / one.packed),
            number(percentile(one.encode_ms, 50.0)),
            number(percentile(one.decode_ms, 50.0)),
        ]
        for one in contestants
    ]
    title = f"640×480, {units_per_m:g} units to the metre, noise {1000 * noise_m:g} mm at 1 m"
    return Table(title, ("", "times as small", "encode p50 ms", "decode p50 ms"), rows)


def _own(codec: str) -> CodecContestant:
    def decode(packed: bytes) -> DepthImage:
        message = DepthMessage(codec, HEIGHT, WIDTH, memoryview(packed))
        return decode_depth(message, height=HEIGHT, width=WIDTH)

    return CodecContestant(codec, lambda frame: bytes(encode_depth(frame, codec).data), decode)


def _pillow() -> CodecContestant | None:
    """Return Pillow's PNG at its default level; None: it is not installed."""
    try:
        images = importlib.import_module("PIL.Image")
    except ImportError:
        return None

    def encode(frame: DepthImage) -> bytes:
        file = io.BytesIO()
        images.fromarray(frame).save(file, "png")
        return file.getvalue()

    def decode(packed: bytes) -> DepthImage:
        with images.open(io.BytesIO(packed)) as image:
            return np.asarray(image, dtype=np.uint16)

    return CodecContestant("png of Pillow", encode, decode)

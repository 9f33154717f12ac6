"""Recorder of a session, with a writer thread; what the disk cannot take is dropped and counted."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import msgspec

from vagus.control.config import RecorderConfig
from vagus.control.loop_stats import LoopSummary
from vagus.errors import SpecError
from vagus.recording.lines import StepLine
from vagus.recording.session import Json
from vagus.recording.session_folder import SessionFolder
from vagus.threads import Supervised
from vagus.types import Command, DepthImage, FloatArray, Image, RequestDraft
from vagus.wire.images import encode_image

__all__ = ["Recorder"]

logger = logging.getLogger(__name__)

POLL_S = 0.05
"""Period at which the writer looks for work: the control thread does not wake it."""
CLOSE_S = 5.0
"""Longest wait at the end for a disk that does not respond."""
REST_S = 1.0
"""Pause after a failed write, so that a full disk is not tried all the time."""
BATCH_STEPS = 500
"""Largest number of steps in one write, so that a slow disk loses few steps at once."""


@dataclass(frozen=True, slots=True)
class _Step:
    now_ns: int
    command: Command
    state: FloatArray


@dataclass(frozen=True, slots=True)
class _Frames:
    draft: RequestDraft
    images: Mapping[str, Image]


class Recorder:
    """Recorder that accepts steps and images without waiting and writes them on its own thread.

    Images are dropped first (their queue is short and is written after the steps), then steps; both are
    counted in `counters`. The recorder keeps the arrays that it gets; do not change them.

    Args:
        folder: session folder to write to; `close` closes it.
        config: queue limits and image quality.
    """

    def __init__(self, folder: SessionFolder, config: RecorderConfig) -> None:
        self._folder = folder
        self._config = config
        self._steps: deque[_Step] = deque()
        self._frames: deque[_Frames] = deque()
        self._lines: list[bytes] = []
        self._encoder = msgspec.json.Encoder()
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._thread = Supervised(self._run, name="vagus-recorder")
        self._is_failing = False
        self.counters: Counter[str] = Counter()

    def start(self) -> Recorder:
        """Start the writer thread."""
        self._thread.start()
        return self

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Record one command; returns at once."""
        if len(self._steps) >= self._config.max_waiting_steps:
            self.counters["steps_dropped"] += 1
            return
        self._steps.append(_Step(now_ns, command, state))

    def record_images(
        self,
        draft: RequestDraft,
        images: Mapping[str, Image],
        depth: Mapping[str, DepthImage],  # noqa: ARG002 - the folder has no place for it
    ) -> None:
        """Record the colour frames of one request; returns at once. Depth frames are not written."""
        if not self._config.images:
            return
        if len(self._frames) >= self._config.max_waiting_images:
            self.counters["images_dropped"] += len(images)
            return
        self._frames.append(_Frames(draft, images))

    def close(self, summary: LoopSummary | None = None) -> None:
        """Write the rest, for at most `CLOSE_S`, and the summary. May be called twice.

        If the disk still hangs then, the writer thread is left running.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
            self._giving_up.set()
            self._thread.join(REST_S)
        if self._thread.is_alive():
            logger.warning("the disk hangs; the recording has no summary")
            return
        record: dict[str, Json] = {"recorder": dict(self.counters)}
        if summary is not None:
            record["loop"] = msgspec.json.decode(self._encoder.encode(_plain(summary)))
        try:
            self._folder.close(record)
        except OSError as error:
            logger.warning("the summary could not be written: %s", error)

    def _run(self) -> None:
        waited_s = 0.0
        while not self._stopping.wait(REST_S if self._is_failing else POLL_S):
            waited_s += POLL_S
            self._take_steps()
            if self._is_failing or waited_s >= self._config.flush_s or len(self._lines) >= BATCH_STEPS:
                waited_s = 0.0
                self._write_steps()
            self._write_frames()
        self._drain()

    def _drain(self) -> None:
        """Write the rest, steps first; drop what cannot be written now."""
        while (self._steps or self._lines) and not self._giving_up.is_set():
            self._take_steps()
            if not self._write_steps():
                break
        self.counters["steps_dropped"] += len(self._lines) + len(self._steps)
        while self._frames and not self._giving_up.is_set():
            self._write_set(self._frames.popleft())
        self._drop_frames()

    def _take_steps(self) -> None:
        while self._steps and len(self._lines) < BATCH_STEPS:
            self._lines.append(self._encoder.encode(self._line()))

    def _line(self) -> StepLine:
        step = self._steps.popleft()
        return StepLine.of(step.now_ns, step.command, step.state)

    def _write_steps(self) -> bool:
        """Write the waiting lines; lines that the disk does not take wait for the next attempt."""
        if not self._lines:
            return True
        try:
            self._folder.write_steps(b"\n".join(self._lines) + b"\n")
        except OSError as error:
            self._failed(error)
            return False
        self.counters["steps"] += len(self._lines)
        self._lines.clear()
        self._is_failing = False
        return True

    def _write_frames(self) -> None:
        """Write waiting frames until too many steps wait."""
        while self._frames and len(self._steps) < BATCH_STEPS and not self._stopping.is_set():
            if self._is_failing:
                self._drop_frames()
                return
            self._write_set(self._frames.popleft())

    def _drop_frames(self) -> None:
        while self._frames:
            self.counters["images_dropped"] += len(self._frames.popleft().images)

    def _write_set(self, frames: _Frames) -> None:
        draft = frames.draft
        name = f"e{draft.episode:04d}_s{draft.step:06d}_t{draft.ticket:06d}.jpg"
        for camera, image in frames.images.items():
            self._write_image(camera, name, image)

    def _write_image(self, camera: str, name: str, image: Image) -> None:
        try:
            jpeg = encode_image(image, "jpeg", quality=self._config.jpeg_quality)
            self._folder.write_image(camera, name, jpeg.data)
        except (OSError, SpecError) as error:
            self.counters["images_dropped"] += 1
            self._failed(error)
        else:
            self.counters["images"] += 1

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            logger.warning("the recorder drops what it cannot write: %s", error)
        self._is_failing = True


def _plain(summary: LoopSummary) -> dict[str, object]:
    """Return the summary with texts instead of enums."""
    record: dict[str, object] = asdict(summary)
    record["link_s"] = {state.value: seconds for state, seconds in summary.link_s.items()}
    record["motion_s"] = {state.value: seconds for state, seconds in summary.motion_s.items()}
    return record

"""Recorder of a session, with a writer thread; what the disk cannot take is dropped and counted."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import msgspec

from vagus.control.config import RecorderConfig
from vagus.control.loop_stats import LoopSummary
from vagus.edge.handoff import Settled
from vagus.errors import SpecError
from vagus.recording.backlog import Backlog
from vagus.recording.frame_files import encode_colour, encode_range
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.session import FrameKind, Json
from vagus.recording.sink import FrameFile, SessionSink
from vagus.recording.summaries import lost
from vagus.threads import Supervised
from vagus.types import Command, DepthImage, FloatArray, Image, RequestDraft

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
BATCH_CHUNKS = 20


@dataclass(frozen=True, slots=True)
class _Step:
    now_ns: int
    command: Command
    state: FloatArray

    def line(self) -> StepLine:
        return StepLine.of(self.now_ns, self.command, self.state)


@dataclass(frozen=True, slots=True)
class _Chunk:
    now_ns: int
    settled: Settled

    def line(self) -> ChunkLine:
        return ChunkLine.of(self.now_ns, self.settled)


@dataclass(frozen=True, slots=True)
class _Frames:
    draft: RequestDraft
    images: Mapping[str, Image]
    depth: Mapping[str, DepthImage]

    def __len__(self) -> int:
        return len(self.images) + len(self.depth)


class Recorder:
    """Recorder that accepts steps, chunks and images without waiting and writes them on its own thread.

    Images are dropped first (their queue is short and is written last), then chunks, then steps; all are
    counted in `counters`. The recorder keeps the arrays that it gets; do not change them.

    Args:
        sink: session folder or file to write to; `close` closes it.
        config: queue limits and image quality.
    """

    def __init__(self, sink: SessionSink, config: RecorderConfig) -> None:
        self._sink = sink
        self._config = config
        self.counters: Counter[str] = Counter()
        self._steps = Backlog(
            "steps",
            most=config.max_waiting_steps,
            batch=BATCH_STEPS,
            line_of=_Step.line,
            write=sink.write_steps,
            counters=self.counters,
        )
        self._chunks = Backlog(
            "chunks",
            most=config.max_waiting_chunks,
            batch=BATCH_CHUNKS,
            line_of=_Chunk.line,
            write=sink.write_chunks,
            counters=self.counters,
        )
        self._frames: deque[_Frames] = deque()
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._thread = Supervised(self._run, name="vagus-recorder")
        self._is_failing = False

    def start(self) -> Recorder:
        """Start the writer thread."""
        self._thread.start()
        return self

    def record_step(self, now_ns: int, command: Command, state: FloatArray) -> None:
        """Record one command; returns at once."""
        self._steps.put(_Step(now_ns, command, state))

    def record_chunk(self, now_ns: int, settled: Settled) -> None:
        """Record one chunk; returns at once."""
        self._chunks.put(_Chunk(now_ns, settled))

    def record_images(
        self, draft: RequestDraft, images: Mapping[str, Image], depth: Mapping[str, DepthImage]
    ) -> None:
        """Record the colour and depth frames of one request; returns at once."""
        if not self._config.images:
            return
        frames = _Frames(draft, images, depth)
        if len(self._frames) >= self._config.max_waiting_images:
            self.counters["images_dropped"] += len(frames)
            return
        self._frames.append(frames)

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
        for sentence in lost(record):
            logger.warning("%s", sentence)
        if summary is not None:
            record["loop"] = msgspec.json.decode(msgspec.json.encode(_plain(summary)))
        try:
            self._sink.close(record)
        except OSError as error:
            logger.warning("the end of the recording could not be written: %s", error)

    def _run(self) -> None:
        waited_s = 0.0
        while not self._stopping.wait(REST_S if self._is_failing else POLL_S):
            waited_s += POLL_S
            self._take()
            is_full = self._steps.has_batch or self._chunks.has_batch
            if self._is_failing or is_full or waited_s >= self._config.flush_s:
                waited_s = 0.0
                self._write()
            self._write_frames()
        self._drain()

    def _drain(self) -> None:
        """Write the rest, steps first; drop what cannot be written now."""
        while (self._steps or self._chunks) and not self._giving_up.is_set():
            self._take()
            if not self._write():
                break
        self._steps.drop()
        self._chunks.drop()
        while self._frames and not self._giving_up.is_set():
            self._write_set(self._frames.popleft())
        self._drop_frames()

    def _take(self) -> None:
        self._steps.take()
        self._chunks.take()

    def _write(self) -> bool:
        """Write the lines that wait; return whether the disk has taken them."""
        try:
            self._steps.write()
            self._chunks.write()
        except OSError as error:
            self._failed(error)
            return False
        self._is_failing = False
        return True

    def _write_frames(self) -> None:
        """Write waiting frames until too many steps wait."""
        while self._frames and len(self._steps) < 2 * BATCH_STEPS and not self._stopping.is_set():
            if self._is_failing:
                self._drop_frames()
                return
            self._write_set(self._frames.popleft())

    def _drop_frames(self) -> None:
        while self._frames:
            self.counters["images_dropped"] += len(self._frames.popleft())

    def _write_set(self, frames: _Frames) -> None:
        quality = self._config.jpeg_quality
        for camera, image in frames.images.items():
            encode = partial(encode_colour, image, quality=quality)
            self._write_frame(camera, FrameKind.COLOUR, frames.draft, encode)
        for camera, ranges in frames.depth.items():
            self._write_frame(camera, FrameKind.DEPTH, frames.draft, partial(encode_range, ranges))

    def _write_frame(
        self, camera: str, kind: FrameKind, draft: RequestDraft, encode: Callable[[], bytes | memoryview]
    ) -> None:
        try:
            frame = FrameFile(
                camera=camera,
                kind=kind,
                episode=draft.episode,
                step=draft.step,
                ticket=draft.ticket,
                captured_ns=draft.captured_ns,
                content=encode(),
            )
            self._sink.write_frame(frame)
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

"""The recorder writes what it can, counts what it cannot, and keeps nobody waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from control.rig import Rig
from recording.rig import STATE, command, draft, image, ranges, settled
from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.loop_stats import EndReason, LoopStats
from vagus.errors import ProtocolError
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.reader import read
from vagus.recording.recorder import Recorder
from vagus.recording.session import FrameKind, Json
from vagus.recording.session_folder import SessionFolder
from vagus.recording.sink import FrameFile
from vagus.types import Command, LinkState, MotionState, Provenance

PATIENCE_S = 20.0
NO_SPACE = OSError(28, "No space left on device")


class Disk(SessionFolder):
    """A disk that can be full, or hang."""

    def __init__(self, path: Path, metadata: Mapping[str, Json] | None = None) -> None:
        super().__init__(path, metadata or {})
        self.is_full = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def write_steps(self, lines: Sequence[StepLine]) -> None:
        self._wait()
        super().write_steps(lines)

    def write_chunks(self, lines: Sequence[ChunkLine]) -> None:
        self._wait()
        super().write_chunks(lines)

    def write_frame(self, frame: FrameFile) -> None:
        self._wait()
        super().write_frame(frame)

    def _wait(self) -> None:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        if self.is_full:
            raise NO_SPACE


def lines_of(folder: SessionFolder) -> list[dict[str, Json]]:
    return [json.loads(line) for line in (folder.path / "steps.jsonl").read_text().splitlines()]


def recorder_of(disk: Disk, **bounds: int) -> Recorder:
    config = RecorderConfig(
        max_waiting_steps=bounds.get("steps", 6000),
        max_waiting_chunks=30,
        max_waiting_images=bounds.get("images", 16),
        flush_s=0.05,
    )
    return Recorder(disk, config)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "session")
    yield disk
    disk.gate.set()


def test_a_step_is_written_with_all_that_is_known_of_it(disk: Disk) -> None:
    recorder = recorder_of(disk).start()
    recorder.record_step(99, command(4), STATE)
    where = Provenance(None, None, 0, None, None, None, LinkState.DEGRADED, MotionState.FALLBACK)
    recorder.record_step(100, Command(np.zeros(2), where, is_moving=True), STATE)
    recorder.close()
    first, second = lines_of(disk)
    assert first == {
        "t_ns": 99,
        "epoch": 7,
        "seq": 8,
        "episode": 1,
        "step": 4,
        "index": 2,
        "age_ms": 12.346,
        "link": "streaming",
        "motion": "playing",
        "limited": ["jerk", "velocity"],
        "is_moving": False,
        "action": [0.25, 1.0],
        "state": [0.5, -0.5],
    }
    assert (second["age_ms"], second["motion"], second["is_moving"]) == (None, "fallback", True)


def test_images_are_written_as_jpeg_by_camera_episode_and_step(disk: Disk) -> None:
    recorder = recorder_of(disk).start()
    recorder.record_images(draft(3), {"top": image(), "side": image()}, {})
    recorder.close()
    (file,) = (disk.path / "images" / "top").iterdir()
    assert file.name == "e0001_s000003_t000003_n903.jpg"
    pixels = simplejpeg.decode_jpeg(file.read_bytes(), colorspace="RGB")
    assert pixels[4, 4].tolist() == pytest.approx([200, 30, 10], abs=6)
    assert recorder.counters["images"] == 2


def test_a_chunk_is_written_with_its_request_and_what_became_of_it(disk: Disk) -> None:
    recorder = recorder_of(disk).start()
    recorder.record_chunk(5, settled(3))
    recorder.record_chunk(6, settled(4, "too_late"))
    recorder.close()
    first, second = read(disk.path).chunks
    assert (first.t_ns, first.outcome, first.is_merged) == (5, "merged", True)
    assert (second.t_ns, second.outcome, second.is_merged) == (6, "too_late", False)
    assert (first.epoch, first.seq, first.ticket, first.captured_ns) == (7, 3, 3, 803)
    assert (first.episode, first.step, first.next_step, len(first)) == (1, 20, 22, 3)
    assert (first.inference_delay, first.prefix_horizon, first.prefix_length) == (1, 2, 1)
    chunk = settled().proposal.chunk
    np.testing.assert_array_equal(first.robot, chunk.robot)
    np.testing.assert_array_equal(first.model, chunk.model)
    np.testing.assert_array_equal(first.state, STATE)
    assert {first.robot.dtype, first.model.dtype, first.state.dtype} == {np.dtype(np.float32)}
    assert recorder.counters["chunks"] == 2


def test_depth_is_written_without_loss_beside_the_colour_and_dropped_with_it(disk: Disk) -> None:
    recorder = recorder_of(disk).start()
    recorder.record_images(draft(3), {"top": image()}, {"range": ranges()})
    recorder.close()
    depth, colour = read(disk.path).frames
    assert (depth.camera, depth.kind, colour.kind) == ("range", FrameKind.DEPTH, FrameKind.COLOUR)
    assert depth.path.name == "e0001_s000003_t000003_n903.png"
    loaded = depth.load()
    assert loaded.dtype == np.uint16
    np.testing.assert_array_equal(loaded, ranges())
    depth.path.write_bytes(depth.path.read_bytes()[:20])
    with pytest.raises(ProtocolError, match=r"wanted a PNG, got a file that is too short"):
        depth.load()
    assert recorder.counters["images"] == 2
    late = recorder_of(disk, images=1)
    for _ in range(2):
        late.record_images(draft(3), {"top": image()}, {"range": ranges()})
    assert late.counters["images_dropped"] == 2


def test_images_can_be_left_out(disk: Disk) -> None:
    recorder = Recorder(disk, RecorderConfig(images=False)).start()
    recorder.record_images(draft(3), {"top": image()}, {})
    recorder.close()
    assert not (disk.path / "images").exists()


def test_the_summary_of_the_loop_is_kept(disk: Disk) -> None:
    recorder = recorder_of(disk).start()
    recorder.record_step(0, command(0), STATE)
    summary = LoopStats().summary(EndReason.DEAD, "the link is dead", limited={"jerk": 1}, camera_errors=2)
    recorder.close(summary)
    recorder.close(summary)
    kept = json.loads((disk.path / "metadata.json").read_text())["summary"]
    assert kept["recorder"] == {"steps": 1, "steps_dropped": 0, "chunks_dropped": 0}
    assert kept["loop"]["reason"] == "dead"
    assert kept["loop"]["link_s"]["streaming"] == 0.0
    assert kept["loop"]["limited"] == {"jerk": 1}


def test_a_hanging_disk_drops_images_first_then_steps_and_keeps_nobody_waiting(disk: Disk) -> None:
    recorder = recorder_of(disk, steps=100, images=2).start()
    disk.gate.clear()
    recorder.record_step(0, command(0), STATE)
    assert disk.entered.wait(PATIENCE_S)
    for step in range(50):
        recorder.record_step(step, command(step), STATE)
        recorder.record_images(draft(step), {"top": image()}, {})
    assert recorder.counters["images_dropped"] == 48
    assert recorder.counters["steps_dropped"] == 0
    for step in range(200):
        recorder.record_step(step, command(step), STATE)
        recorder.record_chunk(step, settled(step))
    assert recorder.counters["steps_dropped"] == 150
    assert recorder.counters["chunks_dropped"] == 170
    disk.gate.set()
    recorder.close()
    assert recorder.counters["chunks"] == len(read(disk.path).chunks) == 30
    assert recorder.counters["steps"] == len(lines_of(disk)) == 101
    assert recorder.counters["images"] == 2


def test_a_full_disk_keeps_steps_for_when_there_is_room_again_and_counts_the_images(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_of(disk).start()
    disk.is_full = True
    recorder.record_images(draft(0), {"top": image()}, {})
    recorder.record_step(0, command(0), STATE)
    assert disk.entered.wait(PATIENCE_S)
    disk.is_full = False
    recorder.close()
    assert len(lines_of(disk)) == 1
    assert recorder.counters["images"] + recorder.counters["images_dropped"] == 1


def test_a_disk_that_stays_full_loses_what_is_left_and_says_how_much(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_of(disk).start()
    disk.is_full = True
    for step in range(7):
        recorder.record_step(step, command(step), STATE)
    recorder.record_images(draft(0), {"top": image(), "side": image()}, {})
    recorder.record_chunk(0, settled())
    recorder.close()
    assert recorder.counters["steps_dropped"] == 7
    assert recorder.counters["chunks_dropped"] == 1
    assert recorder.counters["images_dropped"] == 2
    assert caplog.text.count("drops what it cannot write") == 1
    assert "the recorder dropped what it could not write: steps_dropped 7" in caplog.text
    summary = json.loads((disk.path / "metadata.json").read_text())["summary"]
    assert summary["recorder"]["steps_dropped"] == 7


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("a small tmpfs can only be mounted by root")
    mount = tmp_path / "small"
    mount.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)]
    made = subprocess.run(mounting, check=False, capture_output=True)
    if made.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {made.stderr.decode().strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_on_a_really_full_disk_no_tick_is_missed_and_every_line_can_be_read(small_disk: Path) -> None:
    folder = SessionFolder(small_disk / "session", {"robot": "sim"})
    recorder = Recorder(folder, RecorderConfig(max_waiting_steps=500, flush_s=0.05)).start()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    deadline = time.monotonic() + PATIENCE_S
    step = 0
    while not recorder.counters["steps_dropped"] or not recorder.counters["images_dropped"]:
        assert time.monotonic() < deadline
        recorder.record_step(step, command(step), STATE)
        recorder.record_images(draft(step), {"top": noise}, {})
        step += 1
        time.sleep(0.0005)
    summary = Rig(config=LoopConfig(duration_s=20.0), recorder=recorder).loop.run()
    assert (summary.reason, summary.missed) == (EndReason.FINISHED, 0)
    assert len(lines_of(folder)) == recorder.counters["steps"] > 0
    kept = json.loads((folder.path / "metadata.json").read_text())["summary"]
    assert kept["loop"]["reason"] == "finished"


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from recording.rig import command, STATE
from vagus.control.config import RecorderConfig
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.recorder import Recorder
from vagus.recording.session_folder import SessionFolder
from vagus.recording.sink import FrameFile
recorder = Recorder(SessionFolder(Path(sys.argv[1]), {"robot": "sim"}), RecorderConfig(flush_s=0.1)).start()
step = 0
while True:
    recorder.record_step(step, command(step), STATE)
    step += 1
    if recorder.counters["steps"] > 200:
        print("ready", flush=True)
    time.sleep(0.001)
"""


@pytest.mark.process
def test_after_kill_9_every_line_can_be_read(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    path = tmp_path / "session"
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path), tests], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
    lines = (path / "steps.jsonl").read_text().splitlines()
    assert len(lines) > 200
    assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))
    assert json.loads((path / "metadata.json").read_text()) == {"robot": "sim"}


def test_a_loop_with_a_recorder_leaves_one_line_per_command_and_one_per_chunk(disk: Disk) -> None:
    rig = Rig(config=LoopConfig(duration_s=1.5), recorder=recorder_of(disk).start())
    summary = rig.loop.run()
    assert len(lines_of(disk)) == summary.commands
    chunks = read(disk.path).chunks
    assert len(chunks) == rig.engine.counters["merged"] > 1
    assert [chunk.seq for chunk in chunks] == list(range(1, len(chunks) + 1))
    kept = json.loads((disk.path / "metadata.json").read_text())["summary"]
    assert kept["loop"]["ticks"] == summary.ticks

"""The recorder of datasets against a writer of the test's own: bounds, lateness, failures."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from vagus.control.mapping import OrderMapping
from vagus.errors import ConfigError
from vagus.integrations.lerobot.dataset.frames import FrameCutter
from vagus.integrations.lerobot.dataset.messages import EndEpisode, WriteFrame, WriterReply
from vagus.integrations.lerobot.dataset.provenance import COLUMNS
from vagus.integrations.lerobot.dataset.recorder import (
    DatasetRecorder,
    DatasetSettings,
    start_dataset_recorder,
)
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, RobotSpec, StateFeature
from vagus.types import Command, Image, LinkState, MotionState, Provenance

PERIOD_NS = 40_000_000
PATIENCE_S = 10.0
FRAME: Image = np.zeros((4, 6, 3), dtype=np.uint8)


class Sink:
    """Keeps what it is sent; can be made to wait, and to break."""

    def __init__(self) -> None:
        self.sent: list[WriteFrame | EndEpisode] = []
        self.images: list[Mapping[str, Image] | None] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_broken = False
        self.reply: WriterReply | None = WriterReply(episodes=1, frames=1)

    def send(self, message: WriteFrame | EndEpisode, images: Mapping[str, Image] | None = None) -> None:
        self.gate.wait(PATIENCE_S)
        if self.is_broken:
            raise BrokenPipeError
        self.sent.append(message)
        self.images.append(images)

    def close(self) -> WriterReply | None:
        return self.reply

    @property
    def actions(self) -> list[list[float]]:
        return [message.action for message in self.sent if isinstance(message, WriteFrame)]


def recorder(
    sink: Sink, read: Callable[[], Mapping[str, Image]] | None, *, max_waiting: int = 100
) -> DatasetRecorder:
    cutter = FrameCutter(period_s=0.04, tick_s=0.04, summed=np.array([False, False]))
    made = DatasetRecorder(cutter, sink, "reach", to_robot=lambda a: a[::-1], max_waiting=max_waiting)
    made.start(read, () if read is None else ("front",))
    return made


def feed(under_test: DatasetRecorder, at: int, motion: MotionState = MotionState.PLAYING) -> None:
    provenance = Provenance(7, at, 0, at, 0, 2_000_000, LinkState.STREAMING, motion)
    action = np.array([float(at), -1.0])
    under_test.record_step(at * PERIOD_NS, Command(action, provenance), np.array([at], dtype=np.float32))


def await_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_frames_arrive_in_order_in_the_robots_order_with_pictures_and_provenance() -> None:
    sink = Sink()
    under_test = recorder(sink, lambda: {"front": FRAME, "other": FRAME})
    for at in range(3):
        feed(under_test, at)
        await_until(lambda count=at: len(sink.sent) >= count)  # type: ignore[misc]
        frame = under_test._cutter._frame
        await_until(lambda frame=frame: frame is not None and frame.is_looked_at)  # type: ignore[misc]
    under_test.close()
    under_test.close()
    assert sink.actions == [[-1.0, 0.0], [-1.0, 1.0], [-1.0, 2.0]]
    assert isinstance(sink.sent[-1], EndEpisode)
    first = sink.sent[1]
    assert isinstance(first, WriteFrame)
    assert (first.task, first.state, set(first.columns)) == ("reach", [1.0], set(COLUMNS))
    assert (first.columns["vagus.session"], first.columns["vagus.seq"], first.columns["vagus.age_ms"]) == (
        7,
        1,
        2,
    )
    assert sink.images[0] == {"front": FRAME}
    assert under_test.counters["frames"] == 3


def test_a_hold_is_marked() -> None:
    sink = Sink()
    under_test = recorder(sink, None)
    feed(under_test, 0)
    feed(under_test, 1, MotionState.FALLBACK)
    under_test.close()
    assert [m.columns["vagus.fallback"] for m in sink.sent if isinstance(m, WriteFrame)] == [0.0, 1.0]


def test_a_writer_that_is_busy_costs_frames_beyond_the_bound_and_the_control_thread_nothing() -> None:
    sink = Sink()
    sink.gate.clear()
    under_test = recorder(sink, None, max_waiting=10)
    for at in range(50):
        feed(under_test, at)
    sink.gate.set()
    under_test.close()
    assert 10 <= len(sink.actions) <= 12
    assert under_test.counters["frames"] + under_test.counters["frames_dropped"] == 50
    assert sink.actions == sorted(sink.actions)


def test_cameras_that_hang_cost_frames_and_hold_nobody_up() -> None:
    sink, gate = Sink(), threading.Event()

    def hang() -> Mapping[str, Image]:
        gate.wait(PATIENCE_S)
        return {"front": FRAME}

    under_test = recorder(sink, hang, max_waiting=10)
    for at in range(50):
        feed(under_test, at)
    gate.set()
    await_until(lambda: not under_test._wanted)
    feed(under_test, 50)
    under_test.close()
    counted = under_test.counters
    assert counted["frames"] + counted["frames_dropped"] + counted["frames_unseen"] == 51
    assert counted["frames_unseen"] >= 8
    assert len(under_test._wanted) <= 10


def test_a_camera_that_fails_costs_its_frame() -> None:
    sink, calls = Sink(), iter([{"front": FRAME}, {}, {"front": FRAME}])
    under_test = recorder(sink, lambda: next(calls))
    for at in range(3):
        feed(under_test, at)
        frame = under_test._cutter._frame
        await_until(lambda frame=frame: frame is not None and frame.is_looked_at)  # type: ignore[misc]
    under_test.close()
    assert [action[1] for action in sink.actions] == [0.0, 2.0]
    assert under_test.counters["frames_unseen"] == 1


def test_a_writer_that_is_gone_is_told_once_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.is_broken = True
    sink.reply = WriterReply(error="killed")
    under_test = recorder(sink, None)
    for at in range(5):
        feed(under_test, at)
    under_test.close()
    assert under_test.counters["frames_dropped"] == 5
    assert [record.message for record in caplog.records if "gone" in record.message] == [
        "the dataset's writer is gone (); nothing more is recorded"
    ]
    assert "the dataset could not be finished: killed" in caplog.text


def test_a_writer_that_takes_too_long_is_left_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.reply = None
    recorder(sink, None).close()
    assert "still being written" in caplog.text


def spec() -> RobotSpec:
    actions = (ActionFeature("x", "rad"),)
    return RobotSpec("arm", actions, (StateFeature("x", "rad"),), (CameraSpec("front", 4, 6),), 30.0)


def mapping() -> OrderMapping:
    robot = spec()
    return OrderMapping(robot, PolicySpec("p", robot.actions, robot.state, (), 5, 1, 30.0))


def settings(root: Path, rate_hz: float = 30.0) -> DatasetSettings:
    return DatasetSettings(str(root), "local/a", rate_hz, "reach")


def test_a_rate_that_lerobot_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        start_dataset_recorder(spec(), settings(tmp_path, 12.5), mapping=mapping(), read_images=dict)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="LeRobot may be installed")
def test_without_lerobot_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset extra.*No module named 'lerobot'.*vagus\[lerobot\]"):
        start_dataset_recorder(spec(), settings(tmp_path), mapping=mapping(), read_images=dict)

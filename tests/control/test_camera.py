"""The camera thread: the newest request is served, failures are told and counted."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from vagus.control.camera import CameraThread
from vagus.control.frames import Sight
from vagus.errors import RobotError
from vagus.types import RequestDraft, Snapshot

PATIENCE_S = 10.0


def draft(ticket: int) -> RequestDraft:
    return RequestDraft(ticket, 0, ticket, np.zeros(1, dtype=np.float32), 0, None, 0, False, 0)


class NotingClient:
    def __init__(self) -> None:
        self.served: list[str] = []
        self.done = threading.Semaphore(0)

    def offer(self, snapshot: Snapshot) -> None:
        self.served.append(f"offer {snapshot.draft.ticket}")
        self.done.release()

    def draft_failed(self, ticket: int) -> None:
        self.served.append(f"failed {ticket}")
        self.done.release()


class Camera:
    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.error: Exception | None = None

    def read(self) -> Sight:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return Sight({"cam": np.zeros((1, 1, 3), np.uint8)}, {"cam_depth": np.full((1, 1), 7, np.uint16)})


def test_a_draft_that_waits_behind_a_hanging_camera_gives_way_to_the_newest() -> None:
    camera, client = Camera(), NotingClient()
    thread = CameraThread(camera.read, client)
    thread.start()
    camera.gate.clear()
    thread.ask(draft(1))
    assert camera.entered.wait(PATIENCE_S)
    thread.ask(draft(2))
    thread.ask(draft(3))
    camera.gate.set()
    for _ in range(2):
        assert client.done.acquire(timeout=PATIENCE_S)
    thread.stop(PATIENCE_S)
    assert client.served == ["offer 1", "offer 3"]


@pytest.mark.parametrize("error", [RobotError("no frame"), ZeroDivisionError("a driver's bug")])
def test_a_failing_camera_is_counted_told_once_and_used_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    camera, client = Camera(), NotingClient()
    thread = CameraThread(camera.read, client)
    thread.start()
    for ticket, fault in enumerate([error, error, None], start=1):
        camera.error = fault
        thread.ask(draft(ticket))
        assert client.done.acquire(timeout=PATIENCE_S)
    thread.stop(PATIENCE_S)
    assert client.served == ["failed 1", "failed 2", "offer 3"]
    assert thread.health.errors == 2
    assert caplog.text.count("no images for this request") == 1
    assert "the cameras are back" in caplog.text


def test_images_are_shown_to_the_recorder_after_they_were_offered() -> None:
    camera, client = Camera(), NotingClient()
    seen: list[tuple[int, list[str]]] = []
    thread = CameraThread(
        camera.read, client, lambda d, images, depth: seen.append((d.ticket, [*images, *depth]))
    )
    thread.start()
    thread.ask(draft(4))
    assert client.done.acquire(timeout=PATIENCE_S)
    thread.stop(PATIENCE_S)
    assert seen == [(4, ["cam", "cam_depth"])]


def test_a_camera_that_hangs_at_the_end_is_left_behind_and_offers_nothing_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    camera, client = Camera(), NotingClient()
    thread = CameraThread(camera.read, client)
    thread.start()
    camera.gate.clear()
    thread.ask(draft(1))
    assert camera.entered.wait(PATIENCE_S)
    thread.stop(0.01)
    assert "left behind" in caplog.text
    camera.gate.set()
    thread.stop(PATIENCE_S)
    assert client.served == []


def test_a_thread_that_never_started_can_be_stopped() -> None:
    CameraThread(Camera().read, NotingClient()).stop(0.01)

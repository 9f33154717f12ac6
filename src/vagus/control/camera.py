"""The camera thread: reads images for a request and hands the whole over, however long a camera takes."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from vagus.clock import Clock, MonotonicClock
from vagus.control.camera_health import CameraHealth
from vagus.control.frames import Sight
from vagus.threads import Supervised
from vagus.types import DepthImage, Image, RequestDraft, Snapshot

__all__ = ["CameraThread", "ClientPort"]

logger = logging.getLogger(__name__)

IDLE_S = 0.5
"""Longest delay before the thread notices a stop while no images are wanted."""


class ClientPort(Protocol):
    """What the loop needs of the policy client; called by the camera thread."""

    def offer(self, snapshot: Snapshot) -> None:
        """Hand over a request with its images."""
        ...

    def draft_failed(self, ticket: int) -> None:
        """Tell that no images could be read for this request."""
        ...


class CameraThread:
    """Turns drafts into snapshots. The newest draft wins; one that waits behind a hanging camera is dropped.

    Args:
        read_images: called on this thread; returns frames in the policy's names.
        client: gets the snapshots.
        on_images: sees what was read, e.g. the recorder.
        clock: tells the time.

    Attributes:
        sight: whether the robot sees.
    """

    def __init__(
        self,
        read_images: Callable[[], Sight],
        client: ClientPort,
        on_images: Callable[[RequestDraft, Mapping[str, Image], Mapping[str, DepthImage]], None]
        | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._read_images = read_images
        self._client = client
        self._on_images = on_images
        self._drafts: deque[RequestDraft] = deque(maxlen=1)
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = Supervised(self._run, name="vagus-camera")
        self._clock = clock or MonotonicClock()
        self.health = CameraHealth()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, draft: RequestDraft) -> None:
        """Ask for images for `draft` (control thread); returns at once."""
        self._drafts.append(draft)
        self._asked.set()

    def stop(self, timeout_s: float) -> None:
        """End the thread; one that hangs in a camera is left behind after `timeout_s`."""
        self._stopping.set()
        self._asked.set()
        if not self._thread.is_alive():
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("a camera hangs; its thread is left behind")

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._asked.wait(IDLE_S)
            self._asked.clear()
            if self._drafts and not self._stopping.is_set():
                self._serve(self._drafts.popleft())

    def _serve(self, draft: RequestDraft) -> None:
        self.health.begin(self._clock.now_ns())
        try:
            images, depth = self._read_images()
        except BaseException as error:  # noqa: BLE001 - a driver's fault costs one request, not the robot
            self._fail(draft, error)
            return
        said = self.health.seen()
        if said:
            logger.warning(said)
        if self._stopping.is_set():
            return
        self._client.offer(Snapshot(draft, images, depth))
        if self._on_images is not None:
            self._on_images(draft, images, depth)

    def _fail(self, draft: RequestDraft, error: BaseException) -> None:
        said = self.health.failed(error, self._clock.now_ns())
        if said:
            logger.warning("%s", said, exc_info=error if logger.isEnabledFor(logging.DEBUG) else None)
        self._client.draft_failed(draft.ticket)

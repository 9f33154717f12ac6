"""A robot that follows every command at once, writes down every call, and fails where it is told to."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vagus.demo.arm import ACTIONS, CAMERAS, HOME, STATE
from vagus.specs import CameraSpec, RobotSpec
from vagus.types import ActionArray, FloatArray, Image


class Noting:
    """Writes one word per call to a file, in order."""

    def __init__(
        self,
        *,
        log: str,
        fails_in: str = "",
        after: int = 50,
        cameras: bool = False,
        camera: str = "",
        hangs: bool = False,
    ) -> None:
        """Make it.

        Args:
            log: file for the calls.
            fails_in: name of the method that raises.
            after: how many calls of that method go well.
            cameras: have the simulated arm's cameras.
            camera: have its first one under this name instead.
            hangs: do not raise there but never return, as a port that nobody answers at.
        """
        views = tuple(view.spec for view in CAMERAS) if cameras else ()
        if camera:
            views = (CameraSpec(camera, views[0].height, views[0].width), *views[1:])
        self.spec = RobotSpec("noting", ACTIONS, STATE[:6], views, 100.0)
        self._joints = HOME.copy()
        self._fails_in = fails_in
        self._left = after
        self._hangs = hangs
        self._log = Path(log).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 - for life

    def connect(self) -> None:
        """Note it."""
        self._note("connect")

    def read_state(self) -> FloatArray:
        """Return the joints."""
        self._note("read_state")
        state: FloatArray = self._joints.astype(np.float32)
        return state

    def read_images(self) -> Mapping[str, Image]:
        """Return black frames."""
        self._note("read_images")
        return {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in self.spec.cameras}

    def command(self, action: ActionArray) -> None:
        """Be there."""
        self._note("command")
        self._joints = action.copy()

    def stop(self) -> None:
        """Note it."""
        self._note("stop")

    def close(self) -> None:
        """Note it, slowly."""
        time.sleep(0.1)
        self._note("close")

    def _note(self, call: str) -> None:
        self._log.write(f"{call}\n")
        if call != self._fails_in:
            return
        if self._left <= 0 and self._hangs:
            nobody, _writes = os.pipe()
            os.read(nobody, 1)
        if self._left <= 0:
            raise OSError(f"the bus does not answer in {call}")
        self._left -= 1

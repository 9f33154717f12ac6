"""Control of the process that shows a run in Rerun, from the robot's process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import BinaryIO, cast

from vagus.integrations.rerun.live_messages import LiveMessage, write_live
from vagus.quoting import quoted
from vagus.threads import Supervised

__all__ = ["ViewerProcess"]

logger = logging.getLogger(__name__)

PROGRAM = "vagus.integrations.rerun.live_program"
WORDS_BYTES = 2048
"""How much of its output is read when it fails."""
END_S = 15.0
"""Longest time that it may take at the end to show what it has got; then it is killed."""


class ViewerProcess:
    """Process that shows messages.

    Args:
        command: what to start; by default our own program.
    """

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", PROGRAM)) -> None:
        # not a pipe: what is printed must not fail or block when we are gone or busy
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a Ctrl-C at the terminal is for the robot
        )

    def send(self, message: LiveMessage) -> None:
        """Hand over a message; blocks while the process is busy.

        Raises:
            OSError: the process is gone.
        """
        write_live(self._pipe, message)

    def last_words(self) -> str:
        """Return the last line that the process has printed."""
        with suppress(ValueError, OSError):
            size = os.fstat(self._log.fileno()).st_size
            said = os.pread(self._log.fileno(), WORDS_BYTES, max(size - WORDS_BYTES, 0))
            lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
            return quoted(lines[-1], 200) if lines else "without a word"
        return "without a word"

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Let the process end by itself, without waiting for it. Twice is harmless."""
        if self._pipe.closed:
            return
        with suppress(OSError):
            self._pipe.close()
        Supervised(self._bury, name="vagus-view-end", is_repeated=False).start()

    def _bury(self) -> None:
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def _pipe(self) -> BinaryIO:
        return cast("BinaryIO", self._process.stdin)

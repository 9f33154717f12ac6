"""Control of the process that writes a LeRobot dataset, from the robot's process."""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import BinaryIO, cast

import msgspec

from vagus.errors import ConfigError
from vagus.integrations.lerobot.dataset.messages import (
    EndEpisode,
    OpenDataset,
    WriteFrame,
    WriterReply,
    write_message,
)
from vagus.threads import Supervised
from vagus.types import Image

__all__ = ["CLOSE_S", "WriterProcess"]

logger = logging.getLogger(__name__)

WRITER = "vagus.integrations.lerobot.dataset.writer"
OPEN_S = 120.0
"""Longest wait for LeRobot to be imported and the dataset to be opened."""
CLOSE_S = 120.0
"""Longest wait at the end; the writer then continues alone."""
LOG_BYTES = 4096
"""How much of its log is shown when the writer fails."""


class WriterProcess:
    """Writer process."""

    def __init__(self) -> None:
        # not a pipe: what is printed must not fail when we are gone
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", WRITER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env=environment,
            start_new_session=True,  # a Ctrl-C at the terminal is for the robot
        )
        self._replies: queue.SimpleQueue[WriterReply] = queue.SimpleQueue()
        Supervised(
            self._read_replies,
            name="vagus-dataset-replies",
            on_fault=lambda error: self._replies.put(WriterReply(error=repr(error))),
            is_repeated=False,
        ).start()

    def open(self, order: OpenDataset) -> WriterReply:
        """Open the dataset.

        Raises:
            ConfigError: it cannot be opened.
        """
        try:
            write_message(self._pipe, order)
        except OSError:
            logger.debug("the writer ended before it was told what to write")
        reply = self._await(OPEN_S)
        if reply is None or reply.error:
            self._process.kill()
            self._pipe.close()
            raise self._refusal(reply)
        return reply

    def send(self, message: WriteFrame | EndEpisode, images: Mapping[str, Image] | None = None) -> None:
        """Hand over a message; blocks while the writer is busy.

        Raises:
            OSError: the writer is gone.
        """
        write_message(self._pipe, message, images)

    def close(self) -> WriterReply | None:
        """End the pipe and wait for the dataset to be finished; None: the writer still is at it."""
        try:
            self._pipe.close()
        except OSError:
            logger.debug("the writer was gone before the end")
        return self._await(CLOSE_S)

    @property
    def _pipe(self) -> BinaryIO:
        return cast("BinaryIO", self._process.stdin)

    def _await(self, timeout_s: float) -> WriterReply | None:
        try:
            return self._replies.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _last_words(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        said = os.pread(self._log.fileno(), LOG_BYTES, max(size - LOG_BYTES, 0))
        return said.decode(errors="replace").strip() or "the writing process ended without a word"

    def _refusal(self, reply: WriterReply | None) -> ConfigError:
        said = f"no answer for {OPEN_S:g} s" if reply is None else reply.error
        if "ModuleNotFoundError" in said or "is required but not installed" in said:
            last = said.splitlines()[-1]
            return ConfigError(
                "recording a LeRobot dataset",
                wanted="LeRobot with its dataset extra",
                got=last,
                fix='pip install "vagus[lerobot]"',
            )
        return ConfigError("recording a LeRobot dataset", wanted="a dataset that can be written", got=said)

    def _read_replies(self) -> None:
        with cast("BinaryIO", self._process.stdout) as replies:
            for line in replies:
                self._replies.put(msgspec.json.decode(line, type=WriterReply))
        self._process.wait()
        self._replies.put(WriterReply(error=self._last_words()))  # read by nobody where it ended as it should
        self._log.close()

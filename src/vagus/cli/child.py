"""Child process with a vagus command, which ends with this process; its output is read line by line."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from vagus.cli.lifeline import LIFELINE
from vagus.errors import VagusError
from vagus.threads import Supervised

__all__ = ["Child"]

KEPT_LINES = 200
"""Number of last lines that are shown if the process fails."""
END_TIMEOUT_S = 10.0


class Child:
    """Child process `python -m vagus <arguments>`, from `start` to `end`."""

    def __init__(self, name: str, arguments: Sequence[str], *, python: str = sys.executable) -> None:
        """Prepare the process; `name` is for messages. It is not started yet."""
        self.name = name
        self._command = [python, "-m", "vagus", *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._reader: threading.Thread | None = None
        self._lifeline: int | None = None
        self._on_end: Callable[[], None] | None = None

    def __enter__(self) -> Child:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Start the process."""
        self._cut_lifeline()
        theirs, self._lifeline = os.pipe()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",  # a library below Python writes what it likes
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "NO_COLOR": "1",
                "COLUMNS": "200",
                LIFELINE: str(theirs),
            },
            pass_fds=(theirs,),
            start_new_session=True,  # a Ctrl-C at the terminal is for us; we end our children in order
        )
        os.close(theirs)
        self._reader = Supervised(partial(self._read, self._process), name="vagus-child", is_repeated=False)
        self._reader.start()

    def wait_for_line(self, marker: str, *, timeout_s: float) -> str:
        """Return the next line that contains `marker`.

        Raises:
            VagusError: the process ended or did not print it in time; its last lines are in the message.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                if self.exit_code is not None and self._lines.empty():
                    raise VagusError(
                        f"{self.name} ended with code {self.exit_code}:\n{self.output}"
                    ) from None
                continue
            if marker in line:
                return line
        raise VagusError(f"{self.name} did not say {marker!r} within {timeout_s:g} s:\n{self.output}")

    def follow(self, on_end: Callable[[], None]) -> None:
        """Keep only the last lines from now on. `on_end` is called when the process ends, once or twice."""
        self._on_end = on_end
        while not self._lines.empty():
            self._lines.get_nowait()
        if self.exit_code is not None:
            on_end()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, *, timeout_s: float) -> int:
        """Wait for the process to end by itself and return its exit code.

        Raises:
            VagusError: the process did not end in time.
        """
        if self._process is None:
            raise VagusError(f"{self.name} was not started")
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise VagusError(f"{self.name} did not end within {timeout_s:g} s:\n{self.output}") from error
        self._join_reader()
        return code

    def end(self) -> None:
        """End the process: first by a signal, then by force. A second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._cut_lifeline()
        self._join_reader()

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while the process runs."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return 0 if self._process is None else self._process.pid

    @property
    def output(self) -> str:
        """Last lines that the process printed."""
        return "\n".join(self._kept)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - opened as a pipe above
        with process.stdout as stream:
            for line in stream:
                self._kept.append(line.rstrip("\n"))
                if self._on_end is None:
                    self._lines.put(line.rstrip("\n"))
        if self._on_end is not None:
            self._on_end()

    def _cut_lifeline(self) -> None:
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def _join_reader(self) -> None:
        if self._reader is not None:
            self._reader.join(END_TIMEOUT_S)

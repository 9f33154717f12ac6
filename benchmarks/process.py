"""A process of a benchmark, spoken to in lines of JSON, and the CPU time that it has used."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

__all__ = ["ROOT", "Program", "ProgramError", "cpu_ns"]

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 180.0
END_TIMEOUT_S = 10.0
KEPT_LINES = 40

CPUCLOCK_SCHED = 2
"""Linux: with the complement of a process id shifted by 3, the clock of that process's CPU time."""


class ProgramError(Exception):
    """A process of a benchmark failed or went silent; its last words are in the message."""


def cpu_ns(pid: int) -> int:
    """Return the CPU time of another process, all its threads, in ns."""
    return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)


class Program:
    """`python -m <module> <arguments>` from `with` to the end of the block.

    It prints one line of JSON when it is ready and one for every line of JSON that it is sent.
    """

    def __init__(
        self, module: str, *arguments: str, python: str = sys.executable, prefix: Sequence[str] = ()
    ) -> None:
        """Name it; nothing is started yet.

        Args:
            module: what to run.
            arguments: of the program.
            python: interpreter.
            prefix: command that runs the interpreter, e.g. in a network namespace.
        """
        self._name = module
        self._command = [*prefix, python, "-m", module, *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._keeper: threading.Thread | None = None
        self.hello: dict[str, object] = {}
        """What it said when it was ready."""

    def __enter__(self) -> Program:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
            "PYTHONUNBUFFERED": "1",
        }
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self._keeper = threading.Thread(target=self._keep, args=(self._process.stderr,), daemon=True)
        self._keeper.start()
        try:
            self.hello = self._answer(START_TIMEOUT_S)
        except ProgramError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Kill it with SIGKILL; the end of the block does nothing more."""
        self._running.kill()
        self._running.wait()

    @property
    def pid(self) -> int:
        """Process id of the interpreter."""
        return self._running.pid

    @property
    def cpu_ns(self) -> int:
        """CPU time that it has used so far."""
        return cpu_ns(self.pid)

    def ask(self, timeout_s: float = ANSWER_TIMEOUT_S, **question: object) -> dict[str, object]:
        """Send a line and return the answer.

        Raises:
            ProgramError: it ended, or gave none in time.
        """
        stream = self._running.stdin
        assert stream is not None
        try:
            stream.write(json.dumps(question) + "\n")
            stream.flush()
        except BrokenPipeError as error:
            raise self._failed("has ended") from error
        return self._answer(timeout_s)

    def _answer(self, timeout_s: float) -> dict[str, object]:
        try:
            line = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            raise self._failed(f"gave no answer within {timeout_s:g} s") from None
        if line is None:
            if self._keeper is not None:
                self._keeper.join(END_TIMEOUT_S)  # its last words may come after the end of its output
            raise self._failed("ended")
        answer: dict[str, object] = json.loads(line)
        return answer

    def _read(self, stream: TextIO) -> None:
        with stream:
            for line in stream:
                if line.startswith("{"):
                    self._replies.put(line)
                else:
                    self._errors.append(line.rstrip())
        self._replies.put(None)

    def _keep(self, stream: TextIO) -> None:
        with stream:
            for line in stream:
                self._errors.append(line.rstrip())

    def _failed(self, what: str) -> ProgramError:
        return ProgramError(f"{self._name} {what}:\n" + "\n".join(self._errors))

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ProgramError(f"{self._name} is not running")
        return self._process

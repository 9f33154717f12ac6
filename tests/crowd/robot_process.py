"""Process of one foreign robot: who it is, its diary, and the orders of the test on its standard input."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crowd.diary import Diary
from crowd.numbers import Floats, instruction_of, pictures_of, read_answer, state_of
from vagus.types import Image

__all__ = ["RobotProcess", "run_robot"]

READY = "ready"
MAX_TEXT = 500


@dataclass
class RobotProcess:
    """One robot: it asks with a new number each time, and writes down what it gets.

    Attributes:
        kind: variant of the client, where a program has several.
        who: number of the robot.
        life: number of its process.
        address: host:port of the gateway.
        is_over: set when the test wants it to end.
    """

    kind: str
    who: int
    life: int
    address: str
    diary: Diary
    is_over: threading.Event = field(default_factory=threading.Event)
    counter: int = 0

    @property
    def state(self) -> Floats:
        """The state of the present request, (6,)."""
        return state_of(self.who, self.life, self.counter)

    @property
    def pictures(self) -> dict[str, Image]:
        """The pictures of the present request."""
        return pictures_of(self.who, self.counter)

    @property
    def instruction(self) -> str:
        """What it wants."""
        return instruction_of(self.who)

    def ask(self) -> None:
        """Begin the next request."""
        self.counter += 1
        self.diary.note("ask", self.counter)

    def got(self, actions: np.ndarray, *, rows: int) -> None:
        """Check the answer to the present request, (horizon, 6), of which there must be `rows` or more."""
        try:
            counter = read_answer(np.asarray(actions, np.float64), self.who, self.life)
        except ValueError as error:
            self.diary.note("wrong", self.counter, str(error)[:MAX_TEXT])
            return
        if counter == self.counter and len(actions) >= rows:
            self.diary.note("got", counter)
        else:
            told = f"wanted {rows} rows for {self.counter}, got {len(actions)} for {counter}"
            self.diary.note("wrong", self.counter, told)


def run_robot(work: Callable[[RobotProcess], None]) -> None:
    """Do `work` once the test says so; it ends when `is_over` is set, and any error is in the diary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", default="")
    parser.add_argument("--who", type=int, required=True)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--diary", type=Path, required=True)
    told = parser.parse_args()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    address = sys.stdin.readline().strip()
    if not address:
        return
    robot = RobotProcess(told.kind, told.who, told.life, address, Diary(told.diary))

    def wait_for_end() -> None:
        sys.stdin.read()  # until the test closes it, or is gone
        robot.is_over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    robot.diary.note("begin")
    try:
        work(robot)
    except Exception as error:
        robot.diary.note("error", robot.counter, f"{type(error).__name__}: {error}"[:MAX_TEXT])
        raise
    robot.diary.note("end")

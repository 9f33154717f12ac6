"""A robot for `vagus run` whose state says who it is, and that checks each command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crowd.diary import Diary
from crowd.numbers import SIZE, UNITS, fixed_numbers, pictures_of, read_answer, state_of
from vagus.specs import ActionFeature, CameraSpec, Limits, RobotSpec, StateFeature
from vagus.types import ActionArray, FloatArray, Image

RATE_HZ = 30.0
FREE = Limits(lower=-1e4, upper=1e4, velocity=1e6)
"""Wide enough that no answer is changed on its way to the robot."""


class Telling:
    """Writes down each reading as `ask`, and each answer that reaches its motors as `got`.

    After a stutter one command may lie between two answers: an answer is one that two commands are of.
    """

    def __init__(self, *, who: int, life: int, diary: str) -> None:
        """Make it.

        Args:
            who: number of the robot.
            life: number of its process.
            diary: file to write to.
        """
        self.spec = RobotSpec(
            "so100_follower",
            tuple(ActionFeature(name, unit, limits=FREE) for name, unit in UNITS.items()),
            tuple(StateFeature(name, unit) for name, unit in UNITS.items()),
            tuple(CameraSpec(name, *SIZE, may_repeat=True) for name in ("front", "wrist")),
            RATE_HZ,
        )
        self._who, self._life = who, life
        self._diary = Diary(Path(diary))
        self._counter = 0
        self._answered = 0
        self._before = 0

    def connect(self) -> None:
        """Begin."""
        self._diary.note("begin")

    def read_state(self) -> FloatArray:
        """Return who it is, where its answers will hold it."""
        self._counter += 1
        self._diary.note("ask", self._counter)
        state: FloatArray = state_of(self._who, self._life, self._counter).astype(np.float32)
        for place, number in fixed_numbers(self._who, self._life).items():
            state[place] = number
        return state

    def read_images(self) -> Mapping[str, Image]:
        """Return who it is."""
        return pictures_of(self._who)

    def command(self, action: ActionArray) -> None:
        """Check that it is of an answer to this robot, and not of an older one than before."""
        try:
            counter = read_answer(action[None], self._who, self._life, first_row=None)
        except ValueError as error:
            self._diary.note("wrong", self._counter, f"{action.tolist()}: {error}")
            return
        if not self._answered <= counter <= self._counter:
            told = f"an answer to {counter}, after {self._answered}, at {self._counter}"
            self._diary.note("wrong", self._counter, told)
        elif counter == self._before and counter != self._answered:
            self._answered = counter
            self._diary.note("got", counter)
        self._before = counter

    def stop(self) -> None:
        """Stay."""

    def close(self) -> None:
        """End."""
        self._diary.note("end")

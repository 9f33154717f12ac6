"""A world that fails or says what cannot be ends a study, and says where; it is not counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from trials.idle_policy import Idle
from vagus.demo.gates_trial import GatesTrial
from vagus.errors import PolicyError, RobotError
from vagus.specs import CameraSpec
from vagus.trials.checked_world import CheckedWorld
from vagus.trials.delay_law import DelayLaw
from vagus.trials.play_method import METHODS
from vagus.trials.trial_robot import phase_of
from vagus.trials.trial_run import DelayTrial, run_trials
from vagus.trials.world_robot import WorldRobot
from vagus.types import ActionArray, FloatArray, Image


class Wrong(GatesTrial):
    """A world in which one thing goes wrong at step 20 of seed 1."""

    closed = 0

    def __init__(self, what: str, answer: object = None) -> None:
        super().__init__()
        self._what, self._answer = what, answer
        self._seed = self._steps = 0

    def reset(self, seed: int) -> None:
        self._seed, self._steps = seed, 0
        if seed == 1:
            self._fail("reset")
        super().reset(seed)

    def advance(self, action: ActionArray | None) -> None:
        self._steps += 1
        if self._is_wrong:
            self._fail("advance")
        super().advance(action)

    def state(self) -> FloatArray:
        wrong = self._is_wrong and self._what == "state"
        return self._answer if wrong else super().state()  # type: ignore[return-value]

    def images(self) -> Mapping[str, Image]:
        return {}

    @property
    def is_over(self) -> bool:
        if self._is_wrong:
            self._fail("is_over")
        return super().is_over

    @property
    def successes(self) -> int:
        return self._answer if self._what == "successes" else super().successes  # type: ignore[return-value]

    def close(self) -> None:
        type(self).closed += 1
        self._fail("close")

    @property
    def _is_wrong(self) -> bool:
        return self._seed == 1 and self._steps >= 20

    def _fail(self, what: str) -> None:
        if what == self._what:
            raise KeyError("no display") if self._answer is None else SystemExit(0)


def play(what: str, answer: object = None) -> None:
    trial = DelayTrial(lambda: Wrong(what, answer), Idle(), METHODS["naive"], DelayLaw(100))
    run_trials(trial, range(3))


@pytest.mark.parametrize(
    ("what", "answer", "told"),
    [
        ("reset", None, r"world, reset, step 0 of the episode of seed 1: KeyError: 'no display' \(test_ch"),
        ("advance", None, "world, advance, step 20 of the episode of seed 1: KeyError: 'no display'"),
        ("is_over", None, "world, is_over, step 20 of the episode of seed 1: KeyError"),
        ("advance", "exits", "world, advance, step 20 of the episode of seed 1: SystemExit: 0"),
        ("close", None, "world, close: KeyError"),
        ("state", np.full(5, np.nan), r"state, step 2\d of the episode of seed 1: wanted 5 finite numbers"),
        ("state", np.zeros(2), "wanted 5 finite numbers, got"),
        ("state", np.zeros((1, 5)), "wanted 5 finite numbers, got"),
        ("state", np.array(["a"] * 5), "state, step 2"),
        ("state", None, "wanted 5 finite numbers, got None"),
        ("successes", 7, "successes, step .*: wanted a whole number from 0 to 6, got 7"),
        ("successes", -1, "got -1"),
        ("successes", 0.5, "got 0.5"),
        ("successes", math.nan, "got nan"),
        ("successes", math.inf, "successes"),
        ("successes", None, "successes"),
    ],
)
def test_what_goes_wrong_in_a_world_says_where(what: str, answer: object, told: str) -> None:
    Wrong.closed = 0
    with pytest.raises(RobotError, match=told):
        play(what, answer)
    assert Wrong.closed == 3


def test_a_world_that_cannot_be_made_leaves_none_open() -> None:
    made: list[Wrong] = []

    def make() -> Wrong:
        if len(made) == 2:
            raise PolicyError("no more")
        made.append(Wrong(""))
        return made[-1]

    Wrong.closed = 0
    with pytest.raises(PolicyError, match="no more"):
        run_trials(DelayTrial(make, Idle(), METHODS["naive"], DelayLaw(100)), range(3))
    assert Wrong.closed == 2


def test_a_robot_in_real_time_fails_as_clearly() -> None:
    world = Wrong("successes", 99)
    world.max_steps = 20
    robot = WorldRobot(world, [0])
    robot.connect()
    for _ in range(19 - phase_of(0)):
        robot.command(np.zeros(1))
    with pytest.raises(RobotError, match="wanted a whole number from 0 to 6, got 99"):
        robot.command(np.zeros(1))
    robot.close()


def test_a_frame_of_another_size_is_shown_to_no_policy() -> None:
    class Seen(GatesTrial):
        def __init__(self) -> None:
            super().__init__()
            self.spec = replace(self.spec, cameras=(CameraSpec("wrist", 8, 8),))

        def images(self) -> Mapping[str, Image]:
            return {"wrist": np.zeros((8, 9, 3), np.uint8)}

    with pytest.raises(RobotError, match=r"camera 'wrist': wanted \(8, 8, 3\) uint8 RGB, got \(8, 9, 3\)"):
        CheckedWorld(Seen()).images()

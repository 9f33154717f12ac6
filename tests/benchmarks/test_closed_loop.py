from __future__ import annotations

import io
import json

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.programs.closed_loop import Ask, actions_for, drive_robots

WIDTH, HORIZON = 6, 4


class Robots:
    """Fake servers that note what each robot sent."""

    def __init__(self, count: int) -> None:
        self.states: list[set[bytes]] = [set() for _ in range(count)]

    def ask_of(self, robot: int) -> Ask:
        def ask(state: NDArray[np.float64]) -> NDArray[np.floating]:
            self.states[robot].add(state.tobytes())
            return actions_for(state, HORIZON)

        return ask


def drive(monkeypatch: pytest.MonkeyPatch, asks: list[Ask], robots: int) -> None:
    line = json.dumps({"server": 1, "robots": robots, "seconds": 0.02})
    monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))
    drive_robots([[], asks], WIDTH)


def test_as_many_robots_ask_as_the_line_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    robots = Robots(3)
    drive(monkeypatch, [robots.ask_of(robot) for robot in range(3)], robots=2)
    ready, answer = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready == {"ready": True}
    assert [bool(spent) for spent in answer["spent_ms"]] == [True, True]
    assert [bool(states) for states in robots.states] == [True, True, False]
    assert not robots.states[0] & robots.states[1]


def test_an_answer_to_another_robot_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(state: NDArray[np.float64]) -> NDArray[np.floating]:
        return actions_for(state + 0.02, HORIZON)

    with pytest.raises(ValueError, match="robot 0: wanted actions"):
        drive(monkeypatch, [ask], robots=1)

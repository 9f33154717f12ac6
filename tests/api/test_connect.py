"""What a hurried user gives to `vagus.connect` and `vagus.run` by mistake is refused before the network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import cast

import pytest

import vagus
from control.rig import FakeClock, FakeRobot
from control.test_own_loop import Own
from vagus.api.connect import RobotConnection
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Contract
from vagus.edge.engine.engine import Engine
from vagus.errors import ConfigError, SpecError, StateError

NOBODY = "tcp/127.0.0.1:9"


async def stop_later() -> None: ...


def stop_one(motor: int) -> None: ...


@pytest.mark.parametrize(
    ("stop", "got"),
    [(None, "no stop"), (stop_later, "does not run when it is called"), (stop_one, "with 0 arguments")],
)
def test_a_stop_that_would_not_stop_is_refused(stop: Callable[[], object], got: str) -> None:
    with pytest.raises(SpecError, match=f"stop: wanted a function without arguments.*{got}"):
        vagus.connect(FakeRobot(FakeClock(), 100.0).spec, NOBODY, stop=stop)


def test_a_robot_in_place_of_its_spec_is_refused_and_the_other_way_round() -> None:
    robot = FakeRobot(FakeClock(), 100.0)
    with pytest.raises(SpecError, match=r"wanted a vagus\.RobotSpec.*got a FakeRobot"):
        vagus.connect(cast("vagus.RobotSpec", robot), NOBODY, stop=robot.stop)
    with pytest.raises(SpecError, match="robot: wanted methods that the loop can call"):
        vagus.run(cast("vagus.Robot", robot.spec), NOBODY)
    with pytest.raises(SpecError, match="robot: wanted methods that the loop can call"):
        vagus.run(cast("vagus.Robot", FakeRobot), NOBODY)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ({"instruction": None}, "instruction: wanted a str, got None"),
        ({"name": 7}, "name: wanted a str, got 7"),
        ({"edge": {"max_offline_s": 3}}, "edge: wanted a EdgeConfig, got .*max_offline_s"),
        ({"loop": vagus.LoopConfig}, "loop: wanted a LoopConfig, got <class"),
        ({"tags": {"place": 3}}, "tags: wanted a mapping of texts to texts"),
        ({"rename": ["a"]}, "rename: wanted a mapping of texts to texts"),
        ({"endpoint": None}, "endpoint: wanted a text such as tcp/router:7447, got None"),
        ({"endpoint": {"tcp/a:1"}}, "endpoint: wanted a text"),
    ],
)
def test_a_setting_of_another_type_is_refused(setting: dict[str, object], wanted: str) -> None:
    robot = FakeRobot(FakeClock(), 100.0)
    arguments = {"endpoint": NOBODY, **setting}
    with pytest.raises(ConfigError, match=wanted):
        vagus.connect(robot.spec, stop=robot.stop, **arguments)  # type: ignore[arg-type] # the point of it
    with pytest.raises(ConfigError, match=wanted):
        vagus.run(robot, **arguments)  # type: ignore[arg-type] # the point of it


def test_a_closed_connection_is_not_entered() -> None:
    nobody = cast("PolicyClient[Engine]", None)
    brain = RobotConnection(Own().loop, nobody, cast("Contract", None), ExitStack())
    brain.close()
    brain.close()
    with pytest.raises(StateError, match=r"call vagus\.connect\(…\) again"):
        brain.__enter__()

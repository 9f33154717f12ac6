"""Robots by name, and what is said where there is none."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vagus.demo.robot import SimRobot
from vagus.errors import ConfigError, RobotError, SpecError
from vagus.robots.registry import load_robot

OWN = """
    import numpy as np
    from vagus.errors import RobotError
    from vagus.specs import ActionFeature, RobotSpec, StateFeature

    class Own:
        spec = RobotSpec("own", (ActionFeature("x", "m"),), (StateFeature("x", "m"),), (), 20.0)
        def __init__(self, port="none", *, gain=1):
            self.port, self.gain = port, gain
            if port == "broken":
                raise RobotError("nothing at that port")
            if port == "odd":
                raise OSError("no such port")
        def connect(self): pass
        def read_state(self): return np.zeros(1, np.float32)
        def read_images(self): return {}
        def command(self, action): pass
        def stop(self): pass
        def close(self): pass

    class Deaf(Own):
        command = None
        stop = 3

    class Deferred(Own):
        async def stop(self): pass

    class Choosy(Own):
        def command(self, action, speed): pass

    class Vague(Own):
        spec = {"actions": ["x"]}

    class Mute(Own):
        spec = None

    def make(**settings):
        return Own(str(settings))

    number = 7
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own_robot.py"
    path.write_text(textwrap.dedent(OWN))
    return str(path)


def test_the_simulated_arm_is_there_by_name() -> None:
    robot = load_robot("sim", {"rate_hz": 50, "seed": 3})
    assert isinstance(robot, SimRobot)
    assert robot.spec.rate_hz == 50
    assert isinstance(load_robot("sim"), SimRobot)


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(
        ConfigError, match=r"sim, gym:<.*>, lerobot:<robot type>, replay:PATH, or your own .* got 'so999'"
    ):
        load_robot("so999")


def test_an_unknown_option_lists_the_accepted_ones_and_none_that_is_not_for_users() -> None:
    with pytest.raises(
        ConfigError, match="options of robot 'sim': wanted some of: depth, rate_hz, seed, got clock"
    ):
        load_robot("sim", {"clock": 1})


def test_a_wrong_value_is_told() -> None:
    with pytest.raises(SpecError, match="rate_hz"):
        load_robot("sim", {"rate_hz": -1})
    with pytest.raises(ConfigError, match="TypeError"):
        load_robot("sim", {"seed": "x"})


def test_a_class_of_your_own_is_made_with_its_options(own: str) -> None:
    robot = load_robot(f"{own}:Own", {"port": "usb", "gain": 2})
    assert (getattr(robot, "port", None), getattr(robot, "gain", None)) == ("usb", 2)
    assert load_robot(f"{own}:make", {"anything": 1}).spec.robot_type == "own"
    with pytest.raises(ConfigError, match="wanted some of: gain, port, got prot"):
        load_robot(f"{own}:Own", {"prot": "usb"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Deaf", "got no command; no stop"),
        ("Deferred", r"stop does not run when it is called: .*not async def"),
        ("Choosy", r"command cannot be called with 1 argument: .*'speed'"),
        ("Vague", r"wanted a `spec` that is a vagus.specs.RobotSpec, there before connect\(\), got a dict"),
        ("Mute", "got none"),
        ("number", "a function that makes a robot, got 7"),
        ("Missing", r"wanted one of \['ActionFeature', 'Choosy', 'Deaf', .*got 'Missing'"),
    ],
)
def test_what_is_no_robot_is_refused_with_what_it_lacks(own: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_robot(f"{own}:{name}")


def test_an_error_of_the_robot_itself_is_passed_on_and_another_one_is_wrapped(own: str) -> None:
    with pytest.raises(RobotError, match="nothing at that port"):
        load_robot(f"{own}:Own", {"port": "broken"})
    with pytest.raises(ConfigError, match="OSError: no such port"):
        load_robot(f"{own}:Own", {"port": "odd"})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.robot:Arm", "a module that can be imported, got ModuleNotFoundError"),
        ("missing.py:Arm", "which is not there"),
        ("json:", "package.module:name or path/to/file.py:name"),
    ],
)
def test_a_path_to_nothing_is_told(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_robot(target)


def test_without_gymnasium_the_extra_is_named() -> None:
    script = """
import sys
sys.modules["gymnasium"] = None
from vagus.errors import ConfigError
from vagus.robots.registry import load_robot
try:
    load_robot("gym:Pendulum-v1")
except ConfigError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "wanted the package gymnasium" in said
    assert 'pip install "vagus[gym]"' in said


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="LeRobot may be installed")
def test_a_lerobot_robot_without_lerobot_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"lerobot:so101_follower.*vagus\[lerobot\]"):
        load_robot("lerobot:so101_follower", {"port": "/dev/none"})

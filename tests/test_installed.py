"""A package brings robots and policies by name: real metadata, as an installation leaves it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.installed import POLICIES, ROBOTS, installed
from vagus.policies.registry import load_policy
from vagus.robots.registry import load_robot

CODE = """
import numpy as np
from vagus.policies.declare import policy
from vagus.specs import ActionFeature, ActionKind, RobotSpec, StateFeature


@policy(actions={"x": "m"}, state={"y": "m"}, horizon=2, rate_hz=10)
def act(observation):
    return [[0.0], [0.0]]


class Cart:
    def __init__(self, speed=1.0):
        self.spec = RobotSpec(
            "cart", (ActionFeature("x", "m/s", ActionKind.VELOCITY),), (StateFeature("y", "m"),), (), 10.0
        )
        self.speed = speed

    def connect(self): ...
    def read_state(self): return np.zeros(1, dtype=np.float32)
    def read_images(self): return {}
    def command(self, action): ...
    def stop(self): ...
    def close(self): ...
"""
POINTS = """
[vagus.robots]
cart = installed_cart:Cart
broken = installed_cart:Nothing

[vagus.policies]
stand = installed_cart:act
reach = installed_cart:act
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "installed_cart.py").write_text(CODE)
    metadata = tmp_path / "installed_cart-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-cart\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_robot_is_found_by_the_name_that_its_package_brings() -> None:
    robot = load_robot("cart", {"speed": 2.0})
    assert robot.spec.robot_type == "cart"
    assert vars(robot)["speed"] == 2.0
    with pytest.raises(ConfigError, match="speed"):
        load_robot("cart", {"sped": 2.0})


def test_a_policy_is_found_by_the_name_that_its_package_brings() -> None:
    assert load_policy("stand").spec.horizon == 2


def test_our_own_names_stay_ours() -> None:
    assert load_policy("reach").spec.horizon > 2
    assert set(installed(POLICIES)) == {"stand", "reach"}
    assert set(installed(ROBOTS)) == {"cart", "broken"}


def test_an_unknown_name_lists_those_that_packages_bring() -> None:
    with pytest.raises(ConfigError, match=r"broken, cart, gates, sim, gym:"):
        load_robot("card")
    with pytest.raises(ConfigError, match=r"lerobot, pointact-echo, reach, stand"):
        load_policy("stnd")


def test_a_package_that_promises_what_it_has_not_is_named() -> None:
    with pytest.raises(ConfigError, match="installed_cart"):
        load_robot("broken")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib")
def test_the_documented_entry_points_are_of_these_groups() -> None:
    text = (Path(__file__).parents[1] / "docs" / "quickstart.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(# pyproject\.toml\n.*?)```", text, re.DOTALL)
    points = importlib.import_module("tomllib").loads(block)["project"]["entry-points"]
    assert set(points) == {ROBOTS, POLICIES}
    assert all(re.fullmatch(r"[\w.]+:\w+", place) for group in points.values() for place in group.values())

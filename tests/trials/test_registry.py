"""Worlds by name, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.demo.gates_trial import GatesTrial
from vagus.errors import ConfigError
from vagus.trials.registry import world_maker

OWN = """
from vagus.demo.gates_trial import GatesTrial

class Own(GatesTrial):
    def __init__(self, steps=9):
        super().__init__()
        self.max_steps = steps

class Nothing: ...

class Late(GatesTrial):
    def __init__(self):
        super().__init__()
        del self._courses

class Unsaid(GatesTrial):
    @property
    def spec(self):
        return "gates"

    @spec.setter
    def spec(self, value): ...

class Endless(GatesTrial):
    max_steps = None

class Hopeless(GatesTrial):
    chances = 0

class Closing(GatesTrial):
    closed = 0
    def close(self):
        type(self).closed += 1

class Unseeded(GatesTrial):
    resets = 0
    def reset(self, seed):
        self.resets += 1
        super().reset(seed + self.resets)

class Remembering(GatesTrial):
    before = 0
    def reset(self, seed):
        super().reset(seed + 10 * self.before)
        self.before = seed

class Broken(GatesTrial):
    def reset(self, seed):
        raise OSError("no display")

number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own_world.py"
    path.write_text(OWN)
    return path


def test_the_world_that_vagus_brings_and_one_of_your_own_are_made_as_often_as_asked(own: Path) -> None:
    make = world_maker("gates", {})
    assert isinstance(make(), GatesTrial)
    assert make() is not make()
    assert world_maker(f"{own}:Own", {"steps": 11})().max_steps == 11
    closing = world_maker(f"{own}:Closing", {})()
    assert type(closing).closed == 1  # type: ignore[attr-defined] # the one that was looked at


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("maze", {}, "world: wanted gates, gym:<environment id>, or your own as file.py:Class, got 'maze'"),
        ("gates", {"walls": 3}, "options of world 'gates': wanted some of: none, got walls"),
        ("OWN:Own", {"stesp": 3}, "did you mean steps?"),
        ("OWN:Nowhere", {}, "got 'Nowhere'"),
        ("OWN:number", {}, "a class, or a function that makes a world, got 3"),
        ("OWN:Nothing", {}, "what vagus.trials.world.World has, got none of spec, max_steps"),
        ("OWN:Unsaid", {}, "a RobotSpec as spec, got str"),
        ("OWN:Endless", {}, "max_steps of 1 or more, got None; an episode must end at some time"),
        ("OWN:Own", {"steps": 0}, "max_steps of 1 or more, got 0"),
        ("OWN:Hopeless", {}, "chances of 1 or more, got 0"),
        ("OWN:Unseeded", {}, "the same episode for the same seed"),
        ("OWN:Remembering", {}, "the same episode for the same seed"),
        ("OWN:Broken", {}, "a world that can be reset, got OSError: no display"),
        ("nowhere.py:Class", {}, "nowhere.py, which is not there"),
    ],
)
def test_what_is_no_world_is_refused(own: Path, name: str, options: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        world_maker(name.replace("OWN", str(own)), options)
    assert told in str(refused.value)


def test_a_world_need_know_nothing_before_its_first_reset(own: Path) -> None:
    world = world_maker(f"{own}:Late", {})()
    world.reset(3)
    assert not world.is_over

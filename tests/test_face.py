"""The names of `import vagus`: few, loaded when they are used, and nothing is loaded before."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vagus

MOST_NAMES = 20


def test_every_name_is_there_and_they_are_few() -> None:
    assert len(vagus.__all__) <= MOST_NAMES
    assert sorted(vagus.__all__) == sorted([*vagus._PLACES, "__version__"])
    assert set(vagus.__all__) <= set(dir(vagus))
    for name, place in vagus._PLACES.items():
        assert getattr(vagus, name) is getattr(importlib.import_module(place), name)


def test_type_checkers_see_the_same_names() -> None:
    stub = Path(vagus.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    found = re.findall(r"^from (\S+) import (\w+) as \2$", stub, re.MULTILINE)
    assert {name: place for place, name in found} == vagus._PLACES
    assert len(found) == len(vagus._PLACES)


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Polcy'; it has .*Policy"):
        getattr(vagus, "Polcy")  # noqa: B009 - a typing error


@pytest.mark.parametrize("name", ["RobotSpec", "policy", "VagusError"])
def test_a_specification_loads_no_network(name: str) -> None:
    program = f"import sys, vagus; vagus.{name}; sys.exit('zenoh' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

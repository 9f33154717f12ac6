"""Things of the user's own, named by where they lie."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.import_path import construct, load_named

SOURCE = "import {imports}\n\ndef act(observation):\n    return {result}\n"


@pytest.mark.parametrize("stem", ["random", "json", "numpy", "vagus", "pytest", "zipapp"])
def test_a_file_that_is_called_as_a_module_does_not_become_that_module(stem: str, tmp_path: Path) -> None:
    path = tmp_path / f"{stem}.py"
    path.write_text(SOURCE.format(imports="math", result="math.pi"))
    before = sys.modules.get(stem)
    module, act = load_named("policy", f"{path}:act")
    assert callable(act)
    assert module.__file__ == str(path)
    assert sys.modules.get(stem) is before
    assert sys.modules[module.__name__] is module


def test_a_file_keeps_its_name_where_it_is_nobody_elses_and_sees_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_own_policy.py").write_text("NUMBER = 7\n")
    path = tmp_path / "own_policy_of_a_user.py"
    path.write_text(SOURCE.format(imports="neighbour_of_own_policy as n", result="n.NUMBER"))
    module, act = load_named("policy", f"{path}:act")
    assert module.__name__ == "own_policy_of_a_user"
    assert callable(act)
    assert act(None) == 7


@pytest.mark.parametrize("ending", ["sys.exit(0)", "raise GeneratorExit", "raise Panic"])
@pytest.mark.parametrize("place", ["import", "constructor"])
def test_code_that_leaves_the_program_is_refused_like_code_that_fails(
    ending: str, place: str, tmp_path: Path
) -> None:
    """`sys.exit(0)` in somebody's driver is no success of ours."""
    panic = "class Panic(BaseException): pass"
    body = f"import sys\n{panic}\nclass Arm:\n  def __init__(self):\n    {ending}\n"
    file = tmp_path / "leaving.py"
    file.write_text(f"import sys\n{panic}\n{ending}\n" if place == "import" else body)
    with pytest.raises(ConfigError, match=r"SystemExit|GeneratorExit|Panic"):
        construct("robot", load_named("robot", f"{file}:Arm")[1], {})  # type: ignore[arg-type]

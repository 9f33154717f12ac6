"""The tests for other Pythons import nothing that their environments lack."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "test_pythons.py"))
BASE = {"vagus", "numpy", "msgspec", "zenoh", "simplejpeg", "tyro", "rich", "yaml"}
TOOLS = {"pytest", "hypothesis", "cryptography"}
OF_EXTRAS = {"websockets", "zmq", "grpc", "PIL"}
PLACES = (ROOT / "tests", ROOT / "src", ROOT)


def test_the_tools_and_extras_are_those_that_the_script_installs() -> None:
    assert set(SCRIPT["TEST_TOOLS"]) - {"pytest-timeout"} == TOOLS
    assert set(SCRIPT["OLDEST_EXTRAS"]) == {"openpi", "gr00t", "lerobot-grpc", "lerobot-zenoh"}


def test_a_property_is_tried_by_fewer_examples_than_here() -> None:
    few, here = (settings.get_profile(SCRIPT["FEW_EXAMPLES"].partition("=")[2]), settings.default)
    assert here is not None
    assert 10 <= few.max_examples < here.max_examples
    assert few.deadline is None


@pytest.mark.parametrize(
    ("tests", "more"),
    [(SCRIPT["EDGE_TESTS"], set()), (SCRIPT["OLDEST_TOO"], OF_EXTRAS)],
    ids=["every Python", "the oldest alone"],
)
def test_what_the_tests_import_is_there(tests: tuple[str, ...], more: set[str]) -> None:
    there = BASE | TOOLS | more | set(sys.stdlib_module_names)
    lacking = {
        (str(file.relative_to(ROOT)), name)
        for file in test_files(tests)
        for name in packages_of(file) - there - skipped_without(file)
    }
    assert not lacking


def test_files(tests: tuple[str, ...]) -> Iterator[Path]:
    for path in map(ROOT.joinpath, tests):
        yield from [path] if path.suffix else sorted(path.rglob("test_*.py"))


test_files.__test__ = False  # type: ignore[attr-defined]


def skipped_without(file: Path) -> set[str]:
    """Return the packages without which a module skips itself before it imports them."""
    calls = (one.value for one in ast.parse(file.read_text()).body if isinstance(one, ast.Expr))
    return {
        argument.value.partition(".")[0]
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.importorskip"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def packages_of(file: Path) -> set[str]:
    """Return the packages that an import of this file loads, of this repository's modules their own, too."""
    found: set[str] = set()
    seen: set[Path] = set()
    waiting = [file]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        for module in modules_in(at):
            places = [place for place in map(place_of, parts_of(module)) if place is not None]
            waiting += places
            if not places and not is_folder(module):
                found.add(module.partition(".")[0])
    return found


def is_folder(module: str) -> bool:
    """Whether this is a folder of tests; one alone may have a framework's name."""
    return "." in module and PLACES[0].joinpath(*module.split(".")).is_dir()


def parts_of(module: str) -> Iterator[str]:
    """Yield a, a.b and a.b.c for a.b.c: a package is imported before what is in it."""
    parts = module.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


@cache
def place_of(module: str) -> Path | None:
    """Return the file of a module of this repository, or None."""
    stems = [folder.joinpath(*module.split(".")) for folder in PLACES]
    files = [file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py")]
    return next((file for file in files if file.exists()), None)


@cache
def modules_in(file: Path) -> tuple[str, ...]:
    """Return the modules that the statements of a module import when it is loaded."""
    found: list[str] = []
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module is not None:
            inner = [f"{statement.module}.{alias.name}" for alias in statement.names]
            found += [statement.module, *(name for name in inner if place_of(name) is not None)]
    return tuple(found)

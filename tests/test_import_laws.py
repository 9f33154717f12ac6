"""What importing vagus costs, measured in a fresh interpreter; import-linter sees the text only."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import vagus

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
SOURCES = Path(vagus.__file__).parent
FRAMEWORKS = ("torch", "lerobot", "grpc", "zmq", "websockets", "jax", "tensorflow")
EDGE = ("vagus.edge", "vagus.control", "vagus.transport", "vagus.wire", "vagus.robots", "vagus.demo")
LOADED_BY_NAME = ("vagus.integrations",)
"""Modules that need what is not installed everywhere; only their users import them."""


def modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(vagus.__path__, "vagus.")]
    return [
        "vagus",
        *(name for name in found if name != "vagus.__main__" and not name.startswith(LOADED_BY_NAME)),
    ]


def edge_modules() -> list[str]:
    return ["vagus", *(name for name in modules() if name.startswith(EDGE))]


def loaded_by(statement: str) -> set[str]:
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_there_is_an_edge_to_look_at() -> None:
    assert {"vagus.wire.codec", "vagus.transport.keys", "vagus.edge.config", "vagus.robots.robot"} <= set(
        edge_modules()
    )


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib")
@pytest.mark.parametrize("law", ["the core reaches no framework", "nobody imports an integration"])
def test_a_law_of_the_core_is_one_of_all_its_parts(law: str) -> None:
    tomllib = importlib.import_module("tomllib")
    settings = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    contracts = {one["name"]: one for one in settings["tool"]["importlinter"]["contracts"]}
    parts = {f"vagus.{module.name}" for module in pkgutil.iter_modules(vagus.__path__)}
    assert set(contracts[law]["source_modules"]) == parts - {"vagus.__main__", *LOADED_BY_NAME}


def test_the_edge_loads_no_framework() -> None:
    loaded = loaded_by("".join(f"import {name}\n" for name in edge_modules()))
    assert set(edge_modules()) <= loaded
    assert not loaded & set(FRAMEWORKS)


def test_the_measurement_sees_what_is_loaded() -> None:
    assert "websockets" in loaded_by("import importlib.util as u, types; sys.modules['websockets'] = types")


def test_importing_vagus_alone_loads_nothing_but_the_standard_library() -> None:
    added = {name.partition(".")[0] for name in loaded_by("import vagus") - loaded_by("")}
    assert added - sys.stdlib_module_names == {"vagus"}


@pytest.mark.parametrize("module", ["specs", "errors", "clock"])
def test_the_lowest_modules_need_no_package(module: str) -> None:
    added = {name.partition(".")[0] for name in loaded_by(f"import vagus.{module}") - loaded_by("")}
    assert added - sys.stdlib_module_names == {"vagus"}


@pytest.mark.parametrize("module", ["codec", "images", "schema", "png", "jpeg"])
def test_the_wire_opens_no_socket(module: str) -> None:
    assert "zenoh" not in loaded_by(f"import vagus.wire.{module}")


@pytest.mark.parametrize("name", modules())
def test_every_name_that_a_module_exports_exists(name: str) -> None:
    module = importlib.import_module(name)
    is_package_without_surface = hasattr(module, "__path__") and name != "vagus"
    if is_package_without_surface and not hasattr(module, "__all__"):
        return
    assert len(module.__all__) == len(set(module.__all__))
    missing = [export for export in module.__all__ if not hasattr(module, export)]
    assert missing == []


def test_a_class_name_stands_once_in_the_package() -> None:
    """A name that somebody reads in a log or a docstring is one class; private ones belong to their file."""
    places: dict[str, list[str]] = {}
    for file in sorted(SOURCES.rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(file.relative_to(SOURCES)))
    assert len(places) > 300
    assert {name: files for name, files in places.items() if len(files) > 1} == {}

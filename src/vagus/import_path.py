"""Loading of the user's own classes and functions: "package.module:name" or "path/to/file.py:name"."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, TypeVar

from vagus.errors import ConfigError, VagusError

__all__ = ["Option", "accepted_options", "check_options", "construct", "load_brought", "load_named"]

OWN_PREFIX = "vagus_file_"
"""Prefix of the import name of a file whose own name is already the name of a module."""

Option: TypeAlias = bool | int | float | str
"""Value of an option on the command line or in a manifest."""

ThingT = TypeVar("ThingT")


def load_named(sort: str, target: str) -> tuple[ModuleType, object]:
    """Return the module and the object that `target` names.

    Args:
        sort: kind of the object, for messages: "policy", "robot".
        target: "package.module:name" or "path/to/file.py:name".

    Raises:
        ConfigError: nothing has this name, or the import fails.
    """
    module, name = _module(sort, target)
    found = getattr(module, name, None)
    if found is None:
        public = sorted(n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))
        raise ConfigError(f"{sort} {target!r}", wanted=f"one of {public}", got=repr(name))
    return module, found


def load_brought(place: str, *, subject: str, extra: str) -> ModuleType:
    """Return a module of this package that needs what one of its extras installs.

    Args:
        place: name of the module.
        subject: what it is wanted for, for messages: "robot 'gym:…'".
        extra: name of the extra.

    Raises:
        ConfigError: that is not installed.
    """
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise ConfigError(
            subject,
            wanted=f"the package {error.name}",
            got="an installation without it",
            fix=f'pip install "vagus[{extra}]"',
        ) from error


def construct(subject: str, make: Callable[..., ThingT], options: Mapping[str, object]) -> ThingT:
    """Return the result of `make` with the options as keyword arguments.

    Raises:
        ConfigError: `make` does not take one of the options, or fails.
        VagusError: `make` raised it.
    """
    check_options(subject, options, accepted_options(make))
    try:
        return make(**options)
    except (VagusError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit of somebody else's code is no success of ours
        raise ConfigError(
            subject,
            wanted=f"a class that can be made with {dict(options)}",
            got=f"{type(error).__name__}: {error}",
        ) from error


def accepted_options(make: Callable[..., object]) -> frozenset[str] | None:
    """Return the names of the keyword arguments that `make` takes; None: any name."""
    parameters = inspect.signature(make).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in kinds)


def check_options(subject: str, given: Mapping[str, object], accepted: frozenset[str] | None) -> None:
    """Raise ConfigError for an option that is not accepted (None accepts all)."""
    if accepted is None:
        return
    unknown = sorted(set(given) - accepted)
    if unknown:
        choices = ", ".join(sorted(accepted)) or "none"
        near = [name for word in unknown for name in difflib.get_close_matches(word, accepted, n=1)]
        raise ConfigError(
            f"options of {subject}",
            wanted=f"some of: {choices}",
            got=", ".join(unknown),
            fix=f"did you mean {' and '.join(near)}?" if near else "",
        )


def _module(sort: str, target: str) -> tuple[ModuleType, str]:
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise ConfigError(sort, wanted="package.module:name or path/to/file.py:name", got=repr(target))
    path = Path(place)
    try:
        if path.suffix == ".py":
            return _module_from_file(sort, path), name
        _make_importable(Path.cwd())
        return importlib.import_module(place), name
    except (VagusError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ConfigError(
            f"{sort} {target!r}",
            wanted="a module that can be imported",
            got=f"{type(error).__name__}: {error}",
        ) from error


def _module_from_file(sort: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(sort, wanted="a Python file", got=f"{path}, which is not there")
    _make_importable(path.resolve().parent)
    name = _module_name(path.resolve())
    loader = importlib.util.spec_from_file_location(name, path.resolve())
    if loader is None or loader.loader is None:
        raise ConfigError(sort, wanted="a Python file", got=str(path))
    module = importlib.util.module_from_spec(loader)
    sys.modules[name] = module
    loader.loader.exec_module(module)
    return module


def _module_name(path: Path) -> str:
    """Return the import name of a file: its own name, unless another module has this name.

    A file `random.py` must not replace Python's `random`.
    """
    try:
        found = None if path.stem in sys.stdlib_module_names else importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        found = None
    is_own = found is not None and found.origin is not None and Path(found.origin).resolve() == path
    return path.stem if is_own else f"{OWN_PREFIX}{path.stem}"


def _make_importable(folder: Path) -> None:
    """Let the user's module import files of its own folder, as when it is run as a script."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

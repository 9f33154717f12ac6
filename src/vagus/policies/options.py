"""Settings of one backend: a frozen dataclass that the table `options` fills and docstrings explain."""

from __future__ import annotations

import ast
import inspect
import itertools
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TypeAlias, TypeVar

import msgspec

from vagus.errors import ConfigError
from vagus.import_path import check_options

__all__ = ["BackendOption", "OptionValue", "describe_options", "read_options"]

OptionValue: TypeAlias = "bool | int | float | str | Sequence[str]"
"""What a backend can be told in a manifest; on the command line, texts with commas are lists."""

OptionsT = TypeVar("OptionsT")

LIST = "tuple[str, ...]"


@dataclass(frozen=True, slots=True)
class BackendOption:
    """One setting of a backend, for the help.

    Attributes:
        name: as in `options`.
        kind: its type, in words.
        default: its default; "" where it is empty.
        text: its docstring.
    """

    name: str
    kind: str
    default: str
    text: str


def read_options(subject: str, kind: type[OptionsT], given: Mapping[str, OptionValue]) -> OptionsT:
    """Return the settings in a table of options.

    Args:
        subject: whose options they are, for messages: "policy 'reach'".
        kind: a frozen dataclass; its `__post_init__` may raise ConfigError.
        given: name → value; a text is taken apart at its commas where a list is wanted.

    Raises:
        ConfigError: an unknown name, a wrong type, or a value that the dataclass refuses.
    """
    types = typing.get_type_hints(kind)
    check_options(subject, given, frozenset(types))
    table = {name: _listed(value) if str(types[name]) == LIST else value for name, value in given.items()}
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        wanted = "; ".join(f"{option.name}: {option.kind}" for option in describe_options(kind))
        raise ConfigError(f"options of {subject}", wanted=wanted, got=str(error)) from error


def describe_options(kind: type) -> list[BackendOption]:
    """Return every setting of a dataclass of options, in order."""
    types, texts = typing.get_type_hints(kind), _texts(kind)
    return [
        BackendOption(
            entry.name,
            "list of texts" if str(types[entry.name]) == LIST else types[entry.name].__name__,
            "" if entry.default in (MISSING, (), "") else str(entry.default),
            texts.get(entry.name, ""),
        )
        for entry in fields(kind)
    ]


def _listed(value: OptionValue) -> OptionValue:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _texts(kind: type) -> dict[str, str]:
    """Return field → the docstring under it."""
    body = typing.cast("ast.ClassDef", ast.parse(inspect.getsource(kind)).body[0]).body
    return {
        field.target.id: " ".join(inspect.cleandoc(below.value.value).split())
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }

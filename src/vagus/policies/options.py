"""Settings of one backend: a frozen dataclass that the table `options` fills and docstrings explain."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TypeAlias, TypeVar

import msgspec

from vagus.errors import ConfigError
from vagus.field_docstrings import field_docstrings
from vagus.import_path import check_options

__all__ = ["BackendOption", "OptionValue", "describe_options", "options_type_of", "parted", "read_options"]

OptionValue: TypeAlias = "bool | int | float | str | Sequence[str]"
"""Value of a policy's option in a manifest."""

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
        given: name → value.

    Raises:
        ConfigError: an unknown name, a wrong type, or a value that the dataclass refuses.
    """
    check_options(subject, given, frozenset(typing.get_type_hints(kind)))
    try:
        return msgspec.convert(dict(given), kind)
    except msgspec.ValidationError as error:
        wanted = "; ".join(f"{option.name}: {option.kind}" for option in describe_options(kind))
        raise ConfigError(f"options of {subject}", wanted=wanted, got=str(error)) from error


def parted(kind: type, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Return options from a command line: where a list is wanted, the text is parted at its commas.

    In a manifest a list is a list: a comma there may belong to the name of a directory.
    """
    types = typing.get_type_hints(kind)
    return {name: _parts(value) if str(types.get(name)) == LIST else value for name, value in given.items()}


def options_type_of(thing: object) -> type | None:
    """Return the dataclass of options that a policy's class carries as `options_type`; None: it carries none.

    Raises:
        ConfigError: what it carries is no dataclass.
    """
    kind = getattr(thing, "options_type", None) if inspect.isclass(thing) else None
    if kind is not None and not (inspect.isclass(kind) and is_dataclass(kind)):
        raise ConfigError(f"options_type of {thing}", wanted="a frozen dataclass", got=repr(kind))
    return kind


def describe_options(kind: type) -> list[BackendOption]:
    """Return every setting of a dataclass of options, in order."""
    types = typing.get_type_hints(kind)
    texts = {name: text for part in reversed(kind.__mro__) for name, text in _texts(part).items()}
    return [
        BackendOption(
            entry.name,
            _in_words(types[entry.name]),
            "" if entry.default in (MISSING, (), "") else str(entry.default),
            texts.get(entry.name, ""),
        )
        for entry in fields(kind)
    ]


def _in_words(kind: object) -> str:
    if str(kind) == LIST:
        return "list of texts"
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _parts(value: OptionValue) -> OptionValue:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _texts(kind: type) -> dict[str, str]:
    """Return field → the docstring under it; nothing where the source is not at hand."""
    try:
        return field_docstrings(kind)
    except (OSError, TypeError):
        return {}

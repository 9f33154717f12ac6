"""Reader of a user's settings file (YAML, TOML or JSON), with clear errors for mistakes."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from vagus.errors import ConfigError
from vagus.malformed import MALFORMED
from vagus.quoting import quoted
from vagus.repeated_keys import repeated_key

__all__ = ["check_keys", "parse_settings", "read_settings"]


INSTALL_YAML = 'pip install "vagus[yaml]"'
READERS = {".yaml": INSTALL_YAML, ".yml": INSTALL_YAML, ".toml": "take Python 3.11 or later"}
"""File suffix → how to get a package that reads such a file."""


def read_settings(subject: str, path: Path) -> Mapping[str, object]:
    """Return the table in the file at `path`.

    Raises:
        ConfigError: no such file, an unknown type of file, or a file that is not valid.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(subject, wanted="a file", got=f"{path}: {error.strerror}") from error
    return parse_settings(subject, content, path.suffix.lower())


def parse_settings(subject: str, content: bytes, suffix: str) -> Mapping[str, object]:
    """Return the table in `content`, the bytes of a file that ends in `suffix`.

    Args:
        subject: name of the file's role, for messages: "manifest".
        content: the whole file.
        suffix: ".yaml", ".toml" or ".json".

    Raises:
        ConfigError: an unknown type of file, a missing package to read it, an invalid file, or a key that
            occurs twice in one table.
    """
    try:
        table = _decode(subject, content, suffix)
    except ImportError as error:
        raise ConfigError(
            subject,
            wanted=f"a package that reads {suffix}",
            got="none here",
            fix=f"{READERS[suffix]}, or write the same as a .json file, which needs nothing",
        ) from error
    except MALFORMED as error:
        raise ConfigError(subject, wanted=f"valid {suffix[1:].upper()}", got=str(error)) from error
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ConfigError(subject, wanted="a table of settings", got=type(table).__name__)
    key = repeated_key(content, suffix)
    if key is not None:
        raise ConfigError(subject, wanted="each key once in its table", got=f"{quoted(repr(key))} twice")
    return table


def check_keys(subject: str, table: Mapping[str, object], kind: type, where: str = "") -> None:
    """Raise ConfigError for a key that is no field of the dataclass `kind`, and for an unknown choice.

    The error names the nearest fields, or the choices.
    """
    types = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=3)
            fix = f"did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(
                subject, wanted=f"settings among {', '.join(sorted(names))}", got=f"{where}{key}", fix=fix
            )
        for place, inner, table_type in _tables(key, value, types[key]):
            check_keys(subject, inner, table_type, f"{where}{place}.")
        _check_choice(f"{where}{key}", value, types[key])


def _tables(key: str, value: object, kind: object) -> Iterator[tuple[str, Mapping[str, object], type]]:
    """Yield each table in a setting, which is one or a list of them, with its place and its dataclass."""
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        yield key, value, typing.cast("type", kind)
    inner = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None
    if dataclasses.is_dataclass(inner) and isinstance(value, (list, tuple)):
        for number, entry in enumerate(value):
            if isinstance(entry, dict):
                yield f"{key}[{number}]", entry, typing.cast("type", inner)


def _check_choice(name: str, value: object, kind: object) -> None:
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    enums = [each for each in kinds if isinstance(each, type) and issubclass(each, enum.Enum)]
    choices = [choice.value for each in enums for choice in each]
    if not choices or (value is None and types.NoneType in kinds):
        return
    if value not in choices:
        meant = str(value).lower()
        fix = f"did you mean {meant}?" if meant in choices else ""
        raise ConfigError(name, wanted=f"one of {', '.join(choices)}", got=repr(value), fix=fix)


def _decode(subject: str, content: bytes, suffix: str) -> object:
    if suffix in (".yaml", ".yml"):
        return msgspec.yaml.decode(content)
    if suffix == ".toml":
        return msgspec.toml.decode(content)
    if suffix == ".json":
        return msgspec.json.decode(content)
    raise ConfigError(subject, wanted="a .yaml, .toml or .json file", got=f"one ending in {suffix!r}")

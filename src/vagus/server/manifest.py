"""A manifest file read into `ServeConfig`: YAML, TOML or JSON."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from pathlib import Path

import msgspec

from vagus.errors import ConfigError
from vagus.server.config import ServeConfig

__all__ = ["load_manifest", "parse_manifest"]


def load_manifest(path: Path) -> ServeConfig:
    """Return the settings in the file at `path`.

    Raises:
        ConfigError: no such file, an unknown kind of file, a package missing to read it, an unknown key, or a
            wrong value.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError("manifest", wanted="a file", got=f"{path}: {error.strerror}") from error
    return parse_manifest(content, path.suffix.lower())


def parse_manifest(content: bytes, suffix: str) -> ServeConfig:
    """Return the settings in `content`, the bytes of a file that ends in `suffix`.

    Raises:
        ConfigError: as `load_manifest`.
    """
    table = _table(content, suffix)
    _check_keys(table, ServeConfig, "")
    try:
        return msgspec.convert(table, ServeConfig, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError("manifest", wanted="values as in `vagus serve --help`", got=str(error)) from error


def _table(content: bytes, suffix: str) -> Mapping[str, object]:
    try:
        table = _decode(content, suffix)
    except ImportError as error:
        fix = (
            'pip install "vagus[yaml]"'
            if suffix in (".yaml", ".yml")
            else "use JSON, or Python 3.11 or later"
        )
        raise ConfigError(
            "manifest", wanted=f"a package that reads {suffix}", got="none here", fix=fix
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError("manifest", wanted=f"valid {suffix[1:].upper()}", got=str(error)) from error
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ConfigError("manifest", wanted="a table of settings", got=type(table).__name__)
    return table


def _decode(content: bytes, suffix: str) -> object:
    if suffix in (".yaml", ".yml"):
        return msgspec.yaml.decode(content)
    if suffix == ".toml":
        return msgspec.toml.decode(content)
    if suffix == ".json":
        return msgspec.json.decode(content)
    raise ConfigError("manifest", wanted="a .yaml, .toml or .json file", got=f"one ending in {suffix!r}")


def _check_keys(table: Mapping[str, object], kind: type, where: str) -> None:
    """Raise ConfigError on a key that `kind`, a dataclass, has no field for; the nearest fields are named."""
    types = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=3)
            fix = f"did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(
                "manifest", wanted=f"settings among {', '.join(sorted(names))}", got=f"{where}{key}", fix=fix
            )
        if dataclasses.is_dataclass(types[key]) and isinstance(value, dict):
            _check_keys(value, typing.cast("type", types[key]), f"{where}{key}.")


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected a path, got {value!r}")

"""Reader of a manifest file (YAML, TOML or JSON) into a `ServeConfig`, and of a file of gateways."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.policies.registry import check_backend_options, check_places
from vagus.server.config import ServeConfig
from vagus.settings_file import check_keys, parse_settings, read_settings

__all__ = ["load_gateways", "load_manifest", "parse_manifest", "settings_from"]


def load_manifest(path: Path) -> ServeConfig:
    """Return the settings in the file at `path`.

    Raises:
        ConfigError: no such file, an unknown type of file, a missing package to read it, an unknown key, or a
            wrong value.
    """
    return settings_from("manifest", read_settings("manifest", path))


def parse_manifest(content: bytes, suffix: str) -> ServeConfig:
    """Return the settings in `content`, the bytes of a file that ends in `suffix`.

    Raises:
        ConfigError: as `load_manifest`.
    """
    return settings_from("manifest", parse_settings("manifest", content, suffix))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaysFile:
    """A file of gateways alone, for a process without a policy."""

    gateways: tuple[GatewayConfig, ...]


def load_gateways(path: Path) -> tuple[GatewayConfig, ...]:
    """Return the settings of the gateways in the file at `path`.

    Raises:
        ConfigError: as `load_manifest`, or there is none in it.
    """
    table = read_settings("gateways", path)
    check_keys("gateways", table, GatewaysFile)
    try:
        found = msgspec.convert(dict(table), GatewaysFile, dec_hook=_path).gateways
    except msgspec.ValidationError as error:
        raise ConfigError("gateways", wanted="values as in `vagus gateway --help`", got=str(error)) from error
    if not found:
        raise ConfigError("gateways", wanted="at least one in the list", got="none")
    return found


def settings_from(subject: str, table: Mapping[str, object], below: ServeConfig | None = None) -> ServeConfig:
    """Return the settings in `table`.

    Args:
        subject: what the table is, for messages.
        table: setting → value: plain as in a file, or what the setting holds.
        below: what is not in the table; None: the defaults.

    Raises:
        ConfigError: an unknown key, or a wrong value.
    """
    known = {entry.name for entry in fields(ServeConfig)}
    plain = {key: value.value if isinstance(value, enum.Enum) else value for key, value in table.items()}
    policy = str(table.get("policy", ""))
    check_places(policy, [key for key in table if key not in known], lambda name: _moved(name, table[name]))
    check_keys(subject, plain, ServeConfig)
    whole = {} if below is None else {name: getattr(below, name) for name in known}
    try:
        config = msgspec.convert({**whole, **plain}, ServeConfig, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(subject, wanted="values as in `vagus serve --help`", got=str(error)) from error
    check_backend_options(config.policy, config.options)
    return config


def _moved(name: str, value: object) -> str:
    return f"options: {{{name}: {msgspec.json.encode(value, enc_hook=str).decode()}}}"


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise TypeError(f"Expected a path, got {value!r}")

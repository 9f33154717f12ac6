"""Search for the manifest in the arguments of `vagus serve`, where it may stand anywhere (pure)."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vagus.errors import ConfigError

__all__ = ["SUFFIXES", "manifest_among"]

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
SECTIONS_WITHOUT_PREFIX = ("config", "log", "zenoh")


def manifest_among(arguments: Sequence[str], settings: type) -> tuple[Path | None, list[str]]:
    """Return the manifest in the arguments, and the arguments without it.

    That is what ends like one, in letters of either case, and is not the value of a flag: the last of a list
    of values may be the manifest, unless it completes a group (`--options config arm.yaml`).

    Args:
        arguments: of `vagus serve`.
        settings: dataclass whose fields are the flags.

    Raises:
        ConfigError: there are two.
    """
    places = [place for place in _free(arguments, dict(_flags(settings))) if _is_manifest(arguments[place])]
    if len(places) > 1:
        named = " and ".join(arguments[place] for place in places)
        raise ConfigError("serve", wanted="one manifest", got=named)
    if not places:
        return None, list(arguments)
    (place,) = places
    return Path(arguments[place]), [*arguments[:place], *arguments[place + 1 :]]


def _is_manifest(argument: str) -> bool:
    return not argument.startswith("-") and Path(argument).suffix.lower() in SUFFIXES


def _free(arguments: Sequence[str], flags: Mapping[str, int | tuple[int]]) -> Iterator[int]:
    """Yield the positions of arguments that belong to no flag.

    Args:
        arguments: of `vagus serve`.
        flags: how many values each takes; in brackets: any number of groups of that many.
    """
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        place += 1
        if not argument.startswith("--"):
            yield place - 1
            continue
        wanted = 0 if "=" in argument else flags.get(argument.replace("_", "-"), 0)
        if isinstance(wanted, int):
            place += wanted
            continue
        begin = place
        while place < len(arguments) and not arguments[place].startswith("--"):
            place += 1
        (group,) = wanted
        if place > begin and (group == 1 or (place - begin) % group == 1):
            yield place - 1


def _flags(settings: type, prefix: str = "") -> Iterator[tuple[str, int | tuple[int]]]:
    types = typing.get_type_hints(settings)
    for entry in dataclasses.fields(settings):
        kind, name = types[entry.name], f"{prefix}{entry.name.replace('_', '-')}"
        if dataclasses.is_dataclass(kind):
            inner = prefix if entry.name in SECTIONS_WITHOUT_PREFIX else f"{name}."
            yield from _flags(typing.cast("type", kind), inner)
        elif kind is not bool:
            yield f"--{name}", _values(kind)


def _values(kind: object) -> int | tuple[int]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        value = typing.get_args(arguments[1]) if typing.get_origin(arguments[1]) is tuple else (arguments[1],)
        return (1 + len(value),)
    return (1,) if origin is tuple else 1

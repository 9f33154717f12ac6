"""Search for a key that occurs twice in one table of a settings file; a parser would keep only one."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, cast

__all__ = ["repeated_key"]


class Node(Protocol):
    """Node of a YAML document."""

    @property
    def value(self) -> object:
        """Text, list of nodes, or list of pairs of nodes."""
        ...


def repeated_key(content: bytes, suffix: str) -> str | None:
    """Return a key that occurs twice in one table of `content`, a valid file of type `suffix`, or None.

    TOML itself does not allow such a key.
    """
    if suffix == ".json":
        return _in_json(content)
    if suffix in (".yaml", ".yml"):
        yaml = importlib.import_module("yaml")  # it was read with it
        return _in_yaml(yaml.compose(content, Loader=yaml.SafeLoader), set())
    return None


def _in_json(content: bytes) -> str | None:
    found: list[str] = []

    def note(pairs: Sequence[tuple[str, object]]) -> None:
        found.extend(_twice(key for key, _ in pairs))

    json.loads(content, object_pairs_hook=note)
    return next(iter(found), None)


def _in_yaml(node: Node | None, seen: set[int]) -> str | None:
    if node is None or isinstance(node.value, str) or id(node) in seen:
        return None
    seen.add(id(node))
    parts = cast("list[Node | tuple[Node, Node]]", node.value)
    pairs = [part for part in parts if isinstance(part, tuple)]
    for name in _twice(key.value for key, _ in pairs if isinstance(key.value, str)):
        return name
    below = [value for _, value in pairs] or [part for part in parts if not isinstance(part, tuple)]
    return next((key for part in below if (key := _in_yaml(part, seen)) is not None), None)


def _twice(keys: Iterable[str]) -> Iterator[str]:
    return (key for key, count in Counter(keys).items() if count > 1)

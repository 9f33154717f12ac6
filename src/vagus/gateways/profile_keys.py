"""Keys of each protocol: where state, pictures, instruction and actions may stand (pure)."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vagus.errors import SpecError

__all__ = ["PROTOCOLS", "check_keys_fit", "told_path"]

_ANY: Final = ()
"""Any keys."""


class Keyed(Protocol):
    """Part of a profile that has a place on the wire."""

    @property
    def key(self) -> tuple[str, ...]:
        """Keys from the outermost map to the value."""
        ...


@dataclass(frozen=True)
class _Places:
    """Patterns of the keys of one protocol; `*` stands for any text."""

    actions: tuple[str, ...]
    state: tuple[str, ...] = _ANY
    images: tuple[str, ...] = _ANY
    instruction: tuple[str, ...] = _ANY


_PLACES: Final[Mapping[str, _Places]] = {
    "openpi": _Places(("actions",)),
    "gr00t": _Places(("action", "*"), ("state", "*"), ("video", "*"), ("language", "*")),
    "pointact": _Places(("action",), ("observation.state",), ("observation.images.*",), ("task",)),
    "lerobot_grpc": _Places(("actions",), ("observation.state",), ("observation.images.*",), ("task",)),
    "astribot": _Places(("actions",), ("state",), ("images", "*"), ("prompt",)),
    "lerobot_zenoh": _Places(("action",), ("observation.state",), ("observation.images.*",), ("task",)),
    "lerobot_zenoh_draft": _Places(("action",), ("observation.state",), ("observation.images.*",), ("task",)),
}
PROTOCOLS: Final = tuple(_PLACES)
"""Protocols that profiles exist for."""


def told_path(path: Sequence[str]) -> str:
    """Return keys as a profile file has them: `prompt`, or `[images, cam_high]`."""
    return path[0] if len(path) == 1 else f"[{', '.join(path)}]"


def check_keys_fit(
    protocol: str,
    actions: Iterable[Keyed],
    state: Iterable[Keyed],
    images: Iterable[Keyed],
    instruction: tuple[str, ...] | None,
) -> None:
    """Check that every key is where the protocol has it, and that no value stands inside another.

    Raises:
        SpecError: as said, an unknown protocol, or two pictures of one key.
    """
    places = _PLACES.get(protocol)
    if places is None:
        raise SpecError("protocol", wanted=f"one of {', '.join(PROTOCOLS)}", got=repr(protocol))
    said = () if instruction is None else (instruction,)
    groups = {
        "actions": (_paths(actions), places.actions),
        "state": (_paths(state), places.state),
        "images": (_paths(images), places.images),
        "instruction": (said, places.instruction),
    }
    for what, (paths, pattern) in groups.items():
        for path in paths:
            _check_place(f"{what} of {protocol}", path, pattern)
    observed = [*dict.fromkeys(groups["state"][0]), *groups["images"][0], *said]
    for at, path in enumerate(observed):
        for other in observed[at + 1 :]:
            _check_apart(path, other)


def _paths(parts: Iterable[Keyed]) -> tuple[tuple[str, ...], ...]:
    return tuple(part.key for part in parts)


def _check_place(what: str, path: tuple[str, ...], pattern: tuple[str, ...]) -> None:
    if not path or not all(key and key.isprintable() for key in path):
        raise SpecError(f"key of {what}", wanted="one text, or a list of texts", got=repr(list(path)))
    fits = len(path) == len(pattern) and all(map(fnmatch.fnmatchcase, path, pattern))
    if pattern and not fits:
        raise SpecError(f"key of {what}", wanted=told_path(pattern), got=told_path(path))


def _check_apart(path: tuple[str, ...], other: tuple[str, ...]) -> None:
    shorter = min(len(path), len(other))
    if path[:shorter] != other[:shorter]:
        return
    got = f"{told_path(path)} twice" if path == other else f"{told_path(path)} and {told_path(other)}"
    raise SpecError("keys of the observation", wanted="a place of its own for each value", got=got)

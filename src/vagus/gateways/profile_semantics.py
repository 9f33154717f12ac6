"""Semantics: texts by which two sides of a wire check that they mean the same numbers (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from vagus.errors import SpecError
from vagus.gateways.profile_keys import told_path

__all__ = ["check_semantics"]

_STATED: Final = frozenset({"lerobot_zenoh"})
"""Protocols whose wire has such texts."""
_MOST: Final = 1024
"""Longest text, in characters."""


class Meaning(Protocol):
    """Part of a profile that may state what it means."""

    @property
    def key(self) -> tuple[str, ...]:
        """Keys from the outermost map to the value."""
        ...

    @property
    def semantics(self) -> str:
        """The text; "" where none is stated."""
        ...


def check_semantics(
    protocol: str, semantics: str, spans: Iterable[Meaning], images: Iterable[Meaning]
) -> None:
    """Check that texts are stated where the protocol has them, and once for each array.

    Raises:
        SpecError: the profile's own text is missing, a text where the wire has none, one that is too long or
            cannot be printed, or two for one array.
    """
    parts = [*spans, *images]
    if protocol not in _STATED:
        if semantics or any(part.semantics for part in parts):
            raise SpecError(
                "semantics", wanted=f"none for {protocol}, whose wire has no such text", got="one"
            )
        return
    if not semantics:
        raise SpecError(
            "semantics",
            wanted="the text that the robot's operator states, too: what the numbers are, in which units",
            got="none",
            fix='state semantics: "…" beside protocol',
        )
    _check_text("semantics", semantics)
    stated: dict[tuple[str, ...], str] = {}
    for part in parts:
        where = f"semantics at {told_path(part.key)}"
        _check_text(where, part.semantics)
        if stated.setdefault(part.key, part.semantics) != part.semantics:
            raise SpecError(where, wanted="the same text in all parts of one array", got="two")


def _check_text(where: str, text: str) -> None:
    if len(text) > _MOST or not text.isprintable() or text != text.strip():
        raise SpecError(
            where,
            wanted=f"at most {_MOST} characters in one line, without spaces around them",
            got=f"{len(text)}: {text[:40]!r}",
        )

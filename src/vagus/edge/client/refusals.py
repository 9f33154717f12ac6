"""Reasons of refused requests in the server's words: for the console once, for the summary counted."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.clock import NS_PER_S
from vagus.quoting import quoted
from vagus.repeats import Repeats

__all__ = ["Refusal", "Refusals"]

INTERVAL_NS = 10 * NS_PER_S
"""Pause between two logs of the same refusal."""
MAX_KINDS = 16
"""Most refusals that are counted apart: their texts come from a peer."""
OTHER_WORDS = "(other words)"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason of refusals, and its count.

    Attributes:
        code: event code, or what was wrong with a chunk.
        text: the server's words, bounded and escaped.
        count: times.
    """

    code: str
    text: str
    count: int

    def __str__(self) -> str:
        return f'{self.code} ×{self.count}: "{self.text}"' if self.text else f"{self.code} ×{self.count}"


class Refusals:
    """Refusals of a server. Owned by the worker; any thread may read `all` and `newest`."""

    def __init__(self) -> None:
        self._repeats: Repeats[tuple[str, str]] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_KINDS)
        self._counts: dict[tuple[str, str], Refusal] = {}
        self._untold: list[str] = []
        self.newest = ""
        """The last refusal since a chunk was merged, as a sentence; "" while there is none."""

    @property
    def all(self) -> tuple[Refusal, ...]:
        """All reasons, in the order of their first appearance."""
        return tuple(self._counts.copy().values())

    def note(self, code: str, text: str, now_ns: int) -> None:
        """Count a refused request."""
        words = quoted(text)
        kind = (code, "".join(character for character in words if not character.isdigit()))
        self.newest = f"{code}: {words}" if words else code
        repeat = self._repeats.note(kind, now_ns)
        if repeat is not None:
            times = "" if repeat.is_first else f" ({repeat.count} times since)"
            self._untold.append(f"{self.newest}{times}")
        self._count(
            kind if kind in self._counts or len(self._counts) < MAX_KINDS else (code, OTHER_WORDS), words
        )

    def merged(self) -> None:
        """Note that a chunk was merged: earlier refusals do not matter any more."""
        self.newest = ""

    def take(self) -> list[str]:
        """Return the lines to log now, once."""
        untold, self._untold = self._untold, []
        return untold

    def _count(self, kind: tuple[str, str], words: str) -> None:
        known = self._counts.get(kind)
        code, text = kind[0], OTHER_WORDS if kind[1] == OTHER_WORDS else words
        self._counts[kind] = Refusal(code, known.text if known else text, (known.count if known else 0) + 1)

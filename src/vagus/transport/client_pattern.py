"""Pattern of client names in keys: one whole name, or the beginning of many, `lab-a-*` (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.transport.keys import MAX_SEGMENT, sanitise

__all__ = ["ClientPattern"]

_BEGINNING = re.compile(r"(?:[A-Za-z0-9_.]+-)*[A-Za-z0-9_.]*")
"""Form of the beginning of a segment that `sanitise` returns."""
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class ClientPattern:
    """Clients whose segment in keys is `segment`, or begins with it.

    Attributes:
        segment: a segment, or the beginning of segments; empty: every client.
        is_beginning: whether it is a beginning.
    """

    segment: str
    is_beginning: bool

    @classmethod
    def of(cls, text: str, *, subject: str) -> ClientPattern:
        """Return the pattern in `text`: the name of a client, or a beginning and `*`.

        Args:
            text: the pattern as a user writes it.
            subject: name of the setting, for the error.

        Raises:
            ConfigError: it is no pattern, or can match no client.
        """
        beginning = text.removesuffix("*")
        is_beginning = beginning != text
        if "*" in beginning or text.strip() != text or not text:
            raise ConfigError(
                subject,
                wanted="a client's name, or the beginning of names and one `*`, like lab-a-*",
                got=quoted(repr(text), _SHOWN),
            )
        if not is_beginning:
            return cls(sanitise(text), is_beginning)
        if _BEGINNING.fullmatch(beginning) is None or len(beginning) > MAX_SEGMENT - beginning.endswith("-"):
            raise ConfigError(
                subject,
                wanted=f"a beginning of letters, digits, . and _, with single - between, and at most "
                f"{MAX_SEGMENT} characters",
                got=quoted(repr(text), _SHOWN),
                fix="no client's key begins otherwise: other characters are replaced there, so name such "
                "clients one by one",
            )
        return cls(beginning, is_beginning)

    @property
    def key_chunk(self) -> str:
        """Chunk of a key expression that matches these clients and no other."""
        return f"{self.segment}$*" if self.is_beginning and self.segment else self.segment or "*"

    def matches(self, segment: str) -> bool:
        """Return whether the client with this segment in its keys is meant."""
        return segment.startswith(self.segment) if self.is_beginning else segment == self.segment

    def overlaps(self, other: ClientPattern) -> bool:
        """Return whether a client can match both patterns."""
        return self.matches(other.segment) or other.matches(self.segment)

    def __str__(self) -> str:
        return f"{self.segment}*" if self.is_beginning else self.segment

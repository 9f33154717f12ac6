"""Answer to a foreign request, before a wire frames it (pure)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["WireAnswer", "WireOutcome"]


class WireOutcome(enum.Enum):
    """What became of a request."""

    ANSWERED = "answered"
    MALFORMED = "malformed"
    """The request is to blame: it cannot be read, or asks for what there is not."""
    UNAUTHORIZED = "unauthorized"
    FAILED = "failed"
    """Any other error."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """Answer to a request.

    Attributes:
        body: its bytes; errors are said in them.
        outcome: what became of the request, for a wire that has a word for it.
    """

    body: bytes
    outcome: WireOutcome = WireOutcome.ANSWERED

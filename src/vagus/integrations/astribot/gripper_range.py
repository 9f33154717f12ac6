"""Grippers that count otherwise than the profile says: 0 to 100, as the maker's SDK, not 0 to 1 (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.gateways.profile import WireSpan
from vagus.gateways.unit_conversion import conversion_of

__all__ = ["check_fractions", "fractions_of"]

_FRACTIONS: Final = frozenset({"fraction_closed", "fraction_open"})
_ENDS: Final = (-0.5, 1.5)
"""A little beyond 0 and 1 is what a servo measures, and what a model answers."""


def fractions_of(spans: Iterable[WireSpan]) -> dict[int, str]:
    """Return place and name of each number that is a fraction of a gripper's stroke on the wire."""
    numbered = enumerate((name, span) for span in spans for name in span.names)
    return {
        place: name
        for place, (name, span) in numbered
        if span.unit in _FRACTIONS and conversion_of(span).is_identity
    }


def check_fractions(numbers: NDArray[np.floating], fractions: Mapping[int, str], subject: str) -> None:
    """Check that the fractions in a state or in actions, (…, width), are such; others are left alone.

    Raises:
        ProtocolError: one is far beyond 0 and 1, so that it is counted otherwise.
    """
    for place, name in fractions.items():
        if place >= numbers.shape[-1]:
            continue
        values = numbers[..., place]
        if values.size and not (_ENDS[0] <= np.min(values) and np.max(values) <= _ENDS[1]):
            farthest = float(values.flat[np.argmax(np.abs(values))])
            raise ProtocolError(
                f"{subject}: wanted {name} from 0 to 1, as the profile says, got {farthest:.4g}; if it is "
                "0 to 100, state `range: [0, 1]` and `wire_range: [0, 100]` for it in a profile of your own"
            )

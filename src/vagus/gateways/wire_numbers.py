"""Arrays of numbers on a foreign wire, converted to one vector of vagus and back (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from vagus.errors import VagusError
from vagus.gateways.profile import WireSpan
from vagus.gateways.unit_conversion import conversion_of
from vagus.quoting import quoted
from vagus.types import FloatArray

__all__ = ["WireArray", "WireNumbers", "finite"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WireArray:
    """One array of the wire.

    Attributes:
        key: keys from the outermost map to it.
        begin: place of its first number in the vector of vagus.
        width: count of its numbers.
        dtype: element type with which it is written.
    """

    key: tuple[str, ...]
    begin: int
    width: int
    dtype: str

    @property
    def place(self) -> slice:
        """Place of its numbers in the vector of vagus."""
        return slice(self.begin, self.begin + self.width)


class WireNumbers:
    """Numbers of all spans side by side, in the order of the profile.

    Args:
        spans: spans of the state, or of the actions.

    Raises:
        SpecError: units that do not convert.

    Attributes:
        names: name of each number.
        arrays: arrays of the wire that hold them.
        scale: number here per number on the wire, (n,).
        offset: number here that is 0 on the wire, (n,).
    """

    def __init__(self, spans: Sequence[WireSpan]) -> None:
        self.names = [name for span in spans for name in span.names]
        self.arrays = tuple(_arrays(spans))
        conversions = [(conversion_of(span), len(span.names)) for span in spans]
        self.scale: Vector = np.repeat([each.scale for each, _ in conversions], [n for _, n in conversions])
        self.offset: Vector = np.repeat([each.offset for each, _ in conversions], [n for _, n in conversions])

    def here(self, there: Vector) -> Vector:
        """Return numbers of vagus, (…, n), from those of the wire."""
        return there * self.scale + self.offset

    def there(self, here: Vector) -> Vector:
        """Return numbers of the wire, (…, n), from those of vagus."""
        return (here - self.offset) / self.scale


def finite(values: Vector, names: Sequence[str], error: type[VagusError], what: str) -> FloatArray:
    """Return `values` (…, n) as float32.

    Raises:
        error: a number that is not finite, also as float32; the error names it.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    is_wrong = ~np.isfinite(rounded)
    if is_wrong.any():
        at = tuple(np.argwhere(is_wrong)[0])
        raise error(
            f"{what}: wanted finite numbers, got {values[at]} for {quoted(repr(names[int(at[-1])]), 80)}"
        )
    return rounded


def _arrays(spans: Iterable[WireSpan]) -> Iterable[WireArray]:
    begin = 0
    for key, parts in groupby(spans, key=lambda span: span.key):
        together = list(parts)
        width = sum(len(span.names) for span in together)
        yield WireArray(key, begin, width, together[0].dtype.value)
        begin += width

"""Conversion of numbers between two units, by known factors or by two stated ranges (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vagus.errors import SpecError
from vagus.features import LARGEST
from vagus.gateways.profile import WireSpan
from vagus.gateways.profile_keys import told_path
from vagus.units import canonical

__all__ = ["Conversion", "conversion_of"]

_SIZES: Final[Mapping[str, tuple[str, float]]] = {
    "rad": ("angle", 1.0),
    "mrad": ("angle", 1e-3),
    "deg": ("angle", math.pi / 180.0),
    "rev": ("angle", math.tau),
    "m": ("length", 1.0),
    "cm": ("length", 1e-2),
    "mm": ("length", 1e-3),
    "um": ("length", 1e-6),
    "µm": ("length", 1e-6),
    "in": ("length", 0.0254),
    "ft": ("length", 0.3048),
    "N": ("force", 1.0),
    "kN": ("force", 1e3),
    "mN": ("force", 1e-3),
    "Nm": ("torque", 1.0),
    "kNm": ("torque", 1e3),
    "mNm": ("torque", 1e-3),
    "A": ("current", 1.0),
    "mA": ("current", 1e-3),
    "V": ("voltage", 1.0),
    "mV": ("voltage", 1e-3),
}
"""Unit → what it measures, and its size."""
_RATES: Final = {"rpm": ("rev", 60.0), "rps": ("rev", 1.0)}
"""Rate → unit, and seconds that it is counted over."""
_TOLERANCE: Final = 1e-3
"""Relative difference up to which two ranges agree with the units beside them: people round."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """From the wire to vagus: number here = `scale` · number there + `offset`."""

    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed."""
        return self.scale == 1.0 and self.offset == 0.0

    def __str__(self) -> str:
        """Return it as text: "× 57.2958", "× -100 + 100"."""
        if self.is_identity:
            return "as it is"
        return f"× {self.scale:.6g}" + (f" + {self.offset:.6g}" if self.offset else "")


def conversion_of(span: WireSpan) -> Conversion:
    """Return how the numbers of `span` are converted from the wire.

    Raises:
        SpecError: two units without a known factor and without ranges, or ranges that contradict the units.
    """
    factor = _factor(span.wire_unit or span.unit, span.unit)
    if span.range is None or span.wire_range is None:
        if factor is None:
            raise SpecError(
                f"units at {told_path(span.key)}",
                wanted="two units that convert by a known factor (rad, deg; m, mm; rad/s, deg/s …)",
                got=f"{span.unit!r} here and {span.wire_unit!r} on the wire",
                fix="state range: [a, b] here and wire_range: [a, b] on the wire, the same two values",
            )
        return Conversion(factor)
    (low, high), (wire_low, wire_high) = span.range, span.wire_range
    scale = (high - low) / (wire_high - wire_low)
    if not 1 / LARGEST <= abs(scale) <= LARGEST:
        raise SpecError(
            f"ranges at {told_path(span.key)}",
            wanted=f"one to be at most {LARGEST:g} times the other",
            got=f"{list(span.range)} and {list(span.wire_range)}",
        )
    if span.wire_unit and factor is not None and abs(abs(scale) / factor - 1.0) > _TOLERANCE:
        raise SpecError(
            f"ranges at {told_path(span.key)}",
            wanted=f"ranges that agree with the units: 1 {span.wire_unit} is {factor:.6g} {span.unit}",
            got=f"{list(span.wire_range)} {span.wire_unit} for {list(span.range)} {span.unit}",
        )
    return Conversion(scale, low - scale * wire_low)


def _factor(wire_unit: str, unit: str) -> float | None:
    """Return the size of `wire_unit` in `unit`; None if not known."""
    there, here = canonical(wire_unit), canonical(unit)
    if there == here:
        return 1.0
    sizes = _size(there), _size(here)
    if sizes[0] is None or sizes[1] is None or sizes[0][0] != sizes[1][0]:
        return None
    return sizes[0][1] / sizes[1][1]


def _size(unit: str) -> tuple[str, float] | None:
    plain, mark, over = unit.partition("/")
    seconds = 1.0
    if plain in _RATES:
        plain, seconds = _RATES[plain]
        mark, over = "/", "s"
    if plain not in _SIZES or (mark and over not in ("s", "s2")):
        return None
    what, size = _SIZES[plain]
    return f"{what}{mark}{over}", size / seconds

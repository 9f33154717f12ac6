"""Units as people write them: their quantity, and different spellings of one unit."""

from __future__ import annotations

import enum
import re

__all__ = ["UNKNOWN_UNIT", "Quantity", "canonical", "is_stated", "quantity_of"]

UNKNOWN_UNIT = ""
"""Unit that is not stated; refused at session open unless `--trust-units` is given."""
UNSTATED = frozenset({UNKNOWN_UNIT, "env"})
"""Units without a meaning: not stated, or known only to a simulated environment."""


class Quantity(enum.Enum):
    """Quantity that a unit measures."""

    PLACE = "a place or an angle"
    RATE = "a speed"
    ACCELERATION = "an acceleration"
    EFFORT = "a force, a torque or a current"
    SWITCH = "yes or no"


SPELLINGS = {
    "radian": "rad",
    "radians": "rad",
    "degree": "deg",
    "degrees": "deg",
    "°": "deg",
    "meter": "m",
    "meters": "m",
    "metre": "m",
    "metres": "m",
    "millimeter": "mm",
    "millimeters": "mm",
    "millimetre": "mm",
    "millimetres": "mm",
    "turn": "rev",
    "turns": "rev",
    "pixel": "px",
    "pixels": "px",
}
PLACES = frozenset(
    {"rad", "mrad", "deg", "rev", "m", "cm", "mm", "um", "µm", "in", "ft", "px", "lerobot_norm"}
)
EFFORTS = frozenset({"N", "kN", "mN", "Nm", "kNm", "mNm", "lbf", "A", "mA", "V", "mV", "W"})
"""Units of an effort. Upper and lower case differ here: nm is a length."""
SWITCHES = frozenset({"bool", "boolean", "binary", "on/off", "0/1"})
RATES = frozenset({"rpm", "rps"})

_PLAIN: dict[str, str | None] = {"²": "2", "⁻": "-", "¹": "1", "^": None, "·": "*"}
_SECOND = "(?:s|sec|second|seconds)"
_RATE = re.compile(rf"(.+?)\s*(?:/\s*{_SECOND}|[ *]{_SECOND}-1)")
_ACCELERATION = re.compile(rf"(.+?)\s*(?:/\s*{_SECOND}\s*/\s*{_SECOND}|/\s*{_SECOND}2|[ *]{_SECOND}-2)")


def is_stated(unit: str) -> bool:
    """Return whether the unit is stated."""
    return unit not in UNSTATED


def canonical(unit: str) -> str:
    """Return one spelling for all spellings of a unit: "degrees" and "°" are "deg", "m s⁻¹" is "m/s"."""
    text = unit.strip().translate({ord(sign): plain for sign, plain in _PLAIN.items()})
    effort = re.sub(r"[ *.]", "", text)
    if effort in EFFORTS:
        return effort
    text = text.lower()
    for pattern, ending in ((_ACCELERATION, "/s2"), (_RATE, "/s")):
        match = pattern.fullmatch(text)
        if match is not None:
            return SPELLINGS.get(match[1], match[1]) + ending
    return SPELLINGS.get(text, text)


def quantity_of(unit: str) -> Quantity | None:
    """Return the quantity that `unit` measures, or None if not known."""
    known = canonical(unit)
    if known in EFFORTS:
        return Quantity.EFFORT
    if known in SWITCHES:
        return Quantity.SWITCH
    if known in PLACES:
        return Quantity.PLACE
    if known.endswith("/s2"):
        return Quantity.ACCELERATION
    return Quantity.RATE if known.endswith("/s") or known in RATES else None

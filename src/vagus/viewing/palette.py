"""Colours of states, curves and limits that colour-blind people can tell apart (pure).

The colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

from collections.abc import Mapping

from vagus.types import LinkState, MotionState

__all__ = [
    "BOUND",
    "COMMANDED",
    "FAN",
    "LIMIT",
    "LINES",
    "MEASURED",
    "REFUSED",
    "STATE_COLOURS",
    "colour_of",
    "is_dark",
    "rgb_of",
]

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY = (
    "#333333",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
    "#b9c0c6",
)

LINES = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE)
"""Colours of lines in one diagram, in their order."""
COMMANDED = BLUE
MEASURED = ORANGE
FAN = "#6b7780"
REFUSED = PURPLE
BOUND = "#8a8f94"

STATE_COLOURS: Mapping[str, str] = {
    MotionState.PLAYING.value: GREEN,
    MotionState.WAITING.value: GREY,
    MotionState.FALLBACK.value: VERMILION,
    MotionState.PAUSED.value: SKY,
    MotionState.STOPPED.value: BLACK,
    LinkState.CONNECTING.value: GREY,
    LinkState.STREAMING.value: GREEN,
    LinkState.DEGRADED.value: YELLOW,
    LinkState.RECONNECTING.value: PURPLE,
    LinkState.DEAD.value: BLACK,
}
"""State of link or motion → colour."""

LIMIT = "#56606a"
"""Any limit at work; its lane names it."""

_DARK = 140.0
_WEIGHTS = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the lightness that people see."""


def colour_of(state: str) -> str:
    """Return the colour of a state, #rrggbb; of anything else, the colour of a limit."""
    return STATE_COLOURS.get(state, LIMIT)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return the red, green and blue of #rrggbb, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def is_dark(colour: str) -> bool:
    """Return whether white is easier to read on #rrggbb than black."""
    return sum(part * weight for part, weight in zip(rgb_of(colour), _WEIGHTS, strict=True)) < _DARK

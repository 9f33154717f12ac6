"""Ranges of the numbers in settings: times and counts."""

from __future__ import annotations

import math
from numbers import Integral

from vagus.errors import ConfigError

__all__ = ["MAX_COUNT", "MAX_PORT", "MAX_S", "check_count", "check_port", "check_seconds"]

MAX_S = 1e9
"""Longest time: thirty years, which every system can wait."""
MAX_COUNT = 1_000_000_000
"""Largest count, which every part of the system can represent."""
MAX_PORT = 65535


def check_seconds(name: str, value: float, *, or_zero: bool = False) -> None:
    """Raise ConfigError unless `value` is above 0 and at most `MAX_S`; 0 only if it has a meaning."""
    if not math.isfinite(value) or value < 0 or (value == 0 and not or_zero):
        wanted = "seconds, or 0 for never" if or_zero else "seconds above 0"
        raise ConfigError(name, wanted=wanted, got=repr(value))
    if value > MAX_S:
        raise ConfigError(name, wanted=f"at most {MAX_S:.0e} seconds, thirty years", got=repr(value))


def check_count(name: str, value: int | None, *, most: int = MAX_COUNT, least: int = 1) -> None:
    """Raise ConfigError unless `value` is a whole number from `least` to `most`, or None."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):  # 1.0, too: the wire has whole numbers
        raise ConfigError(name, wanted=f"a whole number, {least} to {most}", got=repr(value))
    if not least <= value <= most:
        raise ConfigError(name, wanted=f"{least} to {most}", got=str(value))


def check_port(name: str, value: int) -> None:
    """Raise ConfigError unless `value` is a port; 0 has a meaning."""
    if not 0 <= value <= MAX_PORT:
        raise ConfigError(name, wanted=f"0 to {MAX_PORT}", got=str(value))

"""Numbers are converted by factors that are known, or by two ranges that somebody states."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import SpecError
from vagus.gateways.profile import WireSpan
from vagus.gateways.unit_conversion import Conversion, conversion_of

Ends = tuple[float, float]


def conversion(unit: str, wire_unit: str, ends: Ends | None = None, wire: Ends | None = None) -> Conversion:
    span = WireSpan(key=("x",), names=("a",), unit=unit, wire_unit=wire_unit, range=ends, wire_range=wire)
    return conversion_of(span)


@pytest.mark.parametrize(
    ("unit", "wire_unit", "scale"),
    [
        ("rad", "", 1.0),
        ("lerobot_norm", "", 1.0),
        ("lerobot_norm", "lerobot_norm", 1.0),
        ("deg", "degrees", 1.0),
        ("deg", "rad", 180 / math.pi),
        ("rad", "deg", math.pi / 180),
        ("rad", "rev", math.tau),
        ("rad", "mrad", 1e-3),
        ("m", "mm", 1e-3),
        ("cm", "in", 2.54),
        ("rad/s", "deg/s", math.pi / 180),
        ("rad/s", "rpm", math.tau / 60),
        ("rad/s", "rps", math.tau),
        ("m/s", "mm s⁻¹", 1e-3),
        ("m/s²", "mm/s^2", 1e-3),
        ("Nm", "mNm", 1e-3),
        ("A", "mA", 1e-3),
    ],
)
def test_a_known_factor_converts(unit: str, wire_unit: str, scale: float) -> None:
    found = conversion(unit, wire_unit)
    assert found.scale == pytest.approx(scale, rel=1e-12)
    assert found.offset == 0.0
    assert found.is_identity is (scale == 1.0)


@pytest.mark.parametrize(
    ("unit", "wire_unit"),
    [
        ("rad", "m"),
        ("rad", "rad/s"),
        ("rad/s", "rad/s2"),
        ("m", "N"),
        ("Nm", "N"),
        ("rad", "lerobot_norm"),
        ("lerobot_norm", "deg"),
        ("rad", "env"),
        ("fraction_open", "fraction_closed"),
        ("m", "m/h"),
        ("A", "V"),
    ],
)
def test_what_has_no_known_factor_is_refused_without_ranges(unit: str, wire_unit: str) -> None:
    with pytest.raises(
        SpecError, match=r"units at x: wanted two units .*state range: \[a, b\] here and wire"
    ):
        conversion(unit, wire_unit)


@given(*(st.floats(-1e3, 1e3) for _ in range(4)))
def test_ranges_map_their_ends(low: float, high: float, wire_low: float, wire_high: float) -> None:
    if abs(high - low) < 1e-3 or abs(wire_high - wire_low) < 1e-3:
        return
    found = conversion("lerobot_norm", "fraction_closed", (low, high), (wire_low, wire_high))
    assert found.scale * wire_low + found.offset == pytest.approx(low, abs=1e-6)
    assert found.scale * wire_high + found.offset == pytest.approx(high, abs=1e-6)


def test_ranges_may_move_the_zero_and_turn_the_sign_of_units_that_convert() -> None:
    moved = conversion("rad", "deg", (-math.pi, math.pi), (0, 360))
    assert moved.scale == pytest.approx(math.pi / 180)
    assert moved.offset == pytest.approx(-math.pi)
    assert conversion("rad", "deg", (-3.1416, 3.1416), (180, -180)).scale < 0


def test_ranges_that_contradict_their_units_are_refused() -> None:
    with pytest.raises(
        SpecError, match=r"ranges at x: wanted ranges that agree .*1 deg is 0.0174533 rad, got"
    ):
        conversion("rad", "deg", (-1, 1), (-1, 1))


@pytest.mark.parametrize("ends", [(0, 5e-324), (0, 1e-13), (-1e308, 1e308), (0, 1e13)])
def test_ranges_that_no_number_survives_are_refused(ends: Ends) -> None:
    with pytest.raises(SpecError, match=r"ranges at x: wanted one to be at most 1e\+12 times the other"):
        conversion("lerobot_norm", "", ends, (0, 1))
    with pytest.raises(SpecError, match="ranges at x"):
        conversion("lerobot_norm", "", (0, 1), ends)


def test_a_conversion_says_what_it_does() -> None:
    assert str(conversion("rad", "")) == "as it is"
    assert str(conversion("m", "mm")) == "× 0.001"
    assert str(conversion("lerobot_norm", "", (0, 100), (1, 0))) == "× -100 + 100"

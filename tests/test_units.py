"""Units as people write them."""

from __future__ import annotations

import pytest

from vagus.units import Quantity, canonical, is_stated, quantity_of


@pytest.mark.parametrize(
    ("spellings", "quantity"),
    [
        (("rad", "radian", "Radians", " rad "), Quantity.PLACE),
        (("deg", "degrees", "°"), Quantity.PLACE),
        (("m", "metre", "meters"), Quantity.PLACE),
        (("lerobot_norm",), Quantity.PLACE),
        (("m/s", "m / s", "m/sec", "metres/second", "m s^-1", "m s⁻¹", "m·s-1", "M/S"), Quantity.RATE),
        (("deg/s", "°/s", "degrees/second"), Quantity.RATE),
        (("rpm",), Quantity.RATE),
        (("rad/s2", "rad/s²", "rad/s^2", "rad/s/s", "rad s-2"), Quantity.ACCELERATION),
        (("Nm", "N·m", "N m", "N*m", "N.m"), Quantity.EFFORT),
        (("A",), Quantity.EFFORT),
        (("bool", "boolean"), None),
        (("%",), None),
        (("nm",), None),
        (("",), None),
    ],
)
def test_spellings_of_one_unit_are_one_and_count_one_quantity(
    spellings: tuple[str, ...], quantity: Quantity | None
) -> None:
    if spellings[0] == "bool":
        assert {quantity_of(spelling) for spelling in spellings} == {Quantity.SWITCH}
        return
    assert len({canonical(spelling) for spelling in spellings}) == 1
    assert {quantity_of(spelling) for spelling in spellings} == {quantity}


def test_what_nobody_states_or_only_an_environment_knows_is_not_stated() -> None:
    assert [is_stated(unit) for unit in ("", "env", "rad", "u")] == [False, False, True, True]

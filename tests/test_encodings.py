"""How a policy writes a yes or a no."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.encodings import BinaryEncoding, BinaryForm
from vagus.errors import SpecError

FORMS = st.sampled_from(list(BinaryForm))


@pytest.mark.parametrize(
    ("text", "encoding", "band"),
    [
        ("unit", BinaryEncoding(), (0.4, 0.6)),
        ("signed", BinaryEncoding(BinaryForm.SIGNED), (-0.2, 0.2)),
        ("logit", BinaryEncoding(BinaryForm.LOGIT), (-0.4, 0.4)),
        ("signed inverted", BinaryEncoding(BinaryForm.SIGNED, is_inverted=True), (-0.2, 0.2)),
        ("unit threshold=0.7", BinaryEncoding(threshold=0.7), (0.6, 0.8)),
        ("unit threshold=0.95", BinaryEncoding(threshold=0.95), (0.925, 0.975)),
        ("logit hysteresis=0", BinaryEncoding(BinaryForm.LOGIT, hysteresis=0.0), (0.0, 0.0)),
    ],
)
def test_an_encoding_is_its_text_and_has_a_band(
    text: str, encoding: BinaryEncoding, band: tuple[float, float]
) -> None:
    assert BinaryEncoding.parse(text) == encoding
    assert str(encoding) == text
    assert encoding.band == pytest.approx(band)


@given(FORMS, st.booleans(), st.floats(0.01, 0.99), st.floats(0.0, 0.009))
def test_every_encoding_survives_its_text(
    form: BinaryForm, is_inverted: bool, threshold: float, hysteresis: float
) -> None:
    encoding = BinaryEncoding(form, is_inverted, float(f"{threshold:g}"), float(f"{hysteresis:g}"))
    assert BinaryEncoding.parse(str(encoding)) == encoding
    assert len(str(encoding)) <= 64  # it travels


def test_a_stated_default_is_the_default() -> None:
    assert BinaryEncoding.parse("unit, threshold=0.5 hysteresis=0.1") == BinaryEncoding()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "open",
        "signed unit",
        "signed upside_down",
        "unit threshold=high",
        "unit width=3",
        "inverted",
        "unit inverted inverted",
        "unit threshold=0.5 threshold=0.6",
        "unit hysteresis=0.1 threshold=0.5 hysteresis=0.1",
    ],
)
def test_a_text_that_says_nothing_is_refused_with_what_could_be_said(text: str) -> None:
    with pytest.raises(SpecError, match=r"one of unit, signed, logit, then if needed: inverted threshold="):
        BinaryEncoding.parse(text)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 1.5, math.nan, math.inf])
def test_a_threshold_lies_between_the_ends(threshold: float) -> None:
    with pytest.raises(SpecError, match="threshold of a unit encoding: wanted between"):
        BinaryEncoding(threshold=threshold)


@pytest.mark.parametrize("hysteresis", [-0.1, 0.5, math.nan])
def test_a_hysteresis_leaves_room_on_both_sides(hysteresis: float) -> None:
    with pytest.raises(SpecError, match="hysteresis of a unit encoding"):
        BinaryEncoding(hysteresis=hysteresis)


def test_what_cannot_be_meant_begins_beyond_a_little_overshoot() -> None:
    assert BinaryEncoding().range == pytest.approx((-0.1, 1.1))
    assert BinaryEncoding(BinaryForm.SIGNED).range == pytest.approx((-1.2, 1.2))
    assert BinaryEncoding(BinaryForm.LOGIT).range == (-math.inf, math.inf)

"""Binaries become 0 or 1, whatever a policy writes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.control.binary import BinaryDecoder, snapped
from vagus.encodings import BinaryEncoding, BinaryForm
from vagus.features import ActionFeature, ActionKind

ARM = ActionFeature("arm", "rad")
UNKNOWN = np.array([0.0, np.nan])


def decoder(text: str = "") -> BinaryDecoder:
    encoding = BinaryEncoding.parse(text) if text else None
    return BinaryDecoder([ARM, ActionFeature("grip", "", ActionKind.BINARY, encoding=encoding)])


def read(text: str, *values: float, last: float = float("nan")) -> list[float]:
    """Return what the driver is told for one value after the other."""
    reader, told = decoder(text), []
    for value in values:
        last = float(reader.decode(np.array([0.3, value]), np.array([0.3, last]))[1])
        told.append(last)
    return told


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        ("", (0.0, 1.0, 0.2, 0.9), (0, 1, 0, 1)),
        ("unit", (0.52, 0.48, 0.41, 0.39, 0.52, 0.6), (1, 1, 1, 0, 0, 1)),
        ("signed", (-1.0, 1.0, -0.1, -0.3), (0, 1, 1, 0)),
        ("signed inverted", (-1.0, 1.0), (1, 0)),
        ("signed inverted", (-1.0, 0.1, 0.3, -0.1, -0.3), (1, 1, 0, 0, 1)),
        ("logit", (-4.2, 0.3, 4.2, -0.3, -0.5), (0, 0, 1, 1, 0)),
        ("unit threshold=0.8", (0.75, 0.95), (0, 1)),
        ("unit hysteresis=0", (0.49, 0.5, 0.49), (0, 1, 0)),
    ],
)
def test_each_encoding_is_read_with_its_threshold_and_hysteresis(
    text: str, values: tuple[float, ...], told: tuple[float, ...]
) -> None:
    assert read(text, *values) == list(told)


@given(
    st.sampled_from(list(BinaryForm)),
    st.booleans(),
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=20),
    st.sampled_from([0.0, 1.0, 0.37, float("nan")]),
)
def test_a_driver_is_never_told_anything_between(
    form: BinaryForm, is_inverted: bool, values: list[float], last: float
) -> None:
    told = read(str(BinaryEncoding(form, is_inverted=is_inverted)), *values, last=last)
    assert set(told) <= {0.0, 1.0}


@given(st.lists(st.floats(0.401, 0.599), min_size=2), st.sampled_from([0.0, 1.0]))
def test_what_wavers_about_the_threshold_does_not_chatter(values: list[float], last: float) -> None:
    assert set(read("unit", *values, last=last)) == {last}


@given(st.lists(st.floats(-3.0, 3.0), min_size=1))
def test_an_inverted_encoding_tells_the_opposite(values: list[float]) -> None:
    straight, inverted = read("signed", *values), read("signed inverted", *values)
    assert [1.0 - value for value in straight] == inverted


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_stays_so_that_it_is_refused(value: float) -> None:
    assert not np.isfinite(decoder().decode(np.array([0.3, value]), UNKNOWN)[1])


def test_other_actions_pass_untouched() -> None:
    target = np.array([0.37, 0.9])
    assert decoder().decode(target, UNKNOWN)[0] == 0.37
    alone = BinaryDecoder([ARM])
    assert alone.decode(target[:1], UNKNOWN[:1]) is not None
    assert alone.take_notices() == []


@pytest.mark.parametrize(
    ("text", "value", "part"),
    [
        ("", -1.0, "says -1, which no unit encoding has; taken for 0. Declare .* encodings {grip: signed}"),
        ("", 4.2, "says 4.2, which no unit encoding has; taken for 1. Declare .* encodings {grip: logit}"),
        ("signed inverted", 4.2, "no signed encoding has; taken for 0. Declare .* encodings {grip: logit}"),
    ],
)
def test_what_an_encoding_cannot_mean_is_told_once(text: str, value: float, part: str) -> None:
    reader = decoder(text)
    for _ in range(3):
        reader.decode(np.array([0.3, value]), UNKNOWN)
    (notice,) = reader.take_notices()
    assert re.search(part, notice)
    reader.decode(np.array([0.3, value]), UNKNOWN)
    assert reader.take_notices() == []


@pytest.mark.parametrize(("text", "value"), [("", 1.05), ("", -0.05), ("signed", -1.1), ("logit", 1e6)])
def test_a_little_overshoot_is_nothing_to_tell(text: str, value: float) -> None:
    reader = decoder(text)
    reader.decode(np.array([99.0, value]), UNKNOWN)
    assert reader.take_notices() == []


def test_a_robots_own_reading_is_the_nearer_of_both() -> None:
    assert snapped(np.array([0.37, 0.5, 35.0, -1.0])).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert np.isnan(snapped(np.array([np.nan]))).all()


def test_at_the_threshold_a_binary_is_on_and_at_the_ends_of_its_band_it_turns() -> None:
    low, high = BinaryEncoding().band
    assert read("", 0.5) == [1.0]
    assert read("", low, last=1.0) == [0.0]
    assert read("", high, last=0.0) == [1.0]


def test_the_ends_of_what_an_encoding_can_mean_are_not_spoken_of() -> None:
    reader = decoder()
    for value in BinaryEncoding().range:
        reader.decode(np.array([0.3, value]), UNKNOWN)
    assert reader.take_notices() == []
    reader.decode(np.array([0.3, BinaryEncoding(BinaryForm.SIGNED).range[0]]), UNKNOWN)
    assert "encodings {grip: signed}" in reader.take_notices()[0]

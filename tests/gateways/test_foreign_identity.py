"""Identity of a foreign server."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.foreign_rig import profile_of
from vagus.gateways.foreign_identity import digest_of, model_hash_of
from vagus.gateways.msgpack import Key, Value


def test_a_server_that_says_nothing_has_no_digest() -> None:
    assert digest_of({}) == ""


def test_the_order_of_what_is_said_does_not_count() -> None:
    assert digest_of({"a": 1, "b": {"c": [1, 2], "d": None}}) == digest_of(
        {"b": {"d": None, "c": [1, 2]}, "a": 1}
    )


DIFFERENT: list[dict[Key, Value]] = [
    {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": b"1"}, {b"a": 1}, {"a": None}, {"a": []}, {"a": {}},
    {"a": [1, 2]}, {"a": [[1], 2]}, {"a": [1, [2]]}, {"a": [12]}, {"a": {"b": 1}}, {"a": 1, "b": 1},
    {"a": np.array([1, 2], np.int32)}, {"a": np.array([1, 2], np.int64)}, {"a": np.array([[1, 2]], np.int32)},
]  # fmt: skip


def test_bytes_and_numbers_of_numpy_have_a_digest_that_stays() -> None:
    said: list[dict[Key, Value]] = [
        {"a": memoryview(b"raw"), "b": np.float32(1.5)},
        {"a": b"raw", "b": np.float32(1.5)},
    ]
    assert digest_of(said[0]) == digest_of(said[1])
    assert digest_of(said[0]) != digest_of({"a": b"raw", "b": np.float64(1.5)})


def test_whatever_differs_has_another_digest() -> None:
    assert len({digest_of(said) for said in DIFFERENT}) == len(DIFFERENT)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(max_size=3), PLAIN, max_size=3),
    st.dictionaries(st.text(max_size=3), PLAIN, max_size=3),
)
def test_two_have_one_digest_only_if_they_are_equal(one: dict[Key, Value], other: dict[Key, Value]) -> None:
    assert (digest_of(one) == digest_of(other)) is (repr(_sorted(one)) == repr(_sorted(other)))


def _sorted(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=repr)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"name": "elsewhere"}, True),
        ({"identity": "stated"}, True),
        ({"horizon": 9}, False),
        ({"rate_hz": 9.0}, False),
    ],
)
def test_what_the_numbers_mean_is_part_of_the_identity_and_the_name_of_the_file_is_not(
    change: dict[str, str | float], is_same: bool
) -> None:
    profile = profile_of()
    changed = replace(profile, **change)  # type: ignore[arg-type] # field by field
    assert (model_hash_of(profile, "w", "") == model_hash_of(changed, "w", "")) is is_same


def test_another_identity_or_setting_is_another_model() -> None:
    told = [("w", ""), ("v", ""), ("w", "n1.6")]
    assert len({model_hash_of(profile_of(), *each) for each in told}) == len(told)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import (
    Envelope,
    ForeignRequest,
    Operation,
    WirePath,
    actions_of,
    flatten,
    map_of,
    unflatten,
)

keys = st.text(max_size=3) | st.binary(max_size=3)
maps = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(keys, inner, max_size=4),
).filter(lambda value: isinstance(value, dict))


@given(entries=maps)
def test_flattened_maps_become_themselves_again_in_order(entries: dict) -> None:  # type: ignore[type-arg]
    again = unflatten(flatten(entries))
    assert again == entries
    assert repr(again) == repr(entries)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({("a",): 1, ("a", "b"): 2}, "wanted a map"),
        ({("a", "b"): 2, ("a",): 1}, "got two"),
        ({(): 1}, "empty path"),
    ],
)
def test_paths_that_contradict_are_refused(values: dict[WirePath, Value], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        unflatten(values)


def test_every_value_is_an_array_a_text_or_extra() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    words: Value = [["pick"], ["place"]]
    request = ForeignRequest(
        Operation.INFER,
        Envelope("openpi"),
        {("x",): 1, ("cam",): image, ("task",): words, ("prompt",): "go", ("none",): [], ("mix",): ["a", 1]},
    )
    assert request.arrays == {("cam",): image}
    assert request.texts == {("task",): words, ("prompt",): "go"}
    assert request.extra == {("x",): 1, ("none",): [], ("mix",): ["a", 1]}


def test_a_token_is_not_shown() -> None:
    key = "k3y"
    assert key not in repr(ForeignRequest(Operation.PING, Envelope("gr00t"), token=key))


def test_a_map_is_returned_and_anything_else_named() -> None:
    assert map_of({"a": 1}, "reply") == {"a": 1}
    with pytest.raises(ProtocolError, match="reply: wanted a map, got list"):
        map_of([], "reply")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [[1.0]],
        np.zeros((2, 3), np.int64),
        np.zeros((2, 3), np.float16),
        np.zeros(2, np.float32),
        np.zeros((0, 3), np.float32),
    ],
    ids=str,
)
def test_actions_are_arrays_of_floats_with_the_axes_that_are_wanted(value: Value) -> None:
    actions = np.zeros((2, 3), np.float32)
    assert actions_of(actions, "arm", wanted="(horizon, width)", dimensions=(2,)) is actions
    with pytest.raises(ProtocolError, match="arm: wanted"):
        actions_of(value, "arm", wanted="(horizon, width)", dimensions=(2,))

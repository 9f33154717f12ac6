from __future__ import annotations

import pickle  # noqa: TID251 - what the bytes are compared with

from hypothesis import given
from hypothesis import strategies as st

from vagus.integrations.lerobot_grpc.pickle_emitter import PickleEmitter

PLAIN = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=400)


@given(PLAIN)
def test_a_plain_value_has_the_bytes_of_pickle(value: bool | float | str | None) -> None:
    out = PickleEmitter()
    out.value(value)
    assert out.finish() == pickle.dumps(value, 4)


@given(st.lists(st.integers(0, 2**40), max_size=6), st.binary(max_size=400))
def test_a_tuple_and_bytes_have_the_bytes_of_pickle(sizes: list[int], data: bytes) -> None:
    shape, blob = PickleEmitter(), PickleEmitter()
    shape.integers(sizes)
    blob.data(data)
    assert shape.finish() == pickle.dumps(tuple(sizes), 4)
    assert blob.finish() == pickle.dumps(data, 4)

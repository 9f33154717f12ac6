"""No message may hold a text, a list, a map or bytes without a longest length."""

from __future__ import annotations

import math

import pytest
from msgspec import Struct
from msgspec import inspect as types

from vagus.errors import ProtocolError
from vagus.wire import schema
from vagus.wire.codec import decode, encode
from vagus.wire.schema import LatencyRow, OpenMessage

MESSAGES = [thing for thing in vars(schema).values() if isinstance(thing, type) and issubclass(thing, Struct)]
SIZED = (types.StrType, types.BytesType, types.MemoryViewType, types.DictType, types.VarTupleType)
SIMPLE = (types.IntType, types.FloatType, types.BoolType, types.NoneType, types.EnumType, types.StructType)


REPORTED = {
    "queue_wait_ms",
    "decode_ms",
    "inference_ms",
    "busy",
    "demand",
    "min_interval_ms",
    "starved_share",
    "age_p99_ms",
}
"""Told beside a chunk, which is not refused for them: its reader takes what is no time for 0."""


def endless(kind: types.Type, place: str) -> list[str]:
    """Return the places in a type that may hold NaN or infinity."""
    if isinstance(kind, types.UnionType):
        return [where for part in kind.types for where in endless(part, place)]
    is_endless = isinstance(kind, types.FloatType) and None in (kind.ge, kind.le)
    return [place] if is_endless else []


def unbounded(kind: types.Type, place: str) -> list[str]:
    """Return the places in a type that have no longest length."""
    found = [place] if isinstance(kind, SIZED) and kind.max_length is None else []
    if isinstance(kind, types.UnionType):
        parts: tuple[types.Type, ...] = kind.types
    elif isinstance(kind, types.DictType):
        parts = (kind.key_type, kind.value_type)
    elif isinstance(kind, types.VarTupleType):
        parts = (kind.item_type,)
    else:
        assert isinstance(kind, (*SIZED, *SIMPLE)), f"{place}: a kind that this test does not know: {kind}"
        return found
    return found + [where for part in parts for where in unbounded(part, f"{place}[]")]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_everything_in_a_message_has_a_longest_length(message: type[Struct]) -> None:
    fields = types.type_info(message).fields  # type: ignore[attr-defined]
    assert fields
    assert [where for field in fields for where in unbounded(field.type, field.name)] == []


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_no_number_that_matters_may_be_nan_or_infinite(message: type[Struct]) -> None:
    fields = types.type_info(message).fields  # type: ignore[attr-defined]
    found = {where for field in fields for where in endless(field.type, field.name)}
    assert found <= REPORTED


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0, 1e13])
def test_a_latency_that_is_no_time_is_refused(number: float) -> None:
    row = LatencyRow(batch_size=1, p50_ms=number, max_ms=1.0)
    with pytest.raises(ProtocolError, match=r"`\$\.p50_ms`"):
        decode(encode(row), LatencyRow)


def test_the_bound_is_kept_by_the_decoder() -> None:
    message = OpenMessage(instance="i", robot_type="r" * 257)
    with pytest.raises(ProtocolError, match=r"length <= 256 - at `\$\.robot_type`"):
        decode(encode(message), OpenMessage)

"""A captured answer and one of today: the same, different, or not to be compared."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from server.test_capture import opening
from vagus.errors import ProtocolError, SpecError
from vagus.replay.differences import Differences
from vagus.replay.verdict import ReplayAnswer, Sameness, check_comparable, compare, read_answer
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.schema import Capabilities, ChunkMessage, EventMessage, Kind, WireAction

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def verdict(recorded: ReplayAnswer, live: ReplayAnswer, tolerance: float = 0.01) -> tuple[Sameness, str]:
    found = compare("a.capture", recorded, live, Differences(["x", "y"], ["", ""]), tolerance)
    assert found.sample == "a.capture"
    return found.verdict, found.why


def test_numbers_within_the_tolerance_are_the_same() -> None:
    assert verdict(ReplayAnswer(ROWS, 7), ReplayAnswer(ROWS + 0.005, 7)) == (Sameness.SAME, "")
    assert verdict(ReplayAnswer(ROWS, 7), ReplayAnswer(ROWS.copy(), 7), tolerance=0.0) == (Sameness.SAME, "")


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (ReplayAnswer(ROWS + 0.5, 7), "numbers up to 0.5 apart"),
        (ReplayAnswer(ROWS[:2], 7), "3 actions, now 2"),
        (ReplayAnswer(ROWS, 8), "for step 7, now 8"),
    ],
)
def test_another_number_length_or_step_is_different(live: ReplayAnswer, why: str) -> None:
    assert verdict(ReplayAnswer(ROWS, 7), live) == (Sameness.DIFFERENT, why)


def test_a_refusal_where_there_were_actions_has_failed() -> None:
    found, why = verdict(ReplayAnswer(ROWS), ReplayAnswer(None, code="policy_error", message="out of memory"))
    assert found is Sameness.FAILED
    assert why == "actions, now policy_error: out of memory"


def test_numbers_that_are_none_have_failed() -> None:
    assert verdict(ReplayAnswer(ROWS), ReplayAnswer(ROWS * np.nan))[0] is Sameness.FAILED


def test_refusals_are_compared_by_their_code() -> None:
    refused = ReplayAnswer(None, code="invalid_input", message="at line 3")
    assert verdict(refused, ReplayAnswer(None, code="invalid_input", message="at line 4")) == (
        Sameness.SAME,
        "",
    )
    assert verdict(refused, ReplayAnswer(None, code="policy_error"))[0] is Sameness.DIFFERENT
    assert verdict(refused, ReplayAnswer(ROWS)) == (Sameness.DIFFERENT, "invalid_input, now actions")


def test_an_answer_is_read_from_its_bytes() -> None:
    event = read_answer(Kind.EVENT, encode(EventMessage(code="overloaded", message="full", seq=1)))
    assert (event.actions, event.code, event.message) == (None, "overloaded", "full")
    chunk = ChunkMessage(
        step=4, chunk_model=encode_tensor(ROWS), chunk_robot=encode_tensor(ROWS), valid_len=3
    )
    answer = read_answer(Kind.CHUNK, encode(chunk))
    assert answer.step == 4
    np.testing.assert_array_equal(answer.actions, ROWS)


@pytest.mark.parametrize("changes", [{"valid_len": 2}, {"chunk_robot": encode_tensor(ROWS.astype(np.int32))}])
def test_an_answer_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    chunk = ChunkMessage(
        step=4, chunk_model=encode_tensor(ROWS), chunk_robot=encode_tensor(ROWS), valid_len=3
    )
    with pytest.raises(ProtocolError, match="wanted"):
        read_answer(Kind.CHUNK, encode(msgspec.structs.replace(chunk, **changes)))


def capabilities(*actions: WireAction) -> Capabilities:
    said = opening().ack.capabilities
    assert said is not None
    return msgspec.structs.replace(said, actions=actions)


@pytest.mark.parametrize(
    ("live", "told"),
    [
        (("b", "a"), "another order"),
        (("a",), "they are others"),
        (("a", "c"), "they are others"),
    ],
)
def test_other_joints_are_refused_with_both_lists(live: tuple[str, ...], told: str) -> None:
    recorded = capabilities(WireAction(name="a"), WireAction(name="b"))
    with pytest.raises(SpecError, match=told) as raised:
        check_comparable(recorded, capabilities(*(WireAction(name=name) for name in live)))
    assert raised.value.wanted == "['a', 'b'], as captured"
    assert raised.value.got == f"{list(live)} from the server"


@pytest.mark.parametrize("other", [WireAction(name="a", unit="deg"), WireAction(name="a", kind="velocity")])
def test_other_units_or_kinds_are_refused(other: WireAction) -> None:
    with pytest.raises(SpecError, match="as captured"):
        check_comparable(capabilities(WireAction(name="a", unit="rad")), capabilities(other))


def test_the_same_joints_are_compared() -> None:
    said = capabilities(WireAction(name="a", unit="rad"))
    check_comparable(said, msgspec.structs.replace(said, model_hash="other"))

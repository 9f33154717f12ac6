"""Rows of each version's requests, captured ones and batches, and answers put together as they were asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.arrays import ArrayDialect
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.gr00t.batches import batch_of
from vagus.integrations.gr00t.dialect import (
    FLAT,
    N1_5,
    N1_6,
    N1_7,
    NESTED,
    decode_reply,
    decode_request,
    encode_reply,
)

GOLDEN = Path(__file__).parent / "golden"
TASK = "annotation.human.task_description"
MOST = 4


def request_of(version: str, form: str, observation: dict[WirePath, Value]) -> ForeignRequest:
    envelope = Envelope("gr00t", version, ArrayDialect.NPY, form, "get_action")
    return ForeignRequest(Operation.INFER, envelope, observation, token="tok")  # noqa: S106 - of nothing


def asked(version: str, form: str, count: int) -> ForeignRequest:
    """Return a request of `count` rows; each number, pixel and text says which row it is of."""
    rows = np.arange(count, dtype=np.float32).reshape(count, 1, 1)
    values: dict[WirePath, Value] = {
        ("video", "front"): np.broadcast_to(rows[..., None, None], (count, 1, 2, 4, 3)).astype(np.uint8),
        ("state", "single_arm"): np.repeat(rows, 5, axis=2),
        ("state", "gripper"): rows,
    }
    texts = [f"task {row}" for row in range(count)]
    if form == FLAT:
        flat: dict[WirePath, Value] = {(".".join(map(str, path)),): value for path, value in values.items()}
        return request_of(version, form, {**flat, (TASK,): [*texts]})
    return request_of(version, form, {**values, ("language", TASK): [[text] for text in texts]})


@pytest.mark.parametrize("name", ["n15_02_REQ", "n16_02_REQ", "n17_02_REQ"])
def test_a_captured_request_is_one_canonical_row(name: str) -> None:
    batch = batch_of(decode_request((GOLDEN / f"{name}.bin").read_bytes()), most=1)
    (row,) = batch.rows
    shapes = {path: array.shape for path, array in row.arrays.items()}
    cameras = ["front"] if name.startswith("n15") else ["front", "wrist"]
    assert shapes == {
        **{("video", camera): (2, 2, 3) for camera in cameras},
        ("state", "single_arm"): (5,),
        ("state", "gripper"): (1,),
    }
    assert row.observation["language", TASK] == "pick"
    assert row.token is None
    assert batch.has_axis is (not name.startswith("n15"))


@pytest.mark.parametrize(("version", "form"), [(N1_5, FLAT), (N1_6, FLAT), (N1_6, NESTED), (N1_7, NESTED)])
@pytest.mark.parametrize("count", [1, 2, MOST])
def test_each_row_of_a_batch_is_a_request_of_its_own(version: str, form: str, count: int) -> None:
    batch = batch_of(asked(version, form, count), most=MOST)
    assert batch.has_axis
    assert len(batch.rows) == count
    for number, row in enumerate(batch.rows):
        assert np.array_equal(row.arrays["video", "front"], np.full((2, 4, 3), number, np.uint8))
        assert np.array_equal(row.arrays["state", "single_arm"], np.full(5, number, np.float32))
        assert np.array_equal(row.arrays["state", "gripper"], [number])
        assert row.observation["language", TASK] == f"task {number}"
        assert len(row.observation) == 4


@pytest.mark.parametrize(
    ("text", "told"), [("pick", "pick"), (["pick"], "pick"), ([["pick"]], "pick")], ids=str
)
def test_one_instruction_may_be_wrapped_or_not(text: Value, told: str) -> None:
    observation: dict[WirePath, Value] = {("state.arm",): np.zeros((1, 5)), (TASK,): text}
    (row,) = batch_of(request_of(N1_5, FLAT, observation), most=1).rows
    assert row.observation == {("state", "arm"): row.arrays["state", "arm"], ("language", TASK): told}


def test_one_text_is_the_instruction_of_every_row() -> None:
    request = asked(N1_6, NESTED, 3)
    batch = batch_of(request_of(N1_6, NESTED, {**request.observation, ("language", TASK): "pick"}), most=MOST)
    assert [row.observation["language", TASK] for row in batch.rows] == ["pick"] * 3


def test_what_has_no_rows_is_in_every_row() -> None:
    extra: dict[WirePath, Value] = {("seed",): 7, ("video",): {}, ("language",): {}, ("note", "a"): None}
    counted: dict[WirePath, Value] = {("numbers",): [1, 2], ("mask",): np.zeros(3, np.uint8), (b"k",): 1}
    request = asked(N1_7, NESTED, 2)
    batch = batch_of(request_of(N1_7, NESTED, {**request.observation, **extra, **counted}), most=MOST)
    for row in batch.rows:
        for path, value in {**extra, **counted}.items():
            assert row.observation[path] is value


def test_a_request_without_arrays_is_one_row() -> None:
    assert len(batch_of(request_of(N1_6, NESTED, {("language", TASK): "pick"}), most=MOST).rows) == 1


ARM: dict[WirePath, Value] = {("state", "arm"): np.zeros((2, 1, 5))}


@pytest.mark.parametrize(
    ("version", "observation", "said"),
    [
        (N1_6, {("state", "arm"): np.zeros((5, 1, 5))}, "1 to 4 rows, each a robot of its own, got 5"),
        (N1_6, {("state", "arm"): np.zeros((0, 1, 5))}, "1 to 4 rows, each a robot of its own, got 0"),
        (N1_6, {**ARM, ("state", "base"): np.zeros((3, 1, 5))}, "as many rows in every value"),
        (N1_6, {**ARM, ("language", TASK): [["pick"]]}, "as many rows in every value"),
        (N1_6, {("state", "arm"): np.zeros((2, 2, 5))}, "state/arm: wanted one time step, got 2"),
        (N1_6, {("state", "arm"): np.zeros((2, 0, 5))}, "wanted one time step, got 0"),
        (N1_6, {("state", "arm"): np.zeros((1, 5))}, r"3 axes, batch, time and its own, got shape \(1, 5\)"),
        (N1_6, {("video", "front"): np.zeros((1, 2, 2, 3), np.uint8)}, "5 axes, batch, time"),
        (
            N1_5,
            {("state.arm",): np.zeros(5)},
            r"state.arm: wanted 2 axes, time and its own, got shape \(5,\)",
        ),
        (N1_5, {("state.arm",): np.array(5.0)}, "wanted 2 axes"),
        (N1_5, {("state.arm",): np.zeros((2, 5))}, "wanted one time step"),
        (N1_5, {("state.arm",): np.zeros((2, 1, 5)), ("state.base",): np.zeros((1, 5))}, "3 axes, batch"),
        (N1_6, {**ARM, ("state.arm",): np.zeros((2, 1, 5))}, "each key once"),
        (N1_6, {("language", TASK): 7}, "a text for each row, got int"),
        (N1_6, {("language", TASK): [["pick", "place"]]}, "a text for each row, got"),
        (N1_6, {("language", TASK): [[]]}, "a text for each row, got"),
        (N1_6, {("language", TASK): []}, "got 0"),
    ],
)
def test_a_batch_that_is_none_is_refused(version: str, observation: dict[WirePath, Value], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        batch_of(request_of(version, "", observation), most=MOST)


def answers(count: int) -> list[ForeignReply]:
    return [
        ForeignReply(
            {
                "single_arm": np.full((3, 5), row, np.float32),
                "gripper": np.full((3, 1), 10 + row, np.float32),
            }
        )
        for row in range(count)
    ]


@pytest.mark.parametrize("name", ["n15_02_REQ", "n16_02_REQ", "n17_02_REQ"])
def test_the_answer_to_a_captured_request_has_the_names_and_axes_of_its_version(name: str) -> None:
    request = decode_request((GOLDEN / f"{name}.bin").read_bytes())
    reply = batch_of(request, most=1).join(answers(1))
    captured = decode_reply(
        (GOLDEN / f"{name.replace('02_REQ', '03_REP')}.bin").read_bytes(), Operation.INFER
    )
    again = decode_reply(encode_reply(reply, request), Operation.INFER)
    assert list(again.actions) == list(captured.actions)
    for key, array in captured.actions.items():
        assert again.actions[key].ndim == array.ndim
        assert again.actions[key].shape[-1] == array.shape[-1]


@pytest.mark.parametrize(
    ("version", "form", "names"),
    [
        (N1_5, FLAT, ["action.single_arm", "action.gripper"]),
        (N1_6, FLAT, ["action.single_arm", "action.gripper"]),
        (N1_7, NESTED, ["single_arm", "gripper"]),
    ],
)
@given(count=st.integers(1, MOST))
def test_each_row_gets_its_own_answer(version: str, form: str, names: list[str], count: int) -> None:
    reply = batch_of(asked(version, form, count), most=MOST).join(answers(count))
    assert list(reply.actions) == names
    arm, gripper = reply.actions.values()
    assert (arm.shape, gripper.shape) == ((count, 3, 5), (count, 3, 1))
    for row in range(count):
        assert (arm[row] == row).all()
        assert (gripper[row] == 10 + row).all()


@pytest.mark.parametrize(
    "other", [{}, {"arm": np.zeros((2, 5), np.float32)}, {"hand": np.zeros((3, 5), np.float32)}]
)
def test_answers_that_differ_are_no_answer(other: dict[str, np.ndarray]) -> None:
    batch = batch_of(asked(N1_6, NESTED, 2), most=MOST)
    with pytest.raises(PolicyError, match="equal shapes"):
        batch.join([ForeignReply({"arm": np.zeros((3, 5), np.float32)}), ForeignReply(other)])

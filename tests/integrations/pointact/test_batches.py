"""Batches with a list per key become one request per robot, and their answers one array again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import AnyArray, Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation
from vagus.integrations.pointact.batches import MAX_POINTS, join_replies, joined, rows_of, split_reply
from vagus.integrations.pointact.dialect import decode_reply, decode_request, encode_request

GOLDEN = Path(__file__).parent / "golden"
POINT = [0.1, 0.2, 0.3, 1.0, 0.0, 0.5]


def batch(**lists: Value) -> ForeignRequest:
    observation: dict[tuple[Key, ...], Value] = {
        (key.replace("__", "."),): value for key, value in lists.items()
    }
    return ForeignRequest(
        Operation.INFER, Envelope("pointact", endpoint="get_action"), observation, {}, "tok"
    )


def answer(*shape: int, value: float = 1.0) -> ForeignReply:
    return ForeignReply({"action": np.full(shape, value)})


def test_a_captured_batch_is_one_request_per_robot() -> None:
    whole = decode_request((GOLDEN / "ps_02_REQ.bin").read_bytes())
    rows = rows_of(whole, most=2)
    assert len(rows) == 2
    for row in rows:
        assert row.token is None
        assert row.observation[("task",)] == "pick"
        assert row.observation[("repo_id",)] == "a/b"
        assert {path[0]: array.shape for path, array in row.arrays.items()} == {
            "observation.images.front_image": (2, 2, 3),
            "observation.points": (2, 6),
            "observation.state": (8,),
        }
        assert row.beside == whole.beside
    again = joined([row.observation for row in rows])
    assert list(again) == list(whole.observation)
    assert again[("task",)] == whole.observation[("task",)]


def test_a_captured_answer_is_one_of_each_robot() -> None:
    reply = decode_reply((GOLDEN / "ps_03_REP.bin").read_bytes(), Operation.INFER)
    parts = split_reply(reply, 2)
    assert [part.shape for part in parts] == [(4, 8), (4, 8)]
    whole = join_replies([ForeignReply({"action": part}) for part in parts])
    assert whole.actions["action"].dtype == np.float32
    assert whole.actions["action"].tobytes() == reply.actions["action"].tobytes()


def test_one_robot_may_be_answered_without_a_batch() -> None:
    assert [part.shape for part in split_reply(answer(3, 6), 1)] == [(3, 6)]
    for reply, count in ((answer(3, 6), 3), (answer(2, 3, 6), 1), (answer(2, 3, 6), 3), (ForeignReply(), 1)):
        with pytest.raises(ProtocolError, match=rf"action: wanted \({count}, horizon, width\)"):
            split_reply(reply, count)


def test_what_nobody_knows_is_carried() -> None:
    rows = rows_of(batch(observation__sampling_anchor=[[1.0], None], task=["a", "b"]), most=8)
    assert [row.observation[("observation.sampling_anchor",)] for row in rows] == [[1.0], None]
    request = ForeignRequest(Operation.INFER, Envelope("pointact"), {(b"raw",): [1]})
    assert [row.observation for row in rows_of(request, most=1)] == [{(b"raw",): 1}]


def points(*rows: list[float], dtype: str = "<f4") -> AnyArray:
    return np.array(rows, dtype)


def test_points_of_one_camera_and_of_the_other_byte_order_are_taken() -> None:
    request = batch(
        observation__points__front=[points(POINT, dtype=">f4")], observation__state=[np.zeros(7, ">f8")]
    )
    assert len(rows_of(request, most=1)) == 1


@pytest.mark.parametrize(
    ("lists", "wanted"),
    [
        ({}, "batch: wanted 1 to 2 robots, got 0"),
        ({"task": []}, "batch: wanted 1 to 2 robots, got 0"),
        ({"task": ["a", "b", "c"]}, "batch: wanted 1 to 2 robots, got 3"),
        ({"task": ["a", "b"], "repo_id": ["c"]}, "batch: wanted as many values at every key"),
        ({"task": "a"}, "batch: wanted a list at task"),
        ({"task": [1]}, "task: wanted a text for each robot, got int"),
        ({"repo_id": [["a"]]}, "repo_id: wanted a text for each robot, got list"),
        ({"observation__images__a": [np.zeros((2, 2, 4), np.uint8)]}, "images.a: wanted uint8"),
        ({"observation__images__a": [np.zeros((2, 2, 3))]}, "images.a: wanted uint8"),
        ({"observation__images__a": [np.zeros((0, 2, 3), np.uint8)]}, "images.a: wanted uint8"),
        ({"observation__images__a": ["jpeg"]}, "images.a: wanted uint8 .*, got str"),
        ({"observation__points": [np.zeros((2, 3))]}, "points: wanted floats"),
        ({"observation__points": [np.zeros((2, 6), np.int64)]}, "points: wanted floats .*, got int64"),
        ({"observation__points": [np.zeros((MAX_POINTS + 1, 6), np.float32)]}, "points: wanted floats"),
        ({"observation__points": [points([*POINT[:5], np.nan])]}, "points: wanted finite numbers"),
        ({"observation__points": [points([0.0, 0.0, 0.0, 255.0, 0.0, 0.0])]}, "divide bytes by 255"),
        ({"observation__points": [points([0.0, 0.0, 0.0, 0.5, -1.0, 0.0])]}, "colours from 0 to 1, got -1"),
        ({"observation__state": [np.zeros((1, 6))]}, "state: wanted floats"),
        ({"observation__state": [np.zeros(257)]}, "state: wanted floats"),
        ({"observation__state": [[1.0]]}, "state: wanted floats .*, got list"),
        ({"observation__state": [np.array([np.inf])]}, "state: wanted finite numbers"),
    ],
)  # fmt: skip
def test_a_batch_that_is_none_is_refused(lists: dict[str, Value], wanted: str) -> None:
    with pytest.raises(ProtocolError, match=wanted):
        rows_of(batch(**lists), most=2)


def test_robots_of_other_keys_are_no_batch() -> None:
    for rows in ([], [{("task",): "a"}, {("repo_id",): "b"}]):
        with pytest.raises(ProtocolError, match="wanted robots with the same keys"):
            joined(rows)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "replies",
    [
        [],
        [answer(3, 6), ForeignReply()],
        [answer(3, 6), answer(2, 6)],
        [answer(6)],
        [answer(0, 6)],
        [answer(3, 6, value=np.nan)],
        [answer(3, 6, value=1e39)],
    ],
)
def test_answers_that_do_not_go_together_are_refused(replies: list[ForeignReply]) -> None:
    with pytest.raises(PolicyError, match="batch: wanted"):
        join_replies(replies)


def test_a_batch_of_64_robots_is_read() -> None:
    row = rows_of(decode_request((GOLDEN / "get_action_REQ.bin").read_bytes()), most=1)[0]
    many = ForeignRequest(Operation.INFER, row.envelope, joined([row.observation] * 64), row.beside)
    assert len(rows_of(decode_request(encode_request(many)), most=64)) == 64

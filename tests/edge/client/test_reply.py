from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.rig import ACTION_DIM, HORIZON, MODEL_DIM, POLICY, actions_of, chunk_payload
from vagus.edge.client.codec import Reply, ReplyFault, as_played, read_chunk
from vagus.specs import RobotSpec
from vagus.wire.codec import decode, encode, encode_tensor
from vagus.wire.schema import ChunkMessage


def payload(
    robot: NDArray[np.generic], model: NDArray[np.generic], *, step: int = 3, valid_len: int | None = None
) -> bytes:
    return encode(
        ChunkMessage(
            step=step,
            chunk_model=encode_tensor(model),
            chunk_robot=encode_tensor(robot),
            valid_len=robot.shape[0] if valid_len is None else valid_len,
        )
    )


ROBOT, MODEL = actions_of(3, 4), actions_of(3, 4, MODEL_DIM)


def with_value(value: float, actions: NDArray[np.float32] = ROBOT) -> NDArray[np.float32]:
    array: NDArray[np.float32] = actions.copy()
    array[1, 1] = value
    return array


def test_a_good_chunk_owns_its_arrays() -> None:
    reply = read_chunk(payload(ROBOT, MODEL), POLICY, step=3)
    assert isinstance(reply, Reply)
    read = reply.chunk
    assert read.step == 3
    assert read.robot.tolist() == ROBOT.tolist()
    assert read.model.tolist() == MODEL.tolist()
    assert read.robot.flags.owndata
    assert read.robot.flags.writeable


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", ReplyFault.MALFORMED),
        (b"\xc1garbage", ReplyFault.MALFORMED),
        (payload(ROBOT.astype(np.float64), MODEL), ReplyFault.MALFORMED),
        (payload(ROBOT, MODEL[:, 0]), ReplyFault.MALFORMED),
        (payload(ROBOT, MODEL[:, :2]), ReplyFault.SHAPE),
        (payload(actions_of(3, 4, ACTION_DIM + 1), MODEL), ReplyFault.SHAPE),
        (payload(ROBOT, MODEL[:3]), ReplyFault.SHAPE),
        (payload(ROBOT, MODEL, valid_len=3), ReplyFault.SHAPE),
        (payload(ROBOT[:0], MODEL[:0]), ReplyFault.SHAPE),
        (chunk_payload(3, HORIZON + 1), ReplyFault.SHAPE),
        (payload(ROBOT, MODEL, step=4), ReplyFault.STEP),
        (payload(with_value(np.nan), MODEL), ReplyFault.NOT_FINITE),
        (payload(with_value(-np.inf), MODEL), ReplyFault.NOT_FINITE),
        (payload(ROBOT, np.full_like(MODEL, np.nan)), ReplyFault.NOT_FINITE),
        (payload(ROBOT, with_value(math.inf, MODEL)), ReplyFault.NOT_FINITE),
    ],
)
def test_a_chunk_with_a_fault_is_refused_whole(body: bytes, fault: ReplyFault) -> None:
    assert read_chunk(body, POLICY, step=3) is fault


@pytest.mark.parametrize("length", [1, HORIZON])
def test_a_chunk_may_be_as_short_as_one_action_and_as_long_as_the_horizon(length: int) -> None:
    reply = read_chunk(chunk_payload(3, length), POLICY, step=3)
    assert isinstance(reply, Reply)
    assert len(reply.chunk) == length


def wrist(convention: str) -> RobotSpec:
    """Return a robot whose first actions are one orientation, as the policy does not say."""
    size = 3 if convention == "rotvec" else 4
    features = [
        replace(feature, rotation=f"wrist:{convention}" if at < size else None)
        for at, feature in enumerate(POLICY.actions)
    ]
    return RobotSpec("r", tuple(reversed(features)), POLICY.state, POLICY.cameras, 30.0)


@pytest.mark.parametrize("row", range(4))
def test_a_chunk_with_an_orientation_that_is_none_is_refused_whole(row: int) -> None:
    spec = as_played(POLICY, wrist("rotvec"))
    assert [feature.name for feature in spec.actions] == [feature.name for feature in POLICY.actions]
    robot = ROBOT.copy()
    robot[:, :3] = 1.0
    assert isinstance(read_chunk(payload(robot, MODEL), spec, step=3), Reply)
    robot[row, 0] = 6283.0
    assert read_chunk(payload(robot, MODEL), spec, step=3) is ReplyFault.MEANINGLESS
    assert isinstance(read_chunk(payload(robot, MODEL), POLICY, step=3), Reply)


def test_an_angle_of_thousands_of_turns_is_refused() -> None:
    first = replace(POLICY.actions[0], unit="deg", continuous=True, feedback=None, is_measured=False)
    robot = RobotSpec("r", (first, *POLICY.actions[1:]), POLICY.state, POLICY.cameras, 30.0)
    chunk = ROBOT.copy()
    chunk[2, 0] = -360_100.0
    assert read_chunk(payload(chunk, MODEL), as_played(POLICY, robot), step=3) is ReplyFault.MEANINGLESS
    chunk[2, 0] = -350_000.0
    assert isinstance(read_chunk(payload(chunk, MODEL), as_played(POLICY, robot), step=3), Reply)


@given(st.data())
def test_changed_bytes_never_give_a_chunk_that_may_not_be_played(data: st.DataObject) -> None:
    body = bytearray(payload(ROBOT, MODEL))
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    reply = read_chunk(bytes(body), POLICY, step=3)
    if isinstance(reply, Reply):
        read = reply.chunk
        assert read.step == 3
        assert read.robot.shape == (len(read), ACTION_DIM)
        assert read.model.shape == (len(read), MODEL_DIM)
        assert np.isfinite(read.robot).all()
        assert np.isfinite(read.model).all()


@pytest.mark.parametrize(
    ("claimed_ms", "believed_ns"),
    [
        (12.5, 12_500_000),
        (0.5, 500_000),
        (1e9, 10**15),
        (1.1e9, 0),
        (0.0, 0),
        (-1.0, 0),
        (math.nan, 0),
        (math.inf, 0),
        (1e300, 0),
    ],
)
def test_what_a_server_says_of_its_time_is_a_time(claimed_ms: float, believed_ns: int) -> None:
    message = msgspec.structs.replace(
        decode(payload(ROBOT, MODEL), ChunkMessage),
        queue_wait_ms=claimed_ms,
        decode_ms=claimed_ms,
        inference_ms=claimed_ms,
    )
    reply = read_chunk(encode(message), POLICY, step=3)
    assert isinstance(reply, Reply)
    assert (reply.queue_ns, reply.decode_ns, reply.inference_ns) == (believed_ns,) * 3

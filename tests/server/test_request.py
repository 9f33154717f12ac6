"""One observation message turned into a row for the policy."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.server.awaited_chunks import UnderWay
from vagus.server.request import DecodedRequest, decode_request
from vagus.server.validate import Terms
from vagus.specs import ActionFeature, CameraSpec, DepthCameraSpec, PolicySpec, RtcSpec, StateFeature
from vagus.types import ActionChunk
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.depth import encode_depth
from vagus.wire.images import encode_image
from vagus.wire.schema import MAX_AWAITED, ObservationMessage

SPEC = PolicySpec(
    policy_type="test",
    actions=(ActionFeature("x", "m"), ActionFeature("y", "m")),
    state=(StateFeature("x", "m"),),
    cameras=(CameraSpec("front", 4, 6), CameraSpec("wrist", 4, 6, is_required=False)),
    horizon=5,
    model_dim=3,
    rate_hz=10.0,
    rtc=RtcSpec(4),
    default_instruction="default",
    depth_cameras=(DepthCameraSpec("deep", 4, 6), DepthCameraSpec("spare", 4, 6, is_required=False)),
)
TERMS = Terms(uses_rtc=True, image_codec="jpeg", max_pixels=24, instruction="opened", is_pinned=False)
DEPTH = np.arange(24, dtype=np.uint16).reshape(4, 6) * np.uint16(2000)
FRAME = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def floats(*shape: int, value: float = 0.5) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.full(shape, value, np.float32)


MESSAGE = ObservationMessage(
    state=encode_tensor(floats(1)),
    images={"front": encode_image(FRAME, "raw")},
    depth={"deep": encode_depth(DEPTH, "delta")},
    instruction="go",
    step=7,
    inference_delay=2,
    prefix_horizon=4,
    prefix_model=encode_tensor(floats(3, 3)),
    prefix_robot=encode_tensor(floats(3, 2)),
    seed=2**64 - 1,
)


def decoded(terms: Terms = TERMS, /, **changes: object) -> DecodedRequest:
    payload = encode(msgspec.structs.replace(MESSAGE, **changes))
    return decode_request(payload, SPEC, terms, captured_ns=99)


def test_a_request_becomes_a_row_with_all_it_says() -> None:
    request = decoded(episode_start=True, slack_ms=3.5, network_ms=1.5)
    session = object()
    row = request.row(session)
    assert row.session is session
    assert (row.step, row.inference_delay, row.prefix_horizon, row.seed) == (7, 2, 4, 2**64 - 1)
    assert row.prefix is not None
    assert row.prefix.robot.shape == (3, 2)
    assert row.prefix.model.shape == (3, 3)
    assert row.observation.instruction == "go"
    assert row.observation.captured_ns == 99
    assert row.observation.state.dtype == np.float32
    np.testing.assert_array_equal(row.observation.images["front"], FRAME)
    np.testing.assert_array_equal(row.observation.depth["deep"], DEPTH)
    assert request.is_episode_start
    assert (request.slack_ms, request.network_ms) == (3.5, 1.5)


def test_a_request_without_an_instruction_takes_that_of_the_session_then_that_of_the_policy() -> None:
    assert decoded(instruction="").observation.instruction == "opened"
    terms = Terms(uses_rtc=True, image_codec="jpeg", max_pixels=24, instruction="", is_pinned=False)
    assert decoded(terms, instruction="").observation.instruction == "default"


def test_a_pinned_instruction_cannot_be_changed_by_a_request() -> None:
    terms = Terms(uses_rtc=True, image_codec="jpeg", max_pixels=24, instruction="only", is_pinned=True)
    assert decoded(terms, instruction="").observation.instruction == "only"
    with pytest.raises(ProtocolError, match="only"):
        decoded(terms, instruction="other")


def test_guidance_never_ends_before_the_actions_that_are_executed_anyway() -> None:
    assert decoded(prefix_horizon=0, inference_delay=3).prefix_horizon == 3


def test_answers_under_way_are_put_into_the_plan_that_the_robot_awaits_them_with() -> None:
    under_way, chunk = UnderWay(), ActionChunk(6, floats(8, 3), floats(8, 2))
    under_way.note(4, replace(decoded().row(None), step=6, inference_delay=3), chunk)
    alone = under_way.continued(decoded(inference_delay=3).row(None), ())
    assert (len(alone.prefix or ()), alone.inference_delay) == (3, 3)
    for seqs, length, delay in (((4,), 7, 5), ((3,), 3, 3)):
        request = decoded(awaited=seqs, inference_delay=5)
        row = under_way.continued(request.row(None), request.awaited)
        assert row.prefix is not None
        assert (len(row.prefix), row.inference_delay) == (length, delay)


def test_what_is_awaited_belongs_to_a_plan_and_lasts_no_longer_than_a_chunk() -> None:
    with pytest.raises(ProtocolError, match=r"awaited: wanted none without a prefix, got \[4\]"):
        decoded(awaited=(4,), prefix_model=None, prefix_robot=None, inference_delay=0)
    for delay in (-1, SPEC.horizon + 1):
        with pytest.raises(ProtocolError, match="inference_delay"):
            decoded(awaited=(4,), inference_delay=delay)
    with pytest.raises(ProtocolError, match="awaited"):
        decoded(awaited=tuple(range(MAX_AWAITED + 1)))


def test_frames_that_the_policy_does_not_look_at_are_not_decoded() -> None:
    broken = msgspec.structs.replace(encode_image(FRAME, "raw"), codec="nonsense")
    request = decoded(images={"front": encode_image(FRAME, "raw"), "other": broken})
    assert set(request.observation.images) == {"front"}


def test_depth_that_the_policy_does_not_look_at_is_not_decoded() -> None:
    broken = msgspec.structs.replace(encode_depth(DEPTH, "raw"), codec="nonsense")
    request = decoded(depth={"deep": encode_depth(DEPTH, "png"), "other": broken})
    assert set(request.observation.depth) == {"deep"}
    both = {"deep": encode_depth(DEPTH, "raw"), "spare": encode_depth(DEPTH, "raw")}
    assert set(decoded(depth=both).observation.depth) == {"deep", "spare"}


def test_double_precision_is_taken_and_narrowed() -> None:
    assert decoded(state=encode_tensor(np.array([0.25]))).observation.state.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"state": encode_tensor(floats(2))}, "state"),
        ({"state": encode_tensor(np.array([1], np.int64))}, "floating"),
        ({"state": encode_tensor(floats(1, value=np.nan))}, "finite"),
        ({"state": encode_tensor(np.array([1e300]))}, "finite"),
        ({"images": {}}, "front"),
        ({"depth": {}}, r"depth: wanted a frame of \['deep'\], got \[\]"),
        ({"depth": {"deep": encode_depth(DEPTH[:3], "raw")}}, "wanted 4×6, got 3×6"),
        ({"images": {"front": encode_image(np.zeros((5, 6, 3), np.uint8), "raw")}}, "pixels"),
        ({"step": -1}, "step"),
        ({"seed": -1}, "seed"),
        ({"slack_ms": float("nan")}, "slack_ms"),
        ({"network_ms": float("nan")}, "network_ms"),
        ({"inference_delay": 4}, "inference_delay"),
        ({"inference_delay": -1}, "inference_delay"),
        ({"prefix_horizon": 6}, "prefix_horizon"),
        ({"prefix_model": None}, "both"),
        ({"prefix_robot": None}, "both"),
        ({"prefix_model": None, "prefix_robot": None}, "inference_delay"),
        ({"prefix_robot": encode_tensor(floats(3, 3))}, "prefix_robot"),
        ({"prefix_model": encode_tensor(floats(2, 3))}, "prefix_model"),
        (
            {"prefix_robot": encode_tensor(floats(6, 2)), "prefix_model": encode_tensor(floats(6, 3))},
            "length",
        ),
        (
            {"prefix_robot": encode_tensor(floats(0, 2)), "prefix_model": encode_tensor(floats(0, 3))},
            "length",
        ),
        ({"prefix_robot": encode_tensor(floats(3, 2, value=np.inf))}, "finite"),
    ],
)
def test_what_must_not_reach_a_policy_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        decoded(**changes)


def test_a_prefix_is_refused_where_it_was_not_agreed() -> None:
    terms = Terms(uses_rtc=False, image_codec="jpeg", max_pixels=24, instruction="", is_pinned=False)
    with pytest.raises(ProtocolError, match="not agreed"):
        decoded(terms)
    plain = decoded(terms, prefix_model=None, prefix_robot=None, inference_delay=0)
    assert plain.prefix is None


@given(st.binary(max_size=300))
def test_random_bytes_give_our_error_only(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(payload, SPEC, TERMS, captured_ns=0)


@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_changed_byte_gives_a_valid_row_or_our_error(position: int, byte: int) -> None:
    payload = bytearray(encode(MESSAGE))
    payload[position % len(payload)] = byte
    try:
        request = decode_request(bytes(payload), SPEC, TERMS, captured_ns=0)
    except ProtocolError:
        return
    assert np.isfinite(request.observation.state).all()
    assert request.prefix is None or 0 <= request.inference_delay <= len(request.prefix) <= SPEC.horizon

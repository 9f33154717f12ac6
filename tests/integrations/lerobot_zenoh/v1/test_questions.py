"""Questions to a server and its answers, by the captured messages of the original programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import Value, ValueMap
from vagus.gateways.neutral import ForeignRtc, WirePath
from vagus.integrations.lerobot_zenoh.v1.choice import Wish, open_request
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, decode_message, encode_message
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding
from vagus.integrations.lerobot_zenoh.v1.questions import (
    RemoteFaultError,
    SentQuestion,
    frame_of,
    with_plan,
)
from vagus.integrations.lerobot_zenoh.v1.values import read_map, write_map

FOLDER = Path(__file__).parent / "golden"
RAW = PictureEncoding.RAW


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.bin").read_bytes()


def golden(name: str) -> tuple[MessageHead, ValueMap]:
    return decode_message(raw(name))


def question(observation: str, accepted: str) -> SentQuestion:
    """Return a captured observation as the question that it was."""
    head, body = golden(observation)
    session = AcceptedSession.from_wire(golden(accepted)[1])
    return SentQuestion(head, RemoteObservation.from_wire(body), session)


ALIGNED = question("04_obs_first_raw_c2s", "02_open_aligned_s2c")
GUIDED = question("39_obs_rtc_prefix_c2s", "37_open_rtc_guided_s2c")


@pytest.mark.parametrize(
    ("descriptor", "wish", "opening"),
    [
        ("01_describe_s2c", Wish("arm", encoding=RAW), "02_open_aligned_c2s"),
        ("36_descriptor_rtc_guided_s2c", Wish("arm", encoding=RAW), "37_open_rtc_guided_c2s"),
    ],
)
def test_a_session_is_asked_for_as_the_original_client_does(
    descriptor: str, wish: Wish, opening: str
) -> None:
    deployment = Deployment.from_wire(golden(descriptor)[1])
    assert read_map(write_map(open_request(deployment, wish).to_wire())) == golden(opening)[1]


@pytest.mark.parametrize("asked", [ALIGNED, GUIDED])
def test_a_question_is_sent_as_the_original_client_does(asked: SentQuestion) -> None:
    names = {ALIGNED: "04_obs_first_raw_c2s", GUIDED: "39_obs_rtc_prefix_c2s"}
    assert asked.to_wire() == raw(names[asked])


def test_the_answer_of_the_original_server_is_taken() -> None:
    actions = ALIGNED.answered_by(raw("04_obs_first_raw_s2c"))
    assert actions is not None
    assert actions.canonical_actions.shape == (3, 2)
    guided = GUIDED.answered_by(raw("39_obs_rtc_prefix_s2c"))
    assert guided is not None
    assert guided.model_actions is not None
    assert (guided.canonical_actions.shape, guided.model_actions.shape) == ((6, 2), (6, 3))


def changed(**changes: object) -> bytes:
    """Return the original server's answer with something changed."""
    head, body = golden("04_obs_first_raw_s2c")
    actions = replace(RemoteActions.from_wire(body), **changes)  # type: ignore[arg-type] # by name
    return encode_message(head, actions.to_wire())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (changed(cursor=1, observation_cursor=1), "cursors"),
        (changed(cursor=None, observation_cursor=None), "cursors"),
        (changed(canonical_actions=np.zeros((2, 2), np.float32)), "canonical_actions"),
        (changed(canonical_actions=np.zeros((3, 3), np.float32)), "canonical_actions"),
        (changed(identity=replace(ALIGNED.observation.identity, capture_time_s=0.5)), "identity"),
        (changed(identity=replace(ALIGNED.observation.identity, task="another")), "identity"),
        (raw("bad_nan_tensor"), "finite"),
        (raw("04_obs_first_raw_c2s"), "wanted actions, got observation"),
        (b"", "wanted 1 more bytes"),
    ],
)
def test_another_answer_is_refused(answer: bytes, told: str) -> None:
    with pytest.raises(ProtocolError, match=told):
        ALIGNED.answered_by(answer)


def test_an_answer_to_another_question_is_none_of_ours() -> None:
    assert ALIGNED.answered_by(raw("39_obs_rtc_prefix_s2c")) is None
    for name in ("instance_id", "session_id", "request_id"):
        head = replace(ALIGNED.head, **{name: "other"})  # type: ignore[arg-type] # by name
        other = replace(ALIGNED, head=head)
        assert other.answered_by(raw("04_obs_first_raw_s2c")) is None
    assert (
        replace(ALIGNED, head=replace(ALIGNED.head, generation=7)).answered_by(raw("04_obs_first_raw_s2c"))
        is None
    )


def test_an_error_ends_the_session_unless_the_server_is_busy() -> None:
    for name, code in (
        ("21_error_faulted_s2c", ErrorCode.STALE),
        ("33_error_timeout_s2c", ErrorCode.TIMEOUT),
    ):
        head, _ = golden(name)
        with pytest.raises(RemoteFaultError) as caught:
            replace(ALIGNED, head=head).answered_by(raw(name))
        assert caught.value.code is code
    head, _ = golden("19_error_busy_obs_s2c")
    with pytest.raises(PolicyError, match="busy"):
        replace(ALIGNED, head=head).answered_by(raw("19_error_busy_obs_s2c"))


def test_a_frame_has_exactly_the_features_of_the_deployment() -> None:
    capabilities = ALIGNED.accepted.deployment.capabilities
    arrays = {feature.name: np.ones(feature.shape, feature.dtype) for feature in capabilities.features}
    values: dict[WirePath, Value] = {(name,): array for name, array in arrays.items()}
    frame = frame_of({**values, ("spare",): "text"}, capabilities, RAW)
    assert list(frame) == [feature.name for feature in capabilities.features]
    for name, array in arrays.items():
        others: tuple[Value, ...] = (array[..., :-1], array.astype(np.float16), "text")
        for other in others:
            with pytest.raises(PolicyError, match=name):
                frame_of({**values, (name,): other}, capabilities, RAW)


def test_a_plan_is_cut_to_what_the_server_takes_and_left_out_of_whole_chunks() -> None:
    plan = np.arange(40.0).reshape(20, 2)
    model = np.arange(60, dtype=np.float32).reshape(20, 3)
    rtc = ForeignRtc(prefix=plan, inference_delay=9, model_prefix=model)
    told_model, told, delay = with_plan(rtc, GUIDED.accepted)
    assert told_model is not None
    assert told is not None
    assert (told.shape, str(told.dtype), told_model.shape, delay) == ((6, 2), "float32", (6, 3), 6)
    np.testing.assert_array_equal(told, plan[:6])
    assert with_plan(rtc, ALIGNED.accepted) == (None, None, 0)
    for nothing in (None, replace(rtc, prefix=plan[:0]), replace(rtc, model_prefix=None)):
        assert with_plan(nothing, GUIDED.accepted) == (None, None, 0)

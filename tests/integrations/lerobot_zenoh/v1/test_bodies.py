"""Bodies of messages: what is required, what is refused and with which code, what a default means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import (
    ControlAck,
    ControlOperation,
    ControlRequest,
    RemoteFault,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment, DeploymentStatus
from vagus.integrations.lerobot_zenoh.v1.envelope import decode_message
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, InferenceMode, RemoteFeature
from vagus.integrations.lerobot_zenoh.v1.language import LanguageRequest, LanguageResult
from vagus.integrations.lerobot_zenoh.v1.motion import (
    FrameIdentity,
    RemoteActions,
    RemoteObservation,
    check_observation,
)
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.pictures import picture_of
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, read_map, write_map
from vagus.types import FloatArray

FOLDER = Path(__file__).parent / "golden"
Reader = Callable[[ValueMap], object]
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def golden(name: str) -> ValueMap:
    """Return the body of a captured message."""
    return decode_message((FOLDER / f"{name}.bin").read_bytes())[1]


def refused(read: Reader, body: ValueMap) -> tuple[str, str]:
    """Return the code and the text with which a body is refused."""
    with pytest.raises(RemoteMessageError) as caught:
        read(body)
    return caught.value.code.value, str(caught.value)


def again(body: RemoteMap) -> ValueMap:
    return read_map(write_map(body))


REQUIRED: list[tuple[str, Reader, tuple[str, ...]]] = [
    ("01_describe_s2c", Deployment.from_wire,
     ("deployment", "instance_id", "artifact_identity", "semantics", "capabilities", "ready", "limits")),
    ("02_open_aligned_s2c", AcceptedSession.from_wire, ("mode", "chunk_settings", "deployment")),
    ("02_open_aligned_c2s", OpenRequest.from_wire,
     ("features", "action_feature", "semantics", "action_interval", "mode", "encoding")),
    ("03_reset_g0_c2s", ControlRequest.from_wire, ("operation",)),
    ("03_reset_g0_s2c", ControlAck.from_wire, ("operation", "applied_generation")),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire,
     ("sequence", "artifact_identity", "observation_id", "capture_time", "task", "task_version", "features",
      "delay")),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire,
     ("artifact_identity", "observation_id", "capture_time", "task", "task_version", "canonical_actions",
      "execution_steps")),
    ("43_language_vqa_c2s", LanguageRequest.from_wire,
     ("sequence", "observation_id", "features", "kind", "text", "intent_generation")),
    ("43_language_vqa_s2c", LanguageResult.from_wire,
     ("artifact_identity", "answer", "kind", "intent_generation", "duration_s")),
    ("10_open_busy_s2c", RemoteFault.from_wire, ("code", "message")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "read", "field"), [(name, read, field) for name, read, fields in REQUIRED for field in fields]
)
def test_a_body_without_a_required_field_is_malformed(name: str, read: Reader, field: str) -> None:
    body = golden(name)
    read(body)
    del body[field]
    code, text = refused(read, body)
    assert code == "malformed"
    assert field in text


CHANGES: list[tuple[str, Reader, ValueMap, str]] = [
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"mode": "rtc"}, "unsupported"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"encoding": "png"}, "unsupported"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"mode": 3}, "malformed"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"chunk_settings": {"chunk_merge": "mix"}}, "unsupported"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"chunk_settings": {"chunk_merge": "append", "x": 1}},
     "unsupported"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"chunk_settings": {"chunk_merge": "aligned",
     "blend_steps": 2}}, "malformed"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"required_capabilities": [1]}, "malformed"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"action_interval": True}, "malformed"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"action_interval": -1.0}, "malformed"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"features": [3]}, "malformed"),
    ("02_open_aligned_c2s", OpenRequest.from_wire, {"features": {}}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"sequence": -1}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"sequence": True}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"sequence": 1.0}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"task_version": 1 << 63}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"observation_id": ""}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"capture_time": "1"}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"capture_time": (1 << 53) + 1}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"cursor": 1.0}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"observation_cursor": 1}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"delay": 1 << 15}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"canonical_continuation": ROWS}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"model_continuation": ROWS}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire,
     {"model_continuation": ROWS, "canonical_continuation": ROWS[:2]}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire,
     {"model_continuation": ROWS.astype(np.float64), "canonical_continuation": ROWS}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire,
     {"model_continuation": [1.0], "canonical_continuation": ROWS}, "malformed"),
    ("04_obs_first_raw_c2s", RemoteObservation.from_wire, {"features": {"state": 1.0}}, "malformed"),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire, {"execution_steps": 2}, "malformed"),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire, {"canonical_actions": None}, "malformed"),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire, {"canonical_actions": ROWS[0]}, "malformed"),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire, {"model_actions": ROWS[:2]}, "malformed"),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire, {"cursor": None}, "malformed"),
    ("04_obs_first_raw_s2c", RemoteActions.from_wire, {"server_durations": {"x": "1"}}, "malformed"),
    ("43_language_vqa_c2s", LanguageRequest.from_wire, {"kind": "song"}, "unsupported"),
    ("43_language_vqa_c2s", LanguageRequest.from_wire, {"text": ""}, "malformed"),
    ("43_language_vqa_s2c", LanguageResult.from_wire, {"answer": " \n"}, "malformed"),
    ("43_language_vqa_s2c", LanguageResult.from_wire, {"kind": "song"}, "malformed"),
    ("10_open_busy_s2c", RemoteFault.from_wire, {"code": "tired"}, "malformed"),
    ("10_open_busy_s2c", RemoteFault.from_wire, {"message": "a" * 2049}, "malformed"),
    ("10_open_busy_s2c", RemoteFault.from_wire, {"details": {"x": b"y"}}, "malformed"),
    ("10_open_busy_s2c", RemoteFault.from_wire, {"details": [1]}, "malformed"),
    ("03_reset_g0_s2c", ControlAck.from_wire, {"applied_generation": False}, "malformed"),
    ("01_describe_s2c", Deployment.from_wire, {"ready": 1}, "malformed"),
    ("01_describe_s2c", Deployment.from_wire, {"ready": None}, "malformed"),
    ("01_describe_s2c", Deployment.from_wire, {"limits": {"max_input_chars": 1}}, "malformed"),
    ("01_describe_s2c", Deployment.from_wire, {"execution_contracts": [""]}, "malformed"),
    ("01_describe_s2c", Deployment.from_wire, {"capabilities": ROWS}, "malformed"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "read", "changed", "code"), CHANGES)
def test_a_field_of_another_type_or_range_is_refused(
    name: str, read: Reader, changed: ValueMap, code: str
) -> None:
    assert refused(read, {**golden(name), **changed})[0] == code


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"depth": 1}, "wanted none but"),
        ({"modes": []}, "wanted a mode"),
        ({"modes": ["dream"]}, "modes: wanted some of"),
        ({"execution_steps": 5}, "wanted 1 to 4 execution_steps"),
        ({"execution_steps": 0}, "execution_steps"),
        ({"action_interval": 0.0}, "action_interval above 0"),
        ({"language": None}, "language: wanted true or false"),
    ],
)
def test_capabilities_are_read_strictly(changed: ValueMap, said: str) -> None:
    body = golden("01_describe_s2c")
    capabilities = body["capabilities"]
    assert isinstance(capabilities, dict)
    body["capabilities"] = {**capabilities, **changed}
    code, text = refused(Deployment.from_wire, body)
    assert (code, said in text) == ("malformed", True), text


def test_a_feature_cannot_stand_twice_and_the_action_has_its_name() -> None:
    body = golden("01_describe_s2c")
    capabilities = body["capabilities"]
    assert isinstance(capabilities, dict)
    features = capabilities["features"]
    assert isinstance(features, list)
    twice: ValueMap = {**body, "capabilities": {**capabilities, "features": [features[0], features[0]]}}
    assert "each feature once" in refused(Deployment.from_wire, twice)[1]
    named: ValueMap = {**body, "capabilities": {**capabilities, "action_feature": features[0]}}
    assert "the feature 'action'" in refused(Deployment.from_wire, named)[1]


SPEC: ValueMap = {
    "name": "observation.state", "shape": [2], "dtype": "float32", "kind": "tensor", "names": ["a", "b"],
    "semantics": "deg",
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"unit": "deg"},
        {"shape": [1, 1, 1, 1, 1]},
        {"shape": [0], "names": []},
        {"shape": [2.0]},
        {"shape": [True, 2], "names": []},
        {"dtype": "float16"},
        {"kind": "depth"},
        {"names": ["a"]},
        {"names": ["a", "a"]},
        {"shape": [1, 2]},
        {"semantics": ""},
        {"name": ""},
        {"kind": "rgb", "shape": [4, 4, 3], "names": []},
        {"kind": "rgb", "shape": [4, 4, 4], "dtype": "uint8", "names": []},
        {"kind": "rgb", "shape": [2], "dtype": "uint8"},
    ],
)
def test_a_feature_that_breaks_a_rule_is_malformed(changed: ValueMap) -> None:
    assert RemoteFeature.from_wire(SPEC).kind is FeatureKind.TENSOR
    assert refused(RemoteFeature.from_wire, {**SPEC, **changed})[0] == "malformed"


def test_the_smallest_descriptor_that_a_client_takes() -> None:
    body = golden("01_describe_s2c")
    kept = ("deployment", "instance_id", "artifact_identity", "semantics", "ready", "capabilities")
    smallest: ValueMap = {key: body[key] for key in kept}
    smallest["limits"] = {"max_input_chars": 10, "max_output_chars": 20}
    deployment = Deployment.from_wire(smallest)
    assert (deployment.status, deployment.contracts, deployment.limits.action_deadline_s) == (None, (), 0.0)
    assert Deployment.from_wire(again(deployment.to_wire())) == deployment


def test_a_descriptor_for_generation_b_names_what_may_be_blended() -> None:
    body = golden("01_describe_s2c")
    body["blendable_components"] = ["j0.pos"]
    deployment = Deployment.from_wire(body)
    assert deployment.blendable_components == ("j0.pos",)
    assert again(deployment.to_wire())["blendable_components"] == ["j0.pos"]


def test_a_status_needs_no_more_than_one_word() -> None:
    body = {**golden("01_describe_s2c"), "session": None}
    del body["available"]
    assert Deployment.from_wire(body).status == DeploymentStatus()


def test_rows_of_a_reply_depend_on_the_mode() -> None:
    capabilities = Deployment.from_wire(golden("36_descriptor_rtc_guided_s2c")).capabilities
    assert [capabilities.steps(mode) for mode in InferenceMode] == [3, 6, 6]
    assert (capabilities.model_dim, capabilities.action_dim) == (3, 2)
    plain = Deployment.from_wire(golden("01_describe_s2c")).capabilities
    assert (plain.model_dim, plain.action_dim) == (2, 2)


def test_actions_need_no_durations() -> None:
    body = golden("04_obs_first_raw_s2c")
    del body["server_durations"]
    assert RemoteActions.from_wire(body).server_durations_s == {}


def test_a_status_tells_who_holds_the_session() -> None:
    owner = ControlAck.from_wire(golden("07_status_g1_s2c")).owner
    assert owner is not None
    assert (owner.owner, owner.is_client_present) == ("5e000000000000000000000000000002", True)


def test_an_error_becomes_the_answer_that_tells_of_it() -> None:
    error = RemoteMessageError(ErrorCode.STALE, "a" * 3000)
    fault = RemoteFault.of(error)
    assert (fault.code, len(fault.message)) == (ErrorCode.STALE, 2048)
    assert RemoteFault.from_wire(again(fault.to_wire())) == fault
    assert len(str(again(RemoteFault(ErrorCode.BUSY, "a" * 3000).to_wire())["message"])) == 2048


def observation(**changed: object) -> RemoteObservation:
    whole: dict[str, object] = {
        "sequence": 1,
        "identity": FrameIdentity("sha256:1", "o", 0.0, "", 0),
        "features": {
            "observation.state": np.zeros(2, np.float32),
            "observation.images.front": picture_of(np.zeros((16, 16, 3), np.uint8)),
        },
        **changed,
    }
    return RemoteObservation(**whole)  # type: ignore[arg-type]


BENCH = Deployment.from_wire(golden("01_describe_s2c")).capabilities
STATE, FRONT = "observation.state", "observation.images.front"
FEATURES = observation().features


@pytest.mark.parametrize(
    ("changed", "is_aligned", "code"),
    [
        ({}, False, None),
        ({"features": {**FEATURES, FRONT: np.zeros((16, 16, 3), np.uint8)}}, False, None),
        ({"observation_cursor": 0}, True, None),
        ({}, True, "malformed"),
        ({"cursor": 20_000, "observation_cursor": 20_000 - 16_384}, True, None),
        ({"cursor": 20_000, "observation_cursor": 20_000 - 16_385}, True, "malformed"),
        ({"cursor": 1 << 62, "observation_cursor": 0}, False, "malformed"),
        ({"delay": 5}, False, "malformed"),
        ({"delay": 4}, False, None),
        ({"identity": FrameIdentity("sha256:1", "o", 0.0, "a" * 11, 0)}, False, "malformed"),
        ({"canonical_continuation": ROWS, "model_continuation": ROWS}, False, None),
        ({"canonical_continuation": ROWS[:, :1], "model_continuation": ROWS}, False, "malformed"),
        ({"canonical_continuation": ROWS, "model_continuation": ROWS[:, :1]}, False, "malformed"),
        ({"canonical_continuation": np.zeros((5, 2), np.float32)}, False, "malformed"),
        ({"features": {STATE: np.zeros(2, np.float32)}}, False, "incompatible"),
        ({"features": {**FEATURES, "more": np.zeros(2, np.float32)}}, False, "incompatible"),
        ({"features": {**FEATURES, STATE: np.zeros(3, np.float32)}}, False, "incompatible"),
        ({"features": {**FEATURES, STATE: np.zeros(2)}}, False, "incompatible"),
        ({"features": {**FEATURES, STATE: FEATURES[FRONT]}}, False, "incompatible"),
        (
            {"features": {**FEATURES, FRONT: picture_of(np.zeros((16, 8, 3), np.uint8))}},
            False,
            "incompatible",
        ),
    ],
)
def test_an_observation_must_fit_its_session(
    changed: dict[str, object], is_aligned: bool, code: str | None
) -> None:
    def check() -> None:
        check_observation(observation(**changed), BENCH, is_aligned=is_aligned, max_chars=10)

    if code is None:
        check()
        return
    with pytest.raises(RemoteMessageError) as caught:
        check()
    assert caught.value.code.value == code


def test_a_picture_where_a_tensor_is_wanted_is_incompatible() -> None:
    depth = RemoteFeature("observation.depth", (4, 4, 3), "uint8", FeatureKind.TENSOR, (), "mm")
    state = BENCH.features[0]
    capabilities = type(BENCH)(
        modes=BENCH.modes,
        prediction_steps=4,
        execution_steps=3,
        action_interval_s=0.05,
        features=(state, depth),
        action_feature=BENCH.action_feature,
    )
    asked = observation(
        features={STATE: FEATURES[STATE], depth.name: picture_of(np.zeros((4, 4, 3), np.uint8))}
    )
    with pytest.raises(RemoteMessageError) as caught:
        check_observation(asked, capabilities, is_aligned=False, max_chars=10)
    assert caught.value.code is ErrorCode.INCOMPATIBLE


whole = st.integers(0, (1 << 63) - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(min_size=1, max_size=8)
identities = st.builds(FrameIdentity, words, words, finite, st.text(max_size=8), whole)


def rows(count: int, width: int) -> st.SearchStrategy[FloatArray]:
    return arrays_of.arrays(
        np.float32, (count, width), elements={"allow_nan": False, "allow_infinity": False}
    )


continuations = st.none() | st.integers(1, 5).flatmap(lambda count: st.tuples(rows(count, 2), rows(count, 3)))


@given(identities, whole, continuations, st.integers(0, 9), st.none() | st.integers(0, 9))
def test_an_observation_comes_back(
    identity: FrameIdentity,
    sequence: int,
    continuation: tuple[FloatArray, FloatArray] | None,
    cursor: int,
    taken: int | None,
) -> None:
    canonical, model = continuation or (None, None)
    sent = observation(
        identity=identity,
        sequence=sequence,
        canonical_continuation=canonical,
        model_continuation=model,
        cursor=max(cursor, taken or 0),
        observation_cursor=taken,
    )
    back = RemoteObservation.from_wire(again(sent.to_wire()))
    assert (back.identity, back.sequence) == (sent.identity, sent.sequence)
    assert (back.cursor, back.observation_cursor) == (sent.cursor, sent.observation_cursor)
    np.testing.assert_equal(back.canonical_continuation, canonical)
    np.testing.assert_equal(back.model_continuation, model)
    assert write_map(back.to_wire()) == write_map(sent.to_wire())


@given(identities, st.integers(1, 5).flatmap(lambda count: st.tuples(rows(count, 2), rows(count, 3))),
       st.dictionaries(words, finite, max_size=3), st.booleans())  # fmt: skip
def test_actions_come_back(
    identity: FrameIdentity,
    both: tuple[FloatArray, FloatArray],
    durations: dict[str, float],
    is_aligned: bool,
) -> None:
    sent = RemoteActions(
        identity=identity,
        canonical_actions=both[0],
        model_actions=both[1],
        cursor=4 if is_aligned else None,
        observation_cursor=3 if is_aligned else None,
        server_durations_s=durations,
    )
    back = RemoteActions.from_wire(again(sent.to_wire()))
    assert (back.identity, back.cursor, back.observation_cursor) == (
        identity,
        sent.cursor,
        sent.observation_cursor,
    )
    assert back.server_durations_s == durations
    np.testing.assert_array_equal(back.canonical_actions, both[0])
    np.testing.assert_array_equal(np.asarray(back.model_actions), both[1])


@given(st.sampled_from(ControlOperation), whole)
def test_controls_come_back(operation: ControlOperation, generation: int) -> None:
    ack = ControlAck(operation, generation)
    assert ControlAck.from_wire(again(ack.to_wire())) == ack
    assert ControlRequest.from_wire(again(ControlRequest(operation).to_wire())).operation is operation

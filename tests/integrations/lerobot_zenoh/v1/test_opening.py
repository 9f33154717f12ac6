"""Whether a deployment grants what a client asks for, of both generations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus.integrations.lerobot_zenoh.v1.codes import RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.contracts import (
    CHUNK_ALIGNMENT_V1,
    CHUNK_ALIGNMENT_V2,
    CHUNK_BLENDING_V1,
    RTC_MODEL_SPACE_V1,
    ChunkBlend,
    ChunkMerge,
    ChunkSettings,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import decode_message
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest, granted
from vagus.integrations.lerobot_zenoh.v1.values import read_map, write_map

FOLDER = Path(__file__).parent / "golden"


def deployment(name: str) -> Deployment:
    return Deployment.from_wire(decode_message((FOLDER / f"{name}.bin").read_bytes())[1])


def request(name: str) -> OpenRequest:
    return OpenRequest.from_wire(decode_message((FOLDER / f"{name}.bin").read_bytes())[1])


BENCH, RTC = deployment("01_describe_s2c"), deployment("36_descriptor_rtc_guided_s2c")
ALIGNED, GUIDED = request("02_open_aligned_c2s"), request("37_open_rtc_guided_c2s")
BOTH = replace(
    BENCH,
    contracts=(CHUNK_ALIGNMENT_V1, CHUNK_ALIGNMENT_V2, CHUNK_BLENDING_V1),
    blendable_components=BENCH.capabilities.action_feature.names,
)
BLEND = ChunkSettings(ChunkMerge.ALIGNED, ChunkBlend(2, 0.5, ("j0.pos",)))
GENERATION_B = replace(
    ALIGNED, chunk_settings=BLEND, required_capabilities=(CHUNK_ALIGNMENT_V1, CHUNK_BLENDING_V1)
)


def code_of(asked: OpenRequest, offered: Deployment) -> str:
    with pytest.raises(RemoteMessageError) as refused:
        granted(asked, offered)
    return refused.value.code.value


@pytest.mark.parametrize(
    ("asked", "offered", "answer"),
    [
        ("02_open_aligned_c2s", "01_describe_s2c", "02_open_aligned_s2c"),
        ("31_open_append_jpeg_c2s", "01_describe_s2c", "31_open_append_jpeg_s2c"),
        ("37_open_rtc_guided_c2s", "36_descriptor_rtc_guided_s2c", "37_open_rtc_guided_s2c"),
    ],
)
def test_a_captured_open_is_granted_as_the_original_server_does(
    asked: str, offered: str, answer: str
) -> None:
    captured = AcceptedSession.from_wire(decode_message((FOLDER / f"{answer}.bin").read_bytes())[1])
    given = granted(request(asked), deployment(offered))
    assert (given.mode, given.chunk_settings) == (captured.mode, captured.chunk_settings)
    assert given.deployment.capabilities == captured.deployment.capabilities


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("23_open_semantics_c2s", "incompatible"),
        ("24_open_rate_c2s", "incompatible"),
        ("25_open_unsupported_c2s", "unsupported"),
    ],
)
def test_a_captured_open_is_refused_as_the_original_server_does(name: str, code: str) -> None:
    assert code_of(request(name), BENCH) == code


def test_both_generations_are_granted_at_once_with_their_settings_as_they_came() -> None:
    assert granted(ALIGNED, BOTH).chunk_settings == ChunkSettings(ChunkMerge.ALIGNED)
    body = read_map(write_map(GENERATION_B.to_wire()))
    answer = read_map(write_map(granted(OpenRequest.from_wire(body), BOTH).to_wire()))
    assert answer["chunk_settings"] == body["chunk_settings"]
    assert answer["blendable_components"] == ["j0.pos", "j1.pos"]
    assert AcceptedSession.from_wire(answer).chunk_settings == BLEND


@pytest.mark.parametrize(
    ("asked", "offered", "code"),
    [
        (replace(ALIGNED, mode=InferenceMode.RTC_GUIDED), BENCH, "unsupported"),
        (replace(ALIGNED, expected_artifact="sha256:0"), BENCH, "incompatible"),
        (replace(ALIGNED, features=ALIGNED.features[::-1]), BENCH, "incompatible"),
        (replace(ALIGNED, features=ALIGNED.features[:1]), BENCH, "incompatible"),
        (
            replace(ALIGNED, action_feature=replace(ALIGNED.action_feature, names=("j1.pos", "j0.pos"))),
            BENCH,
            "incompatible",
        ),
        (replace(ALIGNED, required_capabilities=()), BENCH, "incompatible"),
        (replace(ALIGNED, chunk_settings=None), BENCH, "incompatible"),
        (
            replace(ALIGNED, required_capabilities=(CHUNK_ALIGNMENT_V1, CHUNK_ALIGNMENT_V2)),
            BOTH,
            "incompatible",
        ),
        (replace(GENERATION_B, required_capabilities=(CHUNK_ALIGNMENT_V2,)), BOTH, "incompatible"),
        (GENERATION_B, BENCH, "unsupported"),
        (GENERATION_B, replace(BOTH, blendable_components=("j1.pos",)), "incompatible"),
        (GENERATION_B, replace(BOTH, blendable_components=None), "incompatible"),
        (replace(GUIDED, required_capabilities=()), RTC, "incompatible"),
        (
            replace(
                GUIDED,
                chunk_settings=ChunkSettings(ChunkMerge.ALIGNED),
                required_capabilities=(CHUNK_ALIGNMENT_V2, RTC_MODEL_SPACE_V1),
            ),
            RTC,
            "incompatible",
        ),
    ],
)
def test_what_does_not_fit_is_refused(asked: OpenRequest, offered: Deployment, code: str) -> None:
    assert code_of(asked, offered) == code


def test_any_artifact_will_do_and_a_rate_may_differ_by_a_rounding() -> None:
    asked = replace(ALIGNED, expected_artifact=None, action_interval_s=0.05 * (1 + 1e-7))
    assert granted(asked, BENCH).mode is InferenceMode.CHUNK
    assert code_of(replace(asked, action_interval_s=0.05 * (1 + 1e-5)), BENCH) == "incompatible"

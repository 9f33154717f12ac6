"""Google's protobuf and the codecs agree on every message; the stubs are those of the .proto files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from integrations.astribot.stubs import lerobot_inference_pb2 as lerobot_pb2
from integrations.astribot.stubs import openpi_inference_pb2 as openpi_pb2
from vagus.integrations.astribot.messages import (
    AstribotAction,
    AstribotChunk,
    AstribotCommand,
    AstribotImage,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
    Method,
    StatusCode,
)
from vagus.integrations.astribot.motion_codec import decode_action, decode_chunk, encode_action, encode_chunk
from vagus.integrations.astribot.variants import LEROBOT, OPENPI, VARIANTS

ROOT = Path(__file__).parents[3]
STUBS = "integrations/astribot/stubs"
BOTH = {OPENPI: openpi_pb2, LEROBOT: lerobot_pb2}

floats = st.floats(-1e3, 1e3, width=32)
whole = st.integers(-(1 << 31), (1 << 31) - 1)
texts = st.text(max_size=9)
vectors = st.lists(floats, min_size=1, max_size=25)
variants = st.sampled_from(VARIANTS)


def test_the_committed_stubs_are_what_the_proto_files_give(tmp_path: Path) -> None:
    protos = sorted((ROOT / "src/vagus/integrations/astribot").glob("*.proto"))
    where = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    folder = f"-I{STUBS}={protos[0].parent}"
    names = [f"{STUBS}/{proto.name}" for proto in protos]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", folder, *where, *names], check=True)
    made = {file.name: file.read_text() for file in (tmp_path / STUBS).iterdir()}
    kept = {file.name: file.read_text() for file in (ROOT / "tests" / STUBS).glob("*_pb2*.py*")}
    assert len(made) == 6
    assert made == kept, "run `make protos`"


def test_each_service_has_the_calls_of_ours() -> None:
    for variant, stubs in BOTH.items():
        ((name, service),) = stubs.DESCRIPTOR.services_by_name.items()
        assert variant.service == f"{stubs.DESCRIPTOR.package}.{name}"
        assert {method.name for method in service.methods} == {method.value for method in Method}
        streams = [method.name for method in service.methods if method.client_streaming]
        assert streams == [Method.STREAM_PREDICT.value]


def test_the_numbers_of_statuses_and_commands_are_the_same() -> None:
    for stubs in BOTH.values():
        assert dict(stubs.StatusCode.items()) == {code.name: code.value for code in StatusCode}
    commands = {f"CMD_{kind.name}": kind.value for kind in CommandType}
    assert dict(openpi_pb2.CommandType.items()) == commands
    del commands["CMD_SET_PROMPT"]
    assert dict(lerobot_pb2.CommandType.items()) == commands


@given(variants, vectors, st.binary(max_size=9), texts, st.floats(0, 2e9), whole)
def test_observations_agree(
    variant: object, state: list[float], data: bytes, text: str, time_s: float, number: int
) -> None:
    prompt = text if variant is OPENPI else ""
    image = AstribotImage(text, memoryview(data), number, number, "jpeg")
    ours = AstribotObservation(
        np.array(state, np.float32), (image, image), prompt, time_s, number, number, text
    )
    codec = LEROBOT if variant is LEROBOT else OPENPI
    stubs = BOTH[codec]
    fields: dict[str, object] = {
        "joint_positions" if codec is LEROBOT else "state": state,
        "images": [stubs.ImageData(camera_name=text, data=data, width=number, height=number, encoding="jpeg")]
        * 2,
        "timestamp": time_s,
        "episode_id": number,
        "frame_index": number,
        "extra_state": text,
        **({"prompt": text} if codec is OPENPI else {}),
    }
    theirs = stubs.Observation(**fields)
    found = codec.decode_observation(theirs.SerializeToString())
    assert found.state.tobytes() == ours.state.tobytes()
    assert (found.images, found.prompt, found.timestamp_s) == (ours.images, ours.prompt, ours.timestamp_s)
    assert (found.episode_id, found.frame_index, found.extra_state) == (number, number, text)
    agree(stubs.Observation, codec.encode_observation(ours), theirs)


@given(st.integers(1, 4), st.integers(1, 25), st.booleans(), whole, st.data())
def test_chunks_and_actions_agree(size: int, width: int, end: bool, frame: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(floats, min_size=size * width, max_size=size * width))
    rows = np.array(numbers, np.float32).reshape(size, width)
    for stubs in BOTH.values():
        theirs = stubs.ActionChunk(
            actions=[stubs.ActionStep(values=row) for row in rows],
            chunk_size=size,
            action_dim=width,
            is_terminal=end,
            server_frame_index=frame,
        )
        found = decode_chunk(theirs.SerializeToString())
        assert found.actions.tobytes() == rows.tobytes()
        assert (found.is_terminal, found.server_frame_index) == (end, frame)
        ours = encode_chunk(AstribotChunk(rows, is_terminal=end, server_frame_index=frame))
        agree(stubs.ActionChunk, ours, theirs)
        one = stubs.Action(values=rows[0], is_terminal=end, confidence=0.5, server_frame_index=frame)
        action = decode_action(one.SerializeToString())
        assert action.values.tobytes() == rows[0].tobytes()
        assert (action.is_terminal, action.confidence) == (end, 0.5)
        sent = AstribotAction(rows[0], is_terminal=end, confidence=0.5, server_frame_index=frame)
        agree(stubs.Action, encode_action(sent), one)


@given(st.sampled_from([code for code in StatusCode if code is not StatusCode.OK]), texts, whole)
def test_failures_agree(code: StatusCode, said: str, frame: int) -> None:
    for stubs in BOTH.values():
        none = np.zeros((0, 0), np.float32)
        chunk = AstribotChunk(none, status=code, error_message=said, server_frame_index=frame)
        theirs = stubs.ActionChunk(status=int(code), error_message=said, server_frame_index=frame)
        agree(stubs.ActionChunk, encode_chunk(chunk), theirs)
        found = decode_chunk(theirs.SerializeToString())
        assert (found.status, found.error_message, found.server_frame_index) == (code, said, frame)


@given(st.dictionaries(texts, texts, max_size=4), st.sampled_from(CommandType))
def test_commands_agree(params: dict[str, str], kind: CommandType) -> None:
    for variant, stubs in BOTH.items():
        if kind is CommandType.SET_PROMPT and not variant.has_prompt:
            continue
        command = AstribotCommand(kind, params)
        theirs = stubs.ControlCommand(type=int(kind), params=params)
        agree(stubs.ControlCommand, variant.encode_command(command), theirs)
        assert variant.decode_command(theirs.SerializeToString()) == command


@given(st.lists(texts, min_size=4, max_size=4), st.sampled_from([None, 16, 22, 25]))
def test_configurations_agree(four: list[str], width: int | None) -> None:
    name, place, prompt, device = four
    theirs = openpi_pb2.PolicyConfig(
        config_name=name, checkpoint_dir=place, default_prompt=prompt, device=device
    )
    config = AstribotPolicyConfig(name, place, prompt, device)
    agree(openpi_pb2.PolicyConfig, OPENPI.encode_config(config), theirs)
    assert OPENPI.decode_config(theirs.SerializeToString()) == config
    other = lerobot_pb2.PolicyConfig(mode="model", model_path=name, device=device, policy_type=place)
    if width is not None:
        parts = {"enable_head": width > 16, "enable_torso": width > 16, "enable_chassis": width == 25}
        other.action_config.CopyFrom(lerobot_pb2.ActionOutputConfig(**parts))
    asked = AstribotPolicyConfig(name, device=device, policy_type=place, action_width=width)
    agree(lerobot_pb2.PolicyConfig, LEROBOT.encode_config(asked), other)
    assert LEROBOT.decode_config(other.SerializeToString()) == asked


@given(st.booleans(), texts, whole, st.floats(0, 120, width=32))
def test_statuses_agree(ready: bool, said: str, number: int, fps: float) -> None:
    theirs = openpi_pb2.ServiceStatus(
        is_ready=ready,
        model_name=said,
        current_episode=number,
        current_frame=number,
        action_horizon=number,
        action_dim=number,
        message=said,
        current_prompt=said,
        metadata_json=said,
    )
    status = AstribotStatus(
        ready, said, number, number, number, number, message=said, current_prompt=said, metadata_json=said
    )
    agree(openpi_pb2.ServiceStatus, OPENPI.encode_status(status), theirs)
    assert OPENPI.decode_status(theirs.SerializeToString()) == status
    other = lerobot_pb2.ServiceStatus(
        is_ready=ready,
        model_name=said,
        current_episode=number,
        current_frame=number,
        fps=fps,
        mode=said,
        message=said,
    )
    wanted = AstribotStatus(ready, said, number, number, message=said, fps=fps, mode=said)
    agree(lerobot_pb2.ServiceStatus, LEROBOT.encode_status(wanted), other)
    assert LEROBOT.decode_status(other.SerializeToString()) == wanted


def test_a_field_of_a_newer_program_is_passed_over() -> None:
    newer = lerobot_pb2.PolicyConfig(mode="model", model_path="act", policy_type="act")
    assert OPENPI.decode_config(newer.SerializeToString()).config_name == "model"
    with pytest.raises(Exception, match="wanted model, since no dataset is played here"):
        LEROBOT.decode_config(lerobot_pb2.PolicyConfig(mode="dataset").SerializeToString())


def agree(kind: Callable[[], Message], ours: bytes, theirs: Message) -> None:
    """Check that Google's protobuf reads our bytes as its own message, and writes the same."""
    read = kind()
    read.ParseFromString(ours)
    assert read == theirs
    assert read.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)

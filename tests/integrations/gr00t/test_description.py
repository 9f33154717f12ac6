"""Descriptions of a profile, against those that the original servers gave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus.features import ActionKind
from vagus.gateways.neutral import ForeignReply, Operation
from vagus.gateways.profile import ActionReference, Profile, WireImage, WireSpan
from vagus.integrations.gr00t.description import description_of
from vagus.integrations.gr00t.dialect import N1_5, N1_6, N1_7, decode_reply, decode_request, encode_reply

GOLDEN = Path(__file__).parent / "golden"
ASK = decode_request((GOLDEN / "n16_06_REQ.bin").read_bytes())
JOINTS = ("a.pos", "b.pos", "c.pos", "d.pos", "e.pos")
PROFILE = Profile(
    name="arm",
    protocol="gr00t",
    robot_type="arm",
    rate_hz=30,
    horizon=2,
    state=(
        WireSpan(key=("state", "single_arm"), names=JOINTS[:2], unit="deg"),
        WireSpan(key=("state", "single_arm"), names=JOINTS[2:], unit="rad"),
        WireSpan(key=("state", "gripper"), names=("gripper.pos",), unit="lerobot_norm"),
    ),
    actions=(
        WireSpan(key=("action", "single_arm"), names=JOINTS, unit="deg", reference=ActionReference.RELATIVE),
        WireSpan(key=("action", "gripper"), names=("gripper.pos",), unit="lerobot_norm"),
    ),
    images=tuple(WireImage(key=("video", name), name=name, height=2, width=2) for name in ("front", "wrist")),
    instruction=("language", "annotation.human.task_description"),
)


@pytest.mark.parametrize(("version", "name"), [(N1_6, "n16_07_REP"), (N1_7, "n16_07_REP")])
def test_a_robot_of_n1_6_and_n1_7_reads_what_its_own_server_says(version: str, name: str) -> None:
    captured = decode_reply((GOLDEN / f"{name}.bin").read_bytes(), Operation.DESCRIBE)
    assert description_of(PROFILE, version) == captured.extra
    assert description_of(PROFILE, "") == captured.extra
    frame = encode_reply(ForeignReply(extra=description_of(PROFILE, version)), ASK, version=version)
    assert decode_reply(frame, Operation.DESCRIBE).extra == captured.extra


def test_the_bytes_are_those_of_the_server_of_n1_6() -> None:
    frame = encode_reply(ForeignReply(extra=description_of(PROFILE, N1_6)), ASK, version=N1_6)
    assert frame == (GOLDEN / "n16_07_REP.bin").read_bytes()


def test_a_robot_of_n1_5_reads_full_names() -> None:
    captured = decode_reply((GOLDEN / "n15_05_REP.bin").read_bytes(), Operation.DESCRIBE)
    described = description_of(replace(PROFILE, images=PROFILE.images[:1]), N1_5)
    assert {group: described[group] for group in captured.extra} == captured.extra
    assert described["language"] == {
        "delta_indices": [0],
        "modality_keys": ["annotation.human.task_description"],
    }


def test_changes_per_step_are_said_to_be_changes() -> None:
    span = WireSpan(key=("action", "arm"), names=JOINTS, unit="deg", kind=ActionKind.DELTA)
    action = description_of(replace(PROFILE, actions=(span,), instruction=None), N1_6)["action"]
    assert isinstance(action, dict)
    assert action["action_configs"] == [
        {"rep": "DELTA", "type": "NON_EEF", "format": "DEFAULT", "state_key": None}
    ]


def test_a_wire_without_instruction_asks_for_none() -> None:
    described = description_of(replace(PROFILE, instruction=None), N1_5)
    assert described["language"] == {"delta_indices": [0], "modality_keys": []}

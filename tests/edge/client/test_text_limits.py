"""What the operator says must fit into the messages that carry it."""

from __future__ import annotations

import pytest

from vagus.edge.client.handshake import Identity
from vagus.edge.client.text_limits import check_identity, check_instruction, check_robot
from vagus.errors import ConfigError
from vagus.specs import ActionFeature, CameraSpec, DepthCameraSpec, RobotSpec, StateFeature
from vagus.wire.codec import decode, encode
from vagus.wire.schema import (
    MAX_INSTRUCTION,
    MAX_NAME,
    MAX_NOTE,
    MAX_NOTES,
    ObservationMessage,
    TensorMessage,
)


def test_the_longest_instruction_that_is_taken_travels() -> None:
    longest = "ä" * MAX_INSTRUCTION
    check_instruction(longest)
    state = TensorMessage("<f4", (0,), memoryview(b""))
    message = ObservationMessage(state=state, instruction=longest)
    assert decode(encode(message), ObservationMessage).instruction == longest


@pytest.mark.parametrize(("text", "says"), [("x" * (MAX_INSTRUCTION + 1), "4097"), ("\udce9", "UTF-8")])
def test_an_instruction_that_no_request_carries_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"instruction: .*{says}"):
        check_instruction(text)


@pytest.mark.parametrize(
    "tags",
    [
        {f"{number}": "" for number in range(MAX_NOTES + 1)},
        {"n" * (MAX_NAME + 1): ""},
        {"site": "x" * (MAX_NOTE + 1)},
        {"site": "\ud800"},
        {"\ud800": "site"},
    ],
)
def test_tags_that_no_open_carries_are_refused(tags: dict[str, str]) -> None:
    check_identity(Identity("arm", "i1", tags={"site": "lab2"}))
    with pytest.raises(ConfigError, match="tag"):
        check_identity(Identity("arm", "i1", tags=tags))


def robot(
    *, name: str = "x", unit: str = "m", camera: str = "front", deep: str = "deep", kind: str = "arm"
) -> RobotSpec:
    return RobotSpec(
        robot_type=kind,
        actions=(ActionFeature(name, unit),),
        state=(StateFeature("x", "m"),),
        cameras=(CameraSpec(camera, 8, 8),),
        rate_hz=30.0,
        depth_cameras=(DepthCameraSpec(deep, 8, 8),),
    )


@pytest.mark.parametrize(
    "change", [{"name": "n" * 300}, {"camera": "c" * 300}, {"deep": "d" * 300}, {"kind": "k" * 300}]
)
def test_names_of_a_robot_that_no_open_carries_are_refused(change: dict[str, str]) -> None:
    check_robot(robot())
    with pytest.raises(ConfigError, match=r"name of|robot_type"):
        check_robot(robot(**change))

"""Shipped profiles ask as openpi's own clients do, and read what they sent: frames in `golden/`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import WirePath
from vagus.gateways.profile import ImageLayout, Profile
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.openpi.dialect import decode_reply, decode_request

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
DROID, ALOHA = (decode_request(GOLDEN[f"conn1_c2s_frame{at}_op2"]) for at in (0, 1))


def small(profile: Profile) -> Profile:
    """Return a profile with the pictures of the captured frames: 2×2 pixels."""
    return replace(profile, images=tuple(replace(image, height=2, width=2) for image in profile.images))


def described(values: dict[WirePath, Value]) -> dict[WirePath, object]:
    return {
        path: (value.dtype.name, value.shape) if isinstance(value, np.ndarray) else type(value)
        for path, value in values.items()
    }


@pytest.mark.parametrize("name", ["droid", "droid_position"])
def test_a_request_for_droid_is_that_of_its_client(name: str) -> None:
    mapping = WireMapping(small(load_profile(name, "openpi")))
    observation = mapping.observation_from(DROID)
    np.testing.assert_allclose(observation.state[:7], np.arange(7) / 10, rtol=1e-6)
    assert observation.instruction == "do something"
    sent = mapping.observation_to(observation.state, observation.images, observation.instruction)
    assert described(sent) == described(dict(DROID.observation))
    assert list(sent) == list(DROID.observation)


def test_a_reply_for_droid_is_read() -> None:
    mapping = WireMapping(load_profile("droid", "openpi"))
    reply = decode_reply(GOLDEN["conn1_s2c_frame1_op2"])
    actions = mapping.actions_from(reply, np.zeros(8, np.float32))
    np.testing.assert_array_equal(actions, reply.actions["actions"])
    assert [f.name for f in mapping.robot_spec.actions][-1] == "gripper.pos"


def test_a_request_for_aloha_is_that_of_its_client() -> None:
    mapping = WireMapping(small(load_profile("aloha", "openpi")))
    observation = mapping.observation_from(ALOHA)
    assert list(observation.images) == ["cam_high"]  # the others may be missing
    sent = mapping.observation_to(observation.state, observation.images, observation.instruction)
    theirs = described(dict(ALOHA.observation))
    assert set(theirs) - set(sent) == {("scalar",), ("i",), ("b",)}
    assert described(sent) == {path: theirs[path] for path in sent}


def test_keys_and_sizes_that_no_frame_was_captured_of() -> None:
    """As the programs of each have them."""
    libero, aloha, pi05 = (load_profile(name, "openpi") for name in ("libero", "aloha", "pi05_websocket"))
    assert {image.key: image.shape for image in pi05.images} == {
        ("observation/images/wrist2",): (224, 224, 3),
        ("observation/images/realsense",): (480, 640, 3),
    }
    assert {image.key: image.shape for image in libero.images} == {
        ("observation/image",): (224, 224, 3),
        ("observation/wrist_image",): (224, 224, 3),
    }
    assert {image.key[-1] for image in aloha.images} == {
        "cam_high",
        "cam_low",
        "cam_left_wrist",
        "cam_right_wrist",
    }
    assert {image.layout for image in aloha.images} == {ImageLayout.CHW}
    widths = [
        (len(spec.state), len(spec.actions))
        for spec in (WireMapping(each).robot_spec for each in (libero, aloha, pi05))
    ]
    assert widths == [(8, 7), (14, 14), (6, 6)]
    assert {span.key for span in (*libero.state, *pi05.state)} == {("observation/state",)}
    assert {span.key for span in aloha.state} == {("state",)}

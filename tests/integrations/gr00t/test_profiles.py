"""Shipped profiles ask as GR00T's own clients do, of every version: frames in `golden/`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.gateways.neutral import WirePath
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.gr00t.dialect import decode_reply, decode_request

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
VERSIONS = ("n15", "n16", "n17")


def one_observation(version: str) -> dict[WirePath, object]:
    """Return what a captured request holds, in maps inside each other, without batch and time."""
    found: dict[WirePath, object] = {}
    for path, value in decode_request(GOLDEN[f"{version}_02_REQ"]).observation.items():
        name = ".".join(map(str, path))
        is_text = "annotation" in name
        key = ("language", name.removeprefix("language.")) if is_text else tuple(name.split(".", 1))
        found[key] = value.shape[2 if version != "n15" else 1 :] if isinstance(value, np.ndarray) else "text"
    return found


@pytest.mark.parametrize("name", ["so100", "so101"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_is_that_of_the_client(name: str, version: str) -> None:
    profile = load_profile(name, "gr00t")
    small = replace(profile, images=tuple(replace(each, height=2, width=2) for each in profile.images))
    pictures = {image.name: np.zeros((2, 2, 3), np.uint8) for image in profile.images}
    sent = WireMapping(small).observation_to(np.zeros(6, np.float32), pictures, "pick")
    shapes = {path: value.shape if isinstance(value, np.ndarray) else "text" for path, value in sent.items()}
    theirs = one_observation(version)
    assert {path: shapes[path] for path in theirs} == theirs
    assert set(shapes) - set(theirs) <= {("video", "wrist")}  # N1.5's example has one camera


@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_chunk_of_groups_becomes_actions_named_by_their_motors(version: str) -> None:
    mapping = WireMapping(load_profile("so100", "gr00t"))
    request = decode_request(GOLDEN[f"{version}_02_REQ"])
    reply = decode_reply(GOLDEN[f"{version}_03_REP"], request.operation)
    groups = {name.removeprefix("action."): array for name, array in reply.actions.items()}
    groups = {name: array[0] if array.ndim == 3 else array for name, array in groups.items()}
    actions = mapping.actions_from(replace(reply, actions=groups), np.zeros(6, np.float32))
    by_name = dict(zip((f.name for f in mapping.robot_spec.actions), actions.T, strict=True))
    assert list(by_name) == [
        f"{motor}.pos"
        for motor in (
            "shoulder_pan",
            "shoulder_lift",
            "elbow_flex",
            "wrist_flex",
            "wrist_roll",
            "gripper",
        )
    ]
    np.testing.assert_array_equal(by_name["elbow_flex.pos"], groups["single_arm"][:, 2])
    np.testing.assert_array_equal(by_name["gripper.pos"], groups["gripper"].reshape(-1))

"""Semantics of a profile: stated where the wire has them, once for each array."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.errors import SpecError
from vagus.gateways.profile_file import load_profile

REMOTE = load_profile("so101", "lerobot_zenoh")
OTHER = load_profile("so101", "lerobot_grpc")


def test_a_profile_of_remote_inference_states_what_the_operator_states() -> None:
    assert REMOTE.semantics == "so101_follower, absolute positions, joints in degrees, gripper 0 to 100"


def test_without_them_it_is_refused() -> None:
    with pytest.raises(SpecError, match=r"semantics: wanted the text that the robot's operator states"):
        replace(REMOTE, semantics="")


def test_where_the_wire_has_none_they_are_refused() -> None:
    with pytest.raises(SpecError, match="wanted none for lerobot_grpc"):
        replace(OTHER, semantics="joints in degrees")
    with pytest.raises(SpecError, match="wanted none for lerobot_grpc"):
        replace(OTHER, images=tuple(replace(image, semantics="rgb") for image in OTHER.images))


@pytest.mark.parametrize("text", ["x" * 1025, "two\nlines", " led"])
def test_a_text_that_nobody_could_type_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="at most 1024 characters in one line"):
        replace(REMOTE, semantics=text)


def test_an_array_means_one_thing() -> None:
    joints, gripper = REMOTE.actions
    both = tuple(replace(span, semantics="degrees") for span in (joints, gripper))
    assert replace(REMOTE, actions=both).actions[1].semantics == "degrees"
    with pytest.raises(SpecError, match="semantics at action: wanted the same text in all parts"):
        replace(REMOTE, actions=(replace(joints, semantics="degrees"), gripper))

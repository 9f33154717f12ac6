"""Shipped profiles have the names and order that a real RobotClient says: messages in `golden/`."""

from __future__ import annotations

import numpy as np
import pytest

from lerobot_pickles import golden
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.lerobot_grpc.dialect import (
    decode_reply,
    decode_request,
    decode_setup,
    images_of,
    state_of,
)

CONFIG = decode_setup(golden("policy_setup.grpcmsg.bin"))


@pytest.mark.parametrize("name", ["so100", "so101"])
def test_names_order_and_cameras_are_those_of_the_client(name: str) -> None:
    profile = load_profile(name, "lerobot_grpc")
    spec = WireMapping(profile).robot_spec
    assert tuple(f.name for f in spec.state) == CONFIG.lerobot_features["observation.state"].names
    assert [f.name for f in spec.actions] == [f.name for f in spec.state]
    request = decode_request(golden("observation.pickle.bin"))
    assert [camera.name for camera in spec.cameras] == list(images_of(request, CONFIG))
    assert {image.key[0] for image in profile.images} == set(CONFIG.lerobot_features) - {"observation.state"}
    assert profile.instruction in request.texts
    assert state_of(request, CONFIG).shape == (len(spec.state),)


def test_a_reply_of_a_real_server_is_read_as_it_is() -> None:
    mapping = WireMapping(load_profile("so101", "lerobot_grpc"))
    actions = mapping.actions_from(decode_reply(golden("actions.grpcmsg.bin")), np.zeros(6, np.float32))
    assert actions.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]

"""Shipped profiles ask as the published program does: the frame in `golden/`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.pointact.batches import rows_of, split_reply
from vagus.integrations.pointact.dialect import decode_reply, decode_request

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["so100", "so101"])
def test_a_request_and_a_reply_are_those_of_the_program(name: str) -> None:
    profile = load_profile(name, "pointact")
    mapping = WireMapping(replace(profile, images=(replace(profile.images[0], height=2, width=2),)))
    request = decode_request((GOLDEN / "get_action_REQ.bin").read_bytes())
    (row,) = rows_of(request, most=1)
    seen = mapping.observation_from(row)
    assert seen.state.tolist() == [1, 2, 3, 4, 5, 6]
    assert seen.instruction == "put the cube"
    sent = mapping.observation_to(seen.state, seen.images, seen.instruction)
    assert set(sent) == set(row.observation) - {("observation.points",), ("repo_id",)}
    reply = decode_reply((GOLDEN / "get_action_REP.bin").read_bytes(), request.operation)
    (actions,) = split_reply(reply, 1)
    chunk = mapping.actions_from(replace(reply, actions={"action": actions}), seen.state)
    assert np.array_equal(chunk, [[1, 2, 3, 4, 5, 6]] * 3)
    assert [feature.name for feature in mapping.robot_spec.actions] == [
        "shoulder_pan.pos",
        "shoulder_lift.pos",
        "elbow_flex.pos",
        "wrist_flex.pos",
        "wrist_roll.pos",
        "gripper.pos",
    ]

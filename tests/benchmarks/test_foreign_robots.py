"""The robots and reference servers of the gateway benchmark speak what the originals speak."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.programs.closed_loop import actions_for
from benchmarks.programs.gr00t_so100 import HORIZON, Generation
from benchmarks.programs.lerobot_so100 import MOTORS, config, observation_of
from vagus.gateways.arrays import ArrayDialect
from vagus.gateways.neutral import ForeignReply
from vagus.integrations.gr00t.dialect import decode_request, encode_reply
from vagus.integrations.lerobot_grpc.dialect import decode_request as decode_pickle
from vagus.integrations.lerobot_grpc.dialect import images_of, state_of
from vagus.integrations.lerobot_grpc.protobuf import ObservationParts, decode_part

STATE = np.linspace(0.1, 0.6, 6)
FRAMES = [np.full((480, 640, 3), level, np.uint8) for level in (3, 5)]
DIALECTS = {"n1.5": ArrayDialect.NPY, "n1.7": ArrayDialect.MSGPACK_NUMPY}


@pytest.mark.parametrize("version", DIALECTS)
def test_a_gr00t_robot_asks_and_reads_in_its_version(version: str) -> None:
    generation = Generation(version)
    frame = generation.request(FRAMES, STATE)
    request = decode_request(frame)
    assert (request.envelope.version, request.envelope.dialect) == (version, DIALECTS[version])
    assert sum(array.nbytes for array in request.arrays.values()) > 2 * FRAMES[0].nbytes
    assert generation.state_in(frame) == pytest.approx(STATE)
    actions = actions_for(STATE, HORIZON)
    is_flat = version == "n1.5"
    arm, gripper = (part if is_flat else part[None] for part in (actions[:, :5], actions[:, 5:]))
    start = "action." if is_flat else ""
    written = encode_reply(ForeignReply({f"{start}single_arm": arm, f"{start}gripper": gripper}), request)
    assert generation.actions_in(written) == pytest.approx(actions)
    assert generation.actions_in(generation.reply(actions)) == pytest.approx(actions)


def test_a_lerobot_robot_sends_what_its_setup_names() -> None:
    parts = ObservationParts(1 << 24)
    (whole,) = [
        whole
        for message in observation_of(STATE, dict(zip(("front", "wrist"), FRAMES, strict=True)))
        if (whole := parts.add(decode_part(message))) is not None
    ]
    request, told = decode_pickle(whole), config("device/main/default")
    assert state_of(request, told) == pytest.approx(STATE)
    assert len(MOTORS) == len(STATE)
    assert [image[0, 0, 0] for image in images_of(request, told).values()] == [3, 5]

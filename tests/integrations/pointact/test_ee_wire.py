"""An arm that is moved by poses, over both wires, with a server of another's lines of code."""

from __future__ import annotations

import numpy as np
import pytest

from integrations.pointact.pose_rig import OPTIONS, STATE, at, row_of
from integrations.pointact.servers import TRANSPORTS, PointActServer, serving
from vagus.errors import ConfigError
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.types import ActionChunk

pytest.importorskip("pinocchio")

from vagus.integrations.pointact.ee_policy import EndEffectorPolicy
from vagus.policies.registry import load_policy

NAMES = ("urdf", "intrinsics", "extrinsics")
FILES: dict[str, str] = {name: getattr(OPTIONS, name) for name in NAMES}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_option_urdf_makes_it_a_policy_of_poses_and_the_server_an_arm_that_holds(transport: str) -> None:
    server = PointActServer()
    with serving(server, transport) as address:
        policy = load_policy(str(address), options={**FILES, "repo_id": "user/cubes"})
        try:
            assert isinstance(policy, EndEffectorPolicy)
            rows = [row_of(at(policy.sample()), policy.open_session(), step=step) for step in (3, 4)]
            chunks = policy.infer(rows)
        finally:
            policy.close()
    for step, chunk in zip((3, 4), chunks, strict=True):
        assert isinstance(chunk, ActionChunk)
        assert chunk.step == step
        np.testing.assert_allclose(chunk.robot, np.tile(STATE, (4, 1)), atol=2e-3)
    (asked,) = [request for request in server.heard if request["endpoint"] == "get_action"]
    batch = asked["data"]["batch"]
    assert batch["repo_id"] == ["user/cubes"] * 2
    assert batch["task"] == ["stack"] * 2
    assert [np.shape(points)[1] for points in batch["observation.points"]] == [6, 6]
    assert [np.shape(state) for state in batch["observation.state"]] == [(7,), (7,)]


def test_without_urdf_it_is_a_policy_of_joints() -> None:
    with serving(PointActServer()) as address:
        policy = load_policy(str(address), options={"profile": "so100", "repo_id": "a"})
        try:
            assert isinstance(policy, ForeignPolicy)
        finally:
            policy.close()


def test_files_are_read_before_anybody_is_connected_to() -> None:
    with pytest.raises(ConfigError, match=r"urdf nowhere\.urdf: wanted a file"):
        load_policy("pointact+tcp://127.0.0.1:1", options={**FILES, "urdf": "nowhere.urdf", "repo_id": "a"})


def test_another_model_is_another_brain() -> None:
    with serving(PointActServer()) as address:
        hashes = set()
        for repo_id in ("a", "b", "a"):
            policy = load_policy(str(address), options={**FILES, "repo_id": repo_id})
            hashes.add(policy.model_hash)
            policy.close()
    assert len(hashes) == 2

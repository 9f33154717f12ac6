"""A vagus gateway for remote inference as the brain: what an arm of vagus gets by that way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from gateways.foreign_rig import row_of
from integrations.lerobot_zenoh.rig import (
    DEGREE,
    FRONT,
    HORIZON,
    PATIENCE_S,
    PROFILE,
    RATE_HZ,
    Stand,
    listener_on,
    serving,
    standing,
    wait_until,
)
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.integrations.lerobot_zenoh.client import LeRobotZenohClient
from vagus.integrations.lerobot_zenoh.options import LeRobotZenohOptions
from vagus.policies.policy import Row
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, Image, Observation, Prefix

ADDRESS = ForeignAddress("lerobot", "zenoh", "127.0.0.1", 1)
FRAMES: Mapping[str, Image] = {"front": FRONT}


def policy_at(network: MemoryNetwork, mode: str = "") -> ForeignPolicy:
    """Return a policy that asks the gateway."""
    options = LeRobotZenohOptions(deployment="two_joints", inference_mode=mode, timeout_s=PATIENCE_S)
    return ForeignPolicy(
        LeRobotZenohClient(ADDRESS, options, PROFILE, lambda _: network.link("arm")), PROFILE, options
    )


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing() as standing_here:
        yield standing_here


def row(first: float, *, step: int = 0, prefix: Prefix | None = None) -> Row[None]:
    """Return a row whose joints are both at so many degrees, with a picture."""
    plain = row_of((first * DEGREE, first * DEGREE), step=step, prefix=prefix, text="climb")
    seen = Observation(plain.observation.state, FRAMES, plain.observation.instruction, 0)
    return Row(None, seen, step, plain.prefix, plain.inference_delay, plain.prefix_horizon, 0)


def chunk_of(policy: ForeignPolicy, asked: Row[None]) -> ActionChunk:
    (chunk,) = policy.infer([asked])
    assert isinstance(chunk, ActionChunk), chunk
    return chunk


def climbing(first: float) -> np.ndarray:
    """Return what the policy behind the gateway answers, in degrees."""
    return np.repeat(first + np.arange(HORIZON, dtype=np.float32)[:, None], 2, axis=1)


@pytest.mark.parametrize("mode", ["chunk", "rtc_guided"])
def test_an_arm_gets_the_rows_of_the_policy_in_its_own_units_and_leaves_no_session(
    stand: Stand, mode: str
) -> None:
    policy = policy_at(stand.robots_network, mode)
    for first in (3.0, 5.0):
        chunk = chunk_of(policy, row(first))
        np.testing.assert_allclose(chunk.robot, climbing(first) * DEGREE, rtol=1e-4)
    policy.begin_episode(None)
    chunk_of(policy, row(7.0))
    assert [seen.observation.instruction for seen in stand.policy.rows] == ["climb"] * 3
    np.testing.assert_allclose(stand.policy.rows[0].observation.images["front"], FRONT, atol=2)
    assert stand.policy.spec.rate_hz == RATE_HZ
    assert stand.gateway.metrics.peers == 1
    policy.close()
    wait_until(lambda: stand.gateway.metrics.peers == 0)
    assert not stand.events().get("error")


def test_the_running_plan_reaches_the_policy_behind_the_gateway(stand: Stand) -> None:
    policy = policy_at(stand.robots_network)
    assert policy.spec.rtc is not None
    first = chunk_of(policy, row(3.0))
    left = Prefix(first.model[4:], first.robot[4:])
    second = chunk_of(policy, row(20.0, step=4, prefix=left))
    seen = stand.policy.rows[-1]
    assert seen.prefix is not None
    np.testing.assert_allclose(seen.prefix.robot, first.robot[4:], rtol=1e-4)
    np.testing.assert_allclose(second.robot[: len(left)], left.robot, rtol=1e-4)
    policy.close()


def test_the_gateways_artifact_is_the_identity_so_that_another_gateway_of_it_is_a_replica(
    stand: Stand,
) -> None:
    one = policy_at(stand.robots_network)
    vagus_network, robots_network = MemoryNetwork(), MemoryNetwork()
    with serving(vagus_network):
        listener = listener_on(vagus_network, robots_network)
        two = policy_at(robots_network)
        assert one.model_hash == two.model_hash
        two.close()
        listener.close()
    one.close()

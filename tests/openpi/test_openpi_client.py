"""openpi's own client, as its package index has it, drives the simulated arm by a policy behind a gateway."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from websockets.exceptions import InvalidStatus

from demo.rig import SettableClock
from process.rig import START_S, rig_in
from vagus.demo.arm import DT_S, JOINTS
from vagus.demo.robot import SimRobot

pytestmark = pytest.mark.filterwarnings(
    "ignore:connect.. must be used as a context manager:DeprecationWarning"
)

HERE = Path(__file__).parent
HORIZON = 50
EXECUTED = 10
"""Actions of each chunk that the client executes."""
TARGETS, MOST_STEPS = 2, 600
"""The second stands where the first did not; 20 s of the arm's time."""
NEAR_RAD = 0.1
"""More than a joint moves in one step."""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """Serve `reach` behind two gateways: one for everybody, one that asks for a key. Yield their ports."""
    folder = tmp_path_factory.mktemp("openpi")
    (folder / "token").write_text("k3y")
    both = {"protocol": "openpi", "profile": str(HERE / "reach.yaml"), "listen": "127.0.0.1:0"}
    guarded = {**both, "name": "guarded", "token_path": str(folder / "token")}
    (folder / "gateways.json").write_text(json.dumps({"gateways": [both, guarded]}))
    with rig_in(folder) as rig:
        server = rig.child("server", ["serve", "--policy", "reach", "--connect", rig.endpoint])
        server.wait_for_line("server ready", timeout_s=START_S)
        gateway = rig.child("gateway", ["gateway", str(folder / "gateways.json"), "--connect", rig.endpoint])
        lines = [gateway.wait_for_line("gateway openpi on ws://", timeout_s=START_S) for _ in range(2)]
        yield dict(zip(("open", "guarded"), (port_in(line) for line in lines), strict=True))


def port_in(line: str) -> int:
    """Return the port in "gateway openpi on ws://127.0.0.1:8000, profile …"."""
    return int(line.partition(",")[0].rpartition(":")[2])


@contextmanager
def connected(
    ports: Mapping[str, int], gateway: str = "open", **settings: str
) -> Iterator[WebsocketClientPolicy]:
    """Yield a client, which has no `close` of its own."""
    policy = WebsocketClientPolicy("127.0.0.1", ports[gateway], **settings)
    try:
        yield policy
    finally:
        policy._ws.close()


class Arm:
    """The simulated arm, asked and moved as openpi's examples do it, on a clock of its own."""

    def __init__(self, seed: int) -> None:
        self.clock = SettableClock()
        self.robot = SimRobot(rate_hz=1 / DT_S, seed=seed, clock=self.clock)
        self.robot.connect()

    def observation(self) -> dict[str, object]:
        """Return what the profile asks for, of the types that openpi's examples send."""
        position, velocity = np.split(self.robot.read_state().astype(np.float64), 2)
        images = self.robot.read_images()
        return {
            "observation/image_front": images["front"],
            "observation/image_top": images["top"],
            "observation/joint_position": position,
            "observation/joint_velocity": velocity,
            "prompt": "reach the target",
        }

    def move(self, action: np.ndarray) -> None:
        """Command one action, and let a step pass."""
        self.robot.command(action)
        self.clock.pass_s(DT_S)


def test_the_metadata_say_what_the_policy_is(ports: Mapping[str, int]) -> None:
    with connected(ports) as policy:
        told = policy.get_server_metadata()["vagus"]
    assert (told["policy_type"], told["profile"]) == ("reach", "reach")
    assert (told["rate_hz"], told["horizon"], told["rtc"]) == (30.0, HORIZON, True)
    assert told["actions"]["names"] == list(JOINTS)


def test_a_broker_drives_the_arm_to_its_targets(ports: Mapping[str, int]) -> None:
    arm = Arm(seed=3)
    timings: list[dict[str, float]] = []
    with connected(ports) as policy:
        broker = ActionChunkBroker(policy, EXECUTED)
        while arm.robot.report().targets_reached < TARGETS and len(timings) < MOST_STEPS:
            answer = broker.infer(arm.observation())
            assert answer["actions"].shape == (len(JOINTS),)
            assert np.isfinite(answer["actions"]).all()
            arm.move(answer["actions"])
            timings.append(answer["server_timing"])
    assert arm.robot.report().targets_reached == TARGETS, arm.robot.report()
    assert "prev_total_ms" not in timings[0]
    assert all(math.isfinite(timing["prev_total_ms"]) for timing in timings[EXECUTED:])


def test_two_arms_at_once_get_their_own_actions(ports: Mapping[str, int]) -> None:
    with connected(ports) as policy, connected(ports) as other_policy:
        arms = [(Arm(seed=4), policy), (Arm(seed=5), other_policy)]
        for _ in range(3):
            for arm, its in arms:
                for action in its.infer(arm.observation())["actions"][:EXECUTED]:
                    arm.move(action)
        for arm, its in arms:
            position = arm.robot.read_state()[: len(JOINTS)]
            begins = its.infer(arm.observation())["actions"][0]
            assert np.abs(begins - position).max() < NEAR_RAD
    positions = [arm.robot.read_state()[: len(JOINTS)] for arm, _ in arms]
    assert np.abs(positions[0] - positions[1]).max() > 2 * NEAR_RAD


def test_a_wrong_observation_is_told_and_the_next_client_is_served(ports: Mapping[str, int]) -> None:
    observation = Arm(seed=6).observation()
    lacking = {key: value for key, value in observation.items() if key != "observation/image_top"}
    told = r"Error in inference server:\n.*observation/image_top"
    with connected(ports) as policy, pytest.raises(RuntimeError, match=told):
        policy.infer(lacking)
    with connected(ports) as policy:
        assert policy.infer(observation)["actions"].shape == (HORIZON, len(JOINTS))


def test_the_key_is_asked_for_where_there_is_one(ports: Mapping[str, int]) -> None:
    for settings in ({}, {"api_key": "other"}):
        with pytest.raises(InvalidStatus, match="HTTP 401"), connected(ports, "guarded", **settings):
            pass
    with connected(ports, "guarded", api_key="k3y") as policy:
        answer = policy.infer(Arm(seed=7).observation())
    assert answer["actions"].shape == (HORIZON, len(JOINTS))

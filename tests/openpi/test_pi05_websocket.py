"""The π0.5 WebSocket policy for LeRobot at a gateway: what it sends and takes, without its torch.

It converts the robot's observation, connects for each inference with the legacy client of websockets, reads
the metadata, asks, and executes the chunk action by action. Whatever fails becomes zeros there; here it fails
the test.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgpack_numpy
import numpy as np
import pytest

from openpi.so101_policy import HORIZON, STEP, goal_in
from process.rig import START_S, rig_in
from vagus.types import Image

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from websockets.legacy.client import connect

HERE = Path(__file__).parent
TIMEOUT_S = 5.0
INFERENCES = 30
"""More than a server grants sessions at once."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with rig_in(tmp_path_factory.mktemp("pi05")) as rig:
        policy = f"{HERE / 'so101_policy.py'}:ToTheColour"
        server = rig.child("server", ["serve", "--policy", policy, "--connect", rig.endpoint])
        server.wait_for_line("server ready", timeout_s=START_S)
        settings = ["--profile", str(HERE / "so101.yaml"), "--listen", "127.0.0.1:0", "--max-peers", "1"]
        gateway = rig.child("gateway", ["gateway", "openpi", *settings, "--connect", rig.endpoint])
        line = gateway.wait_for_line("gateway openpi on ws://", timeout_s=START_S)
        yield int(line.partition(",")[0].rpartition(":")[2])


async def infer(port: int, observation: Mapping[str, object]) -> dict[str, object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        connection = connect(f"ws://127.0.0.1:{port}", timeout=TIMEOUT_S)
    async with connection as websocket:
        msgpack_numpy.unpackb(await websocket.recv())
        await websocket.send(msgpack_numpy.Packer().pack(observation))
        answer: dict[str, object] = msgpack_numpy.unpackb(await websocket.recv())
        return answer


def as_sent(picture: np.ndarray) -> Image:
    """Return a picture of (3, H, W) floats as that policy sends it: (H, W, 3) uint8."""
    sent: Image = (picture.transpose(1, 2, 0) * 255).astype(np.uint8)
    return sent


def test_an_arm_is_driven_to_its_goal_with_a_connection_for_each_inference(port: int) -> None:
    random = np.random.default_rng(1)
    wrist = as_sent(random.random((3, 224, 224), np.float32))
    realsense = as_sent(random.random((3, 480, 640), np.float32))
    state, queue, inferences = np.zeros(6, np.float32), deque[np.ndarray](), 0
    while inferences < INFERENCES or queue:
        if not queue:
            inferences += 1
            observation = {
                "observation/images/wrist2": wrist,
                "observation/images/realsense": realsense,
                "observation/state": state,
                "prompt": "pick up the cube",
            }
            answer = asyncio.run(infer(port, observation))
            actions = answer["actions"]
            assert isinstance(actions, np.ndarray)
            assert actions.shape == (HORIZON, 6)
            queue.extend(actions[at][:6] for at in range(3))
        action = queue.popleft()
        assert np.abs(action - state).max() <= STEP + 1e-4
        state = action.astype(np.float32)
    np.testing.assert_allclose(state, goal_in(wrist, realsense), atol=1e-4)

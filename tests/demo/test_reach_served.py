"""A served `reach` gives, bit for bit, what it gives when it is called here."""

from __future__ import annotations

import numpy as np
import pytest

from server.raw_client import PATIENCE_S, RawClient
from vagus.demo.arm import HOME
from vagus.demo.reach import ReachPolicy
from vagus.demo.scene import Scene
from vagus.demo.vision import TargetMemory
from vagus.policies.policy import Policy, Row
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, FloatArray, Observation, Prefix
from vagus.wire.codec import decode_tensor, encode_tensor
from vagus.wire.contract import to_wire_actions, to_wire_cameras, to_wire_states
from vagus.wire.images import encode_image

LOCAL = ReachPolicy()
SPEC = LOCAL.spec
FRAMES = Scene().draw(HOME, np.array([0.35, 0.1, 0.2]))
STATE: FloatArray = np.concatenate([HOME, np.full(6, 0.1)]).astype(np.float32)


def call(prefix: Prefix | None) -> ActionChunk:
    seen = Observation(STATE, FRAMES, "", 0)
    end = 0 if prefix is None else 25
    delay = 0 if prefix is None else 4
    (chunk,) = LOCAL.infer([Row(LOCAL.open_session(), seen, 40, prefix, delay, end, 2**63 + 5)])
    assert isinstance(chunk, ActionChunk)
    return chunk


@pytest.mark.parametrize("has_prefix", [False, True])
def test_remote_equals_local(has_prefix: bool) -> None:
    plan = call(None)
    prefix = Prefix(plan.model[8:], plan.robot[8:]) if has_prefix else None
    changes: dict[str, object] = {
        "state": encode_tensor(STATE),
        "images": {name: encode_image(frame, "raw") for name, frame in FRAMES.items()},
        "step": 40,
        "seed": 2**63 + 5,
    }
    if prefix is not None:
        changes |= {
            "prefix_model": encode_tensor(prefix.model),
            "prefix_robot": encode_tensor(prefix.robot),
            "inference_delay": 4,
            "prefix_horizon": 25,
        }
    network = MemoryNetwork()
    served: Policy[TargetMemory] = ReachPolicy()
    with Server(network.link("server"), lambda: served, ServeConfig()) as server:
        assert server.wait_ready(PATIENCE_S)
        client = RawClient(network.link("arm"), server.key, "arm")
        client.open(
            actions=to_wire_actions(SPEC.actions),
            state=to_wire_states(SPEC.state),
            cameras=to_wire_cameras(SPEC.cameras),
            rate_hz=SPEC.rate_hz,
        )
        reply = client.ask(0.0, changes=changes)
    assert reply.chunk is not None, reply.event
    wanted = call(prefix)
    assert (reply.chunk.step, reply.chunk.valid_len) == (40, len(wanted))
    for sent, made in ((reply.chunk.chunk_model, wanted.model), (reply.chunk.chunk_robot, wanted.robot)):
        np.testing.assert_array_equal(decode_tensor(sent, shape=(None, None), name="chunk"), made)
    assert has_prefix == bool((wanted.model != plan.model).any())

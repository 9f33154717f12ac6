"""Commands, chunks and frames that the tests of the recorders record."""

from __future__ import annotations

import numpy as np

from vagus.edge.client.handshake import Contract
from vagus.edge.handoff import Proposal, Settled, Source
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.session import FrameKind
from vagus.recording.sink import FrameFile
from vagus.specs import PolicySpec
from vagus.types import (
    ActionChunk,
    Command,
    DepthImage,
    FloatArray,
    Image,
    LinkState,
    MotionState,
    Prefix,
    Provenance,
    RequestDraft,
)
from vagus.wire.contract import to_wire_actions, to_wire_states
from vagus.wire.schema import Capabilities

STATE: FloatArray = np.array([0.5, -0.5], dtype=np.float32)


def command(step: int) -> Command:
    where = Provenance(7, 8, 1, step, 2, 12_345_678, LinkState.STREAMING, MotionState.PLAYING)
    return Command(np.array([0.25, 1.0]), where, frozenset({"velocity", "jerk"}))


def draft(step: int) -> RequestDraft:
    return RequestDraft(step, 1, step, STATE, 900 + step, None, 0, False, 0)


def image(size: int = 8) -> Image:
    return np.full((size, size, 3), (200, 30, 10), dtype=np.uint8)


def ranges() -> DepthImage:
    """Return a depth frame with no measurement in one place."""
    return np.array([[0, 1, 65535], [300, 301, 302]], dtype=np.uint16)


def settled(seq: int = 3, outcome: str = "merged") -> Settled:
    """Return a chunk of three actions of two numbers that continues a plan of one."""
    robot = np.arange(6, dtype=np.float32).reshape(3, 2) / np.float32(3)
    model = np.arange(12, dtype=np.float32).reshape(3, 4) / np.float32(7)
    prefix = Prefix(model[:1], robot[:1])
    made = RequestDraft(seq, 1, 20, STATE, 800 + seq, prefix, 1, False, 0, prefix_horizon=2)
    return Settled(Proposal(ActionChunk(20, robot, model), Source(7, seq, 800 + seq), made), 22, outcome)


def step_line(t_ns: int = 99, step: int = 4) -> StepLine:
    return StepLine.of(t_ns, command(step), STATE)


def chunk_line(t_ns: int = 99) -> ChunkLine:
    return ChunkLine.of(t_ns, settled())


def frame_file(camera: str = "front", content: bytes = b"jpeg") -> FrameFile:
    return FrameFile(camera, FrameKind.COLOUR, 0, 0, 1, 5, content)


def contract(policy: PolicySpec) -> Contract:
    """Return what robot and server have agreed on, for this policy."""
    said = Capabilities(
        server="gpu-1",
        model="reach",
        revision="2",
        model_hash="ab12",
        policy_type=policy.policy_type,
        actions=to_wire_actions(policy.actions),
        state=to_wire_states(policy.state),
        horizon=policy.horizon,
        model_dim=policy.model_dim,
        rate_hz=policy.rate_hz,
        default_instruction="reach the ball",
        vagus_version="0.1",
        continues_awaited=True,
    )
    return Contract(policy, "ab12", policy.rate_hz, True, 0, "jpeg", (), said)

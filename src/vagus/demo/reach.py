"""The embedded policy: sees a coloured target in the pictures and reaches for it. Numpy only.

As long as it has not seen a target it stays where it is.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Sequence
from importlib import resources

import numpy as np

from vagus.clock import NS_PER_MS
from vagus.demo.arm import ACTIONS, CAMERAS, DT_S, JOINTS, STATE, tip_position
from vagus.demo.condition import condition, from_model, to_model
from vagus.demo.flow_net import SCHEDULES, Floats32, FlowNet, Guidance, layers_of, prefix_weights
from vagus.demo.reach_options import ReachOptions
from vagus.demo.vision import TargetMemory, locate
from vagus.errors import ConfigError, PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import PolicySpec, RtcSpec
from vagus.types import ActionChunk

__all__ = ["ReachPolicy"]

WEIGHTS = "reach_weights.npz"
CODE = ("arm.py", "condition.py", "flow_net.py", "vision.py", "reach.py")
"""What an output depends on besides them."""
FLOW_STEPS = 5
PREFIX_HORIZON = 25
"""Half a chunk: enough to stay in the same motion, and free to follow a target that has moved."""
MAX_GUIDANCE = 5.0
ANCHOR_STEPS = 15
"""Half a second: how long a chunk takes to get from where the arm is to what the network wants."""
LAG_S = 0.025
"""The arm's servos trail their setpoint by this."""


class ReachPolicy:
    """Reaches for the target with the simulated arm. Shared: all that a robot leaves is in its session.

    Args:
        options: settings of this policy alone.
        rtc_schedule: how guidance falls off: exp, linear, ones, zeros.
        rtc_max_guidance: bound of the guidance weight.
    """

    serving_mode = ServingMode.SHARED
    options_type = ReachOptions

    def __init__(
        self,
        *,
        options: ReachOptions | None = None,
        rtc_schedule: str = "exp",
        rtc_max_guidance: float = MAX_GUIDANCE,
    ) -> None:
        if rtc_schedule not in SCHEDULES:
            raise ConfigError("rtc_schedule", wanted=f"one of {', '.join(SCHEDULES)}", got=rtc_schedule)
        self._inference_ns = round((options or ReachOptions()).inference_ms * NS_PER_MS)
        self._schedule = rtc_schedule
        self._max_guidance = rtc_max_guidance
        weights = resources.files("vagus.demo").joinpath(WEIGHTS)
        self._net = _load(weights.read_bytes())
        self.model_hash = self._hash(weights.read_bytes())
        self.spec = PolicySpec(
            policy_type="reach",
            actions=ACTIONS,
            state=STATE,
            cameras=tuple(camera.spec for camera in CAMERAS),
            horizon=self._net.horizon,
            model_dim=self._net.model_dim,
            rate_hz=1 / DT_S,
            rtc=RtcSpec(PREFIX_HORIZON, rtc_schedule, rtc_max_guidance),
            default_instruction="reach the target",
        )

    def open_session(self) -> TargetMemory:
        """Return an empty memory."""
        return TargetMemory()

    def begin_episode(self, session: TargetMemory) -> None:
        """Forget where the target was."""
        session.forget()

    def infer(self, batch: Sequence[Row[TargetMemory]]) -> list[ActionChunk | PolicyError]:
        """Return a chunk per row, or what is wrong with the row."""
        deadline_ns = time.monotonic_ns() + self._inference_ns
        seen = [_look(row) for row in batch]
        good = [(row, c) for row, c in zip(batch, seen, strict=True) if not isinstance(c, PolicyError)]
        chunks = iter(
            self._infer_rows([row for row, _ in good], np.stack([c for _, c in good])) if good else []
        )
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)
        return [c if isinstance(c, PolicyError) else next(chunks) for c in seen]

    def close(self) -> None:
        """Nothing to free."""

    def _infer_rows(self, rows: Sequence[Row[TargetMemory]], conditions: Floats32) -> list[ActionChunk]:
        shape = (self._net.horizon, self._net.model_dim)
        noise = np.stack(
            [np.random.default_rng(row.seed).standard_normal(shape, dtype=np.float32) for row in rows]
        )
        guidance = [self._guidance(row) for row in rows]
        chunks = self._net.sample(
            noise,
            conditions,
            guidance,
            steps=FLOW_STEPS,
            max_guidance=self._max_guidance,
        )
        return [
            _as_chunk(row, chunk) if continued else _anchored(row, chunk)
            for row, chunk, continued in zip(rows, chunks, guidance, strict=True)
        ]

    def _guidance(self, row: Row[TargetMemory]) -> Guidance | None:
        if row.prefix is None:
            return None
        horizon = self._net.horizon
        length = min(len(row.prefix), horizon)
        plan = np.zeros((horizon, self._net.model_dim), np.float32)
        plan[:length] = row.prefix.model[:length]
        weights = prefix_weights(
            horizon,
            length=length,
            delay=row.inference_delay,
            end=min(row.prefix_horizon, horizon),
            schedule=self._schedule,
        )
        return Guidance(plan, weights) if weights.any() else None

    def _hash(self, weights: bytes) -> str:
        """Return a digest of weights, code and settings: everything that changes an output."""
        digest = hashlib.sha256(weights)
        for name in CODE:
            digest.update(resources.files("vagus.demo").joinpath(name).read_bytes())
        digest.update(f"{self._schedule} {self._max_guidance!r} {FLOW_STEPS} {PREFIX_HORIZON}".encode())
        return digest.hexdigest()


def _as_chunk(row: Row[TargetMemory], actions: Floats32) -> ActionChunk:
    return ActionChunk(step=row.step, model=actions, robot=from_model(actions))


def _anchored(row: Row[TargetMemory], actions: Floats32) -> ActionChunk:
    """Return a chunk that begins where the arm is, for a row without a plan to continue.

    The network knows the postures that the expert takes; after a push it would jump back to one of them.
    """
    position, velocity = np.split(row.observation.state.astype(np.float64), 2)
    first = to_model(position + (LAG_S + DT_S) * velocity)
    fading = 0.5 + 0.5 * np.cos(np.pi * np.minimum(np.arange(len(actions)) / ANCHOR_STEPS, 1.0))
    return _as_chunk(row, (actions + fading[:, None] * (first - actions[0])).astype(np.float32))


def _look(row: Row[TargetMemory]) -> Floats32 | PolicyError:
    """Return the row's condition, (18,), or what is wrong with the row."""
    state = row.observation.state.astype(np.float64)
    if state.shape != (len(STATE),) or not np.isfinite(state).all():
        return PolicyError(f"state: wanted {len(STATE)} finite numbers, got {row.observation.state.tolist()}")
    try:
        target = row.session.update(locate(row.observation.images))
    except PolicyError as error:
        return error
    joints = state[: len(JOINTS)]
    return condition(joints, state[len(JOINTS) :], tip_position(joints) if target is None else target)


def _load(content: bytes) -> FlowNet:
    with np.load(io.BytesIO(content), allow_pickle=False) as parts:
        return FlowNet(layers_of(parts), int(parts["horizon"]), int(parts["model_dim"]))

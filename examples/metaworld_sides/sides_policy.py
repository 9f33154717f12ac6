"""A small flow policy with real-time chunking that steers the hand round the posts. Numpy only.

    vagus serve --policy sides_policy.py:SidesPolicy --options weights outputs/weights.npz

It has learned from an expert that takes either side of a post, so chunks of two moments may lead to different
sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sides_course import AGENT, TOP_CM, WORLD, Floats

import vagus
from vagus.demo.flow_net import SCHEDULES, Floats32, layers_of, prefix_weights
from vagus.demo.gates_net import Continuation, GatesNet
from vagus.errors import ConfigError
from vagus.policies.policy import Row

__all__ = ["ACTIONS", "CONTINUATIONS", "HORIZON", "SidesPolicy", "condition"]

HORIZON = 16
"""0.8 s."""
RATE_HZ = 20
PREFIX_HORIZON = 12
FLOW_STEPS = 10
WAVE_M = np.array([0.08, 0.1])
"""Half of the longest wave, to the side and forward."""
OCTAVES = np.array([1.0, 2.0, 4.0])
MAX_GUIDANCE = 5.0
ACTIONS = {"hand.dx": "cm"}
DIM = len(ACTIONS)
METRES = {name: "m/s" if ".v" in name else "m" for name in (*AGENT, *WORLD)}

CONTINUATIONS = ("guided", "given")
"""How a chunk continues the actions that will be executed anyway: the flow is pulled to them, or they are an
input of the network, which was trained so."""


def condition(seen: Floats) -> Floats32:
    """Return what the network is told of states (n, 8): places as seen from the hand, each about 1.

    The way to the post is there as waves, too: when to take a side is a matter of half a centimetre.
    """
    hand, velocity, post, goal = seen[:, :2], seen[:, 2:4], seen[:, 4:6], seen[:, 6:]
    angles = (np.pi * (post - hand) / WAVE_M)[:, :, None] * OCTAVES
    waves = angles.reshape(len(seen), -1)
    parts = [
        (post - hand) / [0.06, 0.12],
        (goal - hand) / [0.06, 0.2],
        velocity / 0.15,
        np.sin(waves),
        np.cos(waves),
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


@vagus.policy(
    actions=ACTIONS,
    kinds=dict.fromkeys(ACTIONS, "delta"),
    state=METRES,
    horizon=HORIZON,
    rate_hz=RATE_HZ,
    prefix_horizon=PREFIX_HORIZON,
    instruction="bring the hand to the goal",
    shared=True,
)
class SidesPolicy:
    """Answers a batch of rows; no row sees another's plan, noise or delay.

    Args:
        weights: file of the weights.
        continuation: how a chunk continues the actions that will be executed anyway: guided or given.
        rtc_schedule: how guidance falls off behind them: exp, linear, ones, zeros (a hard prefix).
        actions: length of the chunks.
    """

    def __init__(
        self, weights: str, continuation: str = "given", rtc_schedule: str = "exp", actions: int = HORIZON
    ) -> None:
        for name, value, known in (
            ("continuation", continuation, CONTINUATIONS),
            ("rtc_schedule", rtc_schedule, SCHEDULES),
        ):
            if value not in known:
                raise ConfigError(name, wanted=f"one of {', '.join(known)}", got=repr(value))
        if not 0 < actions <= HORIZON:
            raise ConfigError("actions", wanted=f"1 to {HORIZON}", got=repr(actions))
        self._schedule = rtc_schedule
        self._is_given = continuation == "given"
        self._length = actions
        with np.load(weights, allow_pickle=False) as parts:
            self._net = GatesNet(layers_of(parts))

    def infer(self, batch: Sequence[Row[object]]) -> list[vagus.ActionChunk]:
        """Return one chunk per row."""
        noise = [
            np.random.default_rng(row.seed).standard_normal(HORIZON * DIM, dtype=np.float32) for row in batch
        ]
        flat = self._net.sample(
            np.stack(noise),
            condition(np.stack([row.observation.state for row in batch]).astype(np.float64)),
            [self._continuation(row) for row in batch],
            steps=FLOW_STEPS,
            max_guidance=MAX_GUIDANCE,
        )
        chunks = flat.reshape(len(batch), HORIZON, DIM)[:, : self._length]
        return [
            vagus.ActionChunk(row.step, own, own * np.float32(TOP_CM))
            for row, own in zip(batch, chunks, strict=True)
        ]

    def _continuation(self, row: Row[object]) -> Continuation | None:
        if row.prefix is None:
            return None
        length = min(len(row.prefix), HORIZON)
        plan = np.zeros((HORIZON, DIM), np.float32)
        plan[:length] = row.prefix.model[:length]
        delay = min(row.inference_delay, length)
        weights: NDArray[np.float32] = prefix_weights(
            HORIZON,
            length=length,
            delay=delay,
            end=min(row.prefix_horizon, HORIZON),
            schedule=self._schedule,
        )
        return Continuation(plan.ravel(), weights.repeat(DIM), delay * DIM if self._is_given else 0)

"""Flow-matching network of `gates`, in numpy: batched denoising, and three ways to continue a running plan.

A chunk is a sample of a flow from noise (τ = 0) to actions (τ = 1); the network predicts the velocity of the
flow. A row may continue its running plan

- by *soft guidance* (arXiv:2506.07339): at each flow step the predicted chunk is pulled to the plan through
  the transposed Jacobian, with weight 1 for the steps that will be executed anyway, then falling;
- by *hard guidance*: the same, with weight 0 after those steps;
- by a *given prefix* (training-time conditioning, arXiv:2512.05964): the steps that will be executed anyway
  are input, because the network was trained with given prefixes. Guidance may follow behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.demo.flow_net import Floats32, guidance_weight
from vagus.demo.gates_world import GAP_M, TOP_SPEED_M_S, Floats

__all__ = ["ACTION_SCALE", "CONDITION_WIDTH", "HORIZON", "Continuation", "GatesNet", "condition", "inputs"]

HORIZON = 16
CONDITION_WIDTH = 5
ACTION_SCALE = 0.5
"""Action that is 1 in the network's space."""
TIME_WIDTH = 32
INPUT_WIDTH = 2 * HORIZON + CONDITION_WIDTH + TIME_WIDTH
FASTEST = 100.0
"""Ratio of the fastest time feature's frequency to the slowest one's."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Running plan that the chunk of one row continues.

    Attributes:
        plan: numbers of the actions from s0 on, (width,); those after the prefix are ignored.
        weights: weight of guidance by each of them, (width,), 0–1.
        given: how many of the first numbers are given to the network.
    """

    plan: Floats32
    weights: Floats32
    given: int = 0


def condition(observation: Floats) -> Floats32:
    """Return observations (n, 5) of the world, each number scaled to about 1."""
    place, velocity, share, left, right = np.moveaxis(observation, -1, 0)
    middle = (GAP_M[0] + GAP_M[1]) / 2
    scaled = [
        place / middle,
        velocity / TOP_SPEED_M_S,
        2.0 * share - 1.0,
        (left - middle) / 0.2,
        (right + middle) / 0.2,
    ]
    return np.stack(scaled, axis=-1).astype(np.float32)


def inputs(noisy: Floats32, known: NDArray[np.bool_], conditions: Floats32, tau: Floats32) -> Floats32:
    """Return the input of the network, (n, 2 · width + condition width + TIME_WIDTH).

    Args:
        noisy: chunks on their way from noise to actions, (n, width); given actions are clean.
        known: which numbers are given, (n, width).
        conditions: (n, condition width).
        tau: time of the flow, 0–1, (n, 1).
    """
    frequencies = np.geomspace(1.0, FASTEST, TIME_WIDTH // 2, dtype=np.float32)
    angles = tau * frequencies
    return np.concatenate(
        [noisy, known, conditions, np.sin(angles), np.cos(angles)], axis=1, dtype=np.float32
    )


@dataclass(frozen=True, slots=True)
class GatesNet:
    """A multi-layer perceptron with SiLU units, residual but for the first layer.

    A chunk is a row of numbers: of `gates` HORIZON wide, of a policy with more numbers per action wider, the
    actions one after another.

    Attributes:
        layers: (weight (in, out), bias (out,)) pairs, float32.
    """

    layers: tuple[tuple[Floats32, Floats32], ...]

    @property
    def trouble(self) -> str:
        """What keeps these layers from being this network, in words; "": nothing."""
        width, last = INPUT_WIDTH, len(self.layers) - 1
        for at, (weight, bias) in enumerate(self.layers):
            after = width if 0 < at < last else HORIZON if at == last else weight.shape[-1]
            if weight.shape != (width, after) or bias.shape != (after,):
                return f"weights {weight.shape} and {bias.shape} in layer {at}, behind {width} numbers"
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                return f"NaN or infinity in layer {at}"
            width = after
        return "" if last > 0 else f"{last + 1} layers"

    def sample(
        self,
        noise: Floats32,
        conditions: Floats32,
        continued: Sequence[Continuation | None],
        *,
        steps: int,
        max_guidance: float,
    ) -> Floats32:
        """Return chunks of actions, (n, width), within −1 to 1.

        Args:
            noise: (n, width), standard normal.
            conditions: (n, condition width).
            continued: one per row; None: no plan to continue.
            steps: Euler steps from noise to chunk.
            max_guidance: bound of the guidance weight (β of the paper).
        """
        plan, weights, known = _stack(continued, noise.shape[1])
        noisy = np.where(known, plan, noise).astype(np.float32)
        is_guided = bool(weights.any())
        for step in range(steps):
            tau = step / steps
            velocity, units = self.velocity(noisy, known, conditions, tau)
            if is_guided:
                gradient = (plan - (noisy + np.float32(1.0 - tau) * velocity)) * weights
                pull = gradient + np.float32(1.0 - tau) * self._pull_back(gradient, units)
                velocity = velocity + np.float32(guidance_weight(tau, max_guidance)) * pull
            noisy = np.where(known, plan, noisy + velocity / np.float32(steps))
        chunks: Floats32 = np.clip(noisy * np.float32(ACTION_SCALE), -1.0, 1.0)
        return chunks

    def velocity(
        self, noisy: Floats32, known: NDArray[np.bool_], conditions: Floats32, tau: float
    ) -> tuple[Floats32, list[tuple[Floats32, Floats32]]]:
        """Return the velocity of the flow, (n, width), and each hidden layer's (input, gate)."""
        signal = inputs(noisy, known, conditions, np.full((len(noisy), 1), tau, np.float32))
        units: list[tuple[Floats32, Floats32]] = []
        for at, (weight, bias) in enumerate(self.layers[:-1]):
            before = signal @ weight + bias
            gate = (0.5 + 0.5 * np.tanh(0.5 * before)).astype(np.float32)  # the sigmoid; cannot overflow
            units.append((before, gate))
            after = before * gate
            signal = after + signal if at else after
        weight, bias = self.layers[-1]
        return signal @ weight + bias, units

    def _pull_back(self, gradient: Floats32, units: Sequence[tuple[Floats32, Floats32]]) -> Floats32:
        """Return the transposed Jacobian of `velocity` with respect to the noisy chunk, times `gradient`."""
        slope = gradient @ self.layers[-1][0].T
        for at in range(len(units) - 1, -1, -1):
            before, gate = units[at]
            inner = slope * gate * (1.0 + before * (1.0 - gate))
            back = inner @ self.layers[at][0].T
            slope = slope + back if at else back
        pulled: Floats32 = slope[:, : gradient.shape[1]]
        return pulled


def _stack(
    continued: Sequence[Continuation | None], width: int
) -> tuple[Floats32, Floats32, NDArray[np.bool_]]:
    """Return the plans in the network's space, the weights of guidance, and which actions are given."""
    shape = (len(continued), width)
    plan, weights, known = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    for row, one in enumerate(continued):
        if one is not None:
            plan[row] = one.plan / np.float32(ACTION_SCALE)
            known[row, : one.given] = True
            weights[row] = np.where(known[row], 0.0, one.weights)
    return plan, weights, known

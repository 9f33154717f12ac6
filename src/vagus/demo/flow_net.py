"""Flow-matching network of `reach`, in numpy: batched denoising with real-time-chunking guidance.

A chunk is a sample of a flow from noise (τ = 0) to actions (τ = 1). The network predicts the clean chunk from
the noisy one, so the velocity of the flow is (prediction − noisy) / (1 − τ). Guidance by a running plan
follows arXiv:2506.07339: at every step the prediction is pulled towards the plan, with soft weights that fall
from the steps that will be executed anyway (1) to the end of the guidance (0).

The paper applies the pull only through the transposed Jacobian of the network. Here, a situation has almost
only one right chunk, so the network hardly depends on the noisy chunk: its Jacobian is almost 0 and the pull
has no effect (deviation from the plan: 0.99 of that without guidance). So the chunk itself is pulled, too
(0.15).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SCHEDULES",
    "Floats32",
    "FlowNet",
    "Guidance",
    "layers_of",
    "prefix_weights",
    "time_features",
]

Floats32: TypeAlias = NDArray[np.float32]

SCHEDULES = ("exp", "linear", "ones", "zeros")
"""Names of the ways in which guidance falls off; see `prefix_weights`."""
TIME_WIDTH = 4
SMOOTHNESS = 10.0
"""Weight of third differences against closeness: keeps motions longer than about a quarter of a second."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """Plan that the chunk of one row must continue.

    Attributes:
        plan: (horizon, model_dim); steps after the prefix are ignored.
        weights: (horizon,), 1 for steps that will be executed in any case, 0 for steps that are ignored.
    """

    plan: Floats32
    weights: Floats32


@dataclass(frozen=True, slots=True)
class FlowNet:
    """A multi-layer perceptron with SiLU units that predicts a clean chunk.

    Attributes:
        layers: (weight (in, out), bias (out,)) pairs, float32.
        horizon: actions in a chunk.
        model_dim: numbers in an action.
    """

    layers: tuple[tuple[Floats32, Floats32], ...]
    horizon: int
    model_dim: int

    def sample(
        self,
        noise: Floats32,
        conditions: Floats32,
        guidance: Sequence[Guidance | None],
        *,
        steps: int,
        max_guidance: float,
    ) -> Floats32:
        """Return clean chunks (rows, horizon, model_dim).

        Args:
            noise: (rows, horizon, model_dim), standard normal.
            conditions: (rows, condition width), input of the network.
            guidance: one per row; None: no plan to continue.
            steps: Euler steps from noise to chunk.
            max_guidance: bound of the guidance weight (β of the paper).
        """
        rows = noise.shape[0]
        noisy = noise.reshape(rows, -1).astype(np.float32)
        plan, weights = self._stack(guidance)
        is_guided = bool(weights.any())
        for step in range(steps):
            tau = step / steps
            clean, units = self.predict(noisy, conditions, tau)
            velocity = (clean - noisy) / np.float32(1.0 - tau)
            if is_guided:
                gradient = (plan - clean) * weights
                pull = gradient + self._pull_back(gradient, units)
                velocity = velocity + np.float32(guidance_weight(tau, max_guidance)) * pull
            noisy = noisy + velocity / np.float32(steps)
        chunks = noisy.reshape(rows, self.horizon, self.model_dim)
        smooth: Floats32 = np.einsum("ts,rsd->rtd", _smoothing(self.horizon), chunks).astype(np.float32)
        return smooth

    def predict(
        self, noisy: Floats32, conditions: Floats32, tau: float
    ) -> tuple[Floats32, list[tuple[Floats32, Floats32]]]:
        """Return the clean chunks (rows, horizon · model_dim), and each hidden layer's (input, gate)."""
        times = np.broadcast_to(time_features(np.float32(tau)), (len(noisy), TIME_WIDTH))
        signal = np.concatenate([noisy, conditions, times], axis=1, dtype=np.float32)
        units: list[tuple[Floats32, Floats32]] = []
        for weight, bias in self.layers[:-1]:
            before = _rows_dot(signal, weight) + bias
            gate = (0.5 + 0.5 * np.tanh(0.5 * before)).astype(
                np.float32
            )  # the sigmoid, which cannot overflow
            units.append((before, gate))
            signal = before * gate
        weight, bias = self.layers[-1]
        return _rows_dot(signal, weight) + bias, units

    def _pull_back(self, gradient: Floats32, units: Sequence[tuple[Floats32, Floats32]]) -> Floats32:
        """Return the transposed Jacobian of `predict` with respect to the noisy chunk, times `gradient`."""
        for (weight, _), (before, gate) in zip(self.layers[:0:-1], units[::-1], strict=True):
            slope = (gate * (1.0 + before * (1.0 - gate))).astype(np.float32)
            gradient = _rows_dot(gradient, weight.T) * slope
        width = self.horizon * self.model_dim
        return _rows_dot(gradient, self.layers[0][0][:width].T)

    def _stack(self, guidance: Sequence[Guidance | None]) -> tuple[Floats32, Floats32]:
        shape = (len(guidance), self.horizon, self.model_dim)
        plan, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for row, wanted in enumerate(guidance):
            if wanted is not None:
                plan[row] = wanted.plan
                weights[row] = wanted.weights[:, None]
        return plan.reshape(len(guidance), -1), weights.reshape(len(guidance), -1)


def layers_of(parts: Mapping[str, NDArray[np.generic]]) -> tuple[tuple[Floats32, Floats32], ...]:
    """Return the (weight, bias) pairs among arrays that are called weight_0, bias_0 and so on."""
    count = sum(1 for name in parts if name.startswith("weight_"))
    return tuple(
        (parts[f"weight_{at}"].astype(np.float32), parts[f"bias_{at}"].astype(np.float32))
        for at in range(count)
    )


def prefix_weights(horizon: int, *, length: int, delay: int, end: int, schedule: str) -> Floats32:
    """Return the guidance weight of every step, (horizon,).

    Args:
        horizon: actions in a chunk.
        length: actions in the prefix; after them, the weight is 0.
        delay: steps that will be executed in any case; their weight is 1.
        end: step at which the guidance ends.
        schedule: between delay and end "exp" falls exponentially, "linear" in a line, "ones" stays 1,
            "zeros" is 0.
    """
    steps = np.arange(horizon)
    delay = min(delay, end)
    fall = np.clip((end - steps) / (end - delay + 1), 0.0, 1.0)
    shapes = {
        "exp": fall * np.expm1(fall) / np.expm1(1.0),
        "linear": fall,
        "ones": (steps < end).astype(np.float64),
        "zeros": np.zeros(horizon),
    }
    weights = np.where(steps < delay, 1.0, shapes[schedule])
    return np.where(steps < length, weights, 0.0).astype(np.float32)


def guidance_weight(tau: float, max_guidance: float) -> float:
    """Return the weight of the pull at flow time τ, at most `max_guidance`."""
    if tau <= 0.0:
        return max_guidance
    variance = (1.0 - tau) ** 2 / (tau**2 + (1.0 - tau) ** 2)
    return min(max_guidance, (1.0 - tau) / (tau * variance))


def time_features(tau: np.float32 | Floats32) -> Floats32:
    """Return the time features of τ for the network, (..., 4)."""
    features = [tau, tau * tau, np.sin(np.pi * tau), np.cos(np.pi * tau)]
    return np.stack([np.asarray(feature, dtype=np.float32) for feature in features], axis=-1)


@functools.cache
def _smoothing(horizon: int) -> Floats32:
    """Return the matrix (horizon, horizon) that smooths a chunk in time and does not change parabolas.

    The training data are smooth, so a difference from step to step is an error of the network.
    """
    roughness = np.diff(np.eye(horizon), 3, axis=0)
    matrix = np.linalg.inv(np.eye(horizon) + SMOOTHNESS * roughness.T @ roughness)
    return matrix.astype(np.float32)


def _rows_dot(rows: Floats32, weight: Floats32) -> Floats32:
    """Return `rows @ weight`."""
    product: Floats32 = rows @ weight
    return product

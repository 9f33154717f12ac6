"""Training of `GatesNet` on windows of an expert's actions, in numpy. Pure; the draws are seeded.

In a part of the samples the first actions of the chunk are given (training-time conditioning,
arXiv:2512.05964), so that the network can continue a plan without guidance.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.demo.flow_net import Floats32
from vagus.demo.gates_net import ACTION_SCALE, inputs

__all__ = ["FlowTraining", "fit"]

PREFIX_SHARE = 0.5
"""Share of the samples whose first actions are given."""
WARM_UP_STEPS = 100


@dataclass(frozen=True, slots=True)
class FlowTraining:
    """Settings of a training.

    Attributes:
        steps: batches.
        batch: samples in each.
        hidden: units of each of the three hidden layers.
        action_dim: numbers of an action.
        max_prefix: most actions that are given.
        learning_rate: the highest of the cosine schedule.
        told_each: steps after which the loss is told.
    """

    steps: int = 4000
    batch: int = 1024
    hidden: int = 256
    action_dim: int = 1
    max_prefix: int = 10
    learning_rate: float = 1e-3
    told_each: int = 500


def fit(
    random: np.random.Generator,
    conditions: Floats32,
    chunks: Floats32,
    training: FlowTraining,
    *,
    tell: Callable[[int, float], None] = lambda step, loss: None,  # noqa: ARG005 - nobody listens
) -> list[list[Floats32]]:
    """Return weight and bias of each layer, averaged over the last steps.

    Args:
        random: source of chance.
        conditions: what the network is told, (n, condition width).
        chunks: what the expert did from then on, −1 to 1, (n, horizon · action_dim), action after action.
        training: settings.
        tell: is told step and mean loss from time to time.
    """
    width = chunks.shape[1]
    none = np.zeros((1, width), np.bool_)
    signal = inputs(chunks[:1], none, conditions[:1], np.zeros((1, 1), np.float32))
    sizes = (signal.shape[1], *[training.hidden] * 3, width)
    layers: list[list[Floats32]] = [
        [(random.standard_normal((a, b)) * np.sqrt(1.6 / a)).astype(np.float32), np.zeros(b, np.float32)]
        for a, b in itertools.pairwise(sizes)
    ]
    layers[-1][0] *= np.float32(0.1)
    optimiser = _Adam(layers, training)
    mean = 0.0
    for step in range(training.steps):
        sample = _draw_batch(random, conditions, chunks, training)
        loss, gradients = _gradients(optimiser.layers, *sample)
        optimiser.apply(gradients)
        mean = loss if not step else 0.99 * mean + 0.01 * loss
        if (step + 1) % training.told_each == 0:
            tell(step + 1, mean)
    return optimiser.average


class _Adam:
    """The usual optimiser, with cosine decay and averaged weights."""

    def __init__(self, layers: list[list[Floats32]], training: FlowTraining) -> None:
        self.layers = layers
        self.average = [[part.copy() for part in layer] for layer in layers]
        self._moments = [[(np.zeros_like(part), np.zeros_like(part)) for part in layer] for layer in layers]
        self._training = training
        self._step = 0

    def apply(self, gradients: list[tuple[Floats32, Floats32]]) -> None:
        """Take one step."""
        self._step += 1
        step = self._step
        decay = 0.5 * (1 + np.cos(np.pi * step / self._training.steps))
        rate = self._training.learning_rate * decay * min(1.0, step / WARM_UP_STEPS)
        keep = np.float32(1 - min(0.995, step / (step + 10)))
        for at, slopes in enumerate(gradients):
            for part, slope in enumerate(slopes):
                first, second = self._moments[at][part]
                first += np.float32(0.1) * (slope - first)
                second += np.float32(0.001) * (slope * slope - second)
                scale = np.sqrt(second / np.float32(1 - 0.999**step)) + np.float32(1e-8)
                self.layers[at][part] -= np.float32(rate / (1 - 0.9**step)) * first / scale
                self.average[at][part] += keep * (self.layers[at][part] - self.average[at][part])


def _gradients(
    layers: list[list[Floats32]], signal: Floats32, wanted: Floats32, weights: Floats32
) -> tuple[float, list[tuple[Floats32, Floats32]]]:
    """Return the mean squared error of the velocity and its gradients; as `GatesNet.velocity` computes it."""
    signals, units = [signal], []
    for at, (weight, bias) in enumerate(layers[:-1]):
        before = signals[-1] @ weight + bias
        gate = (0.5 + 0.5 * np.tanh(0.5 * before)).astype(np.float32)
        units.append((before, gate))
        after = before * gate
        signals.append(after + signals[-1] if at else after)
    error = (signals[-1] @ layers[-1][0] + layers[-1][1] - wanted) * weights
    slope = ((2.0 / weights.sum()) * error * wanted.shape[1]).astype(np.float32)
    gradients: list[tuple[Floats32, Floats32]] = [(signals[-1].T @ slope, slope.sum(0))]
    slope = slope @ layers[-1][0].T
    for at in range(len(layers) - 2, -1, -1):
        before, gate = units[at]
        inner = slope * gate * (1 + before * (1 - gate))
        gradients.append((signals[at].T @ inner, inner.sum(0)))
        if at:
            slope = slope + inner @ layers[at][0].T
    return float((error**2).sum() / weights.sum()), gradients[::-1]


def _draw_batch(
    random: np.random.Generator, conditions: Floats32, chunks: Floats32, training: FlowTraining
) -> tuple[Floats32, Floats32, Floats32]:
    """Return the input of the network, the wanted velocity and the weight of each number."""
    size = training.batch
    rows = random.integers(len(chunks), size=size)
    clean = chunks[rows] / np.float32(ACTION_SCALE)
    noise = random.standard_normal(clean.shape, dtype=np.float32)
    tau = random.random((size, 1), dtype=np.float32)
    most = training.max_prefix + 1
    length = np.where(random.random(size) < PREFIX_SHARE, random.integers(0, most, size), 0)
    known: NDArray[np.bool_] = np.arange(clean.shape[1]) < training.action_dim * length[:, None]
    noisy = np.where(known, clean, (1 - tau) * noise + tau * clean).astype(np.float32)
    return inputs(noisy, known, conditions[rows], tau), clean - noise, (~known).astype(np.float32)

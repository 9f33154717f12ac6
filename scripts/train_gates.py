"""Train the network of the `gates` policy. Numpy only, a fixed seed, about three minutes on two cores.

    python scripts/train_gates.py src/vagus/demo/gates_weights.npz

The expert waits in the middle and takes a side at random shortly before the wall, so that both sides are
right in its data. In a part of the samples the first actions of the chunk are given (training-time
conditioning, arXiv:2512.05964), so that the network can continue a plan without guidance.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vagus.demo.flow_net import Floats32
from vagus.demo.gates_net import ACTION_SCALE, CONDITION_WIDTH, HORIZON, condition, inputs
from vagus.demo.gates_world import (
    DT_S,
    EPISODE_STEPS,
    SEGMENT_STEPS,
    TOP_SPEED_M_S,
    Courses,
    Floats,
    draw_course,
)

HIDDEN = 256
EPISODES = 4000
STEPS = 4000
BATCH = 1024
LEARNING_RATE = 1e-3
DECISION_STEPS = (12, 15)
"""First and last step of a segment at which the expert takes a side."""
PREFIX_SHARE = 0.5
"""Share of the samples whose first actions are given."""
MAX_PREFIX = 10


class Expert:
    """Waits at 0, then takes a side at random. Small pushes make the data cover recoveries."""

    def __init__(self, random: np.random.Generator, count: int) -> None:
        self._random = random
        self._side = np.zeros(count, np.int64)
        self._decision = np.zeros(count, np.int64)
        self._push = np.zeros(count)

    def act(self, world: Courses) -> tuple[Floats, Floats]:
        """Return what the expert wants, (n,), and what is done: the same with a push."""
        random, at = self._random, world.step % SEGMENT_STEPS
        count = len(self._side)
        if at == 0:
            self._side = random.integers(0, 2, count)
            self._decision = random.integers(DECISION_STEPS[0], DECISION_STEPS[1] + 1, count)
        if world.step % 7 == 0:
            self._push = np.where(random.random(count) < 0.3, random.normal(0.0, 0.08, count), 0.0)
        has_decided = at >= self._decision
        target = np.where(has_decided, world.gaps()[np.arange(count), self._side], 0.0)
        time_left_s = (SEGMENT_STEPS - at) * DT_S
        time_s = np.where(has_decided, max(0.45 * time_left_s, 0.16), 0.3)
        wanted = np.clip((target - world.place) / time_s / TOP_SPEED_M_S, -1.0, 1.0)
        return wanted, np.clip(wanted + self._push, -1.0, 1.0)


def collect(random: np.random.Generator) -> tuple[Floats32, Floats32, float]:
    """Return conditions (n, 5), the next actions (n, HORIZON), and the share of walls that were passed."""
    world = Courses([draw_course(int(seed)) for seed in random.integers(1 << 62, size=EPISODES)])
    expert = Expert(random, EPISODES)
    seen = np.empty((EPISODE_STEPS, EPISODES, CONDITION_WIDTH), np.float32)
    done = np.empty((EPISODE_STEPS, EPISODES), np.float32)
    while not world.is_over:
        seen[world.step] = condition(world.observe())
        _, done[world.step] = expert.act(world)
        world.advance(done[world.step].astype(np.float64))
    windows = np.lib.stride_tricks.sliding_window_view(done, HORIZON, axis=0)
    count = len(windows)
    return (
        seen[:count].reshape(-1, CONDITION_WIDTH),
        windows.reshape(-1, HORIZON).astype(np.float32),
        float(world.passed.mean()),
    )


class Adam:
    """The usual optimiser, with cosine decay and averaged weights."""

    def __init__(self, layers: list[list[Floats32]], steps: int) -> None:
        self.layers = layers
        self.average = [[part.copy() for part in layer] for layer in layers]
        self._moments = [[(np.zeros_like(part), np.zeros_like(part)) for part in layer] for layer in layers]
        self._steps = steps
        self._step = 0

    def apply(self, gradients: list[tuple[Floats32, Floats32]]) -> None:
        """Take one step."""
        self._step += 1
        step = self._step
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / self._steps)) * min(1.0, step / 100)
        keep = np.float32(1 - min(0.995, step / (step + 10)))
        for at, slopes in enumerate(gradients):
            for part, slope in enumerate(slopes):
                first, second = self._moments[at][part]
                first += np.float32(0.1) * (slope - first)
                second += np.float32(0.001) * (slope * slope - second)
                scale = np.sqrt(second / np.float32(1 - 0.999**step)) + np.float32(1e-8)
                self.layers[at][part] -= np.float32(rate / (1 - 0.9**step)) * first / scale
                self.average[at][part] += keep * (self.layers[at][part] - self.average[at][part])


def forward_backward(
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
    slope = (2.0 / weights.sum()) * error * HORIZON
    slope = slope.astype(np.float32)
    gradients: list[tuple[Floats32, Floats32]] = [(signals[-1].T @ slope, slope.sum(0))]
    slope = slope @ layers[-1][0].T
    for at in range(len(layers) - 2, -1, -1):
        before, gate = units[at]
        inner = slope * gate * (1 + before * (1 - gate))
        gradients.append((signals[at].T @ inner, inner.sum(0)))
        if at:
            slope = slope + inner @ layers[at][0].T
    return float((error**2).sum() / weights.sum()), gradients[::-1]


def draw_batch(
    random: np.random.Generator, conditions: Floats32, chunks: Floats32
) -> tuple[Floats32, Floats32, Floats32]:
    """Return the input of the network, the wanted velocity and the weight of each number."""
    rows = random.integers(len(chunks), size=BATCH)
    clean = chunks[rows] / np.float32(ACTION_SCALE)
    noise = random.standard_normal(clean.shape, dtype=np.float32)
    tau = random.random((BATCH, 1), dtype=np.float32)
    length = np.where(random.random(BATCH) < PREFIX_SHARE, random.integers(0, MAX_PREFIX + 1, BATCH), 0)
    known: NDArray[np.bool_] = np.arange(HORIZON) < length[:, None]
    noisy = np.where(known, clean, (1 - tau) * noise + tau * clean).astype(np.float32)
    return inputs(noisy, known, conditions[rows], tau), clean - noise, (~known).astype(np.float32)


def train(seed: int, steps: int) -> list[list[Floats32]]:
    """Return the averaged weights."""
    random = np.random.default_rng(seed)
    begin_s = time.monotonic()
    conditions, chunks, passed = collect(random)
    print(f"expert: {passed:.1%} of the walls, {len(chunks)} windows, {time.monotonic() - begin_s:.0f} s")
    width = inputs(chunks[:1], np.zeros((1, HORIZON), np.bool_), conditions[:1], np.zeros((1, 1), np.float32))
    sizes = (width.shape[1], HIDDEN, HIDDEN, HIDDEN, HORIZON)
    layers: list[list[Floats32]] = [
        [
            (random.standard_normal((a, b)) * np.sqrt(1.6 / a)).astype(np.float32),
            np.zeros(b, dtype=np.float32),
        ]
        for a, b in itertools.pairwise(sizes)
    ]
    layers[-1][0] *= np.float32(0.1)
    optimiser = Adam(layers, steps)
    mean = 0.0
    for step in range(steps):
        signal, wanted, weights = draw_batch(random, conditions, chunks)
        loss, gradients = forward_backward(optimiser.layers, signal, wanted, weights)
        optimiser.apply(gradients)
        mean = loss if not step else 0.99 * mean + 0.01 * loss
        if step % 500 == 499:
            print(f"step {step + 1}: loss {mean:.4f}, {time.monotonic() - begin_s:.0f} s", flush=True)
    return optimiser.average


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    layers = train(arguments.seed, arguments.steps)
    parts = {f"weight_{at}": weight for at, (weight, _) in enumerate(layers)}
    parts |= {f"bias_{at}": bias for at, (_, bias) in enumerate(layers)}
    np.savez(arguments.output, allow_pickle=False, **parts)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()

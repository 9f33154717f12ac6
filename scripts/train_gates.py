"""Train the network of the `gates` policy. Numpy only, a fixed seed, about three minutes on two cores.

    python scripts/train_gates.py src/vagus/demo/gates_weights.npz

The expert waits in the middle and takes a side at random shortly before the wall, so that both sides are
right in its data.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from vagus.demo.flow_net import Floats32
from vagus.demo.flow_training import FlowTraining, fit
from vagus.demo.gates_net import CONDITION_WIDTH, HORIZON, condition
from vagus.demo.gates_world import (
    DT_S,
    EPISODE_STEPS,
    SEGMENT_STEPS,
    TOP_SPEED_M_S,
    Courses,
    Floats,
    draw_course,
)

EPISODES = 4000
STEPS = 4000
DECISION_STEPS = (12, 15)
"""First and last step of a segment at which the expert takes a side."""


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


def train(seed: int, steps: int) -> list[list[Floats32]]:
    """Return the averaged weights."""
    random = np.random.default_rng(seed)
    begin_s = time.monotonic()
    conditions, chunks, passed = collect(random)
    print(f"expert: {passed:.1%} of the walls, {len(chunks)} windows, {time.monotonic() - begin_s:.0f} s")

    def tell(step: int, loss: float) -> None:
        print(f"step {step}: loss {loss:.4f}, {time.monotonic() - begin_s:.0f} s", flush=True)

    return fit(random, conditions, chunks, FlowTraining(steps=steps), tell=tell)


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

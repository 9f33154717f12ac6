"""Let the expert play, and train the network on what it did; some minutes on one core, without a GPU.

python train_sides.py outputs/weights.npz
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import tyro
from rich.progress import track
from sides_arm import Sides
from sides_course import TOP_CM, Expert, Floats
from sides_policy import DIM, HORIZON, condition

from vagus.demo.flow_net import Floats32
from vagus.demo.flow_training import FlowTraining, fit

PUSH_CM = 0.3
"""Standard deviation of pushes in the expert's episodes: the data show how it recovers."""
PUSH_SHARE = 0.3
PUSH_STEPS = 7
LEAST_SUCCESS = 0.95


def collect(random: np.random.Generator, episodes: int) -> tuple[Floats32, Floats32, float]:
    """Return conditions (n, …), the expert's actions from each on (n, HORIZON · DIM), and its success."""
    env = Sides()
    conditions, chunks, successes = [], [], 0
    for number in track(range(episodes), "the expert plays"):
        seen, done, is_success = _episode(env, random, number)
        successes += is_success
        if is_success:
            last = np.repeat(done[-1:], HORIZON - 1, axis=0)
            windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([done, last]), HORIZON, axis=0)
            conditions.append(condition(seen))
            chunks.append(windows.transpose(0, 2, 1).reshape(len(done), HORIZON * DIM))
    env.close()
    actions = np.concatenate(chunks) / TOP_CM
    return np.concatenate(conditions), actions.astype(np.float32), successes / episodes


def _episode(env: Sides, random: np.random.Generator, number: int) -> tuple[Floats, Floats, bool]:
    """Return what was seen (steps, 8) and done (steps, DIM), and whether it was a success."""
    observation, _ = env.reset(seed=number)
    expert, push = Expert(random), np.zeros(DIM)
    seen: list[Floats] = []
    done: list[Floats] = []
    is_success = is_over = False
    while not is_over:
        if len(done) % PUSH_STEPS == 0:
            push = random.normal(0.0, PUSH_CM, DIM) * (random.random() < PUSH_SHARE)
        seen.append(np.concatenate([observation["agent_pos"], observation["environment_state"]]))
        done.append(expert.action(seen[-1]))
        pushed = np.clip(done[-1] + push, -TOP_CM, TOP_CM).astype(np.float32)
        observation, _, is_terminated, is_late, info = env.step(pushed)
        is_success, is_over = bool(info["is_success"]), is_terminated or is_late
    return np.array(seen), np.array(done), is_success


def train(out: Path, /, episodes: int = 400, steps: int = 6000, seed: int = 0) -> None:
    """Write the weights.

    Args:
        out: file for them.
        episodes: episodes that the expert plays.
        steps: batches.
        seed: of all that chance decides.
    """
    random, begin_s = np.random.default_rng(seed), time.monotonic()
    conditions, chunks, success = collect(random, episodes)
    print(f"expert: {success:.1%} of {episodes} episodes, {len(chunks)} steps, {_since(begin_s)}")
    if success < LEAST_SUCCESS:
        raise SystemExit(f"wanted at least {LEAST_SUCCESS:.0%} of the expert's episodes to succeed")

    def tell(step: int, loss: float) -> None:
        print(f"step {step}: loss {loss:.4f}, {_since(begin_s)}", flush=True)

    layers = fit(
        random, conditions, chunks, FlowTraining(steps=steps, batch=512, learning_rate=2e-3), tell=tell
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = {f"weight_{at}": weight for at, (weight, _) in enumerate(layers)}
    parts |= {f"bias_{at}": bias for at, (_, bias) in enumerate(layers)}
    np.savez(out, allow_pickle=False, **parts)


def _since(begin_s: float) -> str:
    return f"{time.monotonic() - begin_s:.0f} s"


if __name__ == "__main__":
    tyro.cli(train)

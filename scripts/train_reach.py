"""Train the network of the `reach` policy. Numpy only, a fixed seed, some minutes on two cores.

    python scripts/train_reach.py src/vagus/demo/reach_weights.npz

An expert solves the inverse kinematics of a target and moves there along a quintic polynomial that starts
from the arm's present position and velocity. How fast, and by which detour, is drawn at random: so there is
more than one good chunk for a situation, and one that continues a running plan can be told from one that does
not.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vagus.demo.arm import (
    ACCELERATION_RAD_S2,
    DT_S,
    HOME,
    LOWER,
    REST,
    UPPER,
    VELOCITY_RAD_S,
    Floats,
    random_target,
    tip_position,
)
from vagus.demo.condition import CONDITION_WIDTH, condition, to_model
from vagus.demo.flow_net import TIME_WIDTH, Floats32, time_features

HORIZON = 50
JOINTS = 6
WIDTH = HORIZON * JOINTS
HIDDEN = 224
SAMPLES = 30_000
BATCH = 256
LEARNING_RATE = 2e-3
LAG_S = 0.025
"""The simulated servos trail their setpoint by this."""
MARGIN = 0.8
"""Share of the velocity and acceleration limits that the expert uses."""


def inverse_kinematics(targets: Floats) -> Floats:
    """Return postures (n, 6) with the tip on the targets (n, 3), as near the posture at rest as they can."""
    joints = np.repeat(REST[None], len(targets), axis=0)
    joints[:, 0] = np.clip(np.arctan2(targets[:, 1], targets[:, 0]), LOWER[0], UPPER[0])
    rest = joints.copy()
    delta = 1e-5
    for _ in range(60):
        tip = tip_position(joints)
        jacobian = np.stack(
            [(tip_position(joints + delta * axis) - tip) / delta for axis in np.eye(JOINTS)], axis=-1
        )
        gram = jacobian @ jacobian.transpose(0, 2, 1) + 1e-4 * np.eye(3)
        inverse = jacobian.transpose(0, 2, 1) @ np.linalg.inv(gram)
        step = inverse @ (targets - tip)[..., None]
        back = 0.1 * (rest - joints)[..., None]
        stay = back - inverse @ (jacobian @ back)
        joints = np.clip(joints + (step + stay)[..., 0], LOWER + 0.02, UPPER - 0.02)
    return joints


def quintic(start: Floats, velocity: Floats, goal: Floats, duration: Floats, times: Floats) -> Floats:
    """Return positions (n, t, 6) at times (n, t) of polynomials that start moving and end at rest."""
    span = duration[:, None, None]
    s = np.clip(times[:, :, None] / span, 0.0, 1.0)
    q0, v0, way = start[:, None], velocity[:, None] * span, (goal - start)[:, None]
    a3, a4, a5 = 10 * way - 6 * v0, -15 * way + 8 * v0, 6 * way - 3 * v0
    return q0 + v0 * s + a3 * s**3 + a4 * s**4 + a5 * s**5


def durations(start: Floats, velocity: Floats, goal: Floats, shortest: Floats) -> Floats:
    """Return how long each motion takes within a share of the limits, at least `shortest`."""
    duration = shortest.copy()
    share = np.linspace(0.0, 1.0, 25)
    for _ in range(40):
        grid = quintic(start, velocity, goal, duration, share * duration[:, None])
        step_s = duration / (len(share) - 1)
        speed = np.abs(np.diff(grid, axis=1)).max((1, 2)) / step_s
        acceleration = np.abs(np.diff(grid, 2, axis=1)).max((1, 2)) / step_s**2
        is_fast = (speed > MARGIN * VELOCITY_RAD_S) | (acceleration > MARGIN * ACCELERATION_RAD_S2)
        if not is_fast.any():
            break
        duration = np.where(is_fast, duration * 1.1, duration)
    return duration


class Expert:
    """Draws situations and what the expert does in them."""

    def __init__(self, generator: np.random.Generator, count: int) -> None:
        self._random = generator
        self.targets = np.stack([random_target(generator) for _ in range(count)])
        self.postures = inverse_kinematics(self.targets)

    def draw(self) -> tuple[Floats32, Floats32]:
        """Return conditions (n, 18) and clean chunks (n, 300)."""
        generator, count = self._random, len(self.targets)
        goal, target = self.postures, self.targets
        start, velocity = self._situations(goal)
        shortest = np.full(count, 0.45) * np.exp(generator.normal(0.0, 0.1, count))
        duration = durations(start, velocity, goal, shortest) * np.exp(
            np.abs(generator.normal(0, 0.15, count))
        )
        times = np.broadcast_to((np.arange(HORIZON) + 1) * DT_S, (count, HORIZON))
        chunk = quintic(start, velocity, goal, duration, times)
        phase = np.clip(times / duration[:, None], 0.0, 1.0)
        detour = generator.normal(0.0, 0.05, (count, 1, JOINTS)) * np.abs(goal - start).max(1)[:, None, None]
        chunk = np.clip(chunk + detour * (np.sin(np.pi * phase) ** 3)[..., None], LOWER, UPPER)
        measured = start - LAG_S * velocity + generator.normal(0, 0.003, start.shape)
        seen = condition(
            measured,
            velocity + generator.normal(0, 0.03, start.shape),
            target + generator.normal(0, 0.002, target.shape),
        )
        return seen, to_model(chunk).reshape(count, -1)

    def _situations(self, goal: Floats) -> tuple[Floats, Floats]:
        """Return positions and velocities on the way from one posture to another."""
        generator, count = self._random, len(goal)
        origin = goal[generator.permutation(count)]
        origin[: count // 20] = HOME
        origin = origin + generator.normal(0, 0.03, origin.shape)
        towards = np.where((generator.random(count) < 0.7)[:, None], goal, goal[generator.permutation(count)])
        duration = durations(origin, np.zeros_like(origin), towards, np.full(count, 0.45))
        moment = generator.random(count) * 1.3 * duration
        moment[generator.random(count) < 0.25] = 0.0
        instants = np.stack([moment - 1e-3, moment + 1e-3], axis=1)
        points = quintic(origin, np.zeros_like(origin), towards, duration, instants)
        position = points.mean(1)
        velocity = (points[:, 1] - points[:, 0]) / 2e-3
        velocity[moment == 0.0] = 0.0
        return np.clip(position, LOWER, UPPER), velocity


class Adam:
    """The usual optimiser, with a cosine schedule and averaged weights."""

    def __init__(self, layers: list[list[Floats32]], steps: int) -> None:
        self.layers = layers
        self._first = [[np.zeros_like(part) for part in layer] for layer in layers]
        self._second = [[np.zeros_like(part) for part in layer] for layer in layers]
        self._steps = steps
        self._step = 0
        self.average = [[part.copy() for part in layer] for layer in layers]

    def apply(self, gradients: list[tuple[Floats32, Floats32]]) -> None:
        """Take one step."""
        self._step += 1
        share = self._step / self._steps
        rate = np.float32(LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * share)) * min(1.0, self._step / 200))
        keep = min(0.998, self._step / (self._step + 10))
        for at, gradient in enumerate(gradients):
            for part, slope in enumerate(gradient):
                first, second = self._first[at][part], self._second[at][part]
                first += 0.1 * (slope - first)
                second += 0.002 * (slope * slope - second)
                unbiased = first / (1 - 0.9**self._step)
                scale = np.sqrt(second / (1 - 0.998**self._step)) + 1e-8
                self.layers[at][part] -= (rate * unbiased / scale).astype(np.float32)
                self.average[at][part] += np.float32(1 - keep) * (
                    self.layers[at][part] - self.average[at][part]
                )


def gradients_of(
    layers: list[list[Floats32]], signal: Floats32, wanted: Floats32
) -> tuple[float, list[tuple[Floats32, Floats32]]]:
    """Return the mean squared error and its gradients."""
    signals, units = [signal], []
    for weight, bias in layers[:-1]:
        before = signals[-1] @ weight + bias
        gate = 1.0 / (1.0 + np.exp(-before))
        units.append((before, gate))
        signals.append((before * gate).astype(np.float32))
    error = signals[-1] @ layers[-1][0] + layers[-1][1] - wanted
    slope = (2.0 / error.size) * error * WIDTH
    gradients: list[tuple[Floats32, Floats32]] = []
    for at in range(len(layers) - 1, -1, -1):
        gradients.append((signals[at].T @ slope, slope.sum(0)))
        if at:
            before, gate = units[at - 1]
            slope = (slope @ layers[at][0].T) * gate * (1 + before * (1 - gate))
    return float((error**2).mean()), gradients[::-1]


def train(generator: np.random.Generator, steps: int) -> list[list[Floats32]]:
    """Return the averaged weights."""
    sizes = (WIDTH + CONDITION_WIDTH + TIME_WIDTH, HIDDEN, HIDDEN, HIDDEN, WIDTH)
    layers: list[list[Floats32]] = [
        [
            (generator.standard_normal((a, b)) * np.sqrt(1.6 / a)).astype(np.float32),
            np.zeros(b, dtype=np.float32),
        ]
        for a, b in itertools.pairwise(sizes)
    ]
    optimiser = Adam(layers, steps)
    expert = Expert(generator, SAMPLES)
    conditions, chunks = expert.draw()
    error_sum = 0.0
    for step in range(1, steps + 1):
        if step % 1500 == 0:
            conditions, chunks = expert.draw()
        rows = generator.integers(0, len(chunks), BATCH)
        clean: NDArray[np.float32] = chunks[rows]
        tau = generator.random(BATCH).astype(np.float32)
        noise = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy = tau[:, None] * clean + (1 - tau[:, None]) * noise
        signal = np.concatenate([noisy, conditions[rows], time_features(tau)], axis=1, dtype=np.float32)
        error, gradients = gradients_of(layers, signal, clean)
        optimiser.apply(gradients)
        error_sum += error
        if step % 500 == 0:
            print(
                f"step {step}: rms error {np.sqrt(error_sum / 500):.4f} of half a joint's range", flush=True
            )
            error_sum = 0.0
    return optimiser.average


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description="Train the network of the reach policy.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=9_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    layers = train(np.random.default_rng(given.seed), given.steps)
    parts: dict[str, NDArray[np.float16]] = {}
    for at, (weight, bias) in enumerate(layers):
        parts[f"weight_{at}"], parts[f"bias_{at}"] = weight.astype(np.float16), bias.astype(np.float16)
    np.savez(given.out, allow_pickle=False, horizon=HORIZON, model_dim=JOINTS, **parts)
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

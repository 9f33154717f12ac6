"""Training of a small flow network: it learns what depends on what, in every width, and to continue."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.demo.flow_training import FlowTraining, fit
from vagus.demo.gates_net import Continuation, GatesNet

ACTIONS, DIM = 4, 2
SIDES = np.array([-0.4, 0.4], np.float32)


def expert(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return conditions, and chunks that go to one side in the first number: which one nobody is told."""
    random = np.random.default_rng(0)
    told = random.uniform(-1, 1, (count, 1)).astype(np.float32)
    side = random.choice(SIDES, count)
    chunks = np.stack([side, 0.5 * told[:, 0]], axis=1)[:, None].repeat(ACTIONS, axis=1)
    return told, chunks.reshape(count, ACTIONS * DIM).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> GatesNet:
    training = FlowTraining(
        steps=400, batch=128, hidden=32, action_dim=DIM, max_prefix=2, learning_rate=5e-3, told_each=100
    )
    losses: list[float] = []
    layers = fit(np.random.default_rng(1), *expert(2000), training, tell=lambda _, loss: losses.append(loss))
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    return GatesNet(tuple((weight, bias) for weight, bias in layers))


def sampled(net: GatesNet, told: float, continued: Continuation | None) -> np.ndarray:
    noise = np.random.default_rng(2).standard_normal((200, ACTIONS * DIM), dtype=np.float32)
    conditions = np.full((200, 1), told, np.float32)
    chunks = net.sample(noise, conditions, [continued] * 200, steps=5, max_guidance=5.0)
    return chunks.reshape(200, ACTIONS, DIM)


def test_it_learns_what_it_is_told_and_takes_both_sides_of_what_it_is_not(net: GatesNet) -> None:
    chunks = sampled(net, 0.8, None)
    assert chunks[..., 1].mean() == pytest.approx(0.4, abs=0.06)
    assert 0.3 < (chunks[:, -1, 0] > 0).mean() < 0.7
    assert np.abs(chunks[..., 0]).mean() > 0.2  # the mean of both sides would be 0


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_given_actions_decide_the_side_of_the_others(net: GatesNet, side: float) -> None:
    plan = np.tile(np.array([side * 0.4, 0.0], np.float32), ACTIONS)
    given = Continuation(plan, np.zeros(ACTIONS * DIM, np.float32), given=2 * DIM)
    chunks = sampled(net, 0.0, given)
    np.testing.assert_allclose(chunks[:, :2].reshape(200, -1), np.tile(plan[: 2 * DIM], (200, 1)), atol=1e-6)
    assert (np.sign(chunks[:, -1, 0]) == side).mean() > 0.9

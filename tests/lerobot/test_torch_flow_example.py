"""The template of a torch flow policy: rows are independent, plans are continued, seeds decide."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import vagus
from vagus.policies.policy import Row
from vagus.types import ActionChunk, Observation, Prefix

PATH = Path(__file__).resolve().parents[2] / "examples" / "torch_flow_policy.py"
CLOSE = 1e-5
"""Of float32 through another size of batch."""


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    loader = importlib.util.spec_from_file_location("torch_flow_policy", PATH)
    assert loader is not None
    assert loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    sys.modules[module.__name__] = module  # as the import of a user has it: its code is part of its identity
    loader.loader.exec_module(module)
    yield module
    del sys.modules[module.__name__]


def plan(example: ModuleType, length: int, value: float = 1.0) -> Prefix:
    model = (value + 0.1 * np.arange(length)[:, None] + np.zeros((1, example.DIM))).astype(np.float32)
    return Prefix(model, 0.5 * model)


def row(
    *, seed: int = 1, state: float = 0.2, prefix: Prefix | None = None, delay: int = 0, end: int = 0
) -> Row[object]:
    observation = Observation(np.full(6, state, np.float32), {}, "", 0)
    return Row({}, observation, 7, prefix, delay, end, seed)


def test_a_row_answers_the_same_alone_and_in_any_batch(example: ModuleType) -> None:
    policy = example.TorchFlowPolicy()
    rows = [
        row(seed=1),
        row(seed=2**64 - 1, state=-0.4, prefix=plan(example, 50, 2.0), delay=4, end=25),
        row(seed=3, prefix=plan(example, 8, -3.0), delay=8, end=25),
        row(seed=3, prefix=plan(example, 20), delay=0, end=10),
    ]
    together, backwards = policy.infer(rows), policy.infer(rows[::-1])[::-1]
    for at, each in enumerate(rows):
        (alone,) = policy.infer([each])
        for other in (together[at], backwards[at]):
            assert np.abs(other.model - alone.model).max() < CLOSE
            assert np.abs(other.robot - alone.robot).max() < CLOSE
            assert other.step == 7


@pytest.mark.parametrize("delay", [1, 6, 20])
def test_the_first_steps_follow_the_running_plan(example: ModuleType, delay: int) -> None:
    policy = example.TorchFlowPolicy()
    running = plan(example, 50)
    free, guided = policy.infer([row(), row(prefix=running, delay=delay, end=25)])
    off = np.abs(guided.model - running.model).max(axis=1)
    without = np.abs(free.model - running.model).max(axis=1)
    assert (off[:delay] < 0.1 * without[:delay]).all()
    assert (off[:delay] < off[25:].min()).all()
    assert off[delay:25].mean() < without[delay:25].mean(), "softly on the way to the end of the guidance"


def test_what_a_plan_does_not_reach_is_not_guided(example: ModuleType) -> None:
    plans, weights = example.running_plans([row(prefix=plan(example, 5), delay=2, end=25), row()])
    assert (weights[0, 5:] == 0).all()
    assert (weights[1] == 0).all()
    assert (plans[1] == 0).all()


def test_the_soft_mask_is_that_of_the_paper(example: ModuleType) -> None:
    mask = example.soft_mask(3, 10)
    assert mask.shape == (example.HORIZON,)
    for i, weight in enumerate(mask.tolist()):
        c = (10 - i) / (10 - 3 + 1)
        wanted = 1.0 if i < 3 else c * math.expm1(c) / (math.e - 1) if i < 10 else 0.0
        assert weight == pytest.approx(wanted, abs=1e-6)
    assert (example.soft_mask(20, 5)[:5] == 1).all(), "a delay beyond the end of the plan"
    assert (example.soft_mask(0, 0) == 0).all()


def test_the_guidance_is_that_of_the_paper_and_bounded(example: ModuleType) -> None:
    assert example.guidance(0.0) == example.MAX_GUIDANCE == 5.0
    assert example.guidance(0.5) == pytest.approx(2.0)
    assert example.guidance(0.999) == 5.0


def test_seeds_decide_and_nothing_else(example: ModuleType) -> None:
    policy = example.TorchFlowPolicy()
    (first,) = policy.infer([row(seed=5)])
    torch.manual_seed(99)
    (again,), (other,) = policy.infer([row(seed=5)]), policy.infer([row(seed=6)])
    assert np.array_equal(first.model, again.model)
    assert np.abs(first.model - other.model).max() > 0.1


def test_other_weights_are_another_model_and_the_same_file_is_the_same(
    example: ModuleType, tmp_path: Path
) -> None:
    def served(path: Path) -> str:
        with vagus.serve(
            example.TorchFlowPolicy,
            listen="tcp/127.0.0.1:0",
            wait=False,
            warm_up=False,
            options={"weights": str(path)},
        ) as server:
            return server.capabilities().model_hash

    policy = example.TorchFlowPolicy()
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    torch.save(policy.net.state_dict(), one)
    with torch.no_grad():
        policy.net[0].bias += 1.0
    torch.save(policy.net.state_dict(), two)
    assert served(one) == served(one) != served(two)


def test_it_is_served_and_continues_a_plan_over_the_network(example: ModuleType) -> None:
    with (
        vagus.serve(example.TorchFlowPolicy, listen="tcp/127.0.0.1:0", wait=False, max_batch=2) as server,
        vagus.RemotePolicy(server.endpoint) as policy,
    ):
        assert policy.contract.uses_rtc
        running = policy.infer({"state": np.zeros(6)})
        rest = ActionChunk(0, running.model[10:], running.robot[10:])
        following = policy.infer({"state": np.zeros(6)}, prefix=rest, inference_delay=5)
        other = policy.infer({"state": np.zeros(6)})
    assert (
        np.abs(following.robot[:5] - rest.robot[:5]).max()
        < 0.3 * np.abs(other.robot[:5] - rest.robot[:5]).max()
    )

"""A compiled policy answers as the plain one, and is compiled by the warm-up for whatever comes later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

import lerobot_checkpoints as tiny
from lerobot_backend import (
    TABLE,
    act_config,
    assert_near,
    diffusion_config,
    frame,
    good,
    row,
    save,
    seen,
    served,
    vqbet_config,
)
from vagus.clock import MonotonicClock
from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.batch import Memory
from vagus.integrations.lerobot.policy.compiling import graph_size
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.server.warmup import warm_up
from vagus.types import Prefix

UNITS = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
VLA_TABLE = SpecTable(actions=UNITS, state=UNITS, optional_cameras=tiny.CAMERAS[1:])
STEPS = 2
"""Steps of a flow or a diffusion: each is traced anew, and the second is like those after it."""
MAKERS: dict[str, Callable[[Path], object]] = {
    "act": lambda path: save(act_config(), path),
    "diffusion": lambda path: save(diffusion_config(num_inference_steps=STEPS), path),
    "pi0": lambda path: tiny.make_pi0(path, num_inference_steps=STEPS),
    "smolvla": lambda path: tiny.make_smolvla(path, num_steps=STEPS),
}


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch trace graphs without making machine code of them, which takes minutes."""
    whole, precision = torch.compile, torch.get_float32_matmul_precision()

    def compile_nothing(model: object, *_: object, dynamic: bool | None = None, **__: object) -> object:
        return whole(model, backend="eager", dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", compile_nothing)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch.set_float32_matmul_precision(precision)  # some families change it when they are compiled


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def request(seed: int, instruction: str, *, is_vla: bool, length: int = 0) -> Row[Memory]:
    observation = seen(seed, instruction=instruction, cameras=tiny.CAMERAS if is_vla else ("front",))
    if is_vla and seed % 2:
        observation = replace(observation, images={"front": frame(seed, (90, 70))})
    if not (is_vla and length):
        return row(observation, seed=seed)
    actions = np.random.default_rng(seed).standard_normal((length, 6)).astype(np.float32)
    return Row(Memory(), observation, 0, Prefix(actions, actions), length % 4, length, seed)


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_compiled_policy_is_the_plain_one_and_is_compiled_once(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    is_vla = name in tiny.VLA_MAKERS
    table = VLA_TABLE if is_vla else TABLE
    with tiny.tiny_gemma():
        plain, compiled = (served(tmp_path, stated=table, compile=flag) for flag in (False, True))
    before = graphs()
    good(compiled.infer([request(0, "", is_vla=is_vla)]))
    per_size = graphs() - before
    model = ServedPolicy.of(compiled, ServeConfig(policy="lerobot"))
    warm_up(model, max_batch=3, max_pixels=10**6, runs=1, clock=MonotonicClock())
    warm = graphs()
    assert warm - before == per_size * len({graph_size(rows) for rows in (1, 2, 3)}) > 0
    for lengths in ((0,), (20,), (7,), (1,), (3, 0), (12, 20), (0, 0), (0, 5, 20), (0, 0, 0)):
        rows = [
            request(seed, "pick the red cube " * length, is_vla=is_vla, length=length)
            for seed, length in enumerate(lengths)
        ]
        for ours, theirs in zip(good(compiled.infer(rows)), good(plain.infer(rows)), strict=True):
            assert_near(ours.model, theirs.model)
            assert_near(ours.robot, theirs.robot)
        assert compiled.forward_rows() == [len(rows)] * len(rows)
    assert graphs() == warm, "nothing is compiled while robots are served"


def test_a_family_that_nobody_compiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"options\.compile.*vqbet"):
        served(save(vqbet_config(), tmp_path), compile=True)


@pytest.mark.parametrize(
    ("per_doubling", "sizes"),
    [(1, [1, 2, 4, 8, 16, 32]), (2, [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]), (32, list(range(1, 33)))],
)
def test_each_batch_is_filled_up_to_the_next_size_that_has_a_graph(
    per_doubling: int, sizes: list[int]
) -> None:
    for rows in range(1, 33):
        assert graph_size(rows, per_doubling) == next(size for size in sizes if size >= rows)


def test_a_checkpoint_that_wants_to_be_compiled_is_compiled_as_if_it_was_told_to(tmp_path: Path) -> None:
    tiny.make_smolvla(tmp_path, compile_model=True, num_steps=STEPS)
    policy = served(tmp_path, stated=VLA_TABLE)
    before = graphs()
    assert good(policy.infer([request(2, "", is_vla=True)]))
    compiled = graphs()
    assert good(policy.infer([request(2, "pick the red cube", is_vla=True, length=20)]))
    assert graphs() == compiled > before

"""A compiled policy answers as the plain one, and is compiled by the warm-up for whatever comes later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.server.warmup import warm_up
from vagus.types import Prefix

UNITS = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
VLA_TABLE = SpecTable(actions=UNITS, state=UNITS)
MAKERS: dict[str, Callable[[Path], object]] = {
    "act": lambda path: save(act_config(), path),
    "diffusion": lambda path: save(diffusion_config(), path),
    "pi0": tiny.make_pi0,
    "smolvla": tiny.make_smolvla,
}


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch trace graphs without making machine code of them, which takes minutes."""
    whole, precision = torch.compile, torch.get_float32_matmul_precision()

    def compile_nothing(model: object, *_: object, **__: object) -> object:
        return whole(model, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_nothing)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch.set_float32_matmul_precision(precision)  # some families change it when they are compiled


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def request(seed: int, instruction: str, *, is_vla: bool, length: int = 0) -> Row[Memory]:
    observation = seen(seed, instruction=instruction, cameras=tiny.CAMERAS if is_vla else ("front",))
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
    model = ServedPolicy.of(compiled, ServeConfig(policy="lerobot"))
    warm_up(model, max_batch=2, max_pixels=10**6, runs=1, clock=MonotonicClock())
    warm = graphs()
    assert warm > before
    for lengths in ((0,), (20,), (7,), (1,), (3, 0), (12, 20), (0, 0)):
        rows = [
            request(seed, "pick the red cube " * length, is_vla=is_vla, length=length)
            for seed, length in enumerate(lengths)
        ]
        for ours, theirs in zip(good(compiled.infer(rows)), good(plain.infer(rows)), strict=True):
            assert_near(ours.model, theirs.model)
            assert_near(ours.robot, theirs.robot)
    assert graphs() == warm


def test_a_family_that_nobody_compiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"options\.compile.*vqbet"):
        served(save(vqbet_config(), tmp_path), compile=True)

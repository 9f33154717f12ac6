"""Compiled networks: a graph for each of a few batch sizes; smaller batches are filled up to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from lerobot.policies.pretrained import PreTrainedPolicy

from vagus.integrations.lerobot.policy.batch import Memory
from vagus.integrations.lerobot.policy.families import Family
from vagus.policies.policy import Row

__all__ = ["compile_network", "filled", "graph_size"]

MAX_GRAPHS = 256
"""Beyond torch's limit on graphs per function, it goes on without compiling, and only a log says so."""


def graph_size(rows: int, per_doubling: int = 1) -> int:
    """Return the size of the graph for a batch of `rows`: the next size that has one.

    Args:
        rows: at least 1.
        per_doubling: sizes from each power of two to the next, at even distances.
    """
    power = 1 << (rows.bit_length() - 1)
    sizes = (power + -(-power * step // per_doubling) for step in range(per_doubling + 1))
    return next(size for size in sizes if size >= rows)


def filled(rows: Sequence[Row[Memory]], size: int) -> list[Row[Memory]]:
    """Return `size` rows: `rows`, and the last one again, which changes nobody's memory."""
    extra = replace(rows[-1], session=Memory())
    return [*rows, *[extra] * (size - len(rows))]


def compile_network(policy: PreTrainedPolicy, family: Family) -> None:
    """Compile what `family` names, in the mode of the checkpoint, with one graph for each shape of a batch.

    It is done after loading: a compiled module calls its weights by other names than the file does.
    """
    torch._dynamo.config.recompile_limit = MAX_GRAPHS  # noqa: SLF001 - the documented place of this setting
    mode = getattr(policy.config, "compile_mode", None)
    if hasattr(policy.config, "compile_model"):
        torch.set_float32_matmul_precision("high")  # as LeRobot compiles it
    owner, _, name = family.compiled.rpartition(".")
    module = policy.get_submodule(owner)
    part = getattr(module, name)
    if isinstance(part, torch.nn.Module):
        part.compile(mode=mode, dynamic=False)
    else:
        setattr(module, name, torch.compile(part, mode=mode, dynamic=False))

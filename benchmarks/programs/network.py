"""A network of π0's size on a GPU, with random weights: what a batch of it takes, nobody has to believe.

Sizes are about those of π0 (Black et al. 2024, arXiv:2410.24164): a picture encoder of 0.4 billion weights, a
language model of 2 billion that reads the pictures and the instruction once, and an action expert of
0.3 billion that reads them again in each of ten steps of the flow. What it answers means nothing.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FlowNetwork"]

PICTURES, PATCHES, WORDS, HORIZON, STEPS = 2, 256, 48, 50, 10
HEADS = 8
TIMED = 10


class Block(nn.Module):  # type: ignore[misc] # torch is not there where types are checked
    """Attention to the own tokens and to those before, and a gated layer of two matrices.

    Args:
        width: numbers of a token.
        inner: numbers in the middle of the gated layer.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.before = nn.RMSNorm(width)
        self.joined = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.between = nn.RMSNorm(width)
        self.up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return new tokens, and the keys and values of these."""
        rows, count, width = tokens.shape
        shape = (rows, count, HEADS, width // HEADS)
        asked, keys, values = (
            part.view(shape).transpose(1, 2) for part in self.joined(self.before(tokens)).chunk(3, dim=-1)
        )
        seen = (keys, values)
        if past is not None:
            keys = torch.cat([past[0][..., : keys.shape[-1]], keys], dim=2)
            values = torch.cat([past[1][..., : values.shape[-1]], values], dim=2)
        looked = functional.scaled_dot_product_attention(asked, keys, values)
        tokens = tokens + self.out(looked.transpose(1, 2).reshape(rows, count, width))
        gate, up = self.up(self.between(tokens)).chunk(2, dim=-1)
        return tokens + self.down(functional.gelu(gate) * up), *seen


class FlowNetwork:
    """Ten steps of a flow, conditioned on two pictures and an instruction, for a batch of rows."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        self._device = torch.device("cuda")
        with self._device:
            self._eye = nn.ModuleList(Block(1152, 4304) for _ in range(20))
            self._language = nn.ModuleList(Block(2048, 16384) for _ in range(18))
            self._expert = nn.ModuleList(Block(1024, 4096) for _ in range(18))
            self._join = nn.Linear(1152, 2048, bias=False)
        for rows in (1, 2, 4, 8):
            self.infer(rows)  # chooses its kernels, and takes its memory
        self._table_ms = {rows: self._timed_ms(rows) for rows in (1, 8)}

    @property
    def weights(self) -> int:
        """Number of weights."""
        parts = (self._eye, self._language, self._expert, self._join)
        return sum(weight.numel() for part in parts for weight in part.parameters())

    def batch_ms(self, rows: int) -> float:
        """Return the time for a batch of 1 or 8 rows, in milliseconds, as measured at the start."""
        return self._table_ms[rows]

    def infer(self, rows: int) -> None:
        """Run the network for a batch, and wait for it."""
        with torch.inference_mode():
            patches = torch.randn(rows * PICTURES, PATCHES, 1152, device=self._device)
            for block in self._eye:
                patches, _, _ = block(patches, None)
            words = torch.randn(rows, WORDS, 2048, device=self._device)
            tokens = torch.cat([self._join(patches).view(rows, PICTURES * PATCHES, 2048), words], dim=1)
            past = []
            for block in self._language:
                tokens, keys, values = block(tokens, None)
                past.append((keys, values))
            actions = torch.randn(rows, HORIZON, 1024, device=self._device)
            for _ in range(STEPS):
                flow = actions
                for block, seen in zip(self._expert, past, strict=True):
                    flow, _, _ = block(flow, seen)
                actions = actions + flow / STEPS
            actions.sum().item()

    def _timed_ms(self, rows: int) -> float:
        spent_s = []
        for _ in range(TIMED):
            begin_s = time.monotonic()
            self.infer(rows)
            spent_s.append(time.monotonic() - begin_s)
        return 1000 * sorted(spent_s)[TIMED // 2]

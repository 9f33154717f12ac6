"""Ways to mix a new chunk with the running plan that vagus does not offer to robots, for comparison. Pure.

Averages of two plans that go different ways go neither: the benchmark shows what that costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vagus.types import ActionChunk, FloatArray

__all__ = ["ChunkMixer", "Mixing", "NoMixing", "TemporalEnsemble", "WeightedAverage"]


class ChunkMixer(Protocol):
    """Changes each chunk of one robot as it arrives."""

    def mix(self, chunk: ActionChunk, next_step: int) -> ActionChunk:
        """Return the chunk to play instead; `next_step` is the next step to be commanded."""
        ...

    def begin_episode(self) -> None:
        """Forget earlier chunks."""
        ...


Mixing = Callable[[], ChunkMixer]


class NoMixing:
    """Plays chunks as they come."""

    def mix(self, chunk: ActionChunk, next_step: int) -> ActionChunk:  # noqa: ARG002 - as the protocol says
        """Return the chunk."""
        return chunk

    def begin_episode(self) -> None:
        """Nothing to forget."""


class WeightedAverage:
    """Where old plan and new chunk overlap: a weighted average, as LeRobot's asynchronous client takes it.

    Args:
        new_weight: weight of the new chunk; the old plan has the rest.
    """

    def __init__(self, new_weight: float) -> None:
        self._new_weight = new_weight
        self._plan: ActionChunk | None = None

    def mix(self, chunk: ActionChunk, next_step: int) -> ActionChunk:
        """Return the average of the chunk and the plan."""
        plan, self._plan = self._plan, chunk
        if plan is not None:
            first, last = max(next_step, plan.step, chunk.step), min(_end(plan), _end(chunk))
            model, robot = chunk.model.copy(), chunk.robot.copy()
            if first < last:
                new, old = (
                    slice(first - chunk.step, last - chunk.step),
                    slice(first - plan.step, last - plan.step),
                )
                for mixed, earlier in ((model, plan.model), (robot, plan.robot)):
                    mixed[new] = self._new_weight * mixed[new] + (1 - self._new_weight) * earlier[old]
            self._plan = ActionChunk(chunk.step, model, robot)
        return self._plan or chunk

    def begin_episode(self) -> None:
        """Forget the plan."""
        self._plan = None


class TemporalEnsemble:
    """Each action is the average of all chunks that have it, as in ACT (arXiv:2304.13705); the oldest leads.

    Args:
        decay: the i-th oldest chunk weighs exp(−decay · i).
    """

    def __init__(self, decay: float = 0.01) -> None:
        self._decay = decay
        self._chunks: list[ActionChunk] = []

    def mix(self, chunk: ActionChunk, next_step: int) -> ActionChunk:
        """Return the average of all chunks over the steps of this one."""
        self._chunks = [*(old for old in self._chunks if _end(old) > next_step), chunk]
        model, robot = np.empty_like(chunk.model), np.empty_like(chunk.robot)
        for row in range(len(chunk)):
            step = chunk.step + row
            there = [one for one in self._chunks if one.step <= step < _end(one)]
            weights = np.exp(-self._decay * np.arange(len(there)))
            model[row] = _mean([one.model[step - one.step] for one in there], weights)
            robot[row] = _mean([one.robot[step - one.step] for one in there], weights)
        return ActionChunk(chunk.step, model, robot)

    def begin_episode(self) -> None:
        """Forget all chunks."""
        self._chunks.clear()


def _end(chunk: ActionChunk) -> int:
    return chunk.step + len(chunk)


def _mean(actions: list[FloatArray], weights: NDArray[np.float64]) -> FloatArray:
    mean: FloatArray = (np.stack(actions) * weights[:, None]).sum(axis=0) / weights.sum()
    return mean

"""Mixers: what becomes of a chunk where the running plan overlaps it."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.trials.chunk_mixing import ChunkMixer, NoMixing, TemporalEnsemble, WeightedAverage
from vagus.types import ActionChunk


def chunk(step: int, value: float, length: int = 6) -> ActionChunk:
    actions = np.full((length, 1), value, np.float32)
    return ActionChunk(step, actions, 10 * actions)


def mixed(mixer: ChunkMixer, made: ActionChunk, next_step: int) -> list[float]:
    result = mixer.mix(made, next_step)
    np.testing.assert_allclose(result.robot, 10 * result.model, rtol=1e-6)
    return [round(float(value), 4) for value in result.model[:, 0]]


def test_no_mixing_changes_nothing() -> None:
    assert mixed(NoMixing(), chunk(3, 2.0), 5) == [2.0] * 6


def test_an_average_weighs_old_and_new_where_both_are_still_to_come() -> None:
    mixer = WeightedAverage(0.7)
    assert mixed(mixer, chunk(0, 1.0), 0) == [1.0] * 6
    assert mixed(mixer, chunk(2, 2.0), 3) == [2.0, 1.7, 1.7, 1.7, 2.0, 2.0]
    # the plan is the mixture, so the next average is with that
    assert mixed(mixer, chunk(4, 3.0), 5) == [3.0, pytest.approx(0.7 * 3 + 0.3 * 1.7), 2.7, 2.7, 3.0, 3.0]


def test_an_ensemble_averages_all_chunks_that_have_a_step_the_oldest_most() -> None:
    mixer = TemporalEnsemble(decay=np.log(2.0))
    assert mixed(mixer, chunk(0, 1.0), 0) == [1.0] * 6
    both = (1.0 + 0.5 * 4.0) / 1.5
    assert mixed(mixer, chunk(3, 4.0), 3) == [pytest.approx(both)] * 3 + [4.0] * 3
    # the first chunk ends at step 6, so it counts no more
    assert mixed(mixer, chunk(6, 7.0), 6)[0] == pytest.approx((4.0 + 0.5 * 7.0) / 1.5)


@pytest.mark.parametrize("mixer", [WeightedAverage(0.5), TemporalEnsemble()])
def test_a_new_episode_begins_without_a_plan(mixer: ChunkMixer) -> None:
    mixer.mix(chunk(0, 1.0), 0)
    mixer.begin_episode()
    assert mixed(mixer, chunk(0, 5.0), 0) == [5.0] * 6

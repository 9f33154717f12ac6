"""Intervals: what they promise is kept, and too few episodes are told before the time is spent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vagus.errors import ConfigError
from vagus.trials.study import cell_of, check_episodes, difference, estimate, needed_episodes
from vagus.trials.trial_robot import EpisodeResult


def result(seed: int, success: float, *, requests: int = 10, late: int = 0) -> EpisodeResult:
    return EpisodeResult(seed, success, starved=0.1, acceleration=2.0, requests=requests, underestimated=late)


def test_an_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        seen = estimate([float(count) / 6 for count in random.binomial(6, 0.7, 60)])
        held += abs(seen.mean - 0.7) <= seen.half_width
    assert 0.93 < held / 2000 < 0.97


@pytest.mark.parametrize(("share", "count"), [(0.5, 30), (0.8, 20), (0.95, 20), (0.99, 12), (0.05, 40)])
def test_an_interval_of_episodes_that_succeed_or_fail_holds_the_truth(share: float, count: int) -> None:
    random = np.random.default_rng(4)
    held = 0
    for _ in range(1000):
        seen = estimate((random.random(count) < share).astype(float).tolist())
        held += abs(seen.mean - share) <= seen.half_width
    assert held / 1000 > 0.9


def test_what_has_never_failed_may_fail_and_what_has_never_differed_may_differ() -> None:
    always, never = estimate([1.0] * 20), estimate([0.0] * 20)
    assert always.half_width == never.half_width > 0.08
    some = [result(seed, 1.0) for seed in range(20)]
    assert difference(some, some).half_width > 0.08
    assert estimate([1.0] * 2000).half_width < 0.003
    assert estimate([0.5] * 20).half_width == 0  # no coin: what it is made of is not known


def test_one_episode_says_nothing_and_none_says_nothing_either() -> None:
    assert estimate([0.5]).half_width == math.inf
    assert estimate([]).mean == 0


def test_pairs_show_what_the_means_alone_do_not() -> None:
    """Episodes differ much, and each is a little better: only the pairs can tell."""
    random = np.random.default_rng(2)
    base = random.random(100) * 0.8
    some = [result(seed, share) for seed, share in enumerate(base)]
    better = [result(seed, share + 0.05) for seed, share in enumerate(base)]
    assert difference(better, some).is_above_zero
    assert difference(better, some).mean == pytest.approx(0.05)
    alone = estimate([one.success for one in better]).half_width
    assert alone > 0.04  # the two overlap
    assert not difference(some, better).is_above_zero


def test_results_of_other_seeds_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="same seeds"):
        difference([result(1, 0.5)], [result(2, 0.5)])


def test_a_cell_holds_the_means_of_its_episodes() -> None:
    cell = cell_of("naive", "200", [result(0, 1.0, late=1), result(1, 0.5, requests=30, late=3)])
    assert (cell.method, cell.law, cell.episodes) == ("naive", "200", 2)
    assert cell.success.mean == 0.75
    assert (cell.requests, cell.underestimated) == (20.0, 0.1)
    assert cell.starved == pytest.approx(0.1)
    assert cell.acceleration == pytest.approx(2.0)


def test_too_few_episodes_for_the_interval_are_told_before() -> None:
    needed = needed_episodes(0.05)
    check_episodes(needed, 0.05)
    assert needed == 385
    coins = [float(one) for one in np.random.default_rng(3).random(needed) < 0.5]
    assert estimate(coins).half_width <= 0.0502  # the widest there is, with n − 1 for n
    with pytest.raises(ConfigError, match="at least 385"):
        check_episodes(384, 0.05)
    with pytest.raises(ConfigError, match="at least 10"):
        check_episodes(9, None)
    with pytest.raises(ConfigError, match="at least 10"):
        check_episodes(9, 0.9)


@pytest.mark.parametrize("half_width", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_what_is_no_interval_is_refused(half_width: float) -> None:
    with pytest.raises(ConfigError, match="interval"):
        needed_episodes(half_width)

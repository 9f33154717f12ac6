"""Laws of delay: what is written is what is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vagus.clock import NS_PER_MS
from vagus.errors import ConfigError
from vagus.trials.delay_law import DelayDraws, DelayLaw, read_law
from vagus.trials.trial_robot import MOST_PHASE, phase_of

STEP_NS = 200 * NS_PER_MS


def law(text: str) -> DelayLaw:
    return read_law(text, read_trace=lambda _: [30.0, 60.0, 90.0])


def delays_ms(text: str, count: int = 3000, seed: int = 1) -> NDArray[np.float64]:
    draws = DelayDraws(law(text), seed)
    return np.array([(draws.arrival_ns(at * STEP_NS) - at * STEP_NS) / NS_PER_MS for at in range(count)])


def test_a_constant_is_constant_and_no_answer_comes_before_its_question() -> None:
    assert set(delays_ms("150")) == {150.0}
    assert DelayDraws(law("0"), 1).arrival_ns(7) > 7


def test_a_lognormal_has_its_median_and_its_spread() -> None:
    logs = np.log(delays_ms("lognormal:200:0.5"))
    assert np.exp(np.median(logs)) == pytest.approx(200, rel=0.05)
    assert logs.std() == pytest.approx(0.5, rel=0.05)


def test_a_mixture_has_two_delays_and_the_share_of_the_rare_one() -> None:
    drawn = delays_ms("mixed:200:500:0.1")
    assert set(drawn) == {200.0, 500.0}
    assert (drawn == 500.0).mean() == pytest.approx(0.1, abs=0.02)


def test_in_an_outage_answers_wait_for_its_end() -> None:
    drawn = delays_ms("outages:50:0.05:0.7", count=20_000)
    assert min(drawn) == 50.0
    assert max(drawn) <= 50 + 700
    late = (drawn > 50.0).mean()
    assert 0.04 < late < 0.08  # those sent in an outage, and those that would arrive in one


def test_a_trace_is_played_in_its_order_and_from_a_drawn_place() -> None:
    drawn = delays_ms("trace:any.csv", count=6)
    assert sorted(drawn[:3]) == [30.0, 60.0, 90.0]
    assert drawn[:3].tolist() == drawn[3:].tolist()
    assert {delays_ms("trace:any.csv", 1, seed)[0] for seed in range(20)} == {30.0, 60.0, 90.0}


@pytest.mark.parametrize("text", ["100", "lognormal:200:0.5", "mixed:200:500:0.1", "outages:50:0.2:0.7"])
def test_the_same_seed_is_the_same_network(text: str) -> None:
    assert delays_ms(text, 50).tolist() == delays_ms(text, 50).tolist()
    assert str(law(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "fast", "-1", "nan", "inf", "1e9", "lognormal:200", "lognormal:200:9", "mixed:1:2:1.5"),
        *("mixed:1:2", "outages:50:0.95:1", "outages:50:0.5:x", "trace:", "uniform:1:2"),
    ],
)
def test_what_is_no_law_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="delay"):
        law(text)


def test_an_empty_trace_and_one_with_nonsense_are_refused() -> None:
    for found in ([], [10.0, -1.0], [float("nan")]):

        def trace(_: str, found: Sequence[float] = found) -> Sequence[float]:
            return found

        with pytest.raises(ConfigError, match="delay"):
            read_law("trace:file", read_trace=trace)


def test_delays_are_independent_of_the_world_that_draws_its_episode_from_the_same_seed() -> None:
    """Numpy's stream of [seed, 0] is that of the seed itself, which most worlds use."""
    for seed in range(5):
        normal = np.random.default_rng(seed).standard_normal(20)
        drawn = np.log(delays_ms("lognormal:100:1", 20, seed) / 100)
        assert not np.isclose(drawn[:, None], normal[None, :], atol=1e-4).any()
        first_ms = np.random.default_rng(seed).exponential(700 * 0.95 / 0.05)
        draws, at_ms = DelayDraws(law("outages:100:0.05:0.7"), seed), 0
        while draws.arrival_ns(at_ms * NS_PER_MS) == (at_ms + 100) * NS_PER_MS:
            at_ms += 1
        assert abs(at_ms + 100 - first_ms) > 2  # the outage begins before the chunk would come
    same = [phase_of(seed) == np.random.default_rng(seed).integers(MOST_PHASE + 1) for seed in range(100)]
    assert sum(same) < 30

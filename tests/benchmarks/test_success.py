"""The benchmark `success`: what it promises is computed from pairs, and a variant is what it says."""

from __future__ import annotations

import pytest

from benchmarks.success import (
    ASKING_ALWAYS,
    CONSTANT,
    DEFAULT,
    ESTIMATED,
    ORDERINGS,
    REFILLS,
    TRACE,
    VARYING,
    _ordering_aims,
)
from benchmarks.success_runs import Variant, run_all
from vagus.edge.config import DelayEstimate
from vagus.trials.delay_law import read_law
from vagus.trials.delay_trace import delays_in
from vagus.trials.play_method import METHODS
from vagus.trials.trial_robot import EpisodeResult


def episodes(share: float) -> list[EpisodeResult]:
    """Return episodes that differ much from each other, with this mean."""
    shares = [share - 0.3, share + 0.3] * 10
    return [EpisodeResult(seed, each, 0.0, 1.0, 10, 0) for seed, each in enumerate(shares)]


def test_every_ordering_is_an_aim_that_pairs_decide() -> None:
    ranks = {"ensemble": 0.3, "average": 0.35, "sync": 0.35, "naive": 0.4, "rtc_soft": 0.45, "rtc_hard": 0.5}
    right = {(name, law): episodes(ranks.get(name, 0.6)) for name in METHODS for law in CONSTANT}
    aims = _ordering_aims(right, CONSTANT)
    assert len(aims) >= sum(map(len, ORDERINGS.values()))
    assert all(aim.is_met for aim in aims)  # though the intervals of the means overlap by far
    same = {(name, law): episodes(0.5) for name in METHODS for law in CONSTANT}
    assert all(aim.is_met == (aim.ratio == 0 == aim.bound) for aim in _ordering_aims(same, CONSTANT))
    wrong = {(name, law): episodes(0.9 - ranks.get(name, 0.6)) for name in METHODS for law in CONSTANT}
    assert not any(aim.is_met for aim in _ordering_aims(wrong, CONSTANT))


def test_the_default_must_be_above_the_best_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = {**METHODS, DEFAULT: METHODS["rtc_hard"]}
    monkeypatch.setattr("benchmarks.success.METHODS", methods)
    for lead, is_met in ((0.06, True), (0.04, False), (-0.1, False)):
        found = {(name, law): episodes(0.4) for name in methods for law in CONSTANT}
        found |= {("rtc_soft", law): episodes(0.5) for law in CONSTANT}
        found |= {(DEFAULT, law): episodes(0.5 + lead) for law in CONSTANT}
        aims = [aim for aim in _ordering_aims(found, CONSTANT) if "the best other (rtc_soft)" in aim.text]
        assert [aim.is_met for aim in aims] == [is_met] * 3  # at 200, 300 and 400 ms
        assert aims[0].ratio == pytest.approx(-100 * lead)


def test_a_variant_is_its_method_with_other_settings() -> None:
    edge = {**ASKING_ALWAYS, "delay_estimate": DelayEstimate.LAST}
    made = Variant("mine", "rtc_hard", edge, {"continuation": "given"}).play()
    assert made.name == "mine"
    assert (made.edge.execute_horizon, made.edge.delay_estimate) == (1, DelayEstimate.LAST)
    assert (made.options["continuation"], made.policy) == ("given", METHODS["rtc_hard"].policy)
    for when, changed in REFILLS.items():
        assert Variant(when, "naive", changed).play().edge.rtc is False
    assert {method for method, *_ in ESTIMATED.values()} <= set(METHODS)


def test_every_law_can_be_read_and_the_trace_is_recorded_delay() -> None:
    for text in (*CONSTANT, *VARYING):
        assert read_law(text, read_trace=delays_in).name == text
    trace = read_law(TRACE, read_trace=delays_in).trace_ms
    assert len(trace) > 200
    assert 100 < min(trace) < max(trace) < 1000


def test_each_training_is_run_over_the_same_episodes() -> None:
    naive = [Variant("naive", "naive")]
    found = run_all(naive, ["0"], ["", ""], episodes=2, processes=1)
    (both,) = found.values()
    assert [one.seed for one in both] == [0, 1, 0, 1]
    assert both[:2] == both[2:]

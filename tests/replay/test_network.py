"""How much later an answer arrives, and when the link is cut."""

from __future__ import annotations

import pytest

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.errors import ConfigError
from vagus.replay.network import Cuts, NetworkChange, NetworkDraws


def draws(change: NetworkChange, count: int = 2000) -> list[float | None]:
    source = NetworkDraws(change)
    added = [source.added_ns() for _ in range(count)]
    return [None if one is None else one / NS_PER_MS for one in added]


def test_nothing_is_changed_by_default() -> None:
    assert set(draws(NetworkChange())) == {0.0}
    assert str(NetworkChange()) == "the recorded network"


def test_a_latency_is_the_same_for_all_and_jitter_is_on_top() -> None:
    assert set(draws(NetworkChange(latency_ms=150))) == {150.0}
    jittered = [one for one in draws(NetworkChange(latency_ms=150, jitter_ms=40)) if one is not None]
    assert 150 <= min(jittered) < 152
    assert 188 < max(jittered) <= 190


def test_a_lognormal_latency_has_its_median_and_its_spread() -> None:
    added = sorted(one or 0.0 for one in draws(NetworkChange(latency_ms=100, lognormal_sigma=0.5)))
    assert added[1000] == pytest.approx(100, rel=0.05)
    assert added[round(2000 * 0.8413)] == pytest.approx(100 * 2.71828**0.5, rel=0.1)


def test_the_loss_is_a_share_and_the_seed_repeats_it() -> None:
    change = NetworkChange(loss=0.25, network_seed=3)
    assert draws(change).count(None) == pytest.approx(500, abs=60)
    assert draws(change) == draws(change)
    assert draws(change) != draws(NetworkChange(loss=0.25, network_seed=4))


def test_the_link_is_cut_after_each_gap() -> None:
    cuts = Cuts(NetworkChange(cut_every_s=2, cut_for_s=1), begin_ns=10 * NS_PER_S)
    at = [cuts.end_ns(round(s * NS_PER_S)) for s in (5, 10, 11.9, 12, 12.5, 13, 14.9, 15.5, 16)]
    assert at == [None, None, None, 13 * NS_PER_S, 13 * NS_PER_S, None, None, 16 * NS_PER_S, None]


@pytest.mark.parametrize(
    ("begin_s", "end_s", "is_cut"),
    [(10, 11.9, False), (10, 12, True), (12.5, 12.6, True), (13, 14.9, False), (13, 15, True), (5, 9, False)],
)
def test_a_span_is_cut_if_a_cut_begins_or_holds_in_it(begin_s: float, end_s: float, is_cut: bool) -> None:
    cuts = Cuts(NetworkChange(cut_every_s=2, cut_for_s=1), begin_ns=10 * NS_PER_S)
    assert cuts.falls_in(round(begin_s * NS_PER_S), round(end_s * NS_PER_S)) is is_cut
    assert not Cuts(NetworkChange(), begin_ns=0).falls_in(0, 10**12)


def test_a_change_is_told_in_words() -> None:
    change = NetworkChange(
        latency_ms=150, lognormal_sigma=0.5, jitter_ms=20, loss=0.1, cut_every_s=5, cut_for_s=2
    )
    assert str(change) == (
        "150 ms more (lognormal, sigma 0.5), up to 20 ms jitter, 10.0% lost, cut for 2 s every 5 s"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_ms": -1.0},
        {"latency_ms": float("nan")},
        {"loss": 1.1},
        {"lognormal_sigma": 1.0},
        {"cut_every_s": -1.0},
        {"cut_for_s": 0.0},
        {"network_seed": -1},
    ],
)
def test_a_change_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        NetworkChange(**wrong)  # type: ignore[arg-type]

from __future__ import annotations

import pytest

from benchmarks.fleet_simulated import ADDED_S, PER_SERVER, Thousand, play_thousand


@pytest.fixture(scope="module")
def played() -> Thousand:
    return play_thousand(quick=True)


def test_a_simulated_fleet_spreads_bears_a_loss_and_fills_a_new_server_without_coming_back(
    played: Thousand,
) -> None:
    assert played.result.refused == ()
    assert played.worst_starved == 0.0
    assert played.spread_from(ADDED_S - 10, ADDED_S) <= 2
    assert played.spread_from(ADDED_S + 60) <= 2
    assert PER_SERVER / 2 <= played.invited_to_new <= 1.5 * PER_SERVER
    assert played.returns == 0
    assert "| 100 " in played.to_table().to_markdown()


def test_the_same_simulation_twice_gives_the_same(played: Thousand) -> None:
    again = play_thousand(quick=True)
    assert again.rules.spreads == played.rules.spreads
    assert again.rules.moved_s == played.rules.moved_s

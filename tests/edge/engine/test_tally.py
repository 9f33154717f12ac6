from __future__ import annotations

from vagus.edge.engine.tally import Tally
from vagus.types import Fared


def test_what_was_played_and_how_old_it_was_is_reported_once() -> None:
    tally = Tally(steps_per_tick=1.0)
    for age in (3, 9, 5):
        tally.play(age)
    assert tally.report() == Fared(3, 0, 9)
    assert tally.report() == Fared()


def test_ticks_without_an_action_count_in_whole_steps_and_none_is_lost() -> None:
    tally = Tally(steps_per_tick=0.3)
    reported = []
    for _ in range(10):
        tally.starve()
        reported.append(tally.report().starved_steps)
    assert reported == [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]


def test_a_report_that_was_not_sent_counts_again() -> None:
    tally = Tally(steps_per_tick=1.0)
    tally.play(7)
    tally.starve()
    tally.give_back(tally.report())
    tally.play(4)
    assert tally.report() == Fared(2, 1, 7)

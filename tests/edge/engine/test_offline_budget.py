from __future__ import annotations

from vagus.edge.engine.offline_budget import OfflineBudget


def test_without_trouble_the_budget_never_runs() -> None:
    assert not OfflineBudget(10).is_spent(10**12)


def test_the_budget_runs_from_the_first_sign_of_trouble() -> None:
    budget = OfflineBudget(10)
    budget.note_trouble(100)
    budget.note_trouble(105)
    assert not budget.is_spent(110)
    assert budget.is_spent(111)


def test_only_a_merge_clears_it() -> None:
    budget = OfflineBudget(10)
    budget.note_trouble(100)
    budget.clear()
    assert not budget.is_spent(1000)
    budget.note_trouble(1000)
    assert budget.is_spent(1011)


def test_a_pause_does_not_count() -> None:
    budget = OfflineBudget(10)
    budget.note_trouble(100)
    budget.freeze(105)
    assert not budget.is_spent(1000)
    budget.thaw(1000)
    assert not budget.is_spent(1005)
    assert budget.is_spent(1006)


def test_a_pause_without_trouble_changes_nothing() -> None:
    budget = OfflineBudget(10)
    budget.freeze(5)
    budget.thaw(500)
    budget.note_trouble(600)
    assert not budget.is_spent(610)
    budget.thaw(700)  # no pause was on
    assert budget.is_spent(611)

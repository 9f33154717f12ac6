"""A study: every cell over the same seeds, and differences to the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from trials.idle_policy import Idle
from trials.short_world import Short
from vagus.demo.gates import GatesPolicy
from vagus.errors import ConfigError, PolicyError
from vagus.policies.policy import Policy
from vagus.trials.delay_law import read_law
from vagus.trials.play_method import METHODS
from vagus.trials.study import cell_of, difference
from vagus.trials.study_run import DelayStudy, Entrant, StudyProgress, chosen_baseline, study_cells
from vagus.trials.trial_run import DelayTrial, run_trials

SEEDS = range(7, 11)


def entrant(name: str, policy: Policy[None]) -> Entrant:
    return Entrant(METHODS[name], cast("Policy[object]", policy), policy.spec)


def study(*entrants: Entrant, delays: tuple[str, ...] = ("0", "300"), baseline: str = "naive") -> DelayStudy:
    laws = [read_law(text, read_trace=lambda _: []) for text in delays]
    return DelayStudy(Short, entrants, laws, SEEDS, baseline, robots=4)


def test_each_cell_is_what_its_trials_alone_come_to() -> None:
    policy = GatesPolicy()
    told: list[StudyProgress] = []
    both = study(entrant("sync", policy), entrant("naive", policy))
    cells = list(study_cells(both, told.append))
    order = [("naive", "0"), ("sync", "0"), ("naive", "300"), ("sync", "300")]
    assert [(cell.method, cell.law) for cell in cells] == order  # the baseline first
    assert [now.episodes for now in told] == list(range(1, 17))
    assert {(now.method, now.law, now.of) for now in told} == {(*pair, 16) for pair in order}
    alone = {
        name: run_trials(DelayTrial(Short, policy, METHODS[name], both.laws[1]), SEEDS, robots=4)
        for name in ("naive", "sync")
    }
    assert len({cell.acceleration for cell in cells}) == 4
    assert cells[2] == cell_of("naive", "300", alone["naive"])
    assert cells[2].gain is None
    assert cells[3].success == cell_of("sync", "300", alone["sync"]).success
    assert cells[3].gain == difference(alone["sync"], alone["naive"])


def test_what_the_robots_are_offered_is_what_counts() -> None:
    policy = GatesPolicy(rtc_schedule="zeros")
    without = replace(
        entrant("rtc_hard", policy), offered=replace(Idle().spec, model_dim=policy.spec.model_dim)
    )
    with_rtc, plain = (
        list(study_cells(study(one, delays=("200",), baseline="rtc_hard"), lambda _: None))
        for one in (entrant("rtc_hard", policy), without)
    )
    naive = study(entrant("naive", policy), delays=("200",))
    assert plain[0].acceleration == next(study_cells(naive, lambda _: None)).acceleration
    assert with_rtc[0].acceleration != plain[0].acceleration


def test_a_policy_that_fails_ends_the_study_and_what_is_complete_stays() -> None:
    failing = study(entrant("naive", Idle(fails_after=36)), delays=("0", "100"))
    cells = study_cells(failing, lambda _: None)
    assert next(cells).law == "0"
    with pytest.raises(PolicyError, match="RuntimeError: out of memory"):
        list(cells)


def test_the_baseline_is_naive_or_the_first_or_what_was_asked_for() -> None:
    assert chosen_baseline("", ["sync", "naive"]) == "naive"
    assert chosen_baseline("", ["sync", "average"]) == "sync"
    assert chosen_baseline("sync", ["naive", "sync"]) == "sync"
    with pytest.raises(ConfigError, match="baseline: wanted one of the methods naive, sync, got 'rtc_soft'"):
        chosen_baseline("rtc_soft", ["naive", "sync"])

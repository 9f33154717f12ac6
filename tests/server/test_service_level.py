from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.server.service_level import MAX_REPORTS, WINDOW_NS, Level, ServiceLevels
from vagus.types import Fared

COUNTS = st.integers(-(2**63), 2**63 - 1)


def test_without_reports_there_is_no_level() -> None:
    levels = ServiceLevels()
    levels.note("lab", "arm-1", Fared(), 0)
    assert levels.levels(0) == {}


def test_the_starved_share_is_the_mean_of_the_robots() -> None:
    levels = ServiceLevels()
    for _ in range(10):
        levels.note("lab", "arm-1", Fared(9, 1, 5), 0)
    levels.note("lab", "arm-2", Fared(10, 0, 5), 0)
    level = levels.levels(0)["lab"]
    assert (level.robots, level.age_p99_s) == (2, 5 / NS_PER_S)
    assert level.starved_share == pytest.approx(0.05)


def test_the_age_is_that_of_the_slowest_hundredth_of_the_reports() -> None:
    levels = ServiceLevels()
    for number in range(200):
        levels.note("lab", "arm-1", Fared(1, 0, number * NS_PER_S // 100), 0)
    assert levels.levels(0)["lab"].age_p99_s == pytest.approx(1.98)


def test_a_robot_that_only_starved_says_nothing_about_ages() -> None:
    levels = ServiceLevels()
    levels.note("lab", "arm-1", Fared(0, 30, 0), 0)
    assert levels.levels(0)["lab"] == Level(1, 1.0, 0.0)


def test_a_lie_spoils_the_number_of_its_own_tenant_only_and_there_not_beyond_its_part() -> None:
    levels = ServiceLevels()
    for number in range(9):
        levels.note("lab", f"arm-{number}", Fared(100, 0, 5), 0)
    levels.note("lab", "liar", Fared(-5, 2**62, -9), 0)
    levels.note("plant", "arm", Fared(100, 1, 5), 0)
    seen = levels.levels(0)
    assert seen["lab"].starved_share == pytest.approx(0.1)
    assert seen["plant"].starved_share == pytest.approx(1 / 101)


def test_old_reports_are_forgotten_and_so_are_tenants_without_one() -> None:
    levels = ServiceLevels()
    levels.note("lab", "arm-1", Fared(0, 10, 0), 0)
    levels.note("lab", "arm-1", Fared(10, 0, 0), 5)
    assert levels.levels(WINDOW_NS)["lab"].starved_share == 0.5
    assert levels.levels(WINDOW_NS + 1)["lab"].starved_share == 0
    assert levels.levels(WINDOW_NS + 6) == {}


def test_the_number_of_reports_is_bounded() -> None:
    levels = ServiceLevels()
    for number in range(MAX_REPORTS + 5):
        levels.note("lab", f"arm-{number}", Fared(1, 0, 0), 0)
    assert levels.levels(0)["lab"].robots == MAX_REPORTS


def test_a_level_is_met_if_nobody_starves_and_no_action_is_old() -> None:
    level = Level(3, 0.01, 0.5)
    assert level.is_met(max_starved_share=0.01, max_age_s=0.5)
    assert not level.is_met(max_starved_share=0.009, max_age_s=0.5)
    assert not level.is_met(max_starved_share=0.01, max_age_s=0.4)


@given(st.lists(st.builds(Fared, COUNTS, COUNTS, COUNTS)))
def test_whatever_robots_say_a_level_is_within_its_bounds(reports: list[Fared]) -> None:
    levels = ServiceLevels()
    for fared in reports:
        levels.note("lab", "arm", fared, 0)
    for level in levels.levels(0).values():
        assert 0 <= level.starved_share <= 1
        assert 0 <= level.age_p99_s <= 60

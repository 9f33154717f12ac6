from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.server.capacity import RobotDemand, best_batch, demand_share, forecast, requests_per_s_at

ARM = RobotDemand(rate_hz=20.0, horizon=10, buffer_s=0.2, round_trip_s=0.01)
"""Chunks of half a second."""


@dataclass(frozen=True, slots=True)
class Line:
    """A batch takes `first` milliseconds, and `each` more for every further row."""

    first: float
    each: float

    def ms(self, size: int) -> float:
        return self.first + (size - 1) * self.each


L40S = Line(73.0, 34.5)
H200 = Line(25.3, 10.0)

DEMANDS = st.builds(
    RobotDemand,
    rate_hz=st.floats(1, 100),
    horizon=st.integers(1, 100),
    buffer_s=st.floats(0, 2),
    execute_horizon=st.integers(0, 50),
    observe_steps=st.integers(0, 20),
    processor_s=st.sampled_from((0.0, 0.003, 2.0)),
    least_executed=st.integers(0, 50),
    round_trip_s=st.floats(0, 0.2),
    max_action_age_s=st.floats(0.5, 5),
)
LINES = st.builds(Line, st.floats(0.1, 500), st.floats(0, 100))


def test_a_robot_asks_when_its_plan_ends_within_the_buffer_time() -> None:
    assert ARM.interval_s(0.05) == pytest.approx(0.3)
    assert ARM.interval_s(0.0) == pytest.approx(0.3)
    assert ARM.interval_s(0.4) == pytest.approx(0.41)  # the plan is short already when the answer comes


def test_a_robot_asks_after_the_actions_of_its_execute_horizon() -> None:
    eager = replace(ARM, execute_horizon=2)
    assert eager.interval_s(0.05) == pytest.approx(0.06 + 0.1)
    assert replace(ARM, execute_horizon=50).interval_s(0.05) == pytest.approx(0.3)


def test_a_robot_that_asks_while_there_is_room_asks_after_its_steps_and_within_its_share() -> None:
    automatic = replace(ARM, observe_steps=2)
    assert automatic.interval_s(0.02) == pytest.approx(0.1)
    assert automatic.interval_s(0.14) == pytest.approx(0.15)  # no sooner than its answer is there
    assert replace(automatic, share_s=0.25).interval_s(0.02) == pytest.approx(0.25)
    assert replace(automatic, share_s=9.0).interval_s(0.02) == ARM.interval_s(0.02)


def test_robots_that_ask_while_there_is_room_leave_room_and_need_no_more_than_others() -> None:
    for count in (1, 4, 16, 40):
        eager, patient = (
            forecast(H200, [replace(ARM, observe_steps=steps)] * count, max_batch=8) for steps in (1, 0)
        )
        assert eager.demand == patient.demand
        most_per_s = max(0.8 * requests_per_s_at(H200, 8), patient.requests_per_s)
        assert patient.requests_per_s <= eager.requests_per_s <= 1.001 * most_per_s


def test_robots_that_ask_while_there_is_room_leave_room_in_the_processor_too() -> None:
    fast, asking = Line(2.0, 0.1), replace(ARM, horizon=40, observe_steps=1)
    for processor_s, most_per_s in ((0.0, math.inf), (0.02, 25.0)):
        seen = forecast(fast, [replace(asking, processor_s=processor_s)] * 8, max_batch=8)
        assert seen.requests_per_s <= most_per_s * 1.001
    assert forecast(fast, [asking] * 8, max_batch=8).requests_per_s > 100


def test_an_agreed_horizon_makes_a_robot_ask_later_but_not_too_late() -> None:
    patient = replace(ARM, execute_horizon=2, least_executed=5)
    assert patient.interval_s(0.05) == pytest.approx(0.06 + 0.25)
    longest = replace(ARM, least_executed=1000)
    assert longest.interval_s(0.05) == pytest.approx(0.5 - 0.06 - 0.05)
    assert longest.starved_share(0.05) == 0
    assert ARM.longest_agreeable(0.05) == 6
    assert ARM.longest_agreeable(1.0) == 0


def test_actions_that_would_be_too_old_are_no_part_of_a_chunk() -> None:
    assert replace(ARM, max_action_age_s=0.4).chunk_s == pytest.approx(0.4)
    assert ARM.chunk_s == pytest.approx(0.5)


def test_a_client_that_waits_for_its_answer_asks_when_its_chunk_has_ended() -> None:
    blocking = replace(ARM, buffer_s=0.0)
    assert blocking.is_blocking
    assert blocking.interval_s(0.09) == pytest.approx(0.6)
    assert blocking.starved_share(0.09) == pytest.approx(0.1 / 0.6)  # and plays its chunk whole
    assert not replace(blocking, execute_horizon=3).is_blocking


def test_a_robot_starves_from_the_end_of_its_chunk_to_the_next_answer() -> None:
    assert ARM.starved_share(0.19) == pytest.approx(0.0)
    assert ARM.starved_share(0.22) == pytest.approx(0.03 / 0.3)
    assert ARM.starved_share(0.05, interval_s=0.88) == pytest.approx(0.5)
    assert ARM.starved_share(1e9) <= 1


def test_the_best_batch_is_the_one_with_the_most_requests_per_second() -> None:
    assert requests_per_s_at(L40S, 1) == pytest.approx(1000 / 73)
    assert best_batch(L40S, max_batch=5) == 5
    assert best_batch(L40S, max_batch=5, longest_s=0.12) == 2
    assert best_batch(L40S, max_batch=5, longest_s=0.0) == 1
    assert best_batch(Line(10.0, 10.0), max_batch=8) == 1
    assert best_batch(Line(10.0, 20.0), max_batch=8) == 1


def test_nobody_asks_for_nothing() -> None:
    nothing = forecast(L40S, [], max_batch=5)
    assert (nothing.requests_per_s, nothing.demand, nothing.starved_share) == (0, 0, 0)


@pytest.mark.parametrize(
    ("latency", "max_batch", "robots"), [(L40S, 1, 4), (L40S, 5, 4), (H200, 1, 11), (H200, 8, 25)]
)
def test_robots_per_device_are_near_those_that_were_measured(
    latency: Line, max_batch: int, robots: int
) -> None:
    """Measured at 1 % of starved ticks: 3, 5, 12 and 25."""
    starved = [forecast(latency, [ARM] * count, max_batch=max_batch).starved_share for count in range(1, 40)]
    fitting = next(index for index, share in enumerate(starved) if share > 0.01)
    assert abs(fitting - robots) <= 1


def test_a_fleet_that_needs_more_than_the_device_waits_until_it_needs_as_much() -> None:
    seen = forecast(H200, [ARM] * 64, max_batch=8)
    assert seen.demand > 2
    assert seen.busy == pytest.approx(1.0)
    assert seen.requests_per_s == pytest.approx(requests_per_s_at(H200, 8), rel=1e-3)
    assert seen.delay_s == pytest.approx(64 / requests_per_s_at(H200, 8) - 0.01, rel=1e-3)


def test_what_a_robot_starves_alone_is_not_for_others() -> None:
    slow = Line(400.0, 1.0)
    alone = forecast(slow, [ARM], max_batch=8)
    assert alone.starved_share > 0.3
    assert alone.starved_by_others < alone.starved_share
    assert alone.demand == pytest.approx(1 / 0.91 / (8 / 0.407), rel=1e-3)


@pytest.mark.parametrize(("robots", "starved"), [(1, 0.378), (2, 0.383), (4, 0.406)])
def test_a_policy_slower_than_the_buffer_makes_robots_stop_and_go_and_nobody_pays_for_the_others(
    robots: int, starved: float
) -> None:
    """The shares are those of the simulated fleet, in which a robot also rests 0.25 s before it asks."""
    slow = Line(700.0, 700.0)
    arm = RobotDemand(rate_hz=30.0, horizon=50, buffer_s=0.5, round_trip_s=0.01)
    seen = forecast(slow, [arm] * robots, max_batch=1)
    assert seen.starved_share == pytest.approx(starved, abs=0.08)
    assert seen.starved_by_others == 0
    assert forecast(slow, [arm] * 6, max_batch=1).demand > 1  # but the device is no larger for that


@given(LINES, st.lists(DEMANDS, min_size=1, max_size=5), st.integers(1, 8))
def test_a_forecast_is_within_its_bounds(latency: Line, robots: list[RobotDemand], max_batch: int) -> None:
    seen = forecast(latency, robots, max_batch=max_batch)
    assert 0 <= seen.starved_by_others <= seen.starved_share <= 1
    assert 0 < seen.busy <= 1
    assert 1 <= seen.batch <= max_batch
    assert math.isfinite(seen.delay_s)
    assert seen.delay_s >= latency.ms(1) / 1000 * (1 - 1e-6)
    assert seen.requests_per_s <= requests_per_s_at(latency, best_batch(latency, max_batch=max_batch)) * 1.01


@given(LINES, DEMANDS, st.integers(1, 8), st.integers(1, 20))
def test_one_more_robot_never_makes_a_delay_shorter(
    latency: Line, robot: RobotDemand, max_batch: int, count: int
) -> None:
    few = forecast(latency, [robot] * count, max_batch=max_batch)
    more = forecast(latency, [robot] * (count + 1), max_batch=max_batch)
    assert more.delay_s >= few.delay_s * (1 - 1e-6)
    assert more.demand >= few.demand


def test_a_fleet_is_the_same_one_by_one_and_by_kind() -> None:
    one_by_one = [ARM, replace(ARM, rate_hz=10.0), ARM, ARM]
    by_kind = Counter(one_by_one)
    assert forecast(L40S, one_by_one, max_batch=5) == forecast(L40S, by_kind, max_batch=5)
    assert demand_share(L40S, one_by_one, max_batch=5) == demand_share(L40S, by_kind, max_batch=5)

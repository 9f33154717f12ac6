"""A simulated fleet: what it counts, and that it agrees with what others published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.planning.fleet_hooks import AdmissionAnswer, FleetHooks, Move, RowTimes
from vagus.planning.fleet_result import FleetResult, jain
from vagus.planning.network_law import NetworkLaw
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import ServerView, SimulatedServer, latency_rows
from vagus.planning.simulation import simulate
from vagus.server.batch_profile import BatchProfile
from vagus.server.scheduler import Batch, Candidate, Decision, Scheduler, Wait, round_robin

L40S = {1: 73.0, 2: 109.8, 3: 142.4, 4: 177.5, 5: 211.1}
FAST_GPU = {1: 10.0, 2: 12.0, 4: 16.0}


def first_come(
    ready: Sequence[Candidate],
    profile: BatchProfile,
    now_ns: int,
    *,
    max_batch: int,
    expected: Sequence[Candidate] = (),
) -> Decision:
    waiting = sorted(ready, key=lambda c: (c.ready_ns, c.epoch))
    return Batch(tuple(waiting[:max_batch])) if waiting else Wait()


def gpu(
    table: dict[int, float] = FAST_GPU, *, max_batch: int = 4, scheduler: Scheduler = round_robin
) -> SimulatedServer:
    return SimulatedServer("gpu", latency_rows(table), max_batch, scheduler)


def arm(name: str = "arm", *, horizon: int = 10, buffer_s: float = 0.2) -> SimulatedRobot:
    return SimulatedRobot(name, 20.0, horizon, buffer_s)


def arms(count: int) -> list[SimulatedRobot]:
    return [arm(f"arm-{number}") for number in range(count)]


def one_fast() -> list[SimulatedRobot]:
    """The public configuration: one robot with chunks of 6, nine with chunks of 10."""
    slow = replace(arm(buffer_s=0.1), asks_after_action=True)
    return [replace(slow, name=f"arm-{i}", horizon=6 if i == 0 else 10) for i in range(10)]


# -- what it counts -------------------------------------------------------------------------------------


def test_a_robot_alone_starves_only_before_its_first_chunk() -> None:
    result = simulate([arm()], [gpu()], duration_s=10)
    played = result.of("arm").played
    assert (played.useful, played.starved) == (199, 1)
    assert result.within(0.03 + 0.5) == 1, "no action is older than the latency and a chunk"
    assert 0 < result.servers[0].busy < 0.1


def test_it_asks_when_its_buffer_says_so_and_not_before() -> None:
    """A chunk of 10 lasts 0.5 s; with 0.2 s left it asks: each 0.3 s, whatever the latency."""
    played = simulate([arm()], [gpu()], duration_s=30).of("arm").played
    assert played.requests == pytest.approx(30 / 0.3, abs=2)


def test_an_execute_horizon_makes_it_ask_sooner() -> None:
    eager = replace(arm(), execute_horizon=2)
    seldom, often = (simulate([robot], [gpu()], duration_s=30).of("arm").played for robot in (arm(), eager))
    assert often.requests > 1.5 * seldom.requests
    assert often.useful >= seldom.useful


def test_an_automatic_robot_asks_each_eighth_of_a_chunk_and_leaves_the_others_their_part() -> None:
    """Two steps of 50 ms; with 4 robots at 30 ms, one by one, the part of each is 240 ms."""
    automatic = replace(arm(), execute_horizon="auto")
    result = simulate([automatic], [gpu()], duration_s=30)
    assert result.of("arm").played.requests == pytest.approx(30 / 0.1, rel=0.05)
    crowd = [replace(automatic, name=f"arm-{at}", start_s=at * 0.037) for at in range(4)]
    result = simulate(crowd, [gpu({1: 30.0}, max_batch=1)], duration_s=30)
    assert result.of("arm-3").played.requests == pytest.approx(30 / 0.24, rel=0.15)
    assert result.servers[0].busy == pytest.approx(0.5, abs=0.1)
    decodes_slowly = replace(gpu({1: 3.0}, max_batch=1), processor_s=0.03)
    result = simulate(crowd, [decodes_slowly], duration_s=30)
    assert result.of("arm-3").played.requests == pytest.approx(30 / 0.24, rel=0.15)


def test_where_the_device_is_slower_than_the_buffer_each_cycle_starves_by_the_difference() -> None:
    """200 ms on the device, asked with 100 ms left: two ticks of each cycle of 10 + … are dry."""
    robot = replace(arm(buffer_s=0.1), network=NetworkLaw(0.0))
    result = simulate([robot], [gpu({1: 200.0})], duration_s=100, measured_from_s=10)
    assert result.starved_share == pytest.approx(2 / 10, abs=0.01)


def test_a_late_answer_is_void_to_a_robot_that_moved_on_after_its_plan_ran_dry() -> None:
    device = replace(gpu({1: 90.0}), sigma=0.8)
    stands_at_once, settles = (
        simulate([replace(arm(buffer_s=0.15), settle_s=settle_s)], [device], duration_s=60)
        for settle_s in (0.0, 0.1)
    )
    assert stands_at_once.of("arm").played.void == 0
    assert settles.of("arm").played.void > 5
    assert settles.useful < stands_at_once.useful


def test_a_robot_that_would_have_moved_on_does_not_ask_for_what_comes_too_late() -> None:
    settles = replace(arm(buffer_s=0.1), settle_s=0.1)
    played = simulate([settles], [gpu({1: 200.0})], duration_s=60).of("arm").played
    assert played.void == 0
    assert played.requests == pytest.approx(60 / (0.5 + 0.15 + 0.25), abs=2), "it asks when it stands"


def test_no_action_is_older_than_the_bound() -> None:
    robot = replace(arm(horizon=60, buffer_s=0.1), max_action_age_s=1.0)
    result = simulate([robot], [gpu()], duration_s=20)
    assert result.age_s(100) <= 1.0
    assert result.useful > 300


def test_the_ages_are_those_of_the_actions() -> None:
    result = simulate([replace(arm(), network=NetworkLaw(0.0))], [gpu({1: 49.0})], duration_s=20)
    ages_s = result.robots[0].ages_s
    assert len(ages_s) == result.useful
    assert set(np.round(ages_s / 0.05).astype(int)) <= set(range(1, 11))
    assert result.age_s(50) == pytest.approx(0.2, abs=0.1)


def test_what_happens_before_the_measured_time_is_not_counted() -> None:
    result = simulate([arm()], [gpu()], duration_s=10, measured_from_s=5)
    played = result.of("arm").played
    assert (played.useful, played.starved) == (100, 0)


def test_an_outage_longer_than_the_buffer_starves_and_then_all_is_well_again() -> None:
    cut = replace(arm(), network=NetworkLaw(0.005, outages=((5.0, 8.0),)))
    played = simulate([cut], [gpu()], duration_s=20).of("arm").played
    assert 45 <= played.starved <= 62
    assert played.timeouts > 0


def test_a_heavy_tail_is_felt() -> None:
    wired, wireless = (
        simulate([replace(arm(), network=NetworkLaw(0.01, sigma=sigma))], [gpu()], duration_s=200)
        for sigma in (0.0, 1.2)
    )
    assert wired.of("arm").played.starved == 1
    assert wireless.of("arm").played.starved > 5


def test_the_same_seed_gives_the_same_and_another_one_another() -> None:
    fleet = [replace(robot, network=NetworkLaw(0.02, sigma=1.0)) for robot in arms(6)]
    first, again, other = (simulate(fleet, [gpu()], duration_s=20, seed=seed) for seed in (1, 1, 2))
    assert outline(first) == outline(again) != outline(other)


def outline(result: FleetResult) -> list[object]:
    return [(robot.played.useful, robot.played.requests, robot.ages_s.tolist()) for robot in result.robots]


def test_fairness_is_one_for_equals_and_less_for_others() -> None:
    assert jain([0.5, 0.5, 0.5]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert jain([0.0, 0.0]) == 1


# -- published numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheduler", "useful", "starved", "fast", "tolerance"),
    [(first_come, 1481, 0.259, 0.73, 0.02), (round_robin, 1497, 0.251, 0.46, 0.06)],
)
def test_it_agrees_with_the_published_one_fast_fleet(
    scheduler: Scheduler, useful: int, starved: float, fast: float, tolerance: float
) -> None:
    result = simulate(one_fast(), [gpu(L40S, max_batch=3, scheduler=scheduler)], duration_s=10)
    assert result.useful == pytest.approx(useful, rel=0.01)
    assert result.starved_share == pytest.approx(starved, abs=0.01)
    assert result.robots[0].progress == pytest.approx(fast, abs=tolerance)


# -- servers --------------------------------------------------------------------------------------------


def test_the_scheduler_sees_what_the_robot_says_true_or_not() -> None:
    seen: list[Candidate] = []

    def watching(
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        seen.extend(ready)
        return first_come(ready, profile, now_ns, max_batch=max_batch)

    liar = replace(arm("liar"), said_slack_s=0.0, said_rate_hz=500.0, weight=2.0, tenant="lab")
    simulate([arm("honest"), liar], [gpu(scheduler=watching)], duration_s=5)
    honest, lying = ([one for one in seen if one.epoch == epoch] for epoch in (0, 1))
    assert {one.due_ns - one.ready_ns for one in lying} == {0}
    assert {one.due_ns - one.ready_ns for one in honest} == {0, 190 * NS_PER_MS}, "the first one has nothing"
    assert {(one.tenant, one.weight, one.rate_hz) for one in lying} == {("lab", 2.0, 500.0)}
    assert honest[-1].gain_s == pytest.approx(0.5 - 0.2)
    assert honest[-1].share > 0


def test_a_profile_that_is_wrong_at_the_start_is_right_at_the_end() -> None:
    wrong = replace(gpu(L40S, max_batch=5), believed=latency_rows({n: 3 * ms for n, ms in L40S.items()}))
    seen: list[float] = []

    class Asking(FleetHooks):
        moves_every_s = 1.0

        def moves(self, servers: Sequence[ServerView], now_ns: int) -> Sequence[Move]:
            seen.append(servers[0].profile.ms(1))
            return ()

    simulate(arms(5), [wrong], duration_s=10, hooks=Asking())
    assert seen[-1] == pytest.approx(73, rel=0.15)


def test_what_a_batch_takes_scatters_as_it_is_told() -> None:
    steady, noisy = (
        simulate(arms(3), [replace(gpu(), sigma=sigma)], duration_s=30).servers[0].busy
        for sigma in (0.0, 0.8)
    )
    assert noisy > 1.1 * steady


def test_the_robots_of_a_lost_server_go_to_the_other_and_those_with_buffer_do_not_starve() -> None:
    first = replace(gpu(), name="first", down_s=(5.0, 12.0))
    second = replace(gpu(), name="second")
    result = simulate(arms(6), [first, second], duration_s=20, measured_from_s=1)
    assert result.starved_share == 0
    assert [server.robots for server in result.servers] == [0, 6]
    alone = simulate(arms(6), [first], duration_s=20, measured_from_s=1)
    assert alone.starved_share == pytest.approx(7 / 19, abs=0.06)
    assert alone.servers[0].robots == 6, "they come back to it"


class Few(FleetHooks):
    """Admits three robots, and lets the last of them execute nearly all of a chunk."""

    def admit(self, robot: SimulatedRobot, server: ServerView, now_ns: int) -> AdmissionAnswer:
        return AdmissionAnswer(len(server.robots) < 3, execute_horizon=9 if len(server.robots) == 2 else 0)


def test_who_is_not_admitted_is_told_apart_and_who_is_executes_what_it_agreed_to() -> None:
    result = simulate(arms(5), [gpu()], duration_s=20, hooks=Few())
    assert [robot.name for robot in result.refused] == ["arm-3", "arm-4"]
    requests = [robot.played.requests for robot in result.robots]
    assert requests[0] == requests[1] > 1.2 * requests[2]


class Slow(FleetHooks):
    limits_rate = True

    def min_interval_ns(self, robot: SimulatedRobot, server: ServerView, now_ns: int, times: RowTimes) -> int:
        return NS_PER_S if robot.name == "arm-0" else 0


def test_a_robot_obeys_the_interval_that_it_is_told() -> None:
    result = simulate(arms(2), [gpu()], duration_s=20, hooks=Slow())
    slowed, free = (robot.played.requests for robot in result.robots)
    assert slowed <= 21 < 60 <= free


class Inviting(FleetHooks):
    moves_every_s = 2.0

    def choose(self, robot: SimulatedRobot, servers: Sequence[ServerView], now_ns: int) -> Sequence[str]:
        return [servers[0].name]

    def moves(self, servers: Sequence[ServerView], now_ns: int) -> Sequence[Move]:
        return [Move(servers[0].robots[0], servers[1].name)] if len(servers[0].robots) > 2 else []


def test_an_invited_robot_moves_without_a_starved_tick() -> None:
    servers = [replace(gpu(), name=name) for name in ("loaded", "idle")]
    result = simulate(arms(4), servers, duration_s=20, hooks=Inviting(), measured_from_s=1)
    assert [server.robots for server in result.servers] == [2, 2]
    assert [robot.server for robot in result.robots] == ["idle", "idle", "loaded", "loaded"]
    assert result.starved_share == 0


# -- always ---------------------------------------------------------------------------------------------

fleets = st.lists(
    st.builds(
        SimulatedRobot,
        name=st.just("arm"),
        rate_hz=st.sampled_from([5.0, 20.0, 30.0]),
        horizon=st.integers(1, 20),
        buffer_s=st.sampled_from([0.0, 0.05, 0.3, 2.0]),
        execute_horizon=st.sampled_from([None, 1, 5, "auto"]),
        network=st.sampled_from([NetworkLaw(), NetworkLaw(0.05, sigma=1.0, outages=((1.0, 1.5),))]),
        start_s=st.sampled_from([0.0, 0.013, 1.0]),
        max_action_age_s=st.sampled_from([0.3, 3.0]),
        settle_s=st.sampled_from([0.0, 0.2]),
        asks_after_action=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(fleet=fleets, max_batch=st.integers(1, 4), down=st.sampled_from([None, (1.0, 1.7)]))
def test_every_tick_is_counted_once_and_no_action_is_played_twice(
    fleet: list[SimulatedRobot], max_batch: int, down: tuple[float, float] | None
) -> None:
    fleet = [replace(robot, name=f"arm-{index}") for index, robot in enumerate(fleet)]
    server = replace(gpu(L40S, max_batch=max_batch), down_s=down, sigma=0.3)
    result = simulate(fleet, [server], duration_s=4)
    assert result.refused == ()
    for robot in result.robots:
        played, spec = robot.played, robot.robot
        ticks = (4 - spec.start_s) * spec.rate_hz
        assert played.useful + played.starved == pytest.approx(ticks, abs=1)
        assert played.useful <= played.merged * spec.horizon
        assert played.requests >= played.merged + played.void
        assert len(robot.ages_s) == played.useful
        assert (robot.ages_s <= spec.max_action_age_s + 1e-9).all()
        assert (robot.ages_s > 0).all()

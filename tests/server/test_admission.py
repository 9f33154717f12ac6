from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.test_capacity import ARM, H200, L40S, Line
from vagus.edge.asking import processor_time_s
from vagus.errors import SessionRefusedError
from vagus.server.admission import Admitted, demand_of, predict
from vagus.server.capacity import BatchLatency, RobotDemand
from vagus.wire.schema import Capabilities, OpenMessage

SERVED = Capabilities(
    server="gpu-1",
    model="m",
    revision="main",
    model_hash="aa",
    policy_type="act",
    actions=(),
    state=(),
    horizon=10,
    model_dim=3,
    rate_hz=20.0,
)
EAGER = RobotDemand(rate_hz=30.0, horizon=50, buffer_s=0.5, execute_horizon=5, round_trip_s=0.01)
"""Chunks of 1.7 seconds, of which it uses the first fifth."""


def asked(**fields: object) -> OpenMessage:
    plain = OpenMessage(
        instance="1f", robot_type="arm", rate_hz=20.0, buffer_time_s=0.2, max_action_age_s=3.0
    )
    return msgspec.structs.replace(plain, **fields)


def answer(
    robots: list[RobotDemand],
    asking: RobotDemand,
    latency: BatchLatency = L40S,
    *,
    is_running: bool = False,
    max_batch: int = 5,
) -> Admitted:
    return predict(
        latency, robots, asking, max_batch=max_batch, max_starved_share=0.01, is_running=is_running
    )


def test_a_robot_is_admitted_as_it_is_while_nobody_starves() -> None:
    said = answer([ARM] * 3, ARM)
    assert (said.execute_horizon, said.warning) == (0, "")
    assert said.forecast.starved_by_others <= 0.01


def test_a_robot_that_would_make_others_starve_is_refused_with_load_and_reason() -> None:
    with pytest.raises(SessionRefusedError, match=r"with this robot 12\d % of the device") as refused:
        answer([ARM] * 8, ARM)
    assert refused.value.code == "overloaded"
    assert "wanted: at most 1 %" in refused.value.reason
    assert "another replica" in refused.value.reason
    assert "buffer" not in refused.value.reason  # a longer one would make them ask more often


def test_robots_that_only_wait_too_long_are_told_to_keep_a_longer_buffer() -> None:
    short = RobotDemand(rate_hz=20.0, horizon=50, buffer_s=0.25)
    with pytest.raises(SessionRefusedError, match="or raise buffer_time_s at the robots") as refused:
        answer([short] * 8, short, Line(200.0, 1.0), max_batch=1)
    assert "would be asked for" in refused.value.reason


def test_a_robot_that_asks_more_often_than_it_must_is_asked_to_wait() -> None:
    said = answer([ARM] * 23 + [EAGER] * 2, EAGER, H200, max_batch=8)
    assert said.execute_horizon > EAGER.execute_horizon
    assert said.forecast.starved_by_others <= 0.01
    assert f"execute {said.execute_horizon} of 50 actions" in said.warning


def test_no_longer_horizon_is_asked_for_than_the_load_needs() -> None:
    assert answer([ARM] * 23, EAGER, H200, max_batch=8).execute_horizon == 0
    asked = answer([ARM] * 23 + [EAGER] * 2, EAGER, H200, max_batch=8).execute_horizon
    assert asked < EAGER.longest_agreeable(0.1)


def test_who_asks_too_often_pauses_for_who_must_ask() -> None:
    said = answer([EAGER] * 6 + [ARM] * 20, ARM, H200, max_batch=8)
    assert said.execute_horizon == 0
    assert "will be asked to pause" in said.warning
    with pytest.raises(SessionRefusedError):
        answer([EAGER] * 6 + [ARM] * 30, ARM, H200, max_batch=8)


def test_eager_robots_that_wait_for_each_other_without_starving_are_admitted() -> None:
    said = answer([EAGER] * 19, EAGER, H200, max_batch=8)
    assert said.forecast.demand > 1
    assert (said.execute_horizon, said.forecast.starved_share) == (0, 0)


def test_a_running_robot_is_admitted_in_any_case_and_told_what_is_to_come() -> None:
    said = answer([ARM] * 12, ARM, is_running=True)
    assert "a running robot is not refused" in said.warning
    assert "no action for about" in said.warning


def test_the_first_robot_is_admitted_however_slow_the_policy_is() -> None:
    said = answer([], ARM, Line(2000.0, 2000.0))
    assert said.execute_horizon == 0
    assert answer([], ARM, Line(2000.0, 2000.0), max_batch=1).forecast.demand <= 1


def test_a_robot_that_starves_alone_is_no_reason_to_refuse_others() -> None:
    """A slow policy that serves many at once: everybody stops and goes, and nobody because of others."""
    slow = Line(600.0, 1.0)
    assert answer([ARM] * 2, ARM, slow).forecast.starved_share > 0.3


def test_clients_that_wait_for_their_answers_count_by_what_they_need_only() -> None:
    blocking = demand_of(asked(buffer_time_s=0.0), SERVED)
    assert answer([blocking] * 5, blocking).execute_horizon == 0
    with pytest.raises(SessionRefusedError):
        answer([blocking] * 40, blocking)


def test_what_a_robot_says_of_itself_becomes_its_demand() -> None:
    said = demand_of(asked(execute_horizon=4, round_trip_ms=12.0), SERVED, weight=2.0)
    assert said == RobotDemand(
        rate_hz=20.0,
        horizon=10,
        buffer_s=0.2,
        execute_horizon=4,
        round_trip_s=0.01,
        weight=2.0,
        max_action_age_s=3.0,
    )
    assert demand_of(asked(max_action_age_s=0.0), SERVED).max_action_age_s == math.inf
    slow = msgspec.structs.replace(SERVED, decode_per_s=20.0)
    assert demand_of(asked(), slow).processor_s == processor_time_s(20.0)
    assert [demand_of(asked(observe_steps=n), SERVED).observe_steps for n in (-1, 2, 10**9)] == [0, 2, 10]


def test_as_many_robots_are_admitted_if_they_ask_sooner_only_while_there_is_room() -> None:
    automatic = replace(ARM, observe_steps=2)
    bearable = {
        robot.observe_steps: sum(1 for count in range(40) if _is_admitted([robot] * count, robot))
        for robot in (ARM, automatic)
    }
    assert bearable[2] == bearable[0]


def _is_admitted(robots: list[RobotDemand], asking: RobotDemand) -> bool:
    try:
        answer(robots, asking)
    except SessionRefusedError:
        return False
    return True


def test_robots_of_one_network_are_equal_and_computed_once() -> None:
    said = {demand_of(asked(round_trip_ms=ms / 10), SERVED) for ms in range(1001)}
    assert len(said) == 21
    assert all(
        abs(demand_of(asked(round_trip_ms=ms), SERVED).round_trip_s - ms / 1000) < 0.003 for ms in range(1000)
    )


def test_a_lie_is_bounded() -> None:
    said = demand_of(asked(rate_hz=1e12, round_trip_ms=1e12, execute_horizon=-7), SERVED)
    assert (said.rate_hz, said.round_trip_s, said.execute_horizon) == (80.0, 1.0, 0)
    assert demand_of(asked(execute_horizon=10**9), SERVED).execute_horizon == 10


@given(
    st.builds(Line, st.floats(0.1, 500), st.floats(0, 100)),
    st.builds(
        asked,
        rate_hz=st.floats(0, 1e12, exclude_min=True),
        buffer_time_s=st.floats(0, 1e12),
        max_action_age_s=st.floats(0, 1e12),
        round_trip_ms=st.floats(0, 1e12),
        execute_horizon=st.integers(-(2**63), 2**63 - 1),
    ),
    st.integers(0, 20),
)
def test_whatever_a_robot_says_it_gets_an_answer_within_a_chunk(
    latency: Line, said: OpenMessage, others: int
) -> None:
    asking = demand_of(said, SERVED)
    try:
        admission = answer([ARM] * others, asking, latency)
    except SessionRefusedError:
        assert others
        return
    assert 0 <= admission.execute_horizon <= SERVED.horizon

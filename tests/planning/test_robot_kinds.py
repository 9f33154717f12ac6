from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vagus.errors import ConfigError
from vagus.planning.robot_kinds import RobotKind, asking_after, check_demand, typed_kinds
from vagus.server.capacity import RobotDemand

USUAL = RobotDemand(rate_hz=30, horizon=50, buffer_s=0.5, round_trip_s=0.01, max_action_age_s=3.0)


def test_a_number_alone_is_of_the_usual_robots() -> None:
    assert typed_kinds(["24"], USUAL) == (RobotKind(24, USUAL),)


def test_kinds_say_what_differs() -> None:
    fast, slow = typed_kinds(["30:20hz:20", "6:10Hz:50:buffer=800ms:execute=25:round-trip=0.04s"], USUAL)
    assert fast == RobotKind(
        30, RobotDemand(rate_hz=20, horizon=20, buffer_s=0.5, round_trip_s=0.01, max_action_age_s=3.0)
    )
    assert slow.demand == RobotDemand(
        rate_hz=10, horizon=50, buffer_s=0.8, execute_horizon=25, round_trip_s=0.04, max_action_age_s=3.0
    )


def test_a_kind_asks_as_its_server_has_room() -> None:
    (kind,) = typed_kinds(["6:10hz:50:execute=auto"], USUAL)
    assert (kind.demand.execute_horizon, kind.demand.observe_steps) == (0, 7)
    assert "as the server has room" in str(kind)
    usual = asking_after(USUAL, "auto")
    automatic, counted = typed_kinds(["6:10hz:16", "6:10hz:16:execute=4"], usual)
    assert (automatic.demand.observe_steps, counted.demand.observe_steps) == (2, 0)
    assert counted.demand.execute_horizon == 4
    (patient,) = typed_kinds(["6:10hz:16:execute=None"], usual)
    assert not patient.demand.is_eager


def test_a_kind_that_says_its_pace_has_the_rest_of_the_usual_robots() -> None:
    (kind,) = typed_kinds(["3:12.5hz:40"], USUAL, has_pace=False)
    assert kind.demand == replace(USUAL, rate_hz=12.5, horizon=40)
    (kind,) = typed_kinds(["3:buffer=1s"], USUAL)
    assert (kind.demand.buffer_s, kind.demand.horizon) == (1.0, 50)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("", "COUNT"),
        ("robots", "COUNT"),
        ("0:20hz:20", "COUNT from 1"),
        ("-3:20hz:20", "COUNT from 1"),
        ("99999999:20hz:20", "COUNT from 1"),
        ("30:20:20", "a rate such as 20hz"),
        ("30:hz:20", "a rate such as 20hz"),
        ("30:-20hz:20", "a rate such as 20hz"),
        ("30:nanhz:20", "a rate such as 20hz"),
        ("30:20hz", "COUNT:RATEhz:HORIZON"),
        ("30:20hz:20:0.8s", "COUNT:RATEhz:HORIZON"),
        ("30:buffer=1s:20hz:30", "COUNT:RATEhz:HORIZON"),
        ("30:20hz:1.5", "a number of actions"),
        ("30:0hz:20", "rate_hz: wanted a number above 0"),
        ("30:20hz:0", "horizon: wanted a number above 0"),
        ("30:20hz:20:buffer=0s", "buffer_time_s: wanted a number above 0"),
        ("30:20hz:20:buffer=1", "a time with its unit"),
        ("30:20hz:20:buffer=1min", "a time with its unit"),
        ("30:20hz:20:buffer=1s", "a buffer below the 1 s"),
        ("30:20hz:8", "a buffer below the 0.4 s that a chunk lasts"),
        ("30:20hz:20:execute=21", "execute_horizon: wanted 1 to the horizon"),
        ("30:20hz:20:execute=x", "a number of actions"),
        ("30:20hz:20:round-trip=61s", "round_trip_ms: wanted 0 to 60000 ms"),
        ("30:20hz:20:speed=3", "one of buffer=, execute=, round-trip="),
        ("30:20hz:20:buffer=0.2s:buffer=0.3s", "buffer= once"),
    ],
)
def test_a_kind_that_no_robot_is_of_is_refused(entry: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r": wanted .*, got ") as refusal:
        typed_kinds([entry], USUAL)
    assert told in str(refusal.value)


def test_a_number_alone_needs_to_know_which_robots() -> None:
    with pytest.raises(ConfigError, match="a rate and a horizon for each kind"):
        typed_kinds(["24"], USUAL, has_pace=False)


def test_a_fleet_has_an_end() -> None:
    with pytest.raises(ConfigError, match="at most 10000 in all, got 12000"):
        typed_kinds(["6000", "6000:20hz:50"], USUAL)


@pytest.mark.parametrize("rate_hz", [math.nan, math.inf, 1e9])
def test_a_rate_is_a_number_that_a_robot_has(rate_hz: float) -> None:
    with pytest.raises(ConfigError, match="rate_hz"):
        check_demand(RobotDemand(rate_hz=rate_hz, horizon=50, buffer_s=0.1))


def test_a_chunk_ends_at_the_age_bound() -> None:
    with pytest.raises(ConfigError, match="below the 3 s that a chunk lasts"):
        check_demand(RobotDemand(rate_hz=10, horizon=50, buffer_s=3.5, max_action_age_s=3.0))

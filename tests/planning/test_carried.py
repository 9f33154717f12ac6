from __future__ import annotations

import math

import msgspec
import pytest

from vagus.edge.config import AUTO
from vagus.planning.carried import carried_lines
from vagus.planning.planner import Limit, capacity_of
from vagus.planning.robot_kinds import RobotKind, asking_after
from vagus.planning.served_device import device_of, usual_demand
from vagus.planning.trial import simulated
from vagus.server.capabilities import unloaded
from vagus.server.config import ServeConfig
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.wire.schema import Capabilities, LatencyRow, Load

KEY = ServerKey(ServiceKey("m", "main", "default"), "s")


def said(table: dict[int, float], **changes: object) -> Capabilities:
    rows = tuple(LatencyRow(batch_size=size, p50_ms=ms, max_ms=ms) for size, ms in table.items())
    ready = msgspec.structs.replace(
        unloaded(ServeConfig(), KEY),
        horizon=50,
        rate_hz=30.0,
        latency=rows,
        load=Load(max_sessions=64),
        decode_per_s=2000.0,
    )
    return msgspec.structs.replace(ready, **changes)


L40S = {1: 73.0, 2: 109.8, 3: 142.4, 4: 177.5, 5: 211.1}


def first(capabilities: Capabilities) -> str:
    return carried_lines(capabilities)[0]


def test_the_line_says_how_many_robots_and_what_limits_them() -> None:
    line, terms = carried_lines(said(L40S))
    assert line == "carries about 27 robots, limited by the device; up to 64 may connect"
    assert "at most 1% of the steps without an action, buffer 0.5 s, round trip 10 ms" in terms


def test_a_policy_faster_than_the_clock_carries_no_more_than_may_connect() -> None:
    assert first(said({1: 0.0, 2: 0.0})) == "carries all 64 robots that may connect"
    many = said({1: 0.0}, load=Load(max_sessions=90_000), decode_per_s=1e6)
    assert first(many) == "carries 128 robots and more; up to 10000 may connect"


def test_slow_decoding_is_the_limit_of_a_fast_policy() -> None:
    line = first(said({1: 2.0}, decode_per_s=20.0))
    assert line == "carries about 16 robots, limited by decoding on its processor; up to 64 may connect"


def test_a_policy_that_is_too_slow_for_one_robot_says_so() -> None:
    line = first(said({1: 900.0}, horizon=10))
    assert line.startswith("too slow for even one robot: it would have no action in ")
    assert "max_sessions" not in line


def test_a_policy_for_one_robot_is_fast_enough_or_not() -> None:
    assert first(said({1: 73.0}, serving_mode="exclusive")) == "fast enough for its one robot"
    assert "too slow" in first(said({1: 2900.0}, serving_mode="exclusive"))


def test_robots_whose_buffer_is_a_chunk_ask_without_a_pause_and_this_is_said() -> None:
    _, terms = carried_lines(said(L40S, horizon=15))
    assert "buffer 0.5 s, so they ask without a pause" in terms


@pytest.mark.parametrize("change", [{"latency": ()}, {"horizon": 0}, {"rate_hz": 0.0}])
def test_what_was_not_measured_is_not_told(change: dict[str, object]) -> None:
    assert carried_lines(said(L40S, **change)) == []


def test_the_device_of_a_server_is_what_it_says() -> None:
    device = device_of(said({1: 20.0, 2: 19.0, 3: 30.0}))
    assert (device.max_batch, device.max_robots) == (3, 64)
    assert device.ms(2) >= device.ms(1)
    assert device_of(said(L40S, serving_mode="exclusive")).max_robots == 1


def test_the_processor_is_never_planned_to_its_end() -> None:
    assert 0.4 * 2000 < device_of(said(L40S)).requests_per_s < 0.75 * 2000
    assert device_of(said(L40S, decode_per_s=1e9)).requests_per_s < 3000
    assert device_of(said(L40S, decode_per_s=0.0)).requests_per_s == math.inf


@pytest.mark.parametrize(
    ("table", "decode_per_s", "robots", "limited_by"),
    [({1: 2.0}, 20.0, 16, "decoding"), (L40S, 2000.0, 27, "device"), (L40S, 0.0, 27, "device")],
)
def test_as_many_robots_are_carried_whether_they_ask_by_their_buffer_or_as_there_is_room(
    table: dict[int, float], decode_per_s: float, robots: int, limited_by: str
) -> None:
    capabilities = said(table, decode_per_s=decode_per_s)
    usual = usual_demand(capabilities)
    assert usual is not None
    for execute_horizon in (None, AUTO):
        mix = [RobotKind(1, asking_after(usual, execute_horizon))]
        found = capacity_of(device_of(capabilities), mix, Limit(0.01, simulated))
        assert (found.robots, found.limited_by) == (robots, limited_by)


def test_a_usual_robot_has_the_rate_of_the_policy_and_its_own_defaults() -> None:
    demand = usual_demand(said(L40S))
    assert demand is not None
    assert (demand.rate_hz, demand.horizon, demand.buffer_s, demand.max_action_age_s) == (30.0, 50, 0.5, 3.0)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from vagus.planning.knobs import Knob, knobs_of
from vagus.planning.planner import Device, Limit, Trial
from vagus.planning.robot_kinds import RobotKind
from vagus.server.capacity import RobotDemand

DEMAND = RobotDemand(rate_hz=10, horizon=20, buffer_s=0.4, round_trip_s=0.02)
DEVICE = Device({1: 100.0, 2: 110.0, 4: 120.0}, max_batch=2)


def engine(device: Device, kinds: Sequence[RobotKind]) -> Trial:
    """Robots are carried while rows of full batches keep up with their requests; a round trip costs, too."""
    (kind,) = kinds
    one = kind.demand
    asked_steps = one.execute_horizon or one.horizon
    per_s = kind.count / (asked_steps / one.rate_hz - one.buffer_s / 2 - one.round_trip_s)
    most = 1000 * device.max_batch / device.ms(device.max_batch)
    return Trial(kind.count, 0.0 if per_s <= most else 0.5, 0.5, 1.0, per_s)


def found(demand: RobotDemand = DEMAND, device: Device = DEVICE) -> list[Knob]:
    return knobs_of(device, [RobotKind(1, demand)], Limit(0.01, engine))


def test_each_setting_is_varied_alone_and_the_one_that_buys_most_is_first() -> None:
    knobs = found()
    assert [knob.robots for knob in knobs] == sorted((knob.robots for knob in knobs), reverse=True)
    assert {(knob.name, knob.before, knob.after) for knob in knobs} == {
        ("device", "as it is", "twice as fast"),
        ("largest batch", "2", "1"),
        ("largest batch", "2", "4"),
        ("buffer", "0.4 s", "0.2 s"),
        ("buffer", "0.4 s", "0.8 s"),
        ("execute horizon", "None", "10"),
        ("round trip", "20 ms", "10 ms"),
    }
    by_name = {(knob.name, knob.after): knob.robots for knob in knobs}
    assert by_name["device", "twice as fast"] == 64
    assert by_name["largest batch", "4"] == 59
    assert by_name["largest batch", "1"] == 17
    assert by_name["buffer", "0.2 s"] > by_name["buffer", "0.8 s"]
    assert by_name["execute horizon", "10"] < by_name["round trip", "10 ms"]


def test_what_cannot_be_is_not_tried() -> None:
    knobs = found(replace(DEMAND, buffer_s=1.2, round_trip_s=0.0), replace(DEVICE, max_batch=4))
    names = [(knob.name, knob.after) for knob in knobs]
    assert ("buffer", "2.4 s") not in names  # a chunk lasts two seconds
    assert ("largest batch", "4") not in names
    assert "round trip" not in dict(names)


def test_an_execute_horizon_is_tried_without() -> None:
    (knob,) = [one for one in found(replace(DEMAND, execute_horizon=5)) if one.name == "execute horizon"]
    assert (knob.before, knob.after) == ("5", "None")


def test_two_kinds_are_named_together() -> None:
    def one_kind(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        robots = sum(kind.count for kind in kinds)
        return Trial(robots, 0.0 if robots <= 3 else 0.5, 0.5, 1.0, 1.0)

    mix = [RobotKind(2, DEMAND), RobotKind(1, replace(DEMAND, buffer_s=0.3))]
    knobs = knobs_of(DEVICE, mix, Limit(0.01, one_kind))
    assert {knob.before for knob in knobs if knob.name == "buffer"} == {"0.4 s and 0.3 s"}
    assert {knob.robots for knob in knobs} == {3}


@pytest.mark.parametrize("robots", [0, 2])
def test_a_knob_says_a_number_even_if_nothing_helps(robots: int) -> None:
    def stubborn(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        count = sum(kind.count for kind in kinds)
        return Trial(count, 0.0 if count <= robots else 1.0, 1.0, 1.0, 1.0)

    assert {knob.robots for knob in knobs_of(DEVICE, [RobotKind(1, DEMAND)], Limit(0.01, stubborn))} == {
        robots
    }

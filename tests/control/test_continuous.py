"""Angles without ends: the short way round, whatever turn a plan or a measurement is written in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.rig import Rig
from vagus.control.config import LoopConfig
from vagus.control.gate import Gate
from vagus.control.limits import Limiter
from vagus.control.loop_stats import EndReason
from vagus.control.motion import Motion
from vagus.specs import ActionFeature, ActionKind, Limits
from vagus.types import ActionArray, Command, Directive, LinkState, MotionState, Provenance

TICK_S = 0.01
TICKS = 10
GO = np.zeros(1, dtype=np.bool_)
LIMITS = Limits(velocity=1.5, acceleration=6.0)
YAW = ActionFeature("yaw", "rad", feedback="yaw", limits=LIMITS, continuous=True)
PAN = replace(YAW, unit="deg", limits=Limits(velocity=90.0, acceleration=400.0))


def wrap(angle: float) -> float:
    return (angle + math.pi) % math.tau - math.pi


def ways(angles: list[float]) -> ActionArray:
    """Return the way of each tick, the short way round."""
    return np.array([wrap(way) for way in np.diff(angles)], dtype=np.float64)


WRITTEN: dict[str, Callable[[float], float]] = {
    "wrapped": wrap,
    "from 0 to 2π": lambda angle: angle % math.tau,
    "unwrapped": lambda angle: angle,
    "many turns off": lambda angle: angle + 40.0 * math.tau,
}
"""How a plan or a measurement may write an angle."""


class Turner:
    """Plays a plan on a base that goes where it is sent at once."""

    def __init__(self, start: float, feature: ActionFeature = YAW) -> None:
        self.motion = Motion((feature,), ("yaw",), tick_s=TICK_S)
        self.gate = Gate((feature,), tick_s=TICK_S)
        self.angle = start
        self.sent: list[float] = []

    def tick(self, directive: Directive, measured: float) -> Command:
        command = self.motion.advance(directive, np.array([measured], dtype=np.float32))
        if command.action is not None:
            self.gate.check(command.action, command.begins_at)
            self.angle = float(command.action[0])
            self.sent.append(self.angle)
        return command

    def play(self, knots: list[float], measured: str, *, reseed: bool = False) -> None:
        for place, knot in enumerate(knots):
            after = np.array([knots[place + 1]]) if place + 1 < len(knots) else None
            for tick in range(TICKS):
                directive = Directive(
                    MotionState.PLAYING,
                    PROVENANCE,
                    knot=np.array([knot], dtype=np.float64),
                    next_knot=after,
                    begin=tick / TICKS,
                    end=(tick + 1) / TICKS,
                    step_s=TICKS * TICK_S,
                    reseed=reseed and place == tick == 0,
                )
                self.tick(directive, WRITTEN[measured](self.angle))

    def idle(self, state: MotionState, measured: float, ticks: int = 1) -> None:
        for _ in range(ticks):
            self.tick(Directive(state, PROVENANCE, step_s=TICKS * TICK_S), measured)


PROVENANCE = Provenance(None, None, 0, None, None, None, LinkState.STREAMING, MotionState.PLAYING)


@pytest.mark.parametrize("planned", WRITTEN)
@pytest.mark.parametrize("measured", WRITTEN)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_turn_through_the_seam_never_turns_back(planned: str, measured: str, side: float) -> None:
    start = side * 2.6
    turner = Turner(start)
    turner.play([WRITTEN[planned](start + side * 0.05 * step) for step in range(1, 41)], measured)
    turned: ActionArray = side * ways([start, *turner.sent])
    assert (turned >= -1e-6).all()
    assert float(np.max(turned)) <= 1.5 * TICK_S * (1 + 1e-6)
    assert turned.sum() == pytest.approx(2.0, abs=0.02)  # it brakes a little late
    assert all(-math.pi < angle <= math.pi for angle in turner.sent)


def test_degrees_turn_by_360() -> None:
    turner = Turner(170.0, PAN)
    turner.play([175.0, -179.0, -170.0, -160.0], "unwrapped")
    assert np.abs(np.diff(turner.sent)).max() > 350.0
    assert np.mod(np.diff(turner.sent), 360.0).sum() == pytest.approx(30.0, abs=5.0)
    assert turner.sent[-1] == pytest.approx(-160.0, abs=5.0)


def test_a_plan_within_the_limits_is_commanded_as_it_is() -> None:
    limiter = Limiter((YAW,), tick_s=TICK_S)
    limiter.seed(np.array([3.0]))
    plan = [3.0 + 0.00025 * tick * tick for tick in range(20)]
    for angle in plan:
        command = float(limiter.step(np.array([angle]), is_braking=GO)[0])
        assert command == (angle if angle <= math.pi else pytest.approx(angle - math.tau, abs=1e-12))
        assert limiter.limited == frozenset()


def test_what_it_is_off_its_target_is_the_short_way() -> None:
    limiter = Limiter((YAW,), tick_s=TICK_S, max_limited_s=0.05)
    limiter.seed(np.array([math.pi - 0.05]))
    for tick in range(300):  # a little ahead all the time, and on the other side of the seam
        limiter.step(np.array([wrap(math.pi - 0.02 + 0.005 * tick)]), is_braking=GO)
        assert limiter.limited_too_long is None


def test_without_a_plan_it_holds_across_the_seam_without_a_turn() -> None:
    turner = Turner(3.1)
    turner.play([3.12, 3.14, -3.13], "wrapped")
    before = turner.angle
    turner.idle(MotionState.FALLBACK, 3.14, ticks=200)  # measured on the other side
    assert np.abs(ways([before, *turner.sent[-200:]])).sum() < 0.1
    assert turner.angle == pytest.approx(float(np.float32(3.14)))
    assert not turner.tick(Directive(MotionState.FALLBACK, PROVENANCE, step_s=0.1), 3.14).is_moving


def test_after_a_pause_it_goes_on_from_where_it_was_put_the_short_way() -> None:
    turner = Turner(3.0)
    turner.play([3.05, 3.1], "wrapped")
    turner.idle(MotionState.PAUSED, -3.1)
    turner.angle = -3.1
    turner.play([-3.1, 3.1, 3.1, 3.1], "many turns off", reseed=True)
    assert np.abs(ways([-3.1, *turner.sent[20:]])).sum() < 0.15
    assert turner.angle == pytest.approx(3.1, abs=0.03)


def test_how_far_two_angles_are_apart_is_the_short_way() -> None:
    wrist = [ActionFeature(f"w{at}", "rad", rotation="w:rotvec") for at in range(3)]
    motion = Motion((YAW, *wrist), ("yaw",), tick_s=TICK_S)
    left, right = np.array([3.1, 3.1, 0.0, 0.0]), np.array([-3.1, -3.1, 0.0, 0.0])
    apart = math.tau - 6.2
    assert motion.gap(left, right) == pytest.approx([apart] * 4)
    unknown = np.array([np.nan, np.nan, 0.0, 0.0])
    assert np.isnan(motion.gap(left, unknown)).tolist() == [True, True, False, False]
    assert motion.gap(left, np.array([0.0, 100.0, 0.0, 0.0]))[1] == math.inf
    half = motion.between(left, right, 0.5)
    assert np.abs(half) == pytest.approx([math.pi, math.pi, 0.0, 0.0])


@settings(max_examples=150, deadline=None)
@given(
    st.floats(-10.0, 10.0),
    st.lists(st.tuples(st.floats(-4000.0, 4000.0), st.integers(1, 20)), min_size=1, max_size=8),
    st.sampled_from([YAW, replace(YAW, limits=replace(LIMITS, jerk=80.0)), replace(YAW, limits=Limits())]),
)
def test_whatever_turn_the_targets_are_in_the_limits_hold_and_the_way_is_the_short_one(
    start: float, targets: list[tuple[float, int]], feature: ActionFeature
) -> None:
    limiter = Limiter((feature,), tick_s=TICK_S)
    limiter.seed(np.array([start]))
    last, speed = start, 0.0
    for target, repeat in targets:
        for _ in range(repeat):
            angle = float(limiter.step(np.array([target]), is_braking=GO)[0])
            assert -math.pi < angle <= math.pi
            way = wrap(angle - last) / TICK_S
            if feature.limits.velocity is None:
                assert math.cos(angle - target) == pytest.approx(1.0)
            else:
                assert abs(way) <= 1.5 * (1 + 1e-6)
                assert abs(way - speed) <= 6.0 * TICK_S * (1 + 1e-6) + 1e-9
            last, speed = angle, way


@settings(max_examples=60, deadline=None)
@given(st.floats(-math.pi, math.pi), st.floats(-math.pi, math.pi), st.integers(-5, 5))
def test_a_standing_target_is_reached_by_the_shorter_way(start: float, goal: float, turns: int) -> None:
    limiter = Limiter((YAW,), tick_s=TICK_S)
    limiter.seed(np.array([start]))
    target = np.array([goal + turns * math.tau])
    angles = [start, *(float(limiter.step(target, is_braking=GO)[0]) for _ in range(400))]
    way = abs(wrap(goal - start))
    assert np.abs(ways(angles)).sum() == pytest.approx(way, abs=1e-6)
    assert math.cos(angles[-1] - goal) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [ActionKind.VELOCITY, ActionKind.DELTA])
def test_other_kinds_are_left_alone(kind: ActionKind) -> None:
    limiter = Limiter([ActionFeature("spin", "rad/s", kind)], tick_s=TICK_S)
    limiter.seed(np.zeros(1))
    assert limiter.step(np.array([7.0]), is_braking=GO).tolist() == [7.0]


def test_the_plan_is_kept_over_a_pause_across_the_seam() -> None:
    rig = Rig(config=LoopConfig(duration_s=1.0, keep_plan_within=0.05), continuous=True)
    rig.robot.joints = np.array([3.0, -3.0])

    def push() -> None:
        rig.robot.joints = rig.robot.joints - np.sign(rig.robot.joints) * math.tau  # the same place
        rig.loop.resume()

    rig.at(40, rig.loop.pause)
    rig.at(45, push)
    merged: list[int] = []
    rig.at(44, lambda: merged.append(rig.engine.counters["merged"]))
    rig.at(49, lambda: merged.append(rig.engine.counters["merged"]))
    rig.at(47, lambda: commands.append(len(rig.robot.commands)))
    commands: list[int] = []
    assert rig.loop.run().reason is EndReason.FINISHED
    assert merged[0] == merged[1]
    assert commands[0] >= 40  # it went on at once, without a new chunk


def test_the_way_back_is_the_short_one() -> None:
    rig = Rig(
        config=LoopConfig(duration_s=1.5, return_to_start=True, return_time_s=1.0), continuous=True, pace=0.02
    )
    rig.robot.joints = np.array([3.0, -3.1])
    rig.loop.run()
    path = np.array([[3.0, -3.1], *rig.robot.commands])
    assert path[:, 0].min() < 0.0  # it had crossed
    for joint, start in ((0, 3.0), (1, -3.1)):
        assert np.abs(ways(path[:, joint].tolist())).max() <= 2.0 * 0.01 * (1 + 1e-6)
        assert wrap(path[-1, joint] - start) == pytest.approx(0.0, abs=1e-2)
        assert np.abs(ways(path[:, joint].tolist())).sum() < 3.0

"""The audit counts every violation that was sent, and none that was not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from demo.rig import TICK_NS, Stand
from vagus.control.limits import Limiter
from vagus.control.motion import Motion
from vagus.demo.arm import (
    ACCELERATION_RAD_S2,
    ACTIONS,
    HOME,
    LOWER,
    STATE,
    UPPER,
    VELOCITY_RAD_S,
    Floats,
)
from vagus.demo.audit import Audit, CommandAudit
from vagus.types import Directive, LinkState, MotionState, Provenance

TICK_S = TICK_NS * 1e-9
AT_REST = (HOME, np.zeros(6))


def judge(commands: Sequence[Floats], times_ns: Sequence[int] | None = None) -> Audit:
    """Return what an audit says of commands to an arm that rests at HOME."""
    audit = CommandAudit(ACTIONS, TICK_S)
    for tick, command in enumerate(commands):
        now_ns = tick * TICK_NS if times_ns is None else times_ns[tick]
        audit.admit(command, now_ns, is_stopped=False, measured=AT_REST)
    return audit.report()


def legal_path(generator: np.random.Generator, ticks: int, *, aim_s: float = 0.5) -> list[Floats]:
    """Return what a limiter lets pass of targets that jump anywhere, beyond the bounds too."""
    limiter = Limiter(ACTIONS, tick_s=TICK_S)
    limiter.seed(HOME)
    no_brake = np.zeros(6, dtype=np.bool_)
    path: list[Floats] = []
    for tick in range(ticks):
        if tick % max(round(aim_s / TICK_S), 1) == 0:
            target = generator.uniform(LOWER - 0.5, UPPER + 0.5)
        path.append(limiter.step(target, is_braking=no_brake))
    return path


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.1, 0.5, 2.0]))
def test_what_a_limiter_lets_pass_is_no_violation(seed: int, aim_s: float) -> None:
    said = judge(legal_path(np.random.default_rng(seed), 400, aim_s=aim_s))
    assert (said.violations, said.examples) == (0, ())
    assert said.commands == 400
    assert 0.0 < said.worst_acceleration <= 1.0 + 1e-6


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
@example(9)
@example(10)
def test_a_loop_that_is_often_late_is_not_taken_for_one_that_starts_afresh(seed: int) -> None:
    generator = np.random.default_rng(seed)
    limiter = Limiter(ACTIONS, tick_s=TICK_S)
    limiter.seed(HOME)
    audit = CommandAudit(ACTIONS, TICK_S)
    no_brake = np.zeros(6, dtype=np.bool_)
    now_ns, goal, trailing = 0, HOME, HOME
    for _ in range(1500):
        now_ns += TICK_NS if generator.random() > 0.03 else round(generator.uniform(1.6, 6.0) * TICK_NS)
        if generator.random() < 0.02:
            goal = np.clip(goal + generator.normal(0.0, 0.4, 6), LOWER, UPPER)
        action = limiter.step(goal, is_braking=no_brake)
        audit.admit(action, now_ns, is_stopped=False, measured=(trailing, (action - trailing) / (3 * TICK_S)))
        trailing = trailing + (action - trailing) / 3.5  # a servo trails its setpoint
    assert audit.report().examples == ()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 95), st.integers(0, 5), st.floats(1.05, 20.0))
def test_a_step_too_far_is_a_velocity_violation_in_any_legal_sequence(
    seed: int, at: int, joint: int, excess: float
) -> None:
    path = legal_path(np.random.default_rng(seed), 100)
    side = 1.0 if path[at - 1][joint] < (LOWER + UPPER)[joint] / 2 else -1.0
    path[at] = path[at].copy()
    path[at][joint] = path[at - 1][joint] + side * excess * VELOCITY_RAD_S * TICK_S
    assert judge(path).velocity >= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 95), st.integers(0, 5), st.floats(1.05, 5.0))
def test_too_sudden_a_change_is_an_acceleration_violation(
    seed: int, at: int, joint: int, excess: float
) -> None:
    path = legal_path(np.random.default_rng(seed), 100)
    velocity = path[at - 1][joint] - path[at - 2][joint]
    side = -1.0 if velocity > 0 else 1.0  # towards zero, so that the velocity stays in bounds
    path[at] = path[at].copy()
    path[at][joint] = path[at - 1][joint] + velocity + side * excess * ACCELERATION_RAD_S2 * TICK_S**2
    assert judge(path).acceleration >= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), st.floats(1e-4, 3.0), st.booleans())
def test_a_place_beyond_a_bound_is_a_position_violation(joint: int, beyond: float, is_low: bool) -> None:
    place = HOME.copy()
    place[joint] = LOWER[joint] - beyond if is_low else UPPER[joint] + beyond
    said = judge([HOME, place])
    assert said.position == 1
    assert "position" in said.examples[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_a_random_sequence_is_full_of_violations(seed: int) -> None:
    generator = np.random.default_rng(seed)
    said = judge([generator.uniform(LOWER, UPPER) for _ in range(50)])
    assert said.velocity >= 45
    assert said.worst_velocity > 10.0
    assert len([example for example in said.examples if "velocity" in example]) == 3


def test_a_command_that_comes_late_may_not_go_further() -> None:
    limiter = Limiter(ACTIONS, tick_s=TICK_S)
    limiter.seed(HOME)
    far, no_brake = HOME + 1.0, np.zeros(6, dtype=np.bool_)
    path = [limiter.step(far, is_braking=no_brake) for _ in range(40)]
    times = [tick * TICK_NS for tick in range(40)]
    step = path[-1] - path[-2]
    assert judge([*path, path[-1] + step], [*times, 43 * TICK_NS]).violations == 0
    assert judge([*path, path[-1] + 3 * step], [*times, 43 * TICK_NS]).limit_violations >= 1


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (np.full(6, np.nan), "non_finite"),
        (np.array([0, 0, 0, 0, 0, np.inf]), "non_finite"),
        (np.zeros(5), "wrong_width"),
        (np.zeros((1, 6)), "wrong_width"),
        (np.float64(1.0), "wrong_width"),
    ],
)
def test_what_no_robot_can_follow_is_refused_and_counted(command: Floats, name: str) -> None:
    audit = CommandAudit(ACTIONS, TICK_S)
    assert audit.admit(HOME, 0, is_stopped=False, measured=AT_REST)
    assert not audit.admit(np.asarray(command), TICK_NS, is_stopped=False, measured=AT_REST)
    assert audit.admit(HOME, 2 * TICK_NS, is_stopped=False, measured=AT_REST)
    said = audit.report()
    assert getattr(said, name) == 1
    assert (said.violations, said.limit_violations, said.commands) == (1, 0, 3)


def test_every_command_after_the_stop_is_counted() -> None:
    audit = CommandAudit(ACTIONS, TICK_S)
    for tick in range(4):
        audit.admit(HOME, tick * TICK_NS, is_stopped=tick >= 2, measured=AT_REST)
    assert (audit.report().after_stop, audit.report().violations) == (2, 2)


def test_jerk_is_counted_but_is_no_violation() -> None:
    push = 0.9 * ACCELERATION_RAD_S2 * TICK_S**2
    steps = np.cumsum([0.0, 0.0, push, 0.0, push, 0.0])
    path = [HOME + place for place in np.cumsum(steps)]
    said = judge(path)
    assert said.jerk >= 1
    assert said.violations == 0


# timing


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.0, 0.95), min_size=20, max_size=60))
def test_late_commands_of_a_loop_that_keeps_its_beat_are_no_burst(lateness: list[float]) -> None:
    """A loop skips a tick that would follow a late one by less than a quarter of a period."""
    times: list[int] = []
    for tick, late in enumerate(lateness):
        if times and tick * TICK_NS < times[-1] + TICK_NS // 4:
            continue
        times.append(round((tick + late) * TICK_NS))
    assert judge([HOME] * len(times), times).burst == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 20), st.floats(0.0, 0.25))
def test_catching_up_after_a_stall_is_a_burst(missed: int, gap_ticks: float) -> None:
    times = [tick * TICK_NS for tick in range(20)]
    resumed = times[-1] + (missed + 1) * TICK_NS
    times += [resumed + round(i * gap_ticks * TICK_NS) for i in range(missed)]
    assert judge([HOME] * len(times), times).burst >= 1


def test_a_beat_that_is_too_fast_is_a_burst() -> None:
    times = [round(tick * 0.8 * TICK_NS) for tick in range(40)]
    assert judge([HOME] * 40, times).burst > 10


# with an arm that moves


def directive(motion: MotionState, knot: Floats | None, *, reseed: bool = False) -> Directive:
    said = Provenance(1, 1, 0, 1, 1, 1, LinkState.STREAMING, motion)
    return Directive(motion, said, knot=knot, step_s=TICK_S, reseed=reseed)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=5),
)
def test_after_a_pause_in_which_the_arm_is_pushed_there_is_no_violation(
    seed: int, rounds: list[tuple[int, int, int]]
) -> None:
    generator = np.random.default_rng(seed)
    stand = Stand()
    robot = stand.robot
    motion = Motion(ACTIONS, [feature.name for feature in STATE], tick_s=TICK_S)

    def tick(directive: Directive) -> None:
        command = motion.advance(directive, robot.read_state())
        stand.clock.now += int(generator.integers(0, TICK_NS // 3))  # between reading and commanding
        if command.action is not None:
            robot.command(command.action)
        stand.clock.now = (stand.clock.now // TICK_NS + 1) * TICK_NS

    for played, paused, waited in rounds:
        goal = generator.uniform(LOWER, UPPER)
        for _ in range(played):
            tick(directive(MotionState.PLAYING, goal))
        for _ in range(paused):
            tick(directive(MotionState.PAUSED, None))
        if paused:
            robot.push(generator.normal(0.0, 0.3, 6))
        for wait in range(waited):
            which = MotionState.WAITING if paused else MotionState.FALLBACK
            tick(directive(which, None, reseed=bool(paused) and wait == 0))
    said = robot.report().audit
    assert (said.violations, said.examples) == (0, ())


def test_a_jump_after_a_pause_is_counted() -> None:
    stand = Stand()
    stand.robot.command(HOME)
    stand.clock.pass_s(1.0)
    stand.robot.push(np.full(6, 0.4))
    stand.robot.command(HOME + 0.1)  # neither where it was sent before nor where it stands
    assert stand.robot.report().audit.limit_violations >= 1

"""Directives become commands: plan, fallback by kind, nothing while paused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.control.fallback import FallbackMode, Fallbacks
from vagus.control.motion import Motion
from vagus.errors import PolicyError, SpecError, StateError
from vagus.specs import ActionFeature, ActionKind, Limits
from vagus.types import Command, Directive, FloatArray, LinkState, MotionState, Provenance

TICK_S = 0.01
STEP_S = 0.04
LIMITS = Limits(-2.0, 2.0, velocity=2.0, acceleration=20.0)
ARM = ActionFeature("arm", "rad", feedback="arm", limits=LIMITS)
BLIND = ActionFeature("blind", "rad", limits=LIMITS)
BASE = ActionFeature("base", "m/s", ActionKind.VELOCITY, limits=Limits(-1.0, 1.0, acceleration=2.0))
NUDGE = ActionFeature("nudge", "m", ActionKind.DELTA, limits=Limits(-0.5, 0.5))
TORQUE = ActionFeature("torque", "N", ActionKind.EFFORT, safe=0.25)
GRIPPER = ActionFeature("gripper", "", ActionKind.BINARY)
ALL = (ARM, BASE, NUDGE, TORQUE, GRIPPER)


def provenance(motion: MotionState) -> Provenance:
    is_plan = motion is MotionState.PLAYING
    return Provenance(
        1 if is_plan else None,
        2 if is_plan else None,
        0,
        3 if is_plan else None,
        4 if is_plan else None,
        5 if is_plan else None,
        LinkState.STREAMING,
        motion,
    )


def state(arm: float = 0.0) -> FloatArray:
    return np.array([9.0, arm], dtype=np.float32)


def motion_of(*actions: ActionFeature, fallbacks: Fallbacks | None = None, seconds: float = 5.0) -> Motion:
    return Motion(actions, ("other", "arm"), tick_s=TICK_S, fallbacks=fallbacks, max_limited_s=seconds)


def play(motion: Motion, *knot: float, arm: float = 0.0, ticks: int = 4, reseed: bool = False) -> Command:
    """Play one step to `knot` and return its last command."""
    target = np.array(knot)
    for tick in range(ticks):
        directive = Directive(
            MotionState.PLAYING,
            provenance(MotionState.PLAYING),
            knot=target,
            begin=tick / ticks,
            end=(tick + 1) / ticks,
            step_s=STEP_S,
            reseed=reseed and tick == 0,
        )
        command = motion.advance(directive, state(arm))
    return command


def idle(motion: Motion, which: MotionState, arm: float = 0.0, reseed: bool = False) -> Command:
    return motion.advance(Directive(which, provenance(which), step_s=STEP_S, reseed=reseed), state(arm))


def fall_back(motion: Motion, arm: float = 0.0) -> Command:
    return idle(motion, MotionState.FALLBACK, arm)


def values(command: Command) -> list[float]:
    assert command.action is not None
    return [float(value) for value in command.action]


def test_a_plan_reaches_its_knots_and_says_where_it_comes_from() -> None:
    motion = motion_of(*ALL)
    command = play(motion, 0.01, 0.02, 0.4, 1.5, 1.0)
    assert values(command) == pytest.approx([0.01, 0.02, 0.1, 1.5, 1.0])
    assert command.provenance == provenance(MotionState.PLAYING)
    assert command.limited == frozenset()
    assert not command.is_moving
    assert motion.position.tolist() == values(command)


def test_a_plan_starts_from_the_measured_pose() -> None:
    motion = motion_of(ARM)
    first = play(motion, 0.5, arm=0.5, ticks=1)
    assert values(first) == [0.5]
    assert first.limited == frozenset()


def test_before_the_first_plan_a_position_robot_gets_no_command() -> None:
    assert idle(motion_of(ARM), MotionState.WAITING, arm=0.3).action is None


def test_before_the_first_plan_a_velocity_robot_gets_zeros_and_holds_what_is_measured() -> None:
    motion = motion_of(BASE, ARM, TORQUE, NUDGE)
    for _ in range(3):
        assert values(idle(motion, MotionState.WAITING, arm=0.5)) == [0.0, 0.5, 0.25, 0.0]


def test_before_the_first_plan_nothing_is_commanded_while_a_position_is_unknown() -> None:
    assert idle(motion_of(BASE, BLIND), MotionState.WAITING).action is None
    known = replace(GRIPPER, safe=1.0)
    assert values(idle(motion_of(BASE, known), MotionState.WAITING)) == [0.0, 1.0]


def test_without_a_plan_a_position_decelerates_and_then_holds_the_pose_measured_at_its_stand() -> None:
    motion = motion_of(ARM)
    for knot in (0.02, 0.06, 0.12, 0.18):
        play(motion, knot)
    path = [motion.position[0]]
    while fall_back(motion, arm=0.1).is_moving:
        path.append(motion.position[0])
    speed = np.diff(path) / TICK_S
    assert np.abs(np.diff(speed)).max() / TICK_S <= 20.0 * (1 + 1e-9)
    assert max(path) > 0.18
    assert motion.position[0] == pytest.approx(float(np.float32(0.1)))


def test_the_held_pose_does_not_follow_a_drifting_measurement() -> None:
    motion = motion_of(ARM)
    play(motion, 0.0)
    fall_back(motion, arm=0.05)
    for tick in range(100):
        fall_back(motion, arm=0.05 - 0.001 * tick)
    assert motion.position[0] == pytest.approx(0.05)
    assert not fall_back(motion, arm=-1.0).is_moving


@pytest.mark.parametrize(
    ("action", "fallbacks"),
    [(BLIND, Fallbacks()), (ARM, Fallbacks(position=FallbackMode.REPEAT_LAST))],
)
def test_a_position_that_is_not_measured_or_told_so_holds_the_last_command(
    action: ActionFeature, fallbacks: Fallbacks
) -> None:
    motion = motion_of(action, fallbacks=fallbacks)
    play(motion, 0.0)
    for _ in range(20):
        command = fall_back(motion, arm=0.7)
    assert values(command) == [0.0]


def test_a_pose_measured_outside_the_bounds_is_held_at_the_bound() -> None:
    motion = motion_of(ARM, seconds=0.5)
    play(motion, 1.99, arm=1.99)
    for _ in range(200):
        fall_back(motion, arm=3.0)
    assert motion.position[0] == 2.0
    assert motion.stop_reason is None


def test_without_a_plan_every_kind_does_its_own_thing() -> None:
    motion = motion_of(*ALL)
    for _ in range(20):
        play(motion, 0.0, 0.4, 0.1, 1.5, 1.0)
    first = values(fall_back(motion))
    assert first[1] == pytest.approx(0.38)
    assert first[2:] == [0.0, 0.25, 1.0]
    for _ in range(30):
        last = fall_back(motion)
    assert values(last) == [0.0, 0.0, 0.0, 0.25, 1.0]
    assert not last.is_moving


def test_an_effort_may_be_told_to_fall_to_zero() -> None:
    motion = motion_of(TORQUE, fallbacks=Fallbacks(effort=FallbackMode.ZERO))
    play(motion, 1.0)
    assert values(fall_back(motion)) == [0.0]


@pytest.mark.parametrize("idle_state", [MotionState.PAUSED, MotionState.STOPPED])
def test_nothing_is_commanded_to_positions_while_paused_or_stopped(idle_state: MotionState) -> None:
    motion = motion_of(ARM, GRIPPER)
    play(motion, 0.1, 1.0)
    assert motion.is_driven
    assert idle(motion, idle_state).action is None
    assert not motion.is_driven


def test_what_drives_on_by_itself_is_brought_to_rest_in_a_pause_before_commands_end() -> None:
    motion = motion_of(*ALL)
    for _ in range(10):
        play(motion, 0.1, 0.5, 0.1, 1.0, 1.0)
    path = [motion.position.tolist()]
    while (command := idle(motion, MotionState.PAUSED)).action is not None:
        path.append(values(command))
        assert command.provenance.motion is MotionState.PAUSED
        assert not motion.is_at_rest or path[-1][1:4] == pytest.approx([0.0, 0.0, 0.25])
    assert path[-1][1:4] == pytest.approx([0.0, 0.0, 0.25])
    assert path[-1][4] == 1.0
    slowing = np.diff([row[1] for row in path])
    assert np.abs(slowing).max() <= 2.0 * TICK_S * (1 + 1e-9)
    assert idle(motion, MotionState.PAUSED).action is None


def test_what_was_never_driven_is_not_commanded_in_a_pause() -> None:
    assert idle(motion_of(*ALL), MotionState.PAUSED).action is None


KEEPERS = st.sampled_from([BASE, NUDGE, TORQUE, replace(BASE, limits=Limits(-1.0, 1.0)), ARM, GRIPPER])


@given(st.lists(KEEPERS, min_size=1, max_size=5), st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_pause_leaves_a_robot_driving(features: list[ActionFeature], plan: list[float]) -> None:
    actions = tuple(replace(f, name=f"{f.name}{place}", feedback=None) for place, f in enumerate(features))
    motion = motion_of(*actions, fallbacks=Fallbacks(effort=FallbackMode.ZERO))
    for knot in plan:
        sent = values(play(motion, *[knot] * len(actions)))
    for _ in range(1000):
        command = idle(motion, MotionState.PAUSED)
        if command.action is None:
            break
        sent = values(command)
    assert command.action is None
    last = dict(zip([feature.kind for feature in actions], sent, strict=True))
    for kind in (ActionKind.VELOCITY, ActionKind.DELTA, ActionKind.EFFORT):
        assert abs(last.get(kind, 0.0)) <= 1e-9


def test_after_a_pause_in_which_the_joints_were_moved_there_is_no_jump() -> None:
    motion = motion_of(ARM)
    play(motion, 0.5, arm=0.5)
    idle(motion, MotionState.PAUSED, arm=-1.0)
    assert idle(motion, MotionState.WAITING, arm=-1.0, reseed=True).action is None
    path = [values(play(motion, 0.5, arm=-1.0, ticks=1))[0] for _ in range(10)]
    speed = np.diff([-1.0, -1.0, *path]) / TICK_S
    assert np.abs(np.diff(speed)).max() / TICK_S <= 20.0 * (1 + 1e-6)


def test_a_reset_while_driving_decelerates_instead_of_leaving_the_robot_at_speed() -> None:
    motion = motion_of(ARM)
    for knot in (0.02, 0.06, 0.12):
        play(motion, knot)
    before = motion.position[0]
    command = idle(motion, MotionState.WAITING, arm=0.1)
    assert command.is_moving
    assert values(command)[0] > before


def test_a_plan_after_a_fallback_goes_on_from_the_last_command() -> None:
    motion = motion_of(ARM)
    play(motion, 0.0)
    for _ in range(10):
        fall_back(motion, arm=0.001)
    held = motion.position[0]
    command = play(motion, held + 0.004, arm=0.3, ticks=4)
    assert values(command)[0] == pytest.approx(held + 0.004)
    assert command.limited == frozenset()


def test_reseed_starts_afresh_from_the_measured_pose() -> None:
    motion = motion_of(ARM)
    play(motion, 0.5, arm=0.5)
    assert values(play(motion, 0.9, arm=0.9, ticks=1, reseed=True)) == pytest.approx([0.9])


def test_limited_for_too_long_is_a_reason_to_stop() -> None:
    motion = motion_of(ARM, seconds=0.1)
    for _ in range(11):
        assert motion.stop_reason is None
        play(motion, 50.0, ticks=1)
    assert motion.stop_reason == "arm was limited for longer than allowed"
    assert motion.limited_counts["position"] == 11


def test_a_knot_that_is_not_finite_raises() -> None:
    motion = motion_of(ARM)
    with pytest.raises(PolicyError):
        play(motion, float("nan"))


def test_to_play_without_a_knot_is_illegal() -> None:
    with pytest.raises(StateError):
        idle(motion_of(ARM), MotionState.PLAYING)


def test_go_moves_positions_within_limits_and_rests_the_others() -> None:
    motion = motion_of(*ALL)
    play(motion, 0.0, 0.02, 0.1, 1.0, 1.0)
    where = provenance(MotionState.FALLBACK)
    for _ in range(100):
        command = motion.go(np.array([0.3, np.nan, np.nan, np.nan, np.nan]), where)
    assert values(command) == [0.3, 0.0, 0.0, 0.25, 1.0]
    assert values(motion.go(np.full(5, np.nan), where)) == [0.3, 0.0, 0.0, 0.25, 1.0]


def test_measured_is_nan_where_nothing_measures() -> None:
    measured = motion_of(ARM, BLIND).measured(state(0.5))
    assert measured[0] == 0.5
    assert np.isnan(measured[1])


def test_a_robot_without_any_state_can_be_moved() -> None:
    motion = Motion((BLIND,), (), tick_s=TICK_S)
    directive = Directive(
        MotionState.PLAYING, provenance(MotionState.PLAYING), knot=np.array([0.5]), step_s=STEP_S
    )
    assert values(motion.advance(directive, np.zeros(0, dtype=np.float32))) == [0.5]


phases = st.sampled_from([MotionState.PLAYING, MotionState.FALLBACK, MotionState.WAITING, MotionState.PAUSED])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(phases, st.integers(1, 15), st.floats(-3.0, 3.0)), max_size=12))
def test_limits_hold_through_any_sequence_of_plan_fallback_and_pause(
    ports: list[tuple[MotionState, int, float]],
) -> None:
    motion = motion_of(ARM)
    arm = 0.0
    last: list[float] = []  # commands since the last start from a measurement
    for which, ticks, goal in ports:
        for _ in range(ticks):
            if which is MotionState.PLAYING:
                command = play(motion, goal, arm=arm, ticks=1)
            else:
                command = idle(motion, which, arm=arm)
            if command.action is None:
                last = []
                continue
            last = last or [arm, arm]
            last.append(values(command)[0])
            arm = float(np.float32(last[-1]))
            speed = np.diff(last[-3:]) / TICK_S
            assert abs(last[-1]) <= 2.0
            assert np.abs(speed).max() <= 2.0 * (1 + 1e-9)
            assert np.abs(np.diff(speed)).max() / TICK_S <= 20.0 * (1 + 1e-9) + 1e-9


def test_after_a_pause_the_joints_may_still_move_until_the_first_command() -> None:
    motion = motion_of(ARM)
    play(motion, 0.05)
    idle(motion, MotionState.PAUSED)
    assert idle(motion, MotionState.WAITING, arm=0.5, reseed=True).action is None
    assert idle(motion, MotionState.WAITING, arm=0.9).action is None
    assert values(play(motion, 0.9, arm=0.9)) == pytest.approx([0.9], abs=1e-6)


def test_a_robot_that_was_put_elsewhere_gets_no_command_before_a_new_plan() -> None:
    motion = motion_of(ARM)
    play(motion, 0.05)
    assert idle(motion, MotionState.FALLBACK, arm=0.7, reseed=True).action is None
    assert fall_back(motion, arm=0.7).action is None
    assert values(play(motion, 0.7, arm=0.7)) == pytest.approx([0.7], abs=1e-6)


def test_what_nothing_measures_begins_at_its_first_knot_and_not_at_a_made_up_place() -> None:
    motion = motion_of(ARM, BLIND)
    first = play(motion, 0.5, -1.5, arm=0.5, ticks=1)
    assert values(first) == [0.5, -1.5]
    motion = motion_of(ARM, BLIND)
    path = [values(play(motion, 0.5, -1.5, arm=0.5, ticks=4))]
    path += [values(play(motion, 0.5, 1.5, arm=0.5, ticks=1)) for _ in range(5)]
    assert path[0] == [0.5, -1.5]
    blind = np.diff([row[1] for row in path]) / TICK_S
    assert np.abs(blind).max() <= 2.0 * (1 + 1e-9)
    assert np.abs(np.diff([0.0, *blind])).max() <= 20.0 * TICK_S * (1 + 1e-6)


def test_every_tick_of_the_first_step_stays_at_the_first_knot_of_what_nothing_measures() -> None:
    motion = motion_of(BLIND)
    for tick in range(4):
        directive = Directive(
            MotionState.PLAYING,
            provenance(MotionState.PLAYING),
            knot=np.array([-1.5]),
            next_knot=np.array([-1.4]),
            begin=tick / 4,
            end=(tick + 1) / 4,
            step_s=STEP_S,
        )
        command = motion.advance(directive, state())
        assert values(command) == [-1.5]
        assert (command.begins_at is not None) == (tick == 0)
    assert play(motion, -1.4, ticks=1).begins_at is None


def test_an_orientation_that_nothing_measures_begins_at_its_first_knot() -> None:
    wrist = [ActionFeature(f"w{at}", "", rotation="w:quat_xyzw") for at in range(4)]
    motion = motion_of(*wrist)
    assert values(play(motion, 0.0, 0.6, 0.0, 0.8, ticks=4)) == pytest.approx([0.0, 0.6, 0.0, 0.8])


def test_what_nothing_measures_goes_on_from_its_last_command_after_a_pause() -> None:
    motion = motion_of(ARM, BLIND)
    play(motion, 0.5, 1.0, arm=0.5)
    idle(motion, MotionState.PAUSED, arm=0.2)
    assert idle(motion, MotionState.WAITING, arm=0.2, reseed=True).action is None
    command = play(motion, 0.2, -1.0, arm=0.2, ticks=1)
    assert values(command)[1] == pytest.approx(1.0 - 20.0 * TICK_S**2)
    assert command.begins_at is not None
    assert np.isnan(command.begins_at).tolist() == [False, True]


MIXED = st.lists(st.sampled_from([ARM, BLIND]), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(MIXED, st.lists(st.tuples(phases, st.integers(1, 8), st.floats(-3.0, 3.0)), max_size=10), st.data())
def test_after_its_first_command_nothing_jumps_whether_it_is_measured_or_not(
    features: list[ActionFeature], ports: list[tuple[MotionState, int, float]], data: st.DataObject
) -> None:
    actions = [replace(feature, name=f"{feature.name}{at}") for at, feature in enumerate(features)]
    motion = motion_of(*actions)
    last = np.full(len(actions), np.nan)
    for which, ticks, _ in ports:
        knot = data.draw(st.lists(st.floats(-3.0, 3.0), min_size=len(actions), max_size=len(actions)))
        for _ in range(ticks):
            is_plan = which is MotionState.PLAYING
            command = play(motion, *knot, ticks=1) if is_plan else idle(motion, which)
            if command.action is None:
                continue
            start = last if command.begins_at is None else np.where(np.isnan(command.begins_at), last, 0.0)
            assert not (np.abs(command.action - start) > 2.0 * TICK_S * (1 + 1e-9)).any()
            assert np.abs(command.action).max() <= 2.0
            last = command.action


def test_a_fallback_of_an_action_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match="elbow"):
        motion_of(ARM, fallbacks=Fallbacks(features={"elbow": FallbackMode.HOLD}))


def test_limited_for_longer_than_five_seconds_is_too_long_unless_said_otherwise() -> None:
    motion = Motion((ARM,), ("other", "arm"), tick_s=TICK_S)
    for _ in range(500):
        play(motion, 50.0, ticks=1)
    assert motion.stop_reason is None
    longest = motion.limited_longest
    assert longest is not None
    assert (longest.name, longest.ticks) == ("arm", 500)
    play(motion, 50.0, ticks=1)
    assert motion.stop_reason is not None


def doubted(motion: Motion, which: MotionState, arm: float = 0.0) -> Command:
    """Advance by a tick in which the state is not to be trusted."""
    knot = np.array([arm]) if which is MotionState.PLAYING else None
    directive = Directive(which, provenance(which), knot=knot, end=1.0, step_s=STEP_S)
    return motion.advance(directive, state(arm), is_trusted=False)


def test_nothing_starts_from_a_state_that_is_not_trusted() -> None:
    motion = motion_of(ARM)
    assert doubted(motion, MotionState.PLAYING, arm=1.9).action is None
    assert not motion.is_driven
    assert np.isnan(motion.position).all()
    assert values(play(motion, 0.5, arm=0.5, ticks=1)) == [0.5]


def test_once_it_is_driven_a_plan_goes_on_and_a_hold_waits_for_a_state_to_trust() -> None:
    motion = motion_of(ARM)
    play(motion, 0.5, arm=0.5)
    assert values(doubted(motion, MotionState.PLAYING, arm=0.5)) == [0.5]
    for _ in range(5):
        waiting = doubted(motion, MotionState.FALLBACK, arm=0.6)
        assert values(waiting) == [0.5]
        assert waiting.is_moving
    fall_back(motion, arm=0.501)
    assert values(fall_back(motion, arm=0.501)) == pytest.approx([0.501])


def test_each_fallback_holds_the_pose_of_its_own_stand() -> None:
    motion = motion_of(ARM)
    for pose in (0.0, 0.02, -0.01):
        for knot in np.linspace(motion.position[0] if motion.is_driven else 0.0, pose, 10):
            play(motion, knot)
        for _ in range(20):
            command = fall_back(motion, arm=pose + 0.001)
        assert values(command) == pytest.approx([pose + 0.001])


def test_a_pose_held_before_a_pause_is_not_gone_back_to() -> None:
    motion = motion_of(BASE, ARM)
    play(motion, 0.0, 0.1, arm=0.1)
    for _ in range(5):
        fall_back(motion, arm=0.1)
    idle(motion, MotionState.PAUSED, arm=0.5)
    for at in range(5):
        command = idle(motion, MotionState.WAITING, arm=0.5, reseed=at == 0)
        assert values(command) == [0.0, 0.5]
    assert motion.is_driven


def test_a_plan_after_a_fallback_is_as_smooth_as_one_from_a_start() -> None:
    motion, fresh = motion_of(ARM), motion_of(ARM)
    play(motion, 0.0)
    for _ in range(50):
        fall_back(motion, arm=0.25)
    paths: list[list[float]] = []
    for one in (motion, fresh):
        paths.append([])
        for step in range(3):
            for tick in range(4):
                directive = Directive(
                    MotionState.PLAYING,
                    provenance(MotionState.PLAYING),
                    knot=np.array([0.25 + 0.004 * (step + 1)]),
                    next_knot=np.array([0.25 + 0.004 * (step + 2)]),
                    begin=tick / 4,
                    end=(tick + 1) / 4,
                    step_s=STEP_S,
                )
                paths[-1] += values(one.advance(directive, state(0.25)))
    assert paths[0] == pytest.approx(paths[1], abs=1e-12)
    assert np.all(np.diff([0.25, *paths[0]]) > 0.0)


def test_a_single_action_that_moves_in_a_fallback_is_a_motion() -> None:
    motion = motion_of(BLIND, ARM)
    play(motion, 0.0, 0.0)
    assert fall_back(motion, arm=0.3).is_moving
    assert fall_back(motion, arm=0.3).is_moving
    for _ in range(100):
        command = fall_back(motion, arm=0.3)
    assert not command.is_moving


def test_each_tick_gets_its_share_of_what_a_delta_may_be_in_a_step() -> None:
    motion = motion_of(NUDGE)
    assert values(play(motion, 2.0, ticks=1)) == [0.125]
    step = [values(fall_back(motion))[0] for _ in range(4)]
    assert step == [0.0] * 4
    whole = Directive(MotionState.PLAYING, provenance(MotionState.PLAYING), knot=np.array([2.0]), end=1.0)
    assert values(motion.advance(replace(whole, step_s=0.0), state())) == [0.5]


def test_after_a_way_without_a_plan_a_plan_goes_on_from_where_that_led() -> None:
    fast = ActionFeature("arm", "rad", feedback="arm", limits=Limits(-2.0, 2.0, velocity=1000.0))
    motion = motion_of(fast)
    play(motion, 0.0)
    motion.go(np.array([0.4]), provenance(MotionState.FALLBACK))
    target = play(motion, 1.0, ticks=1)
    assert target.action is not None
    motion.go(np.array([0.4]), provenance(MotionState.FALLBACK))
    first = motion.advance(
        Directive(
            MotionState.PLAYING,
            provenance(MotionState.PLAYING),
            knot=np.array([1.0]),
            begin=0.0,
            end=0.25,
            step_s=STEP_S,
        ),
        state(),
    )
    assert first.action is not None
    assert 0.4 <= first.action[0] < 0.7


def test_between_two_actions_an_angle_goes_the_short_way() -> None:
    yaw = ActionFeature("arm", "rad", feedback="arm", limits=Limits(velocity=2.0), continuous=True)
    motion = motion_of(yaw, ARM)
    middle = motion.between(np.array([3.0, 0.0]), np.array([-3.0, 1.0]), 0.5)
    assert np.cos(middle[0]) == pytest.approx(-1.0)
    assert middle[1] == 0.5


def test_what_nothing_measures_does_not_look_at_the_state() -> None:
    motion = Motion([ARM, NUDGE], ("arm",), tick_s=TICK_S)
    measured = motion.measured(np.array([0.5], dtype=np.float32))
    assert measured[0] == 0.5
    assert np.isnan(measured[1])


def test_a_motion_says_how_long_a_limit_may_last() -> None:
    """Whoever warns of it beforehand asks the motion that ends the run for it."""
    assert motion_of(ARM, seconds=2.5).max_limited_s == 2.5


BACK = Fallbacks(position=FallbackMode.RETURN_TO_START)


def back_and_forth() -> tuple[Motion, list[Command]]:
    """Return a motion whose way back takes 0.5 s, and the commands of its first fallback."""
    other = replace(ARM, name="other", feedback="other")
    motion = Motion((ARM, other), ("other", "arm"), tick_s=TICK_S, fallbacks=BACK, return_time_s=0.5)
    reading = np.array([0.1, -0.2], dtype=np.float32)  # other, arm
    for tick in range(80):
        knot = np.array([-0.2 + min(tick, 40) * 0.01, 0.1])
        directive = Directive(
            MotionState.PLAYING, provenance(MotionState.PLAYING), knot, begin=0.0, end=1.0, step_s=TICK_S
        )
        command = motion.advance(directive, reading)
        assert command.action is not None
        reading = command.action[::-1].astype(np.float32)
    return motion, fall(motion, reading)


def fall(motion: Motion, reading: FloatArray, *, ticks: int = 200) -> list[Command]:
    commands = []
    for _ in range(ticks):
        fallback = Directive(MotionState.FALLBACK, provenance(MotionState.FALLBACK), step_s=STEP_S)
        command = motion.advance(fallback, reading)
        assert command.action is not None
        reading = command.action[::-1].astype(np.float32)
        commands.append(command)
    return commands


def test_a_way_back_without_a_plan_ends_where_the_run_began() -> None:
    motion, commands = back_and_forth()
    path = np.array([values(command) for command in commands])
    assert path[0, 0] > 0.19
    assert path[-1] == pytest.approx([-0.2, 0.1], abs=1e-6)
    ticks = int((np.abs(np.diff(path[:, 0])) > 1e-9).sum())
    assert 0.4 / TICK_S <= ticks <= 0.8 / TICK_S
    moving = [command.is_moving for command in commands]
    assert moving == sorted(moving, reverse=True)  # and a reply from before counts only once it stands
    assert moving[10]
    assert not moving[-1]
    assert motion.is_driven


def test_a_plan_breaks_a_way_back_off_and_the_next_begins_anew() -> None:
    motion, _ = back_and_forth()
    at = motion.position.copy()
    target = at + 0.3
    for _ in range(100):
        knot = np.minimum(motion.position + 0.01, target)
        motion.advance(
            Directive(
                MotionState.PLAYING, provenance(MotionState.PLAYING), knot, begin=0.0, end=1.0, step_s=TICK_S
            ),
            at[::-1].astype(np.float32),
        )
    assert motion.position == pytest.approx(target)
    again = fall(motion, motion.position[::-1].astype(np.float32))
    assert values(again[-1]) == pytest.approx([-0.2, 0.1], abs=1e-6)
    assert np.abs(np.array(values(again[0])) - target).max() < 0.01


def test_of_a_robot_with_one_way_back_the_others_hold() -> None:
    other = replace(ARM, name="other", feedback="other")
    motion = Motion(
        (ARM, other),
        ("other", "arm"),
        tick_s=TICK_S,
        fallbacks=Fallbacks(features={"arm": FallbackMode.RETURN_TO_START}),
        return_time_s=0.2,
    )
    for step in range(50):
        knot = np.full(2, 0.01 * step)
        motion.advance(
            Directive(
                MotionState.PLAYING, provenance(MotionState.PLAYING), knot, begin=0.0, end=1.0, step_s=TICK_S
            ),
            state(),
        )
    commands = fall(motion, motion.position[::-1].astype(np.float32), ticks=400)
    assert values(commands[-1])[0] == pytest.approx(0.0, abs=1e-6)
    assert values(commands[-1])[1] > 0.4


@pytest.mark.parametrize(
    "limits",
    [
        Limits(-2.0, 2.0, velocity=0.1),
        Limits(-2.0, 2.0, velocity=2.0, acceleration=0.05),
        Limits(-2.0, 2.0, velocity=2.0, acceleration=20.0, jerk=0.02),
    ],
)
def test_a_way_back_that_the_limits_make_longer_is_not_one_that_is_limited_for_long(limits: Limits) -> None:
    slow = replace(ARM, limits=limits)
    motion = Motion(
        (slow,), ("other", "arm"), tick_s=TICK_S, fallbacks=BACK, max_limited_s=0.5, return_time_s=0.1
    )
    play(motion, 0.0)
    motion._limiter.seed(np.array([1.0]))
    for _ in range(round(40.0 / TICK_S)):
        at = values(fall_back(motion, motion.position[0]))[0]
        assert motion.stop_reason is None
    assert at == pytest.approx(0.0, abs=1e-6)


def test_a_way_back_to_a_start_outside_the_bounds_ends_at_the_bound() -> None:
    motion = Motion(
        (ARM,), ("other", "arm"), tick_s=TICK_S, fallbacks=BACK, max_limited_s=0.5, return_time_s=0.1
    )
    play(motion, 2.0, arm=2.5)
    for step in range(100):
        play(motion, 2.0 - 0.01 * step)
    for _ in range(400):
        command = fall_back(motion, motion.position[0])
        assert motion.stop_reason is None
    assert values(command) == [2.0]


def test_after_a_pause_nobody_goes_back_before_a_plan_has_come() -> None:
    """A velocity is commanded at once; the position beside it stays where somebody has put it."""
    motion = Motion((ARM, BASE), ("other", "arm"), tick_s=TICK_S, fallbacks=BACK, return_time_s=0.1)
    play(motion, 0.0, 0.0)
    idle(motion, MotionState.PAUSED)
    idle(motion, MotionState.WAITING, arm=0.7, reseed=True)
    for _ in range(50):
        command = idle(motion, MotionState.WAITING, arm=0.7)
    assert values(command) == pytest.approx([0.7, 0.0])


def test_a_robot_that_was_never_driven_has_no_way_to_go_back() -> None:
    motion = motion_of(ARM)
    assert not motion.begin_return(1.0)
    with pytest.raises(StateError, match="begin_return"):
        motion.go_back(provenance(MotionState.FALLBACK))
    assert not motion.is_back
    play(motion, 0.0)
    assert motion.begin_return(1.0)
    motion.release()
    assert not motion.is_driven
    assert not motion.begin_return(1.0)


def test_the_way_back_after_a_run_is_commanded_tick_by_tick_until_its_end() -> None:
    motion, _ = back_and_forth()
    play(motion, *(motion.position + 0.01), ticks=1)
    assert motion.begin_return(0.05)
    where = provenance(MotionState.FALLBACK)
    for _ in range(5):
        assert motion.is_back is False
        assert motion.go_back(where).action is not None
    assert motion.is_back is True


@pytest.mark.parametrize("seconds", [None, 2.0])
def test_a_way_back_takes_four_seconds_unless_it_is_told_otherwise(seconds: float | None) -> None:
    told = {} if seconds is None else {"return_time_s": seconds}
    motion = Motion((ARM,), ("other", "arm"), tick_s=TICK_S, fallbacks=BACK, **told)
    reading = state(0.0)
    for tick in range(60):
        knot = np.array([min(tick, 30) * 0.01])
        directive = Directive(
            MotionState.PLAYING, provenance(MotionState.PLAYING), knot, begin=0.0, end=1.0, step_s=TICK_S
        )
        command = motion.advance(directive, reading)
        reading = state(values(command)[0])
    moving = 0
    for _ in range(800):
        command = fall_back(motion, arm=float(motion.position[0]))
        moving += command.is_moving
    assert values(command) == pytest.approx([0.0], abs=1e-6)
    assert moving * TICK_S == pytest.approx(seconds or 4.0, rel=0.2)


def test_after_a_pause_nothing_is_commanded_from_a_state_that_is_not_trusted() -> None:
    motion = motion_of(ARM, TORQUE)  # an effort is commanded without a plan, too
    play(motion, 0.3, 0.25, arm=0.3)
    while idle(motion, MotionState.PAUSED, arm=0.3).action is not None:
        pass
    fallback = Directive(MotionState.FALLBACK, provenance(MotionState.FALLBACK), step_s=STEP_S)
    assert motion.advance(fallback, state(1.0), is_trusted=False).action is None
    first = motion.advance(fallback, state(0.5))
    assert values(first) == [0.5, 0.25]
    assert first.begins_at is not None
    assert first.begins_at.tolist() == [0.5, 0.25]


HELD = ActionFeature("arm", "rad", feedback="arm", limits=Limits(velocity=2.0), is_held=True)
AVERAGED = replace(ARM, averaged_ticks=4)


def test_what_is_held_stays_where_it_was_measured_whatever_is_planned() -> None:
    motion = motion_of(HELD)
    assert values(play(motion, 1.5, arm=0.25)) == [0.25]
    assert motion.limited_counts == {}
    for _ in range(30):
        assert values(fall_back(motion, arm=0.3)) == [0.25]  # sagged: it is not followed down
    assert values(motion.go(np.array([1.0]), provenance(MotionState.FALLBACK))) == [0.25]


def test_what_is_held_is_measured_anew_after_somebody_may_have_moved_it() -> None:
    motion = motion_of(HELD)
    play(motion, 1.5, arm=0.25)
    idle(motion, MotionState.PAUSED, arm=0.9)
    command = play(motion, 1.5, arm=0.9, ticks=1)
    assert command.action == pytest.approx([0.9])
    assert command.begins_at is not None


def test_a_plan_is_averaged_before_it_is_limited() -> None:
    plain, averaged = motion_of(ARM), motion_of(AVERAGED)
    for step in range(1, 12):
        ahead, behind = play(plain, 0.04 * step), play(averaged, 0.04 * step)
    assert ahead.action is not None
    assert behind.action is not None
    assert behind.action[0] == pytest.approx(ahead.action[0] - 0.015, abs=1e-3)  # 1 rad/s, 1.5 ticks


def test_no_mean_reaches_over_a_fallback_or_a_pause() -> None:
    motion = motion_of(AVERAGED)
    for step in range(1, 12):
        play(motion, 0.04 * step)
    for _ in range(60):
        fall_back(motion, arm=0.4)
    here = motion.position[0]
    assert values(play(motion, here, arm=0.4, ticks=1)) == pytest.approx([here])
    idle(motion, MotionState.PAUSED, arm=-0.5)
    assert values(play(motion, -0.5, arm=-0.5, ticks=1)) == pytest.approx([-0.5])

"""The world of `gates`: what its numbers say it is."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.demo.gates_world import (
    DT_S,
    EPISODE_STEPS,
    HALF_GAP_M,
    SEGMENT_STEPS,
    TOP_SPEED_M_S,
    WALLS,
    Course,
    Courses,
    Floats,
    draw_course,
)


def course(*, jump_step: int = SEGMENT_STEPS, jump: float = 0.0, push: float = 0.0) -> Course:
    return Course(
        centres=np.tile([0.6, -0.6], (WALLS, 1)),
        jump_step=np.full(WALLS, jump_step),
        jump=np.full(WALLS, jump),
        push=np.full(EPISODE_STEPS, push),
        start=0.0,
    )


def steer(world: Courses, target: Floats) -> None:
    """Drive every point to its target and stay there."""
    world.advance((target - world.place) / 0.2 / TOP_SPEED_M_S)


def test_a_course_is_drawn_from_its_seed_alone() -> None:
    one, again, other = draw_course(3), draw_course(3), draw_course(4)
    assert all(np.array_equal(getattr(one, name), getattr(again, name)) for name in ("centres", "push"))
    assert not np.array_equal(one.centres, other.centres)


def test_half_of_the_gaps_jump_within_the_stated_steps_and_distances() -> None:
    drawn = [draw_course(seed) for seed in range(500)]
    steps = np.concatenate([one.jump_step for one in drawn])
    jumps = np.abs(np.concatenate([one.jump for one in drawn]))
    centres = np.concatenate([one.centres for one in drawn])
    assert 0.46 < (steps < SEGMENT_STEPS).mean() < 0.54
    assert set(steps[steps < SEGMENT_STEPS]) == set(range(6, 20))
    assert jumps.min() >= 0.15
    assert jumps.max() <= 0.3
    assert ((centres[:, 0] >= 0.5) & (centres[:, 0] <= 0.75)).all()
    assert ((centres[:, 1] <= -0.5) & (centres[:, 1] >= -0.75)).all()


def test_a_point_in_either_gap_passes_and_one_between_them_does_not() -> None:
    world = Courses([course(), course(), course()])
    while not world.is_over:
        steer(world, np.array([0.6, -0.6, 0.0]))
    assert world.passed.tolist() == [[True] * WALLS, [True] * WALLS, [False] * WALLS]


def test_a_gap_is_as_wide_as_it_says() -> None:
    world = Courses([course(), course()])
    while not world.is_over:
        steer(world, np.array([0.6 + 0.9 * HALF_GAP_M, 0.6 + 1.1 * HALF_GAP_M]))
    assert world.passed.all(axis=1).tolist() == [True, False]


def test_both_gaps_jump_when_the_course_says_and_not_before() -> None:
    world = Courses([course(jump_step=10, jump=0.2)])
    seen = []
    for _ in range(SEGMENT_STEPS):
        seen.append(world.gaps()[0].tolist())
        world.advance(np.zeros(1))
    assert seen[:10] == [[0.6, -0.6]] * 10
    assert np.allclose(seen[10:], [0.8, -0.4])


def test_velocity_follows_the_action_with_a_lag_and_actions_beyond_one_are_cut_off() -> None:
    world = Courses([course(), course()])
    world.advance(np.array([1.0, 7.0]))
    assert world.velocity == pytest.approx([0.45 * TOP_SPEED_M_S] * 2)
    assert world.place == pytest.approx([0.45 * TOP_SPEED_M_S * DT_S] * 2)


def test_a_push_moves_the_point_and_the_edge_holds_it() -> None:
    world = Courses([course(push=1.0)])
    while not world.is_over:
        world.advance(np.ones(1))
    assert world.place == pytest.approx([1.3])


def test_what_a_policy_sees() -> None:
    world = Courses([course()])
    for _ in range(SEGMENT_STEPS + 12):
        world.advance(np.full(1, 0.1))
    place, velocity, share, left, right = world.observe()[0]
    assert (place, velocity) == (world.place[0], world.velocity[0])
    assert share == pytest.approx(18 / 30)
    assert (left, right) == (0.6, -0.6)

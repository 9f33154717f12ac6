"""Posts, expert and policy of examples/metaworld_sides, and what its comparison says; no simulator."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sides_course import MAX_STEPS, NEAR_GOAL_M, PACE_CM, Expert, Posts, draw_course
from sides_policy import HORIZON, SidesPolicy, condition
from sides_results import Cell, PlayedEpisode, in_markdown, read_journal

from vagus.cli.run_report import RunSummary
from vagus.demo.gates_net import inputs
from vagus.errors import ConfigError
from vagus.policies.policy import Row
from vagus.types import Observation, Prefix

STATE = np.array([0.0, 0.45, 0.0, 0.1, 0.01, 0.57, 0.02, 0.85], np.float32)


def play(number: int, *, stays_in_the_middle: bool = False) -> tuple[bool, float]:
    """Let the expert move a point without inertia; return whether it came to the goal, and its last side."""
    course, expert = draw_course(number), Expert(np.random.default_rng(number))
    posts, hand, velocity, side = Posts(course), np.array([0.0, 0.4]), np.zeros(2), 0.0
    for step in range(MAX_STEPS):
        seen = np.concatenate([hand, velocity, posts.next, course.goal])
        sideways = 100.0 * (posts.next[0] - hand[0]) if stays_in_the_middle else expert.action(seen)[0]
        hand = hand + (np.array([sideways, PACE_CM]) + course.slip[step]) / 100.0
        if posts.follow(hand):
            return False, side
        if hand[1] < posts.next[1]:
            side = float(np.sign(hand[0] - posts.next[0]))
        if np.linalg.norm(hand - course.goal) < NEAR_GOAL_M:
            return True, side
    return False, side


def test_the_expert_comes_to_the_goal_on_either_side() -> None:
    ends = [play(number) for number in range(100)]
    assert sum(is_success for is_success, _ in ends) >= 95
    assert 30 < sum(side > 0 for _, side in ends) < 70


def test_who_does_not_take_a_side_touches_the_post() -> None:
    assert not any(play(number, stays_in_the_middle=True)[0] for number in range(10))


def test_half_of_the_posts_jump_once_when_the_hand_is_near_and_a_number_is_an_episode() -> None:
    jumps = 0
    for number in range(100):
        course = draw_course(number)
        posts, place = Posts(course), course.posts[0].copy()
        far = np.array([0.5, place[1] - course.jump_ahead[0] - 0.001])
        assert not posts.follow(far)
        assert np.array_equal(posts.next, place)
        for _ in range(2):
            posts.follow(far + np.array([0.0, 0.002]))
        assert posts.next[0] - place[0] == pytest.approx(course.jump[0])
        jumps += course.jump[0] != 0
        assert np.array_equal(draw_course(number).slip, course.slip)
    assert 30 < jumps < 70


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator, width = np.random.default_rng(0), HORIZON
    known = np.zeros((1, width), np.bool_)
    told = condition(STATE[None].astype(np.float64))
    signal = inputs(np.zeros((1, width), np.float32), known, told, np.zeros((1, 1), np.float32))
    parts: dict[str, np.ndarray] = {}
    for at, (a, b) in enumerate(itertools.pairwise((signal.shape[1], 8, 8, 8, width))):
        parts[f"weight_{at}"] = (0.3 * generator.standard_normal((a, b))).astype(np.float32)
        parts[f"bias_{at}"] = np.zeros(b, np.float32)
    path = tmp_path_factory.mktemp("sides") / "weights.npz"
    np.savez(path, allow_pickle=False, **parts)
    return path


def row(seed: int, *, prefix: Prefix | None = None, delay: int = 0) -> Row[object]:
    return Row(None, Observation(STATE, {}, "", 0), 5, prefix, delay, 12, seed)


def plan() -> Prefix:
    actions = np.linspace(-0.5, 0.5, HORIZON, dtype=np.float32)[:, None]
    return Prefix(actions, 2 * actions)


def test_a_chunk_begins_with_what_is_executed_anyway_and_a_row_is_alone_in_its_batch(weights: Path) -> None:
    policy = SidesPolicy(str(weights))
    rows = [row(1), row(2, prefix=plan(), delay=4), row(3, prefix=plan(), delay=0)]
    for one, together in zip(rows, policy.infer(rows), strict=True):
        np.testing.assert_allclose(policy.infer([one])[0].model, together.model, atol=1e-5)
        assert together.step == 5
    continued = policy.infer([rows[1]])[0]
    np.testing.assert_allclose(continued.model[:4], plan().model[:4], atol=1e-6)
    np.testing.assert_allclose(continued.robot, 2 * continued.model)


def test_guidance_pulls_to_the_plan_as_far_as_its_schedule_says(weights: Path) -> None:
    free = SidesPolicy(str(weights)).infer([row(2)])[0].model
    far = {}
    for schedule in ("exp", "zeros"):
        policy = SidesPolicy(str(weights), "guided", schedule)
        pulled = policy.infer([row(2, prefix=plan(), delay=4)])[0].model
        far[schedule] = np.abs(pulled - plan().model).mean(1)
    assert (far["exp"][:4] < 0.5 * np.abs(free - plan().model).mean(1)[:4]).all()
    assert far["exp"][4:8].mean() < 0.8 * far["zeros"][4:8].mean()


def test_its_chunks_are_as_long_as_asked_and_settings_are_checked(weights: Path) -> None:
    assert len(SidesPolicy(str(weights), actions=8).infer([row(1)])[0].model) == 8
    for wrong in ({"continuation": "forced"}, {"rtc_schedule": "steep"}, {"actions": 17}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SidesPolicy(str(weights), **wrong)


def summary(**changes: object) -> RunSummary:
    """Return the summary of a run in which nothing happened but these."""
    empty: dict[type, object] = {str: "", float: 0.0, int: 0}
    plain = {
        field.name: empty.get(field.type, [] if field.name == "refusals" else {})
        for field in msgspec.structs.fields(RunSummary)
    }
    return msgspec.convert(plain | changes, RunSummary)


def cell(way: str, successes: str) -> Cell:
    """Return a cell with an episode per letter: y succeeded, n touched a post."""
    return Cell(
        way,
        200,
        tuple(
            PlayedEpisode(n, letter == "y", letter == "n", 90, missed=0.01, delay_ms=180.0, late=0.25)
            for n, letter in enumerate(successes)
        ),
    )


def test_the_table_pairs_each_way_with_the_baseline_of_its_delay() -> None:
    *_, naive, other = in_markdown([cell("naive", "ynnnynnnyn"), cell("vagus", "yyyyynnnyn")]).splitlines()
    assert naive.startswith("| 200 ms | naive | 3")
    assert "| +30 ± " in other
    assert other.endswith("| 180 ms | 25% | 1.0% |")


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert read_journal(path) == []
    end = '{"episode": 7, "event": "end", "is_success": false, "is_touching": true, "steps": 61}\n'
    path.write_text(end + '{"episode": 8, "ev')
    played = read_journal(path)[0].of_run(
        summary(
            missed=1,
            ticks=99,
            starved_s=0.5,
            latency_ms={"total": 180.0},
            counters={"merged": 20, "delay_underestimated": 5},
        )
    )
    assert played == PlayedEpisode(7, False, True, 61, missed=0.01, starved_s=0.5, delay_ms=180.0, late=0.25)

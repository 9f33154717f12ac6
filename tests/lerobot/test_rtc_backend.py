"""Many robots on one served policy, with real-time chunking, against LeRobot beside each robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import lerobot_checkpoints as tiny
from lerobot_conversations import (
    MAKERS,
    MAX_GUIDANCE,
    ROUNDS,
    SCHEDULE,
    TABLE,
    TOLERANCE,
    Beside,
    Robot,
    assert_same,
)
from vagus.integrations.lerobot.policy.batch import Memory
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.integrations.lerobot.policy.policy import LeRobotPolicy
from vagus.policies.policy import Row
from vagus.types import ActionChunk


@pytest.fixture(scope="module", params=list(MAKERS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    made = tmp_path_factory.mktemp("checkpoint")
    MAKERS[request.param](made)
    return made


def serve(folder: Path) -> LeRobotPolicy:
    with tiny.tiny_gemma():
        return LeRobotPolicy(
            model=str(folder),
            options=LeRobotOptions(allowed_sources=(str(folder.parent),)),
            device="cpu",
            stated=TABLE,
            trained_rate_hz=30.0,
            rtc_schedule=SCHEDULE,
            rtc_max_guidance=MAX_GUIDANCE,
        )


def answers(policy: LeRobotPolicy, rows: list[Row[Memory]]) -> list[ActionChunk]:
    results = policy.infer(rows)
    assert all(isinstance(result, ActionChunk) for result in results), results
    return [result for result in results if isinstance(result, ActionChunk)]


def test_robots_in_mixed_batches_are_answered_as_by_lerobot_beside_each(folder: Path) -> None:
    """Each side continues its own answers, so that differences would add up over the conversation."""
    policy = serve(folder)
    served = [Robot(number) for number in range(4)]
    sessions = [policy.open_session() for _ in served]
    beside = [(Robot(number), Beside(folder)) for number in range(4)]
    for members in (*ROUNDS, [2], [1], [3]):
        asking = [number for number in members if not served[number].is_done]
        rows = [served[number].row(sessions[number]) for number in asking]
        for number, ours in zip(asking, answers(policy, rows), strict=True):
            robot, lerobot = beside[number]
            theirs = lerobot.answer(robot)
            assert_same(ours, theirs)
            served[number].answers.append(ours)
            robot.answers.append(theirs)
    assert all(robot.is_done for robot in served)


def test_a_row_is_answered_in_company_as_alone(folder: Path) -> None:
    policy = serve(folder)
    robots = [Robot(number) for number in range(4)]
    firsts = answers(policy, [robot.row(policy.open_session()) for robot in robots])
    for robot, first in zip(robots, firsts, strict=True):
        robot.answers.append(first)
    rows = [robot.row(policy.open_session()) for robot in robots]
    for row, together in zip(rows, answers(policy, rows), strict=True):
        assert_same(answers(policy, [row])[0], together)


def test_the_plan_is_followed_for_the_length_of_the_delay(folder: Path) -> None:
    """In the robot's units: what the guidance is for."""
    policy = serve(folder)
    robot = Robot(0)
    robot.answers = answers(policy, [robot.row(policy.open_session())])
    row, plan = robot.row(policy.open_session()), robot.prefix()
    assert plan is not None
    guided, free = answers(policy, [row, Row(row.session, row.observation, row.step, None, 0, 0, row.seed)])
    distance = [np.abs(chunk.robot[:3] - plan.robot[:3]).mean() for chunk in (guided, free)]
    assert distance[0] < 0.3 * distance[1]


def test_two_robots_in_one_pipeline_of_lerobots_mix_their_states_and_here_they_do_not(tmp_path: Path) -> None:
    """Relative actions become absolute by a state that the pipeline keeps of whoever came last."""
    tiny.make_pi0(tmp_path, is_relative=True)
    local, robots = Beside(tmp_path), (Robot(0), Robot(1))
    states = [robot.observation().state for robot in robots]
    chunk = torch.zeros(1, tiny.CHUNK, tiny.ACTION_DIM)
    local.prepared(robots[0].observation())
    right = local.after(chunk.clone())[0].numpy()
    local.prepared(robots[1].observation())
    wrong = local.after(chunk.clone())[0].numpy()
    expected = np.tile(states[1] - states[0], (tiny.CHUNK, 1))
    expected[:, tiny.ACTION_NAMES.index("gripper.pos")] = 0.0
    np.testing.assert_allclose(wrong - right, expected, atol=TOLERANCE)
    policy = serve(tmp_path)
    rows = [robot.row(policy.open_session()) for robot in robots]
    before = answers(policy, [rows[0]])[0]
    answers(policy, [rows[1]])
    assert_same(answers(policy, [rows[0]])[0], before)
    for together, row in zip(answers(policy, rows), rows, strict=True):
        assert_same(together, answers(policy, [row])[0])

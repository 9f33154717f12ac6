"""Families that keep observations in the policy object serve one robot, as LeRobot's own queues would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.policies.utils import populate_queues

import lerobot_checkpoints as tiny
from lerobot_backend import (
    SEEN,
    TABLE,
    Local,
    assert_near,
    frame,
    good,
    row,
    save,
    seen,
    served,
    tdmpc_config,
    vqbet_config,
)
from vagus.clock import MonotonicClock
from vagus.integrations.lerobot.policy.policy import LeRobotPolicy
from vagus.policies.declare import SpecTable
from vagus.policies.policy import ServingMode
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.server.warmup import warm_up
from vagus.types import ActionChunk, FloatArray, Observation

SEED = 5
UNITS = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
DIT_TABLE = SpecTable(actions=UNITS, state=UNITS)


def beside(local: Local, observation: Observation) -> tuple[FloatArray, FloatArray]:
    """Return what LeRobot's own queues lead to."""
    batch = local.prepared(observation)
    frames = [batch[f"observation.images.{name}"] for name in observation.images]
    batch["observation.images"] = torch.stack(frames, dim=-4)
    batch.pop("action")
    local.policy._queues = populate_queues(local.policy._queues, batch)
    torch.manual_seed(SEED)
    return local.chunk(batch)


def assert_equal(chunk: ActionChunk, wanted: tuple[FloatArray, FloatArray]) -> None:
    assert_near(chunk.model, wanted[0])
    assert_near(chunk.robot, wanted[1])


def test_vqbet_serves_one_robot_as_lerobots_queues_would(tmp_path: Path) -> None:
    path = save(vqbet_config(), tmp_path)
    policy, local = served(path), Local(path)
    assert policy.serving_mode is ServingMode.EXCLUSIVE
    session = policy.open_session()
    for step in range(4):
        if step == 2:
            policy.begin_episode(session)
            local.policy.reset()
        (chunk,) = good(policy.infer([row(seen(step), session, step=step)]))
        assert_equal(chunk, beside(local, seen(step)))


@pytest.mark.parametrize("objective", ["diffusion", "flow_matching"])
def test_multi_task_dit_serves_one_robot_as_lerobots_queues_would(tmp_path: Path, objective: str) -> None:
    tiny.make_multi_task_dit(tmp_path, objective=objective)
    policy, local = served(tmp_path, stated=DIT_TABLE), Local(tmp_path)
    assert policy.serving_mode is ServingMode.EXCLUSIVE
    assert policy.spec.horizon == 8
    session = policy.open_session()
    answers = []
    for step, instruction in enumerate(["go", "go", "pick the red cube", "go"]):
        if step == 2:
            policy.begin_episode(session)
            local.policy.reset()
        observation = seen(step, instruction=instruction, cameras=tiny.CAMERAS)
        (chunk,) = good(policy.infer([row(observation, session, step=step)]))
        assert_equal(chunk, beside(local, observation))
        answers.append(chunk)
    (other,) = good(policy.infer([row(replace(observation, instruction="stop"), session, step=3)]))
    assert np.abs(other.robot - answers[-1].robot).max() > 1e-4


def test_a_request_that_is_asked_again_is_queued_once(tmp_path: Path) -> None:
    policy = served(save(vqbet_config(), tmp_path))
    answers = []
    for repeats in (1, 3):
        session = policy.open_session()
        policy.begin_episode(session)
        for step in (0, 8, 16):
            for _ in range(repeats):
                (chunk,) = good(policy.infer([row(seen(step), session, step=step)]))
        answers.append(chunk.robot)
    np.testing.assert_array_equal(answers[0], answers[1])


def test_tdmpc_plans_on_within_an_episode_only(tmp_path: Path) -> None:
    inputs = {"observation.state": SEEN["observation.state"]}
    inputs["observation.image"] = SEEN["observation.images.front"]
    policy = served(save(tdmpc_config(inputs), tmp_path))
    session = policy.open_session()
    image = replace(seen(1), images={"image": frame(1)})
    first, second = (good(policy.infer([row(image, session)]))[0] for _ in range(2))
    policy.begin_episode(session)
    (again,) = good(policy.infer([row(image, session)]))
    assert first.robot.shape == (5, 6)
    np.testing.assert_array_equal(again.robot, first.robot)
    assert (second.robot != first.robot).any()


def test_a_session_of_a_policy_with_state_of_its_own_warms_up_in_any_batch(tmp_path: Path) -> None:
    policy: LeRobotPolicy = served(save(vqbet_config(), tmp_path), stated=TABLE)
    model = ServedPolicy.of(policy, ServeConfig(policy="lerobot"))
    assert model.is_exclusive
    profile = warm_up(model, max_batch=2, max_pixels=10**6, runs=1, clock=MonotonicClock())
    assert [entry.batch_size for entry in profile] == [1, 2]

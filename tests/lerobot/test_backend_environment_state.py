"""Policies that look at what a simulator knows: our state holds both of LeRobot's vectors in a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig

from lerobot_backend import (
    JOINTS,
    TABLE,
    Local,
    act_config,
    assert_near,
    diffusion_config,
    good,
    row,
    save,
    served,
)
from vagus.integrations.lerobot.policy.batch import Memory
from vagus.types import Observation

PUCK = ("puck.x", "puck.y", "puck.z")
SEEN = {
    "observation.environment_state": PolicyFeature(FeatureType.ENV, (3,)),
    "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
}
STATED = replace(TABLE, state={**TABLE.state, **dict.fromkeys(PUCK, "m")})


def seen(seed: int) -> Observation:
    state = np.random.default_rng(seed).standard_normal(9).astype(np.float32)
    return Observation(state, {}, "", 0)


def prepared(local: Local, observations: list[Observation]) -> dict[str, torch.Tensor]:
    """Return what LeRobot makes of the observations, each vector under its own key."""
    state = torch.from_numpy(np.stack([observation.state for observation in observations]))
    batch: dict[str, torch.Tensor] = local.before(
        {"observation.state": state[:, :6], "observation.environment_state": state[:, 6:]}
    )
    return batch


def test_act_sees_the_arm_and_the_puck_each_in_its_place(tmp_path: Path) -> None:
    path = save(act_config(input_features=dict(SEEN)), tmp_path / "act")
    policy, local = served(path, stated=STATED), Local(path)
    assert tuple(feature.name for feature in policy.spec.state) == (*JOINTS, *PUCK)
    observations = [seen(n) for n in range(3)]
    chunks = good(policy.infer([row(observation) for observation in observations]))
    for chunk, observation in zip(chunks, observations, strict=True):
        _, wanted = local.chunk(prepared(local, [observation]))
        assert_near(chunk.robot, wanted)
    moved = replace(observations[0], state=observations[0].state + np.eye(9, dtype=np.float32)[8])
    (other,) = good(policy.infer([row(moved)]))
    assert np.abs(other.robot - chunks[0].robot).max() > 1e-3


def test_diffusion_remembers_both(tmp_path: Path) -> None:
    config: PreTrainedConfig = diffusion_config(input_features=dict(SEEN))
    path = save(config, tmp_path / "diffusion")
    policy, local, session = served(path, stated=STATED), Local(path), Memory()
    before, now = seen(1), seen(2)
    for step, observation in enumerate((before, now)):
        (chunk,) = good(policy.infer([row(observation, session, step=step, seed=step)]))
    batch = {key: value[None] for key, value in prepared(local, [before, now]).items() if key in SEEN}
    noise = torch.randn((16, 6), generator=torch.Generator().manual_seed(1))[None]
    _, wanted = local.chunk(batch, noise=noise)
    assert_near(chunk.robot, wanted)

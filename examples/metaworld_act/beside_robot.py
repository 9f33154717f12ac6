"""LeRobot alone: the policy beside the robot, in one process, and the robot waits for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from metaworld_arm import PickPlace
from outcome import Condition, Episode
from rich.progress import track

__all__ = ["beside_robot"]


def beside_robot(checkpoint: Path, numbers: range) -> Condition:
    """Play episodes with LeRobot's `select_action`; time stands still while it computes."""
    policy = ACTPolicy.from_pretrained(checkpoint).eval()
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(checkpoint))
    env = PickPlace()
    episodes = []
    for number in track(numbers, "LeRobot beside the robot"):
        observation, _ = env.reset(seed=number)
        policy.reset()
        steps, is_success, is_late = 0, False, False
        while not is_success and not is_late:
            batch = {
                f"observation.{key}": torch.from_numpy(observation[name].astype(np.float32))
                for key, name in (("state", "agent_pos"), ("environment_state", "environment_state"))
            }
            with torch.inference_mode():
                action = after(policy.select_action(before(batch)))[0].numpy()
            observation, _, is_success, is_late, _ = env.step(np.clip(action, -1.0, 1.0))
            steps += 1
        episodes.append(Episode(number, is_success, steps))
    return Condition("LeRobot beside the robot", tuple(episodes), None)

"""Record the expert's episodes as a LeRobotDataset.

python collect.py --episodes 120
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tyro
from lerobot.datasets import LeRobotDataset
from metaworld_arm import ACTIONS, AGENT, RATE_HZ, WORLD, Expert, PickPlace

NOISE = 0.1
"""Standard deviation of what is added to the commands, not to what is recorded: slips are seen mended."""
AFTERWARDS = 25
"""Steps recorded after the success, so that there is something to say about the end of an episode."""


def collect(out: Path = Path("outputs/dataset"), episodes: int = 120) -> None:
    """Write a data set; an episode that the expert fails is left out.

    Args:
        out: folder of the data set, new.
        episodes: episodes to try.
    """
    dataset = LeRobotDataset.create(
        "local/metaworld_act",
        RATE_HZ,
        {
            "observation.state": _vector(AGENT),
            "observation.environment_state": _vector(WORLD),
            "action": _vector(ACTIONS),
        },
        root=out,
        robot_type="metaworld_arm",
        use_videos=False,
    )
    env, expert = PickPlace(), Expert()
    kept = 0
    for number in range(episodes):
        frames, is_success = _episode(env, expert, number)
        if not is_success:
            continue
        for frame in frames:
            dataset.add_frame(frame)
        dataset.save_episode()
        kept += 1
    dataset.finalize()
    print(f"{kept} of {episodes} episodes in {out}, {dataset.meta.total_frames} frames at {RATE_HZ} Hz")


def _vector(names: tuple[str, ...]) -> dict[str, object]:
    return {"dtype": "float32", "shape": (len(names),), "names": list(names)}


def _episode(env: PickPlace, expert: Expert, number: int) -> tuple[list[dict[str, object]], bool]:
    """Return the frames of one episode, and whether it succeeded."""
    noise = np.random.default_rng(number)
    observation, _ = env.reset(seed=number)
    frames: list[dict[str, object]] = []
    left, is_success, is_truncated = AFTERWARDS, False, False
    while left and not is_truncated:
        action = expert.action(env)
        frames.append(
            {
                "observation.state": observation["agent_pos"].astype(np.float32),
                "observation.environment_state": observation["environment_state"].astype(np.float32),
                "action": action,
                "task": "bring the puck to the goal",
            }
        )
        slip = np.append(NOISE * noise.standard_normal(3), 0.0)
        command = np.clip(action + slip, -1.0, 1.0).astype(np.float32)
        observation, _, is_terminated, is_truncated, _ = env.step(command)
        is_success |= is_terminated
        left -= is_success
    return frames, is_success


if __name__ == "__main__":
    tyro.cli(collect)

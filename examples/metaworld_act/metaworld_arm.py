"""Meta-World's pick-and-place as a Gymnasium environment whose episodes are numbered.

    vagus run --robot gym:metaworld_arm/PickPlace-v3 --options seed 1000 mapping robot.toml

The seed is the number of the first episode; the following ones count up. A number always means the same
places and the same moment at which the goal jumps, so that runs can be compared episode by episode.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
from metaworld.policies import SawyerPickPlaceV3Policy
from numpy.typing import NDArray

__all__ = ["ACTIONS", "AGENT", "ENV_ID", "MAX_STEPS", "RATE_HZ", "WORLD", "Expert", "PickPlace"]

ENV_ID = "metaworld_arm/PickPlace-v3"
RATE_HZ = 80
"""One action is five steps of the simulator of 2.5 ms."""
MAX_STEPS = 120
"""1.5 s; the expert needs 0.7 s."""
JUMP_STEPS = (10, 45)
"""At one of these steps the goal jumps: the hand is on its way to the puck, or has it."""

AGENT = ("hand.x", "hand.y", "hand.z", "gripper.open")
WORLD = ("puck.x", "puck.y", "puck.z", "goal.x", "goal.y", "goal.z")
ACTIONS = ("hand.dx", "hand.dy", "hand.dz", "gripper")

Observation: TypeAlias = "dict[str, NDArray[np.float64]]"

SEEN = 39
"""Numbers in Meta-World's own observation."""
ARM = slice(0, 4)
PUCK = slice(4, 7)
GOAL = slice(36, 39)
REACH_M = 0.07
"""Nearer than this the script presses the gripper."""


class PickPlace(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Grasp the puck and bring it to within 7 cm of a goal in the air; that ends the episode.

    Args:
        journal: file that gets a JSON line at the beginning and at the end of each episode; "": none.
        render_mode: ignored; nothing is drawn.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012 - Gymnasium's own attribute

    def __init__(self, *, journal: str = "", render_mode: str | None = None) -> None:
        del render_mode
        self._env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE["pick-place-v3-goal-observable"](seed=0)
        self._env._freeze_rand_vec = False  # noqa: SLF001 - Meta-World has no other way to vary an episode
        self._env.seeded_rand_vec = True
        self._journal = Path(journal) if journal else None
        self._number = -1
        self._steps = 0
        self._jump_step = 0
        self._next_goal = np.zeros(3)
        self.raw = np.zeros(SEEN)
        box = self._env.observation_space
        self.observation_space = spaces.Dict(  # type: ignore[assignment] # Gymnasium types its own wider
            {
                "agent_pos": spaces.Box(box.low[ARM], box.high[ARM], dtype=np.float64),
                "environment_state": spaces.Box(-np.inf, np.inf, (len(WORLD),), dtype=np.float64),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (len(ACTIONS),), dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Observation, dict[str, object]]:
        """Begin episode number `seed`, or the next one."""
        del options
        self._number = self._number + 1 if seed is None else seed
        self._env.seed(self._number)
        self.raw, _ = self._env.reset()
        draw = np.random.default_rng(self._number)
        self._jump_step = int(draw.integers(*JUMP_STEPS))
        self._next_goal = draw.uniform(self._env.goal_space.low, self._env.goal_space.high)
        self._steps = 0
        self._note({"episode": self._number, "event": "begin"})
        return self._seen(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, object]]:
        """Move the hand by up to a centimetre in each direction, and press or open the gripper."""
        if self._steps == self._jump_step:
            self._env._target_pos = self._next_goal  # noqa: SLF001 - as above
        self.raw, reward, _, _, info = self._env.step(action)
        self._steps += 1
        is_success = bool(info["success"])
        is_late = self._steps >= MAX_STEPS
        if is_success or is_late:
            ended = {"episode": self._number, "event": "end", "is_success": is_success, "steps": self._steps}
            self._note(ended)
        return self._seen(), float(reward), is_success, is_late, {"is_success": is_success}

    def close(self) -> None:
        """Free the simulator."""
        self._env.close()

    def _seen(self) -> Observation:
        return {
            "agent_pos": self.raw[ARM].copy(),
            "environment_state": np.concatenate((self.raw[PUCK], self.raw[GOAL])),
        }

    def _note(self, entry: dict[str, object]) -> None:
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


class Expert:
    """Meta-World's scripted solution of the task, that opens the gripper where the puck is out of reach."""

    def __init__(self) -> None:
        self._policy = SawyerPickPlaceV3Policy()

    def action(self, env: PickPlace) -> NDArray[np.float32]:
        """Return the next action, (4,), inside the action space."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant", category=UserWarning)  # clipped here
            wanted = self._policy.get_action(env.raw)
        if np.linalg.norm(env.raw[:3] - env.raw[PUCK]) >= REACH_M:
            wanted[3] = -1.0
        action: NDArray[np.float32] = np.clip(wanted, -1.0, 1.0).astype(np.float32)
        return action


if ENV_ID not in gymnasium.registry:
    gymnasium.register(id=ENV_ID, entry_point="metaworld_arm:PickPlace")

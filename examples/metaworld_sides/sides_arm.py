"""Meta-World's arm with two posts in its way, as a Gymnasium environment whose episodes are numbered.

    vagus run --robot gym:sides_arm/Sides-v0 --options seed 1000 mapping robot.toml

The seed is the number of the first episode; the following ones count up. A number always means the same
places, jumps and slips, so that runs can be compared episode by episode.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
from numpy.typing import NDArray
from sides_course import AGENT, MAX_STEPS, NEAR_GOAL_M, PACE_CM, TOP_CM, WORLD, Posts, draw_course

__all__ = ["ENV_ID", "RATE_HZ", "Sides"]

ENV_ID = "sides_arm/Sides-v0"
RATE_HZ = 20
"""One action is 20 steps of the simulator of 2.5 ms; Meta-World takes five of them."""
MORE_STEPS = 15
START_M = (0.0, 0.4, 0.2)
GRIP = -1.0
"""The gripper stays open."""

Observation: TypeAlias = "dict[str, NDArray[np.float64]]"


class Sides(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Bring the hand to the goal behind two posts, and touch neither.

    The posts are places: the hand goes through them, and the episode has failed.

    Args:
        journal: file that gets a JSON line at the end of each episode; "": none.
        jumps: whether posts jump.
        render_mode: ignored; nothing is drawn.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}  # noqa: RUF012 - Gymnasium's own attribute

    def __init__(self, *, journal: str = "", jumps: bool = True, render_mode: str | None = None) -> None:
        del render_mode
        self._env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE["reach-v3-goal-observable"](seed=0)
        self._env._freeze_rand_vec = False  # noqa: SLF001 - Meta-World has no other way to vary an episode
        self._env.seeded_rand_vec = True
        self._env.hand_init_pos = np.array(START_M)
        self._env.action_scale = TOP_CM / 100.0
        self._journal = Path(journal) if journal else None
        self._has_jumps = jumps
        self._number = 0
        self._steps = 0
        self._has_begun = False
        self._hand, self._velocity = np.zeros(2), np.zeros(2)
        self._course = draw_course(0)
        self._posts = Posts(self._course)
        self.observation_space = spaces.Dict(  # type: ignore[assignment] # Gymnasium types its own wider
            {
                "agent_pos": spaces.Box(-np.inf, np.inf, (len(AGENT),), dtype=np.float64),
                "environment_state": spaces.Box(-np.inf, np.inf, (len(WORLD),), dtype=np.float64),
            }
        )
        self.action_space = spaces.Box(-TOP_CM, TOP_CM, (1,), dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Observation, dict[str, object]]:
        """Begin episode number `seed`, or the next one."""
        del options
        self._begin(self._number + 1 if seed is None else seed)
        return self._seen(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, object]]:
        """Move the hand by up to two centimetres to the side; from the first move on it goes forward."""
        self._has_begun |= bool(np.any(action))
        if not self._has_begun:  # a robot that waits for its first plan stands
            return self._seen(), 0.0, False, False, {"is_success": False}
        x, y = (np.array([float(action[0]), PACE_CM]) + self._course.slip[self._steps]) / TOP_CM
        before = self._hand
        self._env.step(np.array([x, y, 0.0, GRIP], np.float32))
        self._env.do_simulation(np.array([GRIP, -GRIP]), MORE_STEPS)
        self._hand = self._env.get_endeff_pos()[:2].copy()
        self._velocity = (self._hand - before) * RATE_HZ
        self._steps += 1
        is_touching = self._posts.follow(self._hand)
        is_there = float(np.linalg.norm(self._hand - self._course.goal)) < NEAR_GOAL_M
        is_success = is_there and not is_touching
        is_late = self._steps >= MAX_STEPS
        if is_success or is_touching or is_late:
            self._note(is_success=is_success, is_touching=is_touching)
        info: dict[str, object] = {"is_success": is_success}
        return self._seen(), float(is_success), is_success or is_touching, is_late, info

    def close(self) -> None:
        """Free the simulator."""
        self._env.close()

    def _begin(self, number: int) -> None:
        self._number = number
        self._course = draw_course(number, jumps=self._has_jumps)
        self._env.seed(0)
        raw, _ = self._env.reset()
        self._hand = raw[:2].copy()
        self._velocity = np.zeros(2)
        self._posts = Posts(self._course)
        self._steps = 0
        self._has_begun = False

    def _seen(self) -> Observation:
        return {
            "agent_pos": np.concatenate((self._hand, self._velocity)),
            "environment_state": np.concatenate((self._posts.next, self._course.goal)),
        }

    def _note(self, *, is_success: bool, is_touching: bool) -> None:
        ended = {
            "episode": self._number,
            "event": "end",
            "is_success": is_success,
            "is_touching": is_touching,
            "steps": self._steps,
        }
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(ended) + "\n")


if ENV_ID not in gymnasium.registry:
    gymnasium.register(id=ENV_ID, entry_point="sides_arm:Sides", max_episode_steps=2 * MAX_STEPS)

"""The robot `gates`: the world of the embedded policy of that name in real time, for `vagus run`."""

from __future__ import annotations

from vagus.import_path import Option
from vagus.trials.named_robot import make_world_robot
from vagus.trials.world_robot import WorldRobot

__all__ = ["make_gates_robot"]


def make_gates_robot(*, seed: Option = 0, episodes: Option = 1, every: Option = 1) -> WorldRobot:
    """Return a point on its way through walls with two gaps, 20 commands per second.

    Args:
        seed: seed of the first episode.
        episodes: number of episodes, after which the run is over; each lasts 9 s.
        every: distance of the seeds of two episodes, so that several robots share many seeds.

    Raises:
        ConfigError: no whole numbers, or such as make no episodes.
    """
    return make_world_robot(world="gates", seed=seed, episodes=episodes, every=every)

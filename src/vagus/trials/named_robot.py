"""Robot in a world by name, so that `vagus run` can play the episodes of a study."""

from __future__ import annotations

from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.setting_ranges import MAX_COUNT
from vagus.trials.registry import world_maker
from vagus.trials.world_robot import WorldRobot

__all__ = ["LANE", "MOST_SEED", "make_world_robot"]

LANE = ("seed", "episodes", "every")
"""Settings of the robot; all others are the world's."""
MOST_SEED = (1 << 32) - 1
"""Largest seed that every world takes."""


def make_world_robot(
    *, world: str, seed: Option = 0, episodes: Option = 1, every: Option = 1, **settings: Option
) -> WorldRobot:
    """Return the robot in a world, which plays episodes in real time.

    Args:
        world: as for `vagus bench delay --world`.
        seed: seed of the first episode.
        episodes: number of episodes, after which the run is over.
        every: distance of the seeds of two episodes, so that several robots share many seeds.
        settings: of the world.

    Raises:
        ConfigError: no such world, a setting that it does not take, or numbers that make no episodes.
    """
    first = _whole("seed", seed, least=0, most=MOST_SEED)
    count, distance = _whole("episodes", episodes), _whole("every", every)
    seeds = range(first, first + count * distance, distance)
    return WorldRobot(world_maker(world, settings)(), seeds)


def _whole(name: str, value: Option, *, least: int = 1, most: int = MAX_COUNT) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(name, wanted=f"a whole number, {least} to {most}", got=repr(value))
    return value

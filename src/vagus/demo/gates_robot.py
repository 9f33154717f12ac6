"""The robot `gates`: the world of the embedded policy of that name in real time, for `vagus run`."""

from __future__ import annotations

from vagus.demo.gates_trial import GatesTrial
from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.setting_ranges import MAX_COUNT
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
    first = _whole("seed", seed, least=0)
    count, distance = _whole("episodes", episodes), _whole("every", every)
    return WorldRobot(GatesTrial(), range(first, first + count * distance, distance))


def _whole(name: str, value: Option, *, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_COUNT:
        wanted = f"a whole number, {least} to {MAX_COUNT}"
        raise ConfigError(f"{name} of robot 'gates'", wanted=wanted, got=repr(value))
    return value

"""Settings of the loop and the recorder are checked where they are spelled."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from vagus.control.config import LoopConfig, RecorderConfig
from vagus.errors import ConfigError


def test_the_defaults_are_valid() -> None:
    assert LoopConfig().duration_s is None
    assert RecorderConfig().directory == ""
    assert LoopConfig(episodes=2, episode_s=1.0, realtime_priority=50, keep_plan_within=0.1).episodes == 2


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: LoopConfig(duration_s=value),
        lambda value: LoopConfig(episode_s=value),
        lambda value: LoopConfig(max_limited_s=value),
        lambda value: LoopConfig(return_time_s=value),
        lambda value: LoopConfig(keep_plan_within=value),
    ],
)
def test_times_must_be_above_zero(make: Callable[[float], LoopConfig], value: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        make(value)


def test_there_is_at_least_one_episode() -> None:
    with pytest.raises(ConfigError, match="episodes: wanted 1 to"):
        LoopConfig(episodes=0, episode_s=1.0)


@pytest.mark.parametrize("priority", [0, 100])
def test_priorities_are_1_to_99(priority: int) -> None:
    with pytest.raises(ConfigError, match="1 to 99"):
        LoopConfig(realtime_priority=priority)


def test_recorder_bounds_are_checked() -> None:
    with pytest.raises(ConfigError, match="jpeg_quality"):
        RecorderConfig(jpeg_quality=0)
    with pytest.raises(ConfigError, match="max_waiting_steps"):
        RecorderConfig(max_waiting_steps=0)
    with pytest.raises(ConfigError, match="max_waiting_images"):
        RecorderConfig(max_waiting_images=0)
    with pytest.raises(ConfigError, match="flush_s"):
        RecorderConfig(flush_s=0.0)

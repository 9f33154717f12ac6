"""An episode ends after its time, or when the robot says so."""

from __future__ import annotations

from control.rig import EpisodicRobot, FakeClock, FakeRobot
from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.control.episode import EpisodeWatch


def test_only_a_robot_that_begins_episodes_itself_is_put_elsewhere() -> None:
    clock = FakeClock()
    config = LoopConfig(episode_s=2.0)
    plain = EpisodeWatch(FakeRobot(clock, 25.0), config)
    plain.note_begin(5 * NS_PER_S)
    assert not plain.is_over(7 * NS_PER_S - 1)
    assert plain.is_over(7 * NS_PER_S)
    assert plain.begin(7 * NS_PER_S) is False
    assert not plain.is_over(9 * NS_PER_S - 1)
    assert EpisodeWatch(EpisodicRobot(clock, 25.0), config).begin(0) is True

"""Decides that an episode is over: after its time, or when the robot says so."""

from __future__ import annotations

from vagus.clock import seconds_to_ns
from vagus.control.config import LoopConfig
from vagus.errors import ConfigError
from vagus.robots.robot import EpisodicRobot, Robot, call_whole, robot_call

__all__ = ["EpisodeWatch"]


class EpisodeWatch:
    """Begins and ends the episodes of one robot, on the control thread.

    Args:
        robot: one that begins episodes itself, or any other.
        config: how long an episode lasts, and how many there are.

    Raises:
        ConfigError: episodes are to be counted, and nothing says when one is over.
    """

    def __init__(self, robot: Robot, config: LoopConfig) -> None:
        self._robot = robot if isinstance(robot, EpisodicRobot) else None
        self._length_ns = None if config.episode_s is None else seconds_to_ns(config.episode_s)
        self._began_ns = 0
        if config.episodes is not None and self._length_ns is None and self._robot is None:
            raise ConfigError(
                "episodes",
                wanted="episode_s with it, because this robot does not know when an episode is over",
                got="none",
                fix="say how long an episode lasts",
            )

    @property
    def is_over_by_itself(self) -> bool:
        """Say whether the robot reports the end; it takes no command before the next episode begins."""
        return self._robot is not None and self._robot.is_episode_over

    def is_over(self, now_ns: int) -> bool:
        """Say whether the episode has ended."""
        if self.is_over_by_itself:
            return True
        return self._length_ns is not None and now_ns - self._began_ns >= self._length_ns

    def note_begin(self, now_ns: int) -> None:
        """Note that the first episode begins where the robot stands."""
        self._began_ns = now_ns

    def begin(self, now_ns: int) -> bool:
        """Begin the next episode; return whether the robot was moved to another pose for it.

        Raises:
            RobotError: the robot cannot begin one.
        """
        self._began_ns = now_ns
        if self._robot is None:
            return False
        with robot_call("begin_episode"):
            call_whole("begin_episode", self._robot.begin_episode)
        return True

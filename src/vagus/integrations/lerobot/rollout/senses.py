"""State and cameras of a robot under LeRobot's loop, judged as in our own loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from vagus.clock import Clock
from vagus.control.camera_health import CameraHealth
from vagus.control.config import SensesConfig
from vagus.control.frames import FrameCheck
from vagus.control.mapping import OrderMapping
from vagus.control.readings import Reading, Readings
from vagus.errors import FrameError, RobotError
from vagus.robots.robot import robot_call
from vagus.specs import RobotSpec
from vagus.types import ActionArray, Image

__all__ = ["Observation", "Senses"]

logger = logging.getLogger(__name__)

Observation: TypeAlias = "Mapping[str, object]"


class Senses:
    """Judges what a robot returns; all of it belongs to the thread that runs the loop.

    Args:
        spec: the robot in its own names.
        mapping: between the robot's order and the policy's.
        config: what is believed.
        clock: tells the time.
        is_driven: tells whether the robot was commanded by us since the start or the last pause.
        driven_ns: tells for how long it was driven.

    Attributes:
        reading: the state of this tick; None before the first.
        sight: whether the robot sees.
    """

    def __init__(
        self,
        spec: RobotSpec,
        mapping: OrderMapping,
        config: SensesConfig,
        clock: Clock,
        *,
        is_driven: Callable[[], bool],
        driven_ns: Callable[[], int],
    ) -> None:
        self._names = [feature.name for feature in spec.state]
        self._mapping = mapping
        self._clock = clock
        self._is_driven = is_driven
        self._readings = Readings(mapping.actions, mapping.state_names, config)
        self._frames = FrameCheck(mapping.cameras, stale_s=config.camera_stale_s, driven_ns=driven_ns)
        self._last: Observation | None = None
        self._spent_ns = 0
        self.reading: Reading | None = None
        self.health = CameraHealth()

    @property
    def bad(self) -> int:
        """Readings so far that cost their tick."""
        return self._readings.bad

    def observe(
        self, read: Callable[[], Observation], *, check: Callable[[Observation], None] = lambda _: None
    ) -> Observation:
        """Return what the robot sees now, with the last good numbers where these cannot be believed.

        LeRobot records what it is given, and computes with it.

        Args:
            read: asks the robot.
            check: looks at what it returned, and raises if that is nothing new.

        Raises:
            RobotError: too many bad readings, a first one of a wrong shape, or a first look that failed.
        """
        now_ns = self._clock.now_ns()
        try:
            with robot_call("get_observation"):
                seen = self._timed(read)
                check(seen)
                values = self._values(seen)
        except RobotError as error:
            self.reading = self._readings.missed(str(error))
            if self._last is None:
                raise
            seen = self._last
        else:
            self.reading = self._readings.take(values, now_ns, is_driven=self._is_driven())
        self._last = self._completed(seen)
        return self._last

    def take_spent_ns(self) -> int:
        """Return how long the robot was read since the last call."""
        spent_ns, self._spent_ns = self._spent_ns, 0
        return spent_ns

    def look(self, seen: Observation) -> dict[str, Image]:
        """Return read-only copies of the frames that the policy looks at, in its names.

        Raises:
            RobotError: a frame is missing, not what the spec says, or the same for too long.
        """
        now_ns = self._clock.now_ns()
        self.health.begin(now_ns)
        own = [camera.name for camera in self._mapping.cameras]
        try:
            frames = self._frames.take({name: seen[name] for name in own if name in seen})
            images = self._mapping.images_to_policy(frames)
        except RobotError as error:
            self._tell(self.health.failed(error, now_ns))
            if self.health.refusal:
                raise FrameError(self.health.refusal) from error
            raise
        self._tell(self.health.seen())
        return images

    def commanded(self, action: ActionArray) -> None:
        """Take where the robot was sent, in the order of the mapping's actions."""
        self._readings.commanded(action)

    def forget(self) -> None:
        """The robot may be put elsewhere: what was read before says nothing."""
        self._readings.forget()
        self.reading = None

    def _timed(self, read: Callable[[], Observation]) -> Observation:
        began_ns = self._clock.now_ns()
        try:
            return read()
        finally:
            self._spent_ns += self._clock.now_ns() - began_ns

    def _values(self, seen: object) -> list[object]:
        if not isinstance(seen, Mapping):
            raise RobotError(f"get_observation: wanted a mapping of names, got a {type(seen).__name__}")
        missing = [name for name in self._names if name not in seen]
        if missing:
            raise RobotError(f"the observation lacks {missing}; it has {sorted(map(str, seen))}")
        return [seen[name] for name in self._names]

    def _completed(self, seen: Observation) -> Observation:
        """Return `seen` with the state of this tick; the very same where that is what it says."""
        if self.reading is None or self.reading.is_trusted or not np.isfinite(self.reading.state).all():
            return seen
        numbers = dict(zip(self._names, self.reading.state.tolist(), strict=True))
        return {**(self._last or {}), **seen, **numbers}

    @staticmethod
    def _tell(said: str) -> None:
        if said:
            logger.warning("%s", said)

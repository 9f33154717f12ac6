"""State and cameras of a robot under LeRobot's loop, judged as in our own loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from vagus.clock import Clock
from vagus.control.camera_health import CameraHealth
from vagus.control.config import SensesConfig
from vagus.control.frames import FrameCheck, Sight
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.control.state_reader import StateReader
from vagus.errors import FrameError, RobotError
from vagus.integrations.lerobot.robot.cameras import flat_depth
from vagus.specs import RobotSpec
from vagus.types import ActionArray

__all__ = ["Observation", "Senses"]

logger = logging.getLogger(__name__)

Observation: TypeAlias = "Mapping[str, object]"


class Senses:
    """Checks the observations of a robot. All methods belong to the thread that runs the loop.

    Args:
        spec: the robot in its own names.
        mapping: between the robot's order and the policy's.
        motion: knows whether the robot was commanded by us since the start or the last pause.
        config: what is believed.
        clock: tells the time.
        driven_ns: tells for how long it was driven.

    Attributes:
        reading: the state of this tick; None before the first.
        health: whether the robot sees.
    """

    def __init__(
        self,
        spec: RobotSpec,
        mapping: OrderMapping,
        motion: Motion,
        config: SensesConfig,
        clock: Clock,
        *,
        driven_ns: Callable[[], int],
    ) -> None:
        self._names = [feature.name for feature in spec.state]
        self._mapping = mapping
        self._clock = clock
        self._state = StateReader(self._ask, mapping, motion, config, clock, call="get_observation")
        self._frames = FrameCheck(
            mapping.cameras, mapping.depth_cameras, stale_s=config.camera_stale_s, driven_ns=driven_ns
        )
        self._read: Callable[[], Observation] = dict
        self._check: Callable[[Observation], None] = lambda _: None
        self._seen: Observation | None = None
        self._last: Observation | None = None
        self.reading: Reading | None = None
        self.health = CameraHealth()

    @property
    def bad(self) -> int:
        """Number of bad readings so far."""
        return self._state.bad

    def observe(
        self, read: Callable[[], Observation], *, check: Callable[[Observation], None] = lambda _: None
    ) -> Observation:
        """Return the observation of now, with the last good numbers in place of implausible ones.

        LeRobot records what it is given, and computes with it.

        Args:
            read: asks the robot.
            check: looks at what it returned, and raises if that is nothing new.

        Raises:
            RobotError: too many bad readings, a first one of a wrong shape, or a first look that failed.
        """
        self._read, self._check = read, check
        self.reading = self._state.read()
        seen, self._seen = self._seen, None
        seen = self._last if seen is None else seen
        if seen is None:
            raise self._state.error or RobotError("get_observation returned nothing")
        self._last = self._completed(seen)
        return self._last

    def take_spent_ns(self) -> int:
        """Return the time spent in reading since the last call."""
        return self._state.take_spent_ns()

    def look(self, seen: Observation) -> Sight:
        """Return read-only copies of the frames that the policy uses, by its names.

        Raises:
            RobotError: a frame is missing, not what the spec says, or the same for too long.
        """
        now_ns = self._clock.now_ns()
        self.health.begin(now_ns)
        own = [camera.name for camera in self._mapping.cameras if camera.name in seen]
        deep = [camera.name for camera in self._mapping.depth_cameras if camera.name in seen]
        found = {name: seen[name] for name in own} | {name: flat_depth(seen[name]) for name in deep}
        try:
            frames = self._frames.take(found)
            sight = self._mapping.sight_to_policy(frames)
        except RobotError as error:
            self._tell(self.health.failed(error, now_ns))
            if self.health.refusal:
                raise FrameError(self.health.refusal) from error
            raise
        self._tell(self.health.seen())
        return sight

    def commanded(self, action: ActionArray) -> None:
        """Note the last command, in the order of the mapping's actions."""
        self._state.commanded(action)

    def forget(self) -> None:
        """Forget the earlier readings: the robot may be moved by others."""
        self._state.forget()
        self.reading = None

    def _ask(self) -> list[object]:
        """Return the numbers of the state, and keep the whole observation they are from."""
        seen = self._read()
        self._check(seen)
        values = self._values(seen)
        self._seen = seen
        return values

    def _values(self, seen: object) -> list[object]:
        if not isinstance(seen, Mapping):
            raise RobotError(f"get_observation: wanted a mapping of names, got a {type(seen).__name__}")
        missing = [name for name in self._names if name not in seen]
        if missing:
            raise RobotError(f"the observation lacks {missing}; it has {sorted(map(str, seen))}")
        return [seen[name] for name in self._names]

    def _completed(self, seen: Observation) -> Observation:
        """Return `seen` with the state of this tick; the same object if nothing differs."""
        if self.reading is None or self.reading.is_trusted or not np.isfinite(self.reading.state).all():
            return seen
        numbers = dict(zip(self._names, self.reading.state.tolist(), strict=True))
        return {**(self._last or {}), **seen, **numbers}

    @staticmethod
    def _tell(said: str) -> None:
        if said:
            logger.warning("%s", said)

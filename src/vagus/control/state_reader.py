"""The robot's state, once per tick, as far as it can be believed."""

from __future__ import annotations

from collections.abc import Callable

from vagus.clock import Clock
from vagus.control.config import SensesConfig
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading, Readings
from vagus.errors import RobotError
from vagus.robots.robot import robot_call
from vagus.types import ActionArray

__all__ = ["StateReader"]


class StateReader:
    """Reads the robot's state and checks it. All methods belong to the control thread.

    Args:
        read: asks the driver.
        mapping: names what it returns.
        motion: knows whether the robot is driven.
        config: what is believed.
        clock: tells the time.
        call: what the driver calls it, for messages.

    Attributes:
        error: why the last reading was not to be had; None: it was.
    """

    def __init__(
        self,
        read: Callable[[], object],
        mapping: OrderMapping,
        motion: Motion,
        config: SensesConfig,
        clock: Clock,
        *,
        call: str = "read_state",
    ) -> None:
        self._read = read
        self._call = call
        self._motion = motion
        self._readings = Readings(mapping.actions, mapping.state_names, config)
        self._clock = clock
        self._spent_ns = 0
        self.error: RobotError | None = None

    @property
    def bad(self) -> int:
        """Number of bad readings so far."""
        return self._readings.bad

    def read(self) -> Reading:
        """Return the state of this tick; a missing or implausible one is replaced by the last good one.

        Raises:
            RobotError: too many of those, or a first reading of a wrong shape.
        """
        began_ns = self._clock.now_ns()
        self.error = None
        try:
            with robot_call(self._call):
                value = self._read()
        except RobotError as error:
            self.error = error
            return self._readings.missed(str(error))
        finally:
            self._spent_ns += self._clock.now_ns() - began_ns
        return self._readings.take(value, began_ns, is_driven=self._motion.is_driven)

    def take_spent_ns(self) -> int:
        """Return the time that was spent in the driver since the last call."""
        spent_ns, self._spent_ns = self._spent_ns, 0
        return spent_ns

    def commanded(self, action: ActionArray) -> None:
        """Note the last command, in the order of the mapping's actions."""
        self._readings.commanded(action)

    def forget(self) -> None:
        """Forget the earlier readings: the robot was moved by others."""
        self._readings.forget()

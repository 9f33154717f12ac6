"""The state reader times the driver, and knows where the robot was sent."""

from __future__ import annotations

import numpy as np
import pytest

from control.rig import Rig
from vagus.clock import NS_PER_MS
from vagus.control.config import SensesConfig
from vagus.control.motion import Motion
from vagus.control.state_reader import StateReader
from vagus.errors import RobotError
from vagus.types import FloatArray


class Driver:
    """Takes its time, and may fail."""

    def __init__(self, rig: Rig) -> None:
        self._clock = rig.clock
        self.joints: FloatArray = np.zeros(2, dtype=np.float32)
        self.is_failing = False

    def read(self) -> FloatArray:
        self._clock.stall(0.003)
        if self.is_failing:
            raise RobotError("a packet was lost")
        return self.joints


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def driver(rig: Rig) -> Driver:
    return Driver(rig)


@pytest.fixture
def reader(rig: Rig, driver: Driver) -> StateReader:
    return StateReader(driver.read, rig.ports.mapping, rig.motion, SensesConfig(), rig.clock)


def test_the_time_of_each_call_counts_once_also_of_one_that_fails(
    driver: Driver, reader: StateReader
) -> None:
    assert reader.take_spent_ns() == 0
    reader.read()
    driver.is_failing = True
    assert not reader.read().is_trusted
    assert reader.take_spent_ns() == 6 * NS_PER_MS
    assert reader.take_spent_ns() == 0
    assert reader.bad == 1


class Driven(Motion):
    """A motion that has been commanded."""

    @property
    def is_driven(self) -> bool:
        return True


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_driver_that_reports_rarely_may_leap_as_far_as_the_robot_was_sent(
    rig: Rig, driver: Driver, is_sent: bool
) -> None:
    mapping = rig.ports.mapping
    motion = Driven(mapping.actions, mapping.state_names, tick_s=0.01)
    reader = StateReader(driver.read, mapping, motion, SensesConfig(), rig.clock)
    reader.read()
    if is_sent:
        reader.commanded(np.ones(2))
    driver.joints = np.ones(2, dtype=np.float32)
    assert reader.read().is_trusted == is_sent


def test_why_a_reading_is_missing_is_kept_until_the_next(driver: Driver, reader: StateReader) -> None:
    reader.read()
    assert reader.error is None
    driver.is_failing = True
    reader.read()
    assert "a packet was lost" in str(reader.error)
    driver.is_failing = False
    reader.read()
    assert reader.error is None

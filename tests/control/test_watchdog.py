"""A control thread that is stuck: the robot is stopped all the same, and somebody is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from control.rig import Rig
from vagus.control.config import LoopConfig
from vagus.control.interrupt import Interrupt
from vagus.control.tally import EndReason, LoopSummary
from vagus.control.watchdog import Bounds, Watchdog

WAIT_S = 30.0
BOUNDS = Bounds(tick_s=0.3, long_s=0.3, end_s=0.3)
QUICK = LoopConfig(duration_s=0.5, tick_timeout_s=0.3, robot_connect_timeout_s=0.3)


class Driver:
    """A robot whose calls may hang, until the test is over or `stop` frees them."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.stops = 0
        self.stop_frees = True
        self.stop_error: BaseException | None = None

    def hang(self) -> None:
        assert self.freed.wait(WAIT_S)

    def stop(self) -> None:
        self.stops += 1
        if self.stop_error is not None:
            raise self.stop_error
        if self.stop_frees:
            self.freed.set()


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver()
    yield made
    made.freed.set()


def dog_of(driver: Driver, stuck: Callable[[], None] = lambda: None) -> Watchdog:
    return Watchdog(driver.stop, Interrupt(), BOUNDS, on_asked=lambda: None, on_stuck=stuck)


def test_a_call_that_hangs_has_the_robot_stopped_from_another_thread(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    with dog_of(driver) as dog:
        dog.tick()
        dog.call = "robot.read_state()"
        driver.hang()
        assert dog.hang is not None
        with dog.commanding() as may_command:
            assert not may_command
    dog._thread.join(WAIT_S)
    assert "robot.read_state() hangs: it has not returned for 0." in caplog.text
    assert driver.stops == 2  # and once more by the control thread itself


def test_one_that_does_not_come_back_is_given_up(driver: Driver) -> None:
    given_up = threading.Event()
    driver.stop_frees = False
    with dog_of(driver, given_up.set) as dog:
        dog.long("robot.connect()")
        assert given_up.wait(WAIT_S)
        assert dog.is_stopped


def test_a_stop_that_fails_aside_is_tried_again_and_told(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    given_up = threading.Event()
    driver.stop_error = SystemExit(1)
    with dog_of(driver, given_up.set) as dog:
        dog.tick()
        assert given_up.wait(WAIT_S)
        assert driver.stops == 2
        assert not dog.is_stopped
        assert "THE ROBOT COULD NOT BE STOPPED" in caplog.text


def test_a_control_thread_that_leaves_without_a_stop_is_made_up_for(driver: Driver) -> None:
    with pytest.raises(ZeroDivisionError), dog_of(driver):
        raise ZeroDivisionError
    assert driver.stops == 1


def test_an_end_that_hangs_is_given_up_and_the_robot_stopped_once(driver: Driver) -> None:
    given_up = threading.Event()
    with dog_of(driver, given_up.set) as dog:
        dog.stop_robot()
        dog.end("robot.close()")
        assert given_up.wait(WAIT_S)
    assert driver.stops == 1


def test_nothing_is_stopped_that_is_on_time(driver: Driver) -> None:
    with dog_of(driver) as dog:
        for _ in range(50):
            dog.tick()
            threading.Event().wait(0.01)
        assert driver.stops == 0


@pytest.mark.parametrize("method", ["connect", "read_state", "command"])
def test_a_loop_whose_driver_comes_back_after_the_stop_ends_in_order(method: str) -> None:
    rig = Rig(config=QUICK)
    driver = hang_in(rig, method)
    summary = rig.loop.run()
    assert summary.reason is EndReason.HUNG
    assert f"robot.{method}() hangs" in summary.error
    assert summary.is_stopped
    calls = rig.robot.calls
    assert calls[-1] == "close"
    assert "command" not in calls[calls.index("stop") :]
    driver.freed.set()


@pytest.mark.parametrize("method", ["connect", "read_state", "command", "stop"])
def test_a_loop_whose_driver_never_comes_back_is_summed_up_beside_it(method: str) -> None:
    summaries, told = list[LoopSummary](), threading.Event()

    def end(summary: LoopSummary) -> None:
        summaries.append(summary)
        told.set()

    rig = Rig(config=QUICK, on_stuck=end)
    driver = hang_in(rig, method, stop_frees=False)
    thread = threading.Thread(target=rig.loop.run)
    thread.start()
    assert told.wait(WAIT_S)
    (summary,) = summaries
    assert summary.reason is EndReason.HUNG
    assert f"robot.{method}() hangs" in summary.error
    assert summary.is_stopped == (method != "stop")
    assert rig.robot.calls.count("stop") == (3 if method == "stop" else 1)
    driver.freed.set()
    thread.join(WAIT_S)


def hang_in(rig: Rig, method: str, *, stop_frees: bool = True) -> Driver:
    """Have a call hang in its third tick, or at once; `stop` frees it, or nobody does."""
    driver = Driver()
    robot = rig.robot
    was, stop, calls = getattr(robot, method), robot.stop, [0]
    after = 3 if method in ("read_state", "command") else 1

    def call(*arguments: object) -> object:
        calls[0] += 1
        result = was(*arguments)
        if calls[0] >= after and not driver.freed.is_set():
            driver.hang()
        return result

    def free() -> None:
        stop()
        if stop_frees:
            driver.freed.set()

    setattr(robot, method, call)
    if method != "stop":
        robot.stop = free  # type: ignore[method-assign] # a driver that answers a stop
    rig.loop._watchdog._stop = robot.stop
    return driver

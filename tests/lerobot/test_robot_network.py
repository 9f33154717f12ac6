"""Robots behind a network, whose drivers hide that it is gone."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from control.rig import FakeClock
from vagus.clock import NS_PER_MS
from vagus.errors import RobotError
from vagus.import_path import Option
from vagus.integrations.lerobot.robot.network import Freshness, limit_zmq_linger
from vagus.integrations.lerobot.robot.robot import LeRobotRobot
from vagus.robots.registry import load_robot

FRESH_NS = 400 * NS_PER_MS
STALE_NS = 600 * NS_PER_MS


class Reader:
    """Looks at readings, at times of its own."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.freshness = Freshness("the robot", self.clock)

    def take(self, seen: dict[str, object], *, after_ns: int = 0) -> None:
        self.clock.now += after_ns
        self.freshness.check(seen)


def test_a_reading_may_be_repeated_for_half_a_second() -> None:
    reader, seen = Reader(), {"a.pos": object(), "eye": np.zeros(3)}
    reader.take(seen)
    reader.take(seen, after_ns=FRESH_NS)
    with pytest.raises(RobotError, match=r"the robot: nothing new for 0\.6 s"):
        reader.take(seen, after_ns=200 * NS_PER_MS)
    reader.take({**seen})
    reader.take({**seen}, after_ns=STALE_NS)


def test_time_without_a_reading_counts() -> None:
    reader, seen = Reader(), {"a.pos": object()}
    reader.take(seen)
    with pytest.raises(RobotError):
        reader.take(seen, after_ns=STALE_NS)


def test_a_dict_that_is_filled_anew_is_a_new_reading() -> None:
    reader, seen = Reader(), dict[str, object]()
    for count in range(3):
        seen[f"{count}"] = object()
        reader.take(seen, after_ns=STALE_NS)
    for _ in range(3):
        seen["0"] = object()
        reader.take(seen, after_ns=STALE_NS)


def test_equal_numbers_of_a_robot_that_stands_are_new() -> None:
    reader = Reader()
    for _ in range(3):
        reader.take({"a.pos": 1.0}, after_ns=STALE_NS)


def test_a_robot_that_is_not_commanded_through_zeromq_keeps_its_farewell() -> None:
    limit_zmq_linger(object())


@contextmanager
def lekiwi() -> Iterator[tuple[LeRobotRobot, Callable[[], None]]]:
    """Yield a LeKiwi behind LeRobot's client, and what takes it off the network."""
    zmq = pytest.importorskip("zmq")
    context, over = zmq.Context(), threading.Event()
    sight, orders = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (sight, orders)]
    said = json.dumps({"_cams": [], "x.vel": 0.0}).encode()

    def host() -> None:
        while not over.wait(0.02):
            with contextlib.suppress(zmq.Again):
                sight.send_multipart([said], zmq.NOBLOCK)

    thread = threading.Thread(target=host)
    thread.start()

    def leave() -> None:
        over.set()
        thread.join()
        context.destroy(linger=0)

    options: dict[str, Option] = {"remote_ip": "127.0.0.1", "cameras": "{}", "id": "kiwi"}
    options |= {"port_zmq_observations": ports[0], "port_zmq_cmd": ports[1]}
    robot = load_robot("lerobot:lekiwi_client", options)
    assert isinstance(robot, LeRobotRobot)
    try:
        yield robot, leave
    finally:
        leave()


def drive(robot: LeRobotRobot) -> None:
    """Go on until it fails; its driver waits a little for each reading."""
    while True:
        robot.read_state()
        robot.command(np.zeros(9))


@pytest.mark.timeout(60)
def test_a_lekiwi_that_is_gone_is_noticed_and_can_be_let_go() -> None:
    with lekiwi() as (robot, leave):
        robot.connect()
        assert robot.read_state().shape == (9,)
        leave()
        with pytest.raises(RobotError, match="nothing new"):
            drive(robot)
        robot.close()  # with commands that nobody takes

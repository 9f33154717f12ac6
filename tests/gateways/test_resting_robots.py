"""A robot rests for its host and its model, for a while, and in a new episode when it is taken."""

from __future__ import annotations

import threading
from typing import cast

from gateways.foreign_rig import HandClock
from vagus.clock import NS_PER_S
from vagus.gateways.peer import Peer
from vagus.gateways.resting_robots import REST_NS, RestingRobots


class Robot:
    def __init__(self) -> None:
        self.done: list[str] = []

    def reset(self) -> None:
        self.done.append("reset")

    def close(self) -> None:
        self.done.append("close")


def put(resting: RestingRobots, address: str = "10.0.0.1:1", model: str = "a") -> Robot:
    robot = Robot()
    resting.put(cast("Peer", robot), address, model)
    return robot


def test_the_next_connection_of_the_host_finds_it_and_no_other() -> None:
    resting = RestingRobots(HandClock())
    robot = put(resting)
    for address, model in (("10.0.0.2:1", "a"), ("10.0.0.1:1", "b")):
        assert resting.take(address, model) is None
    assert resting.take("10.0.0.1:2", "a") is cast("Peer", robot)
    assert robot.done == ["reset"]
    assert resting.take("10.0.0.1:2", "a") is None


def test_it_is_closed_when_nobody_comes_or_its_place_is_needed() -> None:
    clock = HandClock()
    resting = RestingRobots(clock)
    early, late = put(resting), put(resting)
    resting.close_late()
    assert len(resting) == 2
    assert resting.close_oldest()
    assert (early.done, late.done) == (["close"], [])
    clock.advance(REST_NS / NS_PER_S)
    resting.close_late()
    assert late.done == ["close"]
    assert not resting.close_oldest()


def test_what_rests_while_its_place_is_waited_for_is_closed() -> None:
    resting = RestingRobots(HandClock())
    closed: list[bool] = []
    waiting = threading.Thread(target=lambda: closed.append(resting.close_oldest(30.0)))
    waiting.start()
    robot = put(resting)
    waiting.join(30)
    assert (closed, robot.done) == ([True], ["close"])


def test_nothing_rests_once_it_is_closed() -> None:
    resting = RestingRobots(HandClock())
    first = put(resting)
    resting.close()
    second = put(resting)
    assert (first.done, second.done, len(resting)) == (["close"], ["close"], 0)

"""Two gateway processes at one router: one answers, and the other goes on for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from integrations.lerobot_zenoh.rig import (
    PATIENCE_S,
    WAITS,
    Climbing,
    RawRobot,
    listener_on,
    serving,
    wait_until,
)
from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import LinkError
from vagus.integrations.lerobot_zenoh.gateway import LeRobotZenohListener
from vagus.integrations.lerobot_zenoh.heard import HeardQuestions
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.transport.link import Delivery
from vagus.transport.memory import MemoryLink, MemoryNetwork

ROUTER = "tcp/127.0.0.1:7447"


@dataclass
class Pair:
    """The active process and the one that waits."""

    policy: Climbing
    robots: MemoryNetwork
    first: LeRobotZenohListener
    second: LeRobotZenohListener

    def robot(self) -> RawRobot:
        return RawRobot(self.robots.link("robot"))

    def kill_first(self) -> None:
        """Take the first process from its robots, as its end would."""
        link = self.first._link
        assert isinstance(link, MemoryLink)
        link.cut()

    @property
    def resumed(self) -> int:
        return self.second._gateway.metrics.events().get("resumed", 0)


@contextmanager
def pair(clock: Clock | None = None) -> Iterator[Pair]:
    """Run both; `clock` is that of the first one."""
    network, robots = MemoryNetwork(), MemoryNetwork()
    with serving(network) as policy:
        first = listener_on(network, robots, router=ROUTER, clock=clock)
        RawRobot(robots.link("robot")).describe()
        second = listener_on(network, robots, router=ROUTER, standby=True, name="second")
        try:
            yield Pair(policy, robots, first, second)
        finally:
            policy.gate.set()
            second.close()
            first.close()


def test_one_process_answers_and_the_other_has_its_token_up() -> None:
    with pair() as both:
        robot = both.robot().admit()
        alive = robot.key(RemotePlace.SERVER_ALIVE)
        wait_until(lambda: both.second._instance is not None)
        for _ in range(3):
            robot.observe((1.0, 1.0))
            robot.actions()
        assert robot.got.empty()
        assert both.resumed == 0
        both.kill_first()
        assert robot.link.tokens(alive, timeout_s=1.0)


def test_the_other_one_goes_on_with_the_question_that_was_in_flight() -> None:
    with pair() as both:
        robot = both.robot().admit()
        robot.observe((0.0, 0.0))
        rows = robot.actions().canonical_actions
        wait_until(lambda: both.second._instance is not None)
        heard = both.second._instance
        assert heard is not None
        robot.observe((WAITS, 0.0), canonical_continuation=rows[:30], model_continuation=rows[:30])
        assert both.policy.is_waiting.wait(30)
        both.kill_first()
        both.policy.gate.set()
        answer = robot.actions().canonical_actions
        np.testing.assert_allclose(answer[0], (WAITS, 0.0), rtol=1e-4)
        assert both.resumed == 1
        robot.observe((5.0, 5.0), canonical_continuation=rows[:30], model_continuation=rows[:30])
        np.testing.assert_allclose(robot.actions().canonical_actions[0], (5.0, 5.0), rtol=1e-4)
        robot.generation = 1
        assert robot.control("reset")[0].kind is MessageType.ACK


def test_a_pause_that_the_other_process_acknowledged_ends_no_run() -> None:
    with pair() as both:
        robot = both.robot().admit()
        wait_until(lambda: both.second._instance is not None)
        robot.observe((WAITS, 0.0))
        assert both.policy.is_waiting.wait(PATIENCE_S)
        robot.generation = 1
        assert robot.control("invalidate")[0].kind is MessageType.ACK
        both.kill_first()
        both.policy.gate.set()
        wait_until(lambda: both.resumed == 1)  # by the question of the generation before
        robot.observe((5.0, 5.0))
        head, body = robot.next()
        while head.generation == 0:  # no client listens to it any more
            head, body = robot.next()
        assert head.kind is MessageType.ACTION, body


class Stopped(MonotonicClock):
    """A clock at which the thread that looks for its turn does not go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        if threading.current_thread().name == "remote-standby":
            assert self.goes_on.wait(PATIENCE_S)
        super().wait_until_ns(deadline_ns, stop)


def is_reset(robot: RawRobot) -> bool:
    """Return whether somebody answers a reset already."""
    try:
        return robot.control("reset")[0].kind is MessageType.ACK
    except LinkError:
        return False


def test_a_process_that_was_stopped_tells_nobody_that_its_messages_are_stale() -> None:
    clock = Stopped()
    with pair(clock) as both:
        robot = both.robot().admit()
        robot.observe((1.0, 1.0))
        robot.actions()
        wait_until(lambda: both.second._instance is not None)
        clock.goes_on.clear()
        second = both.second._instance
        assert second is not None
        assert second._standby is not None
        wait_until(lambda: second._standby.is_active)
        robot.generation = 1  # told to the second one alone
        wait_until(partial(is_reset, robot))
        robot.observe((2.0, 2.0))
        robot.actions()
        clock.goes_on.set()
        wait_until(lambda: both.first._instance is not None and not both.first._instance.is_in_use)
        assert robot.got.empty()
        assert "error_stale" not in both.first._gateway.metrics.events()


def test_a_process_that_ends_in_peace_hands_over_too() -> None:
    with pair() as both:
        robot = both.robot().admit()
        wait_until(lambda: both.second._instance is not None)
        both.first.close()
        wait_until(lambda: robot.link.is_served(robot.key(RemotePlace.CONTROL)))
        robot.observe((1.0, 1.0))
        robot.actions()
        assert both.resumed == 1


def test_what_was_answered_is_not_kept_and_a_flood_is_bounded() -> None:
    network = MemoryNetwork()
    link, robot = network.link("gateway"), RawRobot(network.link("robot"), name="d")
    clock = HandsOff()
    heard = HeardQuestions(link, "d", "i", clock)
    heard.start()

    def put(session: str, place: str, payload: bytes) -> None:
        key = f"lerobot/inference/v1/deployments/d/instances/i/sessions/{session}/{place}"
        robot.link.publish(key, header=b"", payload=payload, delivery=Delivery.OBSERVATION)

    put("a", "obs", b"1")
    put("b", "obs", b"2")
    put("b", "obs", b"3")
    put("c", "obs", b"4")
    put("c", "act", b"")
    assert [(sample.payload, at) for sample, at in heard.stop()] == [(b"1", 7), (b"3", 7)]
    heard.start()
    for number in range(1000):
        put(f"s{number}", "obs", b"x")
    assert len(heard.stop()) == 256
    clock.ns = 8
    heard.start()
    for number in range(256):  # of clients that are gone since
        put(f"s{number}", "obs", b"x")
    clock.ns += 4 * NS_PER_S
    put("s0", "obs", b"y")
    clock.ns += NS_PER_S + 1
    put("new", "obs", b"z")
    assert [sample.payload for sample, _ in heard.stop()] == [b"y", b"z"]
    heard.start()
    put("a", "obs", b"1")
    clock.ns += 5 * NS_PER_S + 1
    assert heard.stop() == []


class HandsOff:
    """A clock that stands, until it is moved."""

    ns = 7

    def now_ns(self) -> int:
        return self.ns

    def wait_until_ns(self, deadline_ns: int, stop: object) -> None:
        raise AssertionError("nothing waits here")

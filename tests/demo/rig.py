"""A clock that stands still until it is set, and the simulated arm on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from vagus.clock import seconds_to_ns
from vagus.demo.robot import SimRobot

TICK_NS = 10_000_000


class SettableClock:
    """Time that passes when the test says so."""

    def __init__(self, now_ns: int = 1_000_000_000) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        if not stop.is_set():
            self.now = max(self.now, deadline_ns)

    def pass_s(self, seconds: float) -> None:
        self.now += seconds_to_ns(seconds)


@dataclass
class Stand:
    """The arm, connected, at 100 Hz."""

    seed: int = 0
    clock: SettableClock = field(default_factory=SettableClock)

    def __post_init__(self) -> None:
        self.robot = SimRobot(seed=self.seed, clock=self.clock)
        self.robot.connect()

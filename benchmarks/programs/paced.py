"""Requests at a steady rate, whatever becomes of the answers: which were answered, and how soon.

`drive_paced` serves the lines of a benchmark; how a request is sent, and what an answer is, is the program's.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.programs.driver import announce

__all__ = ["Answer", "Answers", "Sender", "drive_paced"]

PATIENCE_S = 3.0
"""A request without an answer so long after the last one was sent is lost."""
LEAST_WAIT_S = 0.0002


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        robot: number of the robot.
        seq: number of the request, from 1 for each robot.
        arrived_ns: when it came.
        served_ns: time that the server spent on it, as it says.
        event: why there is no chunk; "" where there is one.
    """

    robot: int
    seq: int
    arrived_ns: int
    served_ns: int = 0
    event: str = ""


Answers = queue.SimpleQueue[Answer]


class Sender(Protocol):
    """What sends a robot's next request."""

    def __call__(self, robot: int, seq: int) -> None: ...


@dataclass(slots=True)
class Tally:
    """What became of the requests of one run."""

    sent_ns: dict[tuple[int, int], int] = field(default_factory=dict)
    network_ms: list[float] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    strangers: int = 0
    latest_s: float = 0.0

    def take(self, answer: Answer) -> None:
        """Match an answer with its request."""
        sent_ns = self.sent_ns.pop((answer.robot, answer.seq), None)
        if sent_ns is None:
            self.strangers += 1
        elif answer.event:
            self.events[answer.event] += 1
        else:
            self.network_ms.append((answer.arrived_ns - sent_ns - answer.served_ns) / 1e6)


def drive_paced(send: Sender, answers: Answers, first_seqs: list[int]) -> None:
    """Ask with so many robots, at this rate and for so long as each line says, until the benchmark hangs up.

    Args:
        send: sends a request; called on this thread only.
        answers: where the answers arrive.
        first_seqs: number of the next request of each robot; counted on.
    """
    announce(ready=True)
    for line in sys.stdin:
        told = json.loads(line)
        tally = _run(send, answers, first_seqs, told["robots"], told["rate_hz"], told["seconds"])
        sent = len(tally.sent_ns) + len(tally.network_ms) + sum(tally.events.values())
        announce(
            sent=sent,
            answered=len(tally.network_ms),
            events=dict(tally.events),
            lost=len(tally.sent_ns),
            strangers=tally.strangers,
            latest_ms=1e3 * tally.latest_s,
            network_ms=[round(ms, 3) for ms in tally.network_ms],
        )


def _run(
    send: Sender, answers: Answers, seqs: list[int], robots: int, rate_hz: float, seconds: float
) -> Tally:
    tally = Tally()
    begin_s = time.monotonic()
    requests = int(robots * rate_hz * seconds)
    for number in range(requests):  # evenly: robots have nothing to do with one another
        due_s = begin_s + number / (robots * rate_hz)
        _receive_until(due_s, answers, tally)
        tally.latest_s = max(tally.latest_s, time.monotonic() - due_s)
        robot = number % robots
        tally.sent_ns[robot, seqs[robot]] = time.monotonic_ns()
        send(robot, seqs[robot])
        seqs[robot] += 1
    end_s = time.monotonic() + PATIENCE_S
    while tally.sent_ns and time.monotonic() < end_s:
        _receive_until(min(end_s, time.monotonic() + LEAST_WAIT_S), answers, tally)
    return tally


def _receive_until(due_s: float, answers: Answers, tally: Tally) -> None:
    while True:
        left_s = due_s - time.monotonic()
        try:
            tally.take(answers.get(timeout=max(left_s, 0.0)))
        except queue.Empty:
            return
        if left_s <= 0.0:
            return

"""Robots that ask again as soon as they are answered, each on a thread of its own; every answer is checked.

Imports the standard library and numpy only: it also runs in the foreign client's own environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.programs.driver import announce

__all__ = ["Ask", "actions_for", "drive_robots", "pictures"]

Ask: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.floating]]
"""Sends a state, (width,), and returns the actions of the answer, (horizon, width)."""
STATES = 10
"""Different states that a robot sends, one after the other."""
TOLERANCE = 1e-5


def actions_for(state: NDArray[np.floating], horizon: int) -> NDArray[np.float32]:
    """Return what every server answers, (horizon, width): the state that it was sent."""
    return np.tile(state.astype(np.float32), (horizon, 1))


def pictures(frames_path: str, *, side: int | None = None) -> list[NDArray[np.uint8]]:
    """Return two cameras' frames, (480, 640, 3), or squares of them; contiguous, as a driver gives them."""
    moment = np.load(frames_path)[0]
    return [np.ascontiguousarray(frame[:side, :side]) for frame in moment[:2]]


def drive_robots(servers: Sequence[Sequence[Ask]], width: int) -> None:
    """Ask the server that each line says, with so many robots and for so long, until the benchmark hangs up.

    Args:
        servers: for each server, one for each robot; each is used on one thread at a time.
        width: numbers of the state.

    Raises:
        ValueError: a robot got an answer that is not its own.
    """
    announce(ready=True)
    for line in sys.stdin:
        told = json.loads(line)
        robots, asks = told["robots"], servers[told["server"]]
        begin_cpu_ns, begin_s = time.process_time_ns(), time.monotonic()
        end_s = begin_s + told["seconds"]
        with ThreadPoolExecutor(robots) as pool:
            asking = [pool.submit(_ask_until, end_s, asks[at], at, width) for at in range(robots)]
        announce(
            spent_ms=[robot.result() for robot in asking],
            elapsed_s=time.monotonic() - begin_s,
            cpu_ms=(time.process_time_ns() - begin_cpu_ns) / 1e6,
        )


def _ask_until(end_s: float, ask: Ask, robot: int, width: int) -> list[float]:
    """Return how long each request of a robot took, in milliseconds. No two robots have a state in common."""
    spent_ms: list[float] = []
    base = 0.02 * robot + np.linspace(0.1, 0.6, width)
    while not spent_ms or time.monotonic() < end_s:
        state = base + 0.001 * (len(spent_ms) % STATES)
        begin_ns = time.perf_counter_ns()
        actions = ask(state)
        spent_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)
        if not np.allclose(actions, state, rtol=0, atol=TOLERANCE):
            raise ValueError(f"robot {robot}: wanted actions {state}, got {actions}")
    return spent_ms

"""Robots between two connections: some clients connect anew for each request, and keep their session."""

from __future__ import annotations

import threading
from collections import OrderedDict

from vagus.clock import NS_PER_S, Clock
from vagus.gateways.peer import Peer

__all__ = ["REST_NS", "RestingRobots"]

REST_NS = 10 * NS_PER_S
"""Time in which the next connection must come. A session for each request would cost more than that."""


class RestingRobots:
    """Robots whose client has gone, for its next connection. Any thread may call it.

    A robot is found by the host of its client alone, and two clients of one host cannot be told apart: what
    is taken begins a new episode, so that nothing of one robot reaches another.

    Args:
        clock: monotonic.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Condition()
        self._all: OrderedDict[Peer, tuple[str, str, int]] = OrderedDict()
        self._is_closed = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._all)

    def put(self, robot: Peer, address: str, model: str) -> None:
        """Keep a robot of a model for the next connection from the host of `address`, host:port."""
        with self._lock:
            if not self._is_closed:
                self._all[robot] = _host(address), model, self._clock.now_ns() + REST_NS
                self._lock.notify_all()
                return
        robot.close()

    def take(self, address: str, model: str) -> Peer | None:
        """Return a robot that rests for this host and model, in a new episode; None: there is none."""
        with self._lock:
            wanted = (_host(address), model)
            found = next((robot for robot, (*key, _) in self._all.items() if tuple(key) == wanted), None)
            if found is not None:
                del self._all[found]
        if found is not None:
            found.reset()
        return found

    def close_oldest(self, patience_s: float = 0.0) -> bool:
        """Close the robot that rests for the longest time; return whether there was one.

        Args:
            patience_s: longest wait for one to rest: a client may connect anew before its last connection is
                seen to have ended.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._all or self._is_closed, patience_s)
            oldest = self._all.popitem(last=False)[0] if self._all else None
        if oldest is not None:
            oldest.close()
        return oldest is not None

    def close_late(self) -> None:
        """Close the robots to which no client has come back in time."""
        now_ns = self._clock.now_ns()
        with self._lock:
            late = [robot for robot, (_, _, end_ns) in self._all.items() if end_ns <= now_ns]
            for robot in late:
                del self._all[robot]
        for robot in late:
            robot.close()

    def close(self) -> None:
        """Close all, and whatever is put here later."""
        with self._lock:
            self._is_closed = True
        while self.close_oldest():
            pass


def _host(address: str) -> str:
    return address.rpartition(":")[0]

"""LeRobot robots at the other end of a network, such as `lekiwi_client`: their drivers hide that it is gone.

With nothing new they return the reading before once more, the very same dict with the very same numbers and
pictures, without an error. And what they could not deliver they wait for when they disconnect, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from vagus.clock import NS_PER_S, Clock, MonotonicClock, seconds_to_ns
from vagus.errors import RobotError

__all__ = ["STALE_S", "Freshness", "limit_zmq_linger"]

STALE_S = 0.5
"""A reading may be repeated for this long; LeRobot's cameras allow a frame the same."""
LINGER_MS = 1000
"""Time for the last command, which brings a base to rest, to leave."""


class Freshness:
    """Knows since when a robot has given nothing new. A robot that stands measures its pose anew.

    Args:
        what: names the robot in errors.
        clock: tells the time.
    """

    def __init__(self, what: str, clock: Clock | None = None) -> None:
        self._what = what
        self._clock = clock or MonotonicClock()
        self._seen: Mapping[str, object] | None = None
        self._values: Mapping[str, object] = {}
        self._changed_ns = 0

    def check(self, seen: Mapping[str, object]) -> None:
        """Take what the robot returned just now.

        Raises:
            RobotError: it has returned the same for longer than `STALE_S`.
        """
        now_ns = self._clock.now_ns()
        if not self._is_repeated(seen):
            self._seen, self._values, self._changed_ns = seen, dict(seen), now_ns
            return
        age_ns = now_ns - self._changed_ns
        if age_ns > seconds_to_ns(STALE_S):
            raise RobotError(
                f"{self._what}: nothing new for {age_ns / NS_PER_S:.1f} s, the driver repeats what it had; "
                "is the program on the robot running, and the network up?"
            )

    def _is_repeated(self, seen: Mapping[str, object]) -> bool:
        """Whether these are the objects of the reading before; a driver may refill one dict with new ones."""
        return (
            seen is self._seen
            and len(seen) == len(self._values)
            and all(seen.get(name) is value for name, value in self._values.items())
        )


def limit_zmq_linger(device: object) -> None:
    """Have a connected robot that is commanded through ZeroMQ give up what it cannot deliver in a second.

    ZeroMQ's default is to wait for ever, and LeRobot leaves it there: with the robot gone, `disconnect` would
    not return.
    """
    socket = getattr(device, "zmq_cmd_socket", None)
    if socket is not None:
        socket.linger = LINGER_MS

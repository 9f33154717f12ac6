"""Latency of requests: the worst of the last few, and where the time went."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["LatencyParts", "LatencySum", "LatencyWindow"]

DEFAULT_SIZE = 10
"""Replies remembered: about ten seconds of a policy that is asked once a second."""


class LatencyWindow:
    """The last few round trips, capture to reply, in nanoseconds."""

    def __init__(self, size: int = DEFAULT_SIZE, *, initial_ns: int = 0) -> None:
        """Start with `initial_ns` as the answer until the first round trip is known."""
        self._samples: deque[int] = deque(maxlen=size)
        self._initial_ns = initial_ns

    def add(self, round_trip_ns: int) -> None:
        """Remember one round trip; the oldest beyond the window is forgotten."""
        self._samples.append(max(0, round_trip_ns))

    @property
    def windowed_ns(self) -> int:
        """Worst round trip of the window.

        A short guess makes the robot act on a chunk that assumed less delay; a long one only costs a little
        freshness.
        """
        return max(self._samples, default=self._initial_ns)

    @property
    def fastest_ns(self) -> int:
        """Best round trip of the window, 0 before the first: no reply is to be expected sooner."""
        return min(self._samples, default=0)

    @property
    def newest_ns(self) -> int | None:
        """Last round trip, or None before the first."""
        return self._samples[-1] if self._samples else None


@dataclass(frozen=True, slots=True)
class LatencyParts:
    """Where the time from an observation to its chunk went, in nanoseconds.

    Attributes:
        network_ns: all that the server does not account for: the way there and back, and coding at the robot.
        queue_ns: waiting for other robots' batches.
        decode_ns: turning bytes into arrays.
        inference_ns: in the policy.
    """

    network_ns: int
    queue_ns: int
    decode_ns: int
    inference_ns: int

    @classmethod
    def of(cls, round_trip_ns: int, *, queue_ns: int, decode_ns: int, inference_ns: int) -> LatencyParts:
        """Return the parts of one round trip; what a server claims beyond it is not believed."""
        left_ns, believed = max(round_trip_ns, 0), []
        for claimed_ns in (queue_ns, decode_ns, inference_ns):
            believed.append(min(max(claimed_ns, 0), left_ns))
            left_ns -= believed[-1]
        return cls(left_ns, *believed)

    @property
    def total_ns(self) -> int:
        """From the observation to its chunk."""
        return self.network_ns + self.queue_ns + self.decode_ns + self.inference_ns

    @property
    def as_ms(self) -> dict[str, float]:
        """Milliseconds by name, the total first."""
        named = {
            "total": self.total_ns,
            "network": self.network_ns,
            "queue": self.queue_ns,
            "decode": self.decode_ns,
            "inference": self.inference_ns,
        }
        return {name: round(value / 1e6, 3) for name, value in named.items()}


class LatencySum:
    """The parts of all round trips so far."""

    def __init__(self) -> None:
        self._sums = [0, 0, 0, 0]
        self.count = 0
        self.newest: LatencyParts | None = None

    def add(self, parts: LatencyParts) -> None:
        """Count one round trip."""
        self.newest = parts
        self.count += 1
        for index, part_ns in enumerate(
            (parts.network_ns, parts.queue_ns, parts.decode_ns, parts.inference_ns)
        ):
            self._sums[index] += part_ns

    @property
    def mean(self) -> LatencyParts | None:
        """The mean of each part, or None before the first."""
        return LatencyParts(*(total // self.count for total in self._sums)) if self.count else None

"""What a scheduler sees of a request, and what it answers (pure)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TypeAlias

from vagus.clock import seconds_to_ns

__all__ = ["Batch", "Candidate", "Decision", "Wait", "expected_after"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session with a request that can go into a batch now.

    Attributes:
        epoch: epoch of the session.
        last_served: number of the batch that served it last; for a new session, of the last batch before it.
        ready_ns: time at which its request became ready; for a request that is expected, will become ready.
        due_ns: time by which the answer must leave the server, so that the robot does not run dry: arrival
            + slack − time of the round trip outside of the server. A client that cannot say its slack is due
            at its arrival.
        batch_key: requests with the same key can share one forward pass.
        tenant: party that the request is served for; shares are counted per tenant.
        weight: weight of this session's actions against those of others.
        share: device time that its tenant used of late, in seconds, divided by the weight of the tenant; it
            decides between tenants when there is not enough for all.
        rate_hz: actions that the robot commands per second; 0: not known.
        gain_s: time that the answer adds to what the robot can play: length of a chunk − what was left when
            the observation was captured, in seconds; 0: not known.
        waits_since_ns: time since which its session waits, if it has asked again meanwhile; None: `ready_ns`.
        is_blocked: its client cannot say its slack, and does nothing until it is answered; it may give up
            after a time that nobody knows. Those take turns, whatever their rate and gain.
    """

    epoch: int
    last_served: int
    ready_ns: int
    due_ns: int
    batch_key: Hashable = None
    tenant: str = ""
    weight: float = 1.0
    share: float = 0.0
    rate_hz: float = 0.0
    gain_s: float = 0.0
    waits_since_ns: int | None = None
    is_blocked: bool = False

    @property
    def waiting_from_ns(self) -> int:
        """Time since which its session waits for an answer, whichever of its requests is the newest."""
        return self.ready_ns if self.waits_since_ns is None else self.waits_since_ns

    @property
    def turn(self) -> tuple[int, int, int]:
        """Place in the order of turns: the session that was served longest ago has the smallest."""
        return self.last_served, self.ready_ns, self.epoch


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests to serve now in one forward pass: at least one, all with the same key."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Order to wait: decide again after a change, or at a given time.

    Attributes:
        until_ns: monotonic time; None: only after a change.
    """

    until_ns: int | None = None


Decision: TypeAlias = Batch | Wait


def expected_after(served: Candidate, answered_ns: int, *, min_interval_ns: int = 0) -> Candidate:
    """Return the next request of a session, as it is to be expected after an answer.

    The robot plays what it had, and what the answer added; it asks again when it can play as long as when it
    asked last, but not before the pause is over that the answer asked for.

    Args:
        served: the request that was answered.
        answered_ns: when the answer left.
        min_interval_ns: shortest time between two requests that the answer asked for.
    """
    buffer_ns = max(served.due_ns - served.ready_ns, 0)
    late_ns = max(answered_ns - served.due_ns, 0)
    if served.rate_hz > 0:  # it goes on at its next step
        step_ns = seconds_to_ns(1 / served.rate_hz)
        late_ns = -(-late_ns // step_ns) * step_ns
    due_ns = served.due_ns + late_ns + seconds_to_ns(served.gain_s)
    ready_ns = max(due_ns - buffer_ns, answered_ns, served.ready_ns + min_interval_ns)
    return replace(served, ready_ns=ready_ns, due_ns=due_ns, waits_since_ns=None)

"""Requests of one session: those in flight, their timeouts, those that were answered, and their latency."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, deque
from dataclasses import dataclass

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.edge.config import DelayEstimate
from vagus.types import RequestDraft
from vagus.wire.schema import MAX_AWAITED, Header, Kind

__all__ = ["InFlight", "LatencyParts", "LatencySum", "LatencyWindow", "Mismatch", "Request"]

MIN_TIMEOUT_NS = 250 * NS_PER_MS
MAX_TIMEOUT_NS = 5 * NS_PER_S
"""Longest wait for a server that is known to answer sooner, or is not known."""
FIRST_TIMEOUT_NS = NS_PER_S
"""Shortest wait while the latency is only a guess."""
TIMEOUT_FACTOR = 3
"""The wait for a reply is this many times the windowed latency."""
LEAST_FACTOR = (3, 2)
"""Shortest wait for a reply, as a multiple of the best latency."""
MAX_DOUBLINGS = 16
REMEMBERED_REQUESTS = 64
"""Number of requests whose late replies are still recognised."""
WINDOW = 10
"""Number of round trips in the window: about ten seconds at one request per second."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was sent.

    Attributes:
        epoch: session that it belongs to.
        seq: number within the session.
        draft: what it asks for.
        sent_ns: when it was sent.
        deadline_ns: when its answer is not waited for any longer.
        network_ns: time that it and its answer are expected to spend outside of the server; 0: not known.
        awaited: numbers of the requests whose chunks are expected to act before this one's, oldest first.
        slack_ns: time from its observation to the end of the plan, those chunks included.
    """

    epoch: int
    seq: int
    draft: RequestDraft
    sent_ns: int
    deadline_ns: int
    network_ns: int = 0
    awaited: tuple[int, ...] = ()
    slack_ns: int = 0

    @property
    def header(self) -> Header:
        """Header of the observation; the reply echoes it."""
        draft = self.draft
        return Header(Kind.OBSERVATION, self.seq, draft.episode, draft.captured_ns, self.epoch)


class Mismatch(enum.Enum):
    """Reason why a message answers no request; the values are counters."""

    DUPLICATED = "duplicated"
    """The request was answered already."""
    UNKNOWN_SEQ = "unknown_seq"
    """No such request was sent in this session."""
    WRONG_ECHO = "wrong_echo"
    """Episode or capture stamp are not those of the request."""


QUANTILES = {
    DelayEstimate.MAX: 1.0,
    DelayEstimate.Q90: 0.9,
    DelayEstimate.Q75: 0.75,
    DelayEstimate.MEDIAN: 0.5,
}
"""Estimate → share of the window that is not longer."""


class LatencyWindow:
    """Window of the last round trips, from capture to reply, in nanoseconds."""

    def __init__(self, size: int = WINDOW, *, initial_ns: int = 0) -> None:
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

    @property
    def median_ns(self) -> int:
        """Median of the window, the smaller of two in the middle."""
        return self.estimate_ns(DelayEstimate.MEDIAN)

    def estimate_ns(self, estimate: DelayEstimate) -> int:
        """Return an estimate of the next round trip."""
        if not self._samples:
            return self._initial_ns
        if estimate is DelayEstimate.LAST:
            return self._samples[-1]
        ordered = sorted(self._samples)
        return ordered[math.ceil(QUANTILES[estimate] * len(ordered)) - 1]


@dataclass(frozen=True, slots=True)
class LatencyParts:
    """Parts of the time from an observation to its chunk, in nanoseconds.

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
        """Return the parts of one round trip; times of the server beyond it are ignored."""
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


class InFlight:
    """Requests whose replies are awaited; older ones are remembered for their late replies.

    Args:
        latency: the last round trips.
        chunk_ns: how long a chunk can be played, from its observation on.
    """

    def __init__(self, latency: LatencyWindow, *, chunk_ns: int = 0) -> None:
        self._latency = latency
        self._chunk_ns = chunk_ns
        self._sent: OrderedDict[int, Request] = OrderedDict()
        self._seq = 0
        self._newest_answered = 0
        self._waiting_since_ns: int | None = None
        self._silent_sessions = 0
        self._awaited: list[Request] = []
        self._handed_over: deque[Request] = deque(maxlen=MAX_AWAITED)
        self.misses = 0

    @property
    def awaited(self) -> tuple[Request, ...]:
        """Requests whose replies are awaited, oldest first."""
        return tuple(self._awaited)

    @property
    def outstanding(self) -> Request | None:
        """The oldest of them; None if no reply is awaited."""
        return self._awaited[0] if self._awaited else None

    def begin_session(self) -> None:
        """Forget all requests and count from 1 again."""
        is_silent = self.misses > 0 and self._newest_answered == 0
        self._silent_sessions = self._silent_sessions + 1 if is_silent else 0
        self._sent.clear()
        self._seq = self._newest_answered = self.misses = 0
        self.abandon()

    def send(
        self,
        epoch: int,
        draft: RequestDraft,
        now_ns: int,
        *,
        network_ns: int = 0,
        is_continuing: bool = False,
    ) -> Request:
        """Return the request for this draft; its reply is awaited from now on.

        Args:
            epoch: session that it belongs to.
            draft: what it asks for.
            now_ns: time.
            network_ns: time outside of the server; 0: not known.
            is_continuing: the server continues what is under way to the robot.
        """
        before = self._before(draft) if is_continuing else []
        slack_ns = draft.slack_ns
        if before:
            slack_ns = max(slack_ns, before[-1].draft.captured_ns + self._chunk_ns - draft.captured_ns)
        self._seq += 1
        request = Request(
            epoch,
            self._seq,
            draft,
            now_ns,
            now_ns + self._timeout_ns(slack_ns),
            network_ns,
            tuple(one.seq for one in before),
            slack_ns,
        )
        self._awaited.append(request)
        if self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns
        self._sent[request.seq] = request
        if len(self._sent) > REMEMBERED_REQUESTS:
            self._sent.popitem(last=False)
        return request

    def take_back(self, ticket: int) -> None:
        """Drop the request of this ticket, which could not be sent; others are awaited as before."""
        self._awaited = [one for one in self._awaited if one.draft.ticket != ticket]
        self._waiting_since_ns = None if self.outstanding is None else self.outstanding.sent_ns

    def handed_over(self, request: Request) -> None:
        """Note that the chunk of a request went to the engine, which merges it at its next tick."""
        self._handed_over.append(request)

    def _before(self, draft: RequestDraft) -> list[Request]:
        """Return the requests whose chunks replace the plan of this draft before its own chunk does."""
        if draft.prefix is None:
            return []
        made = (*self._handed_over, *self._awaited)
        newer = [one for one in made if one.seq > draft.settled_seq and one.draft.prefix is not None]
        return newer[-MAX_AWAITED:]

    def match(self, header: Header) -> Request | Mismatch:
        """Return the request that a message answers, or why there is none."""
        request = self._sent.get(header.seq)
        if request is None:
            return Mismatch.DUPLICATED if 1 <= header.seq <= self._seq else Mismatch.UNKNOWN_SEQ
        draft = request.draft
        if (header.episode, header.client_mono_ns) != (draft.episode, draft.captured_ns):
            return Mismatch.WRONG_ECHO
        return request

    def settle(self, request: Request) -> bool:
        """Note that a request got its chunk; return whether it was awaited.

        Older ones are awaited no longer: a server answers in order, or not at all.
        """
        self._newest_answered = max(self._newest_answered, request.seq)
        return self._end_wait(request, before=request.seq)

    def refuse(self, request: Request) -> bool:
        """Note that a request got an event; return whether it was awaited. Chunks of older ones may come."""
        return self._end_wait(request, before=0)

    def _end_wait(self, request: Request, *, before: int) -> bool:
        """End the wait for a request, and for those numbered below `before`; say whether it was awaited."""
        self._sent.pop(request.seq, None)
        is_awaited = any(one.seq == request.seq for one in self._awaited)
        self._awaited = [one for one in self._awaited if one.seq != request.seq and one.seq > before]
        self.misses = 0
        self._waiting_since_ns = None if self.outstanding is None else self.outstanding.sent_ns
        return is_awaited

    def is_superseded(self, request: Request) -> bool:
        """Whether a newer request was answered already."""
        return request.seq < self._newest_answered

    def miss(self) -> None:
        """Await no reply any longer; late ones are still recognised."""
        self._awaited.clear()
        self.misses += 1

    def abandon(self) -> None:
        """Drop what is awaited: the robot has moved, or another episode began."""
        self._awaited.clear()
        self._handed_over.clear()
        self._waiting_since_ns = None

    def waited_ns(self, now_ns: int) -> int:
        """Return how long requests have been unanswered, in nanoseconds; 0 if none is."""
        return 0 if self._waiting_since_ns is None else now_ns - self._waiting_since_ns

    def _timeout_ns(self, slack_ns: int) -> int:
        """Return the timeout of a request: three times the latency, but at most the playback that is left.

        Twice as long after each miss, and while nobody knows the latency after each session without a single
        answer: how slow a server is that nobody measured shows only when it is waited for.
        """
        latency = self._latency
        expected_ns, latest_ns = TIMEOUT_FACTOR * latency.windowed_ns, MAX_TIMEOUT_NS
        if latency.newest_ns is None:
            silence = min(self._silent_sessions, MAX_DOUBLINGS)
            expected_ns = max(expected_ns, FIRST_TIMEOUT_NS) << silence
            latest_ns <<= silence
        if slack_ns > 0:
            latest_ns = min(latest_ns, slack_ns << self.misses)
        possible_ns = (latency.fastest_ns or latency.windowed_ns) * LEAST_FACTOR[0] // LEAST_FACTOR[1]
        return max(MIN_TIMEOUT_NS, possible_ns, min(expected_ns << self.misses, latest_ns))

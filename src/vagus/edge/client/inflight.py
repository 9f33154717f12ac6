"""Requests of one session: the one in flight, its timeout, and those that were answered."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.edge.client.latency import LatencyWindow
from vagus.types import RequestDraft
from vagus.wire.schema import Header, Kind

__all__ = ["InFlight", "Mismatch", "Request"]

MIN_TIMEOUT_NS = 250 * NS_PER_MS
MAX_TIMEOUT_NS = 5 * NS_PER_S
"""Longest patience with a server that is known to answer sooner, or not known at all."""
FIRST_TIMEOUT_NS = NS_PER_S
"""Least patience while the latency is only a guess."""
TIMEOUT_FACTOR = 3
"""Times the windowed latency."""
LEAST_FACTOR = (3, 2)
"""No request is given up before one and a half times the best latency: nobody could have answered."""
MAX_DOUBLINGS = 16
REMEMBERED_REQUESTS = 64
"""Requests whose late replies are still recognised."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was sent."""

    epoch: int
    seq: int
    draft: RequestDraft
    sent_ns: int
    deadline_ns: int

    @property
    def header(self) -> Header:
        """Header of the observation; the reply echoes it."""
        draft = self.draft
        return Header(Kind.OBSERVATION, self.seq, draft.episode, draft.captured_ns, self.epoch)


class Mismatch(enum.Enum):
    """Why a message answers no request; the values are counters."""

    DUPLICATED = "duplicated"
    """The request was answered already."""
    UNKNOWN_SEQ = "unknown_seq"
    """No such request was sent in this session."""
    WRONG_ECHO = "wrong_echo"
    """Episode or capture stamp are not those of the request."""


class InFlight:
    """At most one request in flight; older ones are remembered for their late replies."""

    def __init__(self, latency: LatencyWindow) -> None:
        self._latency = latency
        self._sent: OrderedDict[int, Request] = OrderedDict()
        self._seq = 0
        self._newest_answered = 0
        self._waiting_since_ns: int | None = None
        self._silent_sessions = 0
        self.misses = 0
        self.outstanding: Request | None = None

    def begin_session(self) -> None:
        """Forget all requests and count from 1 again."""
        is_silent = self.misses > 0 and self._newest_answered == 0
        self._silent_sessions = self._silent_sessions + 1 if is_silent else 0
        self._sent.clear()
        self._seq = self._newest_answered = self.misses = 0
        self.abandon()

    def send(self, epoch: int, draft: RequestDraft, now_ns: int) -> Request:
        """Return the request for this draft; it is in flight from now on."""
        self._seq += 1
        request = Request(epoch, self._seq, draft, now_ns, now_ns + self._timeout_ns(draft.slack_ns))
        self.outstanding = request
        if self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns
        self._sent[request.seq] = request
        if len(self._sent) > REMEMBERED_REQUESTS:
            self._sent.popitem(last=False)
        return request

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
        """The request was answered; the same answer again is a duplicate. Return whether it was in flight."""
        self._sent.pop(request.seq, None)
        self._newest_answered = max(self._newest_answered, request.seq)
        outstanding = self.outstanding
        is_awaited = outstanding is not None and outstanding.seq == request.seq
        if is_awaited:
            self.outstanding = None
        self.misses = 0
        self._waiting_since_ns = None if self.outstanding is None else self.outstanding.sent_ns
        return is_awaited

    def is_superseded(self, request: Request) -> bool:
        """Whether a newer request was answered already."""
        return request.seq < self._newest_answered

    def miss(self) -> None:
        """The time of the request in flight is up; its late reply is still recognised."""
        self.outstanding = None
        self.misses += 1

    def abandon(self) -> None:
        """What was asked is void: the robot has moved, or another episode began."""
        self.outstanding = None
        self._waiting_since_ns = None

    def waited_ns(self, now_ns: int) -> int:
        """Return for how long requests have been unanswered, 0 if none is."""
        return 0 if self._waiting_since_ns is None else now_ns - self._waiting_since_ns

    def _timeout_ns(self, slack_ns: int) -> int:
        """Return how long to wait: three times the latency, but no longer than there is playback.

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

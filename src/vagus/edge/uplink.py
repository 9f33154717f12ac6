"""The conversation with one server, without a network: requests, time limits, what replies are worth."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S, seconds_to_ns
from vagus.edge.buffer import Source
from vagus.edge.config import EdgeConfig
from vagus.edge.exchange import LinkView, PlanView, Proposal
from vagus.edge.latency import LatencyWindow
from vagus.edge.states import LINK_TABLE, LinkEvent, next_state
from vagus.errors import ProtocolError
from vagus.specs import PolicySpec
from vagus.transport.keys import ServerKey
from vagus.types import ActionChunk, FloatArray, LinkState, MotionState, Snapshot, SnapshotDraft
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.schema import ChunkMessage, EventCode, EventMessage, Header, Kind, TensorMessage

__all__ = ["Request", "Session", "Uplink"]

MIN_TIMEOUT_NS = 250 * NS_PER_MS
MAX_TIMEOUT_NS = 5 * NS_PER_S
MISSES_UNTIL_LOST = 2
"""Unanswered requests in a row after which the server counts as lost; one may be a hiccup."""
REMEMBERED_REQUESTS = 64
"""Requests whose late replies are still recognised."""
REMEMBERED_EPOCHS = 256
FIRST_PAUSE_NS = 100 * NS_PER_MS
"""Pause before the next request after a failed one; doubles, so that a failing server is not hammered."""
MAX_PAUSE_NS = NS_PER_S

SESSION_OVER = frozenset({EventCode.UNKNOWN_SESSION.value, EventCode.DRAINING.value})
"""Events after which this server will not answer this session again."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: the server and the epoch that marks its messages."""

    server: ServerKey
    epoch: int


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was sent."""

    epoch: int
    seq: int
    draft: SnapshotDraft
    sent_ns: int
    deadline_ns: int

    @property
    def header(self) -> Header:
        """Header of the observation; the reply echoes it."""
        draft = self.draft
        return Header(Kind.OBSERVATION, self.seq, draft.episode, draft.captured_ns, self.epoch)


class Uplink:
    """Link state, the one request in flight, and the checks on every reply. Owned by the worker thread."""

    def __init__(self, config: EdgeConfig, spec: PolicySpec, latency: LatencyWindow) -> None:
        self._spec = spec
        self._latency = latency
        self._degraded_after_ns = seconds_to_ns(config.degraded_after_s)
        self._sent: OrderedDict[int, Request] = OrderedDict()
        self._past_epochs: OrderedDict[int, None] = OrderedDict()
        self._outstanding: Request | None = None
        self._is_slow_reported = False
        self._is_asking = False
        self._ask_at_ns = 0
        self._failures = 0
        self._misses = 0
        self._seq = 0
        self._ticket = 0
        self._merges_seen = 0
        self._episode = 0
        self.state = LinkState.CONNECTING
        self.session: Session | None = None
        self.dead_reason = ""
        self.lost_reason = ""
        self.counters: Counter[str] = Counter()

    @property
    def view(self) -> LinkView:
        """What the control thread is told."""
        epoch = None if self.session is None else self.session.epoch
        return LinkView(self.state, epoch, self._ticket, self._latency.windowed_ns)

    @property
    def outstanding(self) -> Request | None:
        """The request in flight."""
        return self._outstanding

    # -- session ----------------------------------------------------------------------------------------

    def opened(self, session: Session, now_ns: int) -> None:
        """A server accepted us: requests start afresh under the new epoch."""
        self._transit(LinkEvent.OPENED)
        self._forget_session()
        self.session = session
        self._seq = self._misses = self._failures = 0
        self._ask_at_ns = now_ns
        self._is_asking = False
        self.counters["sessions_opened"] += 1

    def lost(self, why: str) -> None:
        """The server is of no use any more; replies of its epoch are void."""
        if self.state in (LinkState.DEAD, LinkState.CONNECTING):
            return
        self._transit(LinkEvent.LOST)
        self.lost_reason = why
        self.counters["sessions_lost"] += 1
        self._forget_session()

    def kill(self, why: str) -> None:
        """Give up for good."""
        if self.state is LinkState.DEAD:
            return
        self._transit(LinkEvent.KILLED)
        self.dead_reason = why
        self._forget_session()

    # -- requests ---------------------------------------------------------------------------------------

    def offer(self, snapshot: Snapshot, now_ns: int) -> Request | None:
        """Return the request to send for a snapshot, or None if it came too late to be of use."""
        draft = snapshot.draft
        if self.session is None or not self._is_asking or draft.ticket != self._ticket:
            self.counters["snapshots_unwanted"] += 1
            return None
        self._is_asking = False
        if draft.episode != self._episode:
            self.counters["snapshots_of_old_episode"] += 1
            return None
        self._seq += 1
        deadline_ns = now_ns + self._timeout_ns(draft.slack_ns)
        request = Request(self.session.epoch, self._seq, draft, now_ns, deadline_ns)
        self._outstanding = request
        self._is_slow_reported = False
        self._sent[request.seq] = request
        if len(self._sent) > REMEMBERED_REQUESTS:
            self._sent.popitem(last=False)
        self.counters["requests"] += 1
        return request

    def draft_failed(self, ticket: int, now_ns: int) -> None:
        """No images could be had, or the observation could not be encoded: ask again a little later."""
        if ticket != self._ticket:
            return
        self._is_asking = False
        self._outstanding = None
        self._fail("drafts_failed", now_ns)

    def _timeout_ns(self, slack_ns: int) -> int:
        grown = 3 * self._latency.windowed_ns << self._misses
        latest = MAX_TIMEOUT_NS if slack_ns <= 0 else min(MAX_TIMEOUT_NS, slack_ns << self._misses)
        return max(MIN_TIMEOUT_NS, min(grown, latest))

    # -- replies ----------------------------------------------------------------------------------------

    def receive(self, header: Header, payload: bytes, now_ns: int) -> Proposal | None:
        """Return the proposal that a message carries, or None; whatever is wrong with it is counted.

        The header decides before the body is touched: the key a message arrives under is not to be trusted.
        """
        if self.session is None or header.epoch != self.session.epoch:
            is_ours = header.epoch in self._past_epochs
            self.counters["old_epoch" if is_ours else "misrouted"] += 1
            return None
        if header.kind is Kind.EVENT:
            self._receive_event(header, payload, now_ns)
            return None
        if header.kind is not Kind.CHUNK:
            self.counters["unexpected_kind"] += 1
            return None
        return self._receive_chunk(header, payload, now_ns)

    def _receive_chunk(self, header: Header, payload: bytes, now_ns: int) -> Proposal | None:
        request = self._sent.get(header.seq)
        if request is None or request.draft.captured_ns != header.client_mono_ns:
            self.counters["duplicated_or_unknown"] += 1
            return None
        if header.episode != self._episode or request.draft.episode != self._episode:
            self.counters["old_episode"] += 1
            return None
        del self._sent[header.seq]  # answered: the same reply again is a duplicate
        try:
            chunk = self._decode_chunk(payload, request)
        except ProtocolError:
            self._answered(header.seq)
            self._fail("rejected_chunks", now_ns)
            return None
        self._latency.add(now_ns - request.draft.captured_ns)
        self._answered(header.seq)
        self._misses = self._failures = 0
        self._ask_at_ns = now_ns
        return Proposal(chunk, Source(request.epoch, request.seq, request.draft.captured_ns), request.draft)

    def _decode_chunk(self, payload: bytes, request: Request) -> ActionChunk:
        try:
            message = decode(payload, ChunkMessage)
            robot = self._tensor(
                message.chunk_robot, (message.valid_len, self._spec.action_dim), "chunk_robot"
            )
            model = self._tensor(
                message.chunk_model, (message.valid_len, self._spec.model_dim), "chunk_model"
            )
        except ProtocolError:
            self.counters["rejected_malformed"] += 1
            raise
        if not 1 <= message.valid_len <= self._spec.horizon or message.step != request.draft.step:
            self.counters["rejected_shape"] += 1
            raise ProtocolError("chunk of another length or step than asked for")
        if not (np.isfinite(robot).all() and np.isfinite(model).all()):
            self.counters["rejected_not_finite"] += 1
            raise ProtocolError("chunk with NaN or infinity")
        return ActionChunk(message.step, model, robot)

    @staticmethod
    def _tensor(message: TensorMessage, shape: tuple[int, int], name: str) -> FloatArray:
        array = decode_tensor(message, shape=shape, name=name)
        if array.dtype != np.float32:
            raise ProtocolError(f"{name}: wanted float32, got {array.dtype}")
        return np.array(array, dtype=np.float32)  # owned: the plan outlives the message

    def _receive_event(self, header: Header, payload: bytes, now_ns: int) -> None:
        try:
            event = decode(payload, EventMessage)
        except ProtocolError:
            self.counters["rejected_malformed"] += 1
            return
        self.counters[f"event_{_known_code(event.code)}"] += 1
        if event.code in SESSION_OVER:
            self.lost(f"{event.code}: {event.message}")
            return
        self._sent.pop(header.seq, None)
        if self._answered(header.seq):
            self._fail("requests_refused", now_ns)

    def _answered(self, seq: int) -> bool:
        is_awaited = self._outstanding is not None and self._outstanding.seq == seq
        if is_awaited:
            self._outstanding = None
        return is_awaited

    # -- time -------------------------------------------------------------------------------------------

    def advance(self, plan: PlanView, now_ns: int) -> None:
        """Take note of time and of how the plan stands; ask for a snapshot where one is wanted."""
        if plan.merges != self._merges_seen:
            self._merges_seen = plan.merges
            if self.state not in (LinkState.DEAD, LinkState.CONNECTING):
                self._transit(LinkEvent.MERGED)
        if plan.episode != self._episode:
            self._episode = plan.episode
            self._abandon()
        if plan.is_over:
            self._abandon()
            return
        self._check_outstanding(plan, now_ns)
        is_streaming = self.state in (LinkState.STREAMING, LinkState.DEGRADED)
        is_idle = self._outstanding is None and not self._is_asking
        if is_streaming and is_idle and now_ns >= self._ask_at_ns and plan.motion is not MotionState.PAUSED:
            self._is_asking = True
            self._ticket += 1

    def _check_outstanding(self, plan: PlanView, now_ns: int) -> None:
        request = self._outstanding
        if request is None:
            return
        if plan.motion is MotionState.PAUSED or request.draft.captured_ns <= plan.not_before_ns:
            self._abandon()
        elif now_ns >= request.deadline_ns:
            self._miss(now_ns)
        elif now_ns - request.sent_ns > self._degraded_after_ns and not self._is_slow_reported:
            self._is_slow_reported = True
            self._transit(LinkEvent.FAILED)

    def _miss(self, now_ns: int) -> None:
        self.counters["timeouts"] += 1
        self._outstanding = None  # its late reply is still merged if nothing newer was
        self._misses += 1
        self._ask_at_ns = now_ns
        if self._misses >= MISSES_UNTIL_LOST:
            self.lost(f"{self._misses} requests in a row without an answer")
        else:
            self._transit(LinkEvent.FAILED)

    def _abandon(self) -> None:
        """What was asked is void: the robot has moved, or another episode began."""
        self._outstanding = None
        self._is_asking = False

    def _fail(self, counter: str, now_ns: int) -> None:
        self.counters[counter] += 1
        self._failures += 1
        self._ask_at_ns = now_ns + min(FIRST_PAUSE_NS << min(self._failures - 1, 8), MAX_PAUSE_NS)
        if self.state in (LinkState.STREAMING, LinkState.DEGRADED):
            self._transit(LinkEvent.FAILED)

    def _forget_session(self) -> None:
        if self.session is not None:
            self._past_epochs[self.session.epoch] = None
            if len(self._past_epochs) > REMEMBERED_EPOCHS:
                self._past_epochs.popitem(last=False)
        self.session = None
        self._sent.clear()
        self._abandon()

    def _transit(self, event: LinkEvent) -> None:
        self.state = next_state(LINK_TABLE, self.state, event)


def _known_code(code: str) -> str:
    """Return the code if this version knows it: a peer must not fill our counters with names of its own."""
    return code if code in EventCode._value2member_map_ else "unknown_code"

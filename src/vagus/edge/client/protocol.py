"""Client protocol without I/O: link state, when to request, which replies are valid."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from vagus.clock import NS_PER_MS, NS_PER_S, seconds_to_ns
from vagus.edge.client.codec import Reply, ReplyFault, read_chunk
from vagus.edge.client.inflight import InFlight, LatencyParts, LatencySum, LatencyWindow, Mismatch, Request
from vagus.edge.client.refusals import Refusals
from vagus.edge.client.server_part import ServerPart
from vagus.edge.config import AUTO, EdgeConfig, MergeMode
from vagus.edge.handoff import LinkView, PlanView, Proposal, Source
from vagus.edge.states import LINK_TABLE, LinkEvent, next_state
from vagus.errors import ProtocolError
from vagus.quoting import quoted
from vagus.specs import PolicySpec
from vagus.transport.keys import ServerKey
from vagus.types import LinkState, MotionState, RequestDraft, Snapshot
from vagus.wire.codec import decode
from vagus.wire.schema import MAX_AWAITED, EventCode, EventMessage, Header, Kind

__all__ = ["ClientProtocol", "Request", "SessionRef"]

MISSES_UNTIL_LOST = 2
"""Unanswered requests in a row after which the server counts as lost; one may be a hiccup."""
REFUSALS_UNTIL_LOST = 5
"""Requests in a row answered by an event, or by a chunk that must be refused, after which it is lost, too."""
REFUSALS_UNTIL_MOVED = 2
"""The same if another replica may do better: the buffer plays on only for so long."""
REMEMBERED_EPOCHS = 256
FIRST_PAUSE_NS = 100 * NS_PER_MS
"""Pause before the next request after a failed one; doubles, so that a failing server is not hammered."""
MAX_PAUSE_NS = NS_PER_S
MAX_TOLD_PAUSE_NS = 10 * NS_PER_S
"""Longest pause that a server can ask for with one event."""

SESSION_OVER = frozenset({EventCode.UNKNOWN_SESSION.value, EventCode.DRAINING.value})
"""Events after which this server will not answer this session again."""
OWN_FAULT = frozenset({EventCode.INVALID_INPUT.value})
"""Events about the request itself: a replica would answer the same."""
MOVE_SLACK = 2
"""Playback that must be left for a move, as a multiple of the worst round trip of the window."""
_OPEN = (LinkState.STREAMING, LinkState.DEGRADED)


@dataclass(frozen=True, slots=True)
class SessionRef:
    """An open session.

    Attributes:
        server: where it is open.
        epoch: marks its messages.
        least_executed: actions of a chunk that the server wants executed before the next request; 0: as the
            robot likes.
        processor_s: time of the server's processor for one request, in seconds; 0: not known.
        continues_awaited: the server lets a chunk continue those that are still under way to the robot.
    """

    server: ServerKey
    epoch: int
    least_executed: int = 0
    processor_s: float = 0.0
    continues_awaited: bool = False


class ClientProtocol:
    """Link state, the asks of the worker, and the checks on every reply. Owned by the worker thread."""

    def __init__(self, config: EdgeConfig, spec: PolicySpec, latency: LatencyWindow) -> None:
        self._spec = spec
        self._latency = latency
        self._delay_estimate = config.delay_estimate
        self._network = LatencyWindow()
        """Of each round trip the part outside of the server."""
        self._part = ServerPart()
        self._degraded_after_ns = seconds_to_ns(config.degraded_after_s)
        self._inflight = InFlight(latency, chunk_ns=_chunk_ns(config, spec))
        self._most_awaited = _most_awaited(config)
        self._plan = PlanView()
        self._past_epochs: OrderedDict[int, None] = OrderedDict()
        self._is_asking = False
        self._ask_at_ns = 0
        self._told_until_ns = 0  # the server's pause: no reply to an older request ends it
        self._ticket = 0
        self._failures = self._refusals = 0
        self._min_interval_ns = 0
        """As the last chunk of this session says; a request without an answer is repeated at once."""
        self.state = LinkState.CONNECTING
        self.session: SessionRef | None = None
        self.dead_reason = ""
        self.lost_reason = ""
        self.has_alternative = False  # another server could be asked instead; the worker says so
        self.invited_to = ""
        """Segment of the server that the session's server invites this robot to; the worker takes it."""
        self.is_moving = False  # a session is being opened with another server; the worker says so
        self.refusals = Refusals()
        self.latency = LatencySum()
        self.counters: Counter[str] = Counter()

    @property
    def view(self) -> LinkView:
        """View of the link for the control thread."""
        latency, session = self._latency, self.session
        return LinkView(
            self.state,
            None if session is None else session.epoch,
            self._ticket,
            latency.windowed_ns,
            latency.fastest_ns,
            least_executed=0 if session is None else session.least_executed,
            min_interval_ns=self._min_interval_ns,
            delay_ns=latency.estimate_ns(self._delay_estimate),
            share_ns=self._part.interval_ns,
            in_flight=len(self._inflight.awaited),
        )

    @property
    def outstanding(self) -> Request | None:
        """The oldest request whose reply is awaited."""
        return self._inflight.outstanding

    @property
    def network_ns(self) -> int:
        """Usual part of a round trip outside of the server; 0: not known."""
        return self._network.median_ns

    # -- session ----------------------------------------------------------------------------------------

    def opened(self, session: SessionRef, now_ns: int) -> None:
        """Begin a session: requests start afresh under the new epoch."""
        self._transit(LinkEvent.OPENED)
        self.session = session
        self._failures = self._refusals = 0
        self._ask_at_ns = now_ns
        self.counters["sessions_opened"] += 1

    def may_move(self, draft: RequestDraft) -> bool:
        """Return whether the request of this draft may be the first of a session with another server.

        No answer is awaited, so none is lost; the plan lasts for twice the worst round trip that is known.
        """
        is_wanted = self._is_asking and draft.ticket == self._ticket and draft.episode == self._plan.episode
        is_known = self._latency.newest_ns is not None
        has_slack = is_known and draft.slack_ns >= MOVE_SLACK * self._latency.windowed_ns
        return (
            self.state is LinkState.STREAMING
            and self._inflight.outstanding is None
            and is_wanted
            and has_slack
        )

    def moved(self, session: SessionRef) -> None:
        """Go on with a session of another server: the ask stands, replies of the old session are void."""
        self._transit(LinkEvent.MOVED)
        is_asking = self._is_asking
        self._forget_session()
        self._is_asking = is_asking
        self.session = session
        self._failures = self._refusals = 0
        self.counters["moves"] += 1

    def lost(self, why: str) -> None:
        """End the session: the server is lost, and replies of its epoch are void."""
        if self.session is None:
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
        said = self.refusals.newest
        self.dead_reason = f"{why}; the server said: {said}" if said else why
        self._forget_session()

    # -- requests ---------------------------------------------------------------------------------------

    def offer(self, snapshot: Snapshot, now_ns: int) -> Request | None:
        """Return the request to send for a snapshot, or None if it came too late to be of use."""
        draft = snapshot.draft
        if self.session is None or not self._is_asking or draft.ticket != self._ticket:
            self.counters["snapshots_unwanted"] += 1
            return None
        self._is_asking = False
        if draft.episode != self._plan.episode or draft.captured_ns <= self._plan.not_before_ns:
            self.counters["snapshots_void"] += 1
            return None
        self.counters["requests"] += 1
        return self._inflight.send(
            self.session.epoch,
            draft,
            now_ns,
            network_ns=self.network_ns,
            is_continuing=self.session.continues_awaited,
        )

    def draft_failed(self, ticket: int, now_ns: int) -> None:
        """Note that there are no images, or no encoding: ask again a little later."""
        if ticket != self._ticket:
            return
        self._is_asking = False
        self._inflight.take_back(ticket)
        self._fail("drafts_failed", now_ns)

    # -- replies ----------------------------------------------------------------------------------------

    def receive(self, header: Header, payload: bytes, now_ns: int) -> Proposal | None:
        """Return the proposal in a message, or None; every fault of a message is counted.

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
        return self._receive_chunk(self.session, header, payload, now_ns)

    def _receive_chunk(
        self, session: SessionRef, header: Header, payload: bytes, now_ns: int
    ) -> Proposal | None:
        request = self._inflight.match(header)
        if isinstance(request, Mismatch):
            self.counters[request.value] += 1
            return None
        is_superseded = self._inflight.is_superseded(request)
        self._inflight.settle(request)
        draft = request.draft
        if draft.episode != self._plan.episode or is_superseded:
            self.counters["superseded" if is_superseded else "old_episode"] += 1
            return None
        reply = read_chunk(payload, self._spec, step=draft.step, processor_s=session.processor_s)
        if isinstance(reply, ReplyFault):
            self.counters[reply.value] += 1
            self.refusals.note(reply.value, "", now_ns)
            self._refused("rejected_chunks", now_ns, is_moving=self.has_alternative)
            return None
        self._note_latency(now_ns - draft.captured_ns, reply)
        self._failures = self._refusals = 0
        self._min_interval_ns = reply.min_interval_ns
        self._ask_at_ns = now_ns
        self._inflight.handed_over(request)
        return Proposal(reply.chunk, Source(request.epoch, request.seq, draft.captured_ns), draft)

    def _note_latency(self, round_trip_ns: int, reply: Reply) -> None:
        parts = LatencyParts.of(
            round_trip_ns,
            queue_ns=reply.queue_ns,
            decode_ns=reply.decode_ns,
            inference_ns=reply.inference_ns,
        )
        self._latency.add(round_trip_ns)
        self._network.add(parts.network_ns)
        self._part.add(reply.share_ns)
        self.latency.add(parts)

    def _receive_event(self, header: Header, payload: bytes, now_ns: int) -> None:
        try:
            event = decode(payload, EventMessage)
        except ProtocolError:
            self.counters[ReplyFault.MALFORMED.value] += 1
            return
        code = _known_code(event.code)
        self.counters[f"event_{code}"] += 1
        if event.code == EventCode.MOVE.value:
            self.invited_to = event.target
            return
        if event.code in SESSION_OVER:
            self.lost(f"{code}: {quoted(event.message)}")
            return
        request = self._inflight.match(header)
        if not isinstance(request, Mismatch) and self._inflight.refuse(request):
            self.refusals.note(code, event.message, now_ns)
            if event.code == EventCode.OVERLOADED and event.pause_ms > 0:
                self._told_to_pause(event.pause_ms, now_ns)
                return
            is_moving = self.has_alternative and code not in OWN_FAULT
            self._refused("requests_refused", now_ns, is_moving=is_moving)

    # -- time -------------------------------------------------------------------------------------------

    def follow(self, plan: PlanView) -> None:
        """Note the state of the plan; requests that it makes void are dropped."""
        last, self._plan = self._plan, plan
        if plan.gave_up:
            self.kill(plan.gave_up)
        if plan.merges != last.merges and self.state not in (LinkState.DEAD, LinkState.CONNECTING):
            self._transit(LinkEvent.MERGED)
            self.refusals.merged()
        is_idle = plan.is_over or plan.motion is MotionState.PAUSED
        awaited = self._inflight.outstanding
        has_moved = awaited is not None and awaited.draft.captured_ns <= plan.not_before_ns
        if is_idle or has_moved or plan.episode != last.episode:
            self._abandon()

    def advance(self, now_ns: int) -> None:
        """Note the time; ask for a snapshot if one is wanted."""
        self._part.advance(now_ns)
        awaited = self._inflight.outstanding
        if awaited is not None and now_ns >= awaited.deadline_ns:
            self._miss()
        if self.state is LinkState.STREAMING and self._inflight.waited_ns(now_ns) > self._degraded_after_ns:
            self._transit(LinkEvent.FAILED)
        is_busy = self._is_asking or len(self._inflight.awaited) >= self._most_now
        is_wanted = not self._plan.is_over and self._plan.motion is not MotionState.PAUSED
        may_ask_ns = max(self._ask_at_ns, self._told_until_ns)
        if self.state in _OPEN and is_wanted and not is_busy and now_ns >= may_ask_ns:
            self._is_asking = True
            self._ticket += 1

    @property
    def _most_now(self) -> int:
        """Most replies that may be awaited now: several only while all is well, and the plan is played.

        What a request costs is known from the first answer of the session.
        """
        session = self.session
        is_leaving = self.is_moving or bool(self.invited_to)  # a move waits until no reply is awaited
        is_well = self.state is LinkState.STREAMING and not self._inflight.misses and not is_leaving
        is_known = session is not None and session.continues_awaited and self._part.is_known
        is_playing = self._plan.motion is MotionState.PLAYING
        return self._most_awaited if is_well and is_known and is_playing else 1

    def _miss(self) -> None:
        self.counters["timeouts"] += 1
        self._min_interval_ns = 0
        self._inflight.miss()
        if self._inflight.misses >= MISSES_UNTIL_LOST:
            self.lost(f"{self._inflight.misses} requests in a row without an answer")

    # -- the rest ---------------------------------------------------------------------------------------

    def _abandon(self) -> None:
        self._inflight.abandon()
        self._is_asking = False

    def _told_to_pause(self, pause_ms: float, now_ns: int) -> None:
        """Ask again after the pause, of the same server: it works, and another one would cost more time.

        A server that only ever puts off is left for another one once there is nothing to play. From the last
        answer to the end of the pause no request is allowed, so none comes sooner without need for a while.
        """
        waited_ns = max(now_ns - self._ask_at_ns, 0)
        self._fail("requests_deferred", now_ns)
        pause_ns = max(round(pause_ms * NS_PER_MS), FIRST_PAUSE_NS)
        self._part.put_off(waited_ns + pause_ns, now_ns)
        self._ask_at_ns = self._told_until_ns = now_ns + min(pause_ns, MAX_TOLD_PAUSE_NS)
        self._refusals += 1
        is_dry = self._plan.motion is not MotionState.PLAYING
        if is_dry and self.has_alternative and self._refusals >= REFUSALS_UNTIL_LOST:
            self.lost(f"{self._refusals} requests in a row put off, the last with {self.refusals.newest}")

    def _refused(self, counter: str, now_ns: int, *, is_moving: bool) -> None:
        """Count a refusal; with `is_moving` leave the server after a few."""
        self._fail(counter, now_ns)
        self._refusals += 1
        if is_moving:
            self._ask_at_ns = now_ns
        if self._refusals >= (REFUSALS_UNTIL_MOVED if is_moving else REFUSALS_UNTIL_LOST):
            self.lost(f"{self._refusals} requests in a row refused, the last with {self.refusals.newest}")

    def _fail(self, counter: str, now_ns: int) -> None:
        self.counters[counter] += 1
        self._min_interval_ns = 0
        self._failures += 1
        self._ask_at_ns = now_ns + min(FIRST_PAUSE_NS << min(self._failures - 1, 8), MAX_PAUSE_NS)
        if self.state in _OPEN:
            self._transit(LinkEvent.FAILED)

    def _forget_session(self) -> None:
        if self.session is not None:
            self._past_epochs[self.session.epoch] = None
            if len(self._past_epochs) > REMEMBERED_EPOCHS:
                self._past_epochs.popitem(last=False)
        self.session = None
        self._min_interval_ns = self._told_until_ns = 0
        self._part = ServerPart()
        self._inflight.begin_session()
        self._abandon()

    def _transit(self, event: LinkEvent) -> None:
        self.state = next_state(LINK_TABLE, self.state, event)


def _most_awaited(config: EdgeConfig) -> int:
    """Return how many replies these settings let a robot await at once."""
    is_asking_ahead = config.execute_horizon == AUTO and config.merge is not MergeMode.FINISH
    return min(config.max_in_flight, MAX_AWAITED) if is_asking_ahead else 1


def _chunk_ns(config: EdgeConfig, spec: PolicySpec) -> int:
    """Return how long a chunk can be played, from its observation on."""
    return seconds_to_ns(min(spec.horizon / (config.rate_hz or spec.rate_hz), config.max_action_age_s))


def _known_code(code: str) -> str:
    """Return the code if it is known; a peer must not create counters with names of its own."""
    return code if code in EventCode._value2member_map_ else "unknown_code"

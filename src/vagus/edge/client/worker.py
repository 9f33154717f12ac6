"""The worker thread: it owns link and session, sends what the engine asks for, and fails over."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter

from vagus.clock import Clock
from vagus.edge.client.codec import RequestCoding, encode_request, request_seed
from vagus.edge.client.exchange import DraftFailed, Exchange, WorkerEvent
from vagus.edge.client.failover import Failover
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.replicas import LinkReopened, ReplicaEvent, TokenChanged
from vagus.edge.client.session import Presence, SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.handoff import PlanView
from vagus.errors import LinkError, ProtocolError, VagusError
from vagus.threads import Supervised, ThreadPool
from vagus.transport.link import Delivery, Sample
from vagus.types import LinkState, Snapshot
from vagus.wire.codec import decode, decode_header, encode
from vagus.wire.schema import ResetAck, ResetMessage

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

POLL_S = 0.01
"""Longest delay before the worker looks at time and plan; events wake it at once."""
INBOX_SIZE = 1024
"""Most events that wait for the worker; further ones are dropped: somebody floods it."""
MAX_SAMPLES = 256
"""Number of waiting events from which samples are dropped, so that other events have room."""
RESET_TIMEOUT_S = 0.5
"""Longest wait for the answer to a reset; the next observation carries the boundary anyway."""
JOIN_TIMEOUT_S = 5.0
REMEMBERED_REQUESTS = 64
"""Number of requests whose instruction is remembered."""
ENCODE_THREADS = 2
"""Number of frames encoded at the same time: JPEG coding releases the GIL."""


class Worker:
    """Runs the exchange with the servers on a thread of its own. Others hand it events by `post`."""

    def __init__(self, config: EdgeConfig, opener: SessionOpener, clock: Clock, *, run_seed: int) -> None:
        self._config = config
        self._opener = opener
        self._link = opener.link
        self._clock = clock
        self._run_seed = run_seed
        self._inbox: queue.Queue[WorkerEvent] = queue.Queue(INBOX_SIZE)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._encoders = ThreadPool(ENCODE_THREADS, "vagus-encode")
        self._requests_made = 0
        self._asked_for: dict[tuple[int, int], str] = {}
        self._errors_in_row = 0
        self._last_session: SessionRef | None = None
        self._merges_seen = 0
        self._announced_episode = 0
        self._exchange: Exchange | None = None
        self._failover = Failover(opener, clock, self._on_sample)
        self.counters: Counter[str] = self._failover.counters

    @property
    def presence(self) -> Presence:
        """Token and chunk subscription at the server of the session."""
        return self._failover.presence

    # -- life -------------------------------------------------------------------------------------------

    def start(self, exchange: Exchange) -> None:
        """Begin to serve the engine; the first session is open."""
        self._exchange = exchange
        self._last_session = exchange.protocol.session
        self._thread = Supervised(self._run, name="vagus-worker")
        self._thread.start()

    def stop(self) -> None:
        """End the threads; what is in the inbox is dropped. Twice does nothing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
        self._failover.stop()
        self._encoders.close()

    def post(self, event: WorkerEvent) -> None:
        """Hand over an event (any thread); dropped and counted if the worker is flooded."""
        try:
            self._inbox.put_nowait(event)
        except queue.Full:
            self.counters["inbox_full"] += 1

    # -- loop -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._exchange is not None and not self._stopping.is_set():
            self._turn_safely(self._exchange)

    def _turn_safely(self, exchange: Exchange) -> None:
        try:
            self._turn(exchange)
        except BaseException as error:
            # Whatever it is, its owner sees it: ten without a merge between them are DEAD.
            self._errors_in_row += 1
            self.counters["worker_errors"] += 1
            logger.exception("worker error %d in a row", self._errors_in_row)
            if self._errors_in_row >= self._config.max_worker_errors:
                exchange.protocol.kill(f"{self._errors_in_row} worker errors in a row, the last: {error!r}")
            exchange.protocol.draft_failed(exchange.protocol.view.ticket, self._clock.now_ns())
        self._publish(exchange)

    @staticmethod
    def _publish(exchange: Exchange) -> None:
        exchange.engine.link_view = exchange.protocol.view

    def _turn(self, exchange: Exchange) -> None:
        """Handle the events in the inbox, then what time and plan require."""
        self._empty_inbox(exchange)
        plan = exchange.engine.plan_view
        exchange.protocol.follow(plan)
        exchange.protocol.is_moving = self._failover.is_moving
        exchange.protocol.advance(self._clock.now_ns())
        self._note_refusals(exchange)
        self._note_session(exchange)
        if plan.merges != self._merges_seen:
            self._note_merge(exchange, plan)
        if plan.episode != self._announced_episode:
            self._announced_episode = plan.episode
            self._publish(exchange)  # before anything that waits for the network
            self._announce_reset(exchange, plan.episode)
        if exchange.protocol.state is LinkState.RECONNECTING and not plan.is_over:
            self._publish(exchange)
            self._failover.reconnect(exchange)
            self._last_session = exchange.protocol.session
        if exchange.protocol.invited_to or self._failover.is_moving:
            self._failover.follow(exchange)

    def _empty_inbox(self, exchange: Exchange) -> None:
        timeout_s = POLL_S
        for _ in range(INBOX_SIZE):
            try:
                event = self._inbox.get(timeout=timeout_s) if timeout_s else self._inbox.get_nowait()
            except queue.Empty:
                return
            exchange.protocol.follow(exchange.engine.plan_view)  # it may be of an episode that just began
            self._take_in(event, exchange)
            timeout_s = 0.0

    def _take_in(self, event: WorkerEvent, exchange: Exchange) -> None:
        match event:
            case Sample():
                self._receive(event, exchange)
            case Snapshot():
                self._send(event, exchange)
            case DraftFailed(ticket):
                exchange.protocol.draft_failed(ticket, self._clock.now_ns())
            case _:
                exchange.replicas.apply(event)
                self._leave_if_lost(event, exchange)

    def _leave_if_lost(self, event: ReplicaEvent, exchange: Exchange) -> None:
        session = exchange.protocol.session
        match event:
            case TokenChanged(server, is_alive=False) if session is not None and session.server == server:
                self._leave_server("its liveliness token is gone", exchange)
            case TokenChanged(server, is_alive=False):
                self._failover.gone(server)
            case LinkReopened():
                self._failover.reopened()
                self._leave_server("the transport was lost and reopened", exchange, is_home=True)

    def _leave_server(self, why: str, exchange: Exchange, *, is_home: bool = False) -> None:
        """Leave the server of the session, which did not fail; with `is_home` it may have kept the place."""
        session = exchange.protocol.session
        if session is not None:
            self._failover.left(session.server, is_home=is_home)
            logger.warning("left server %s: %s", session.server.server, why)
        exchange.protocol.lost(why)
        self._last_session = None

    def _note_refusals(self, exchange: Exchange) -> None:
        for said in exchange.protocol.refusals.take():
            server = "" if self.presence.server is None else self.presence.server.server
            logger.warning("server %s refused a request: %s", server, said)

    def _note_session(self, exchange: Exchange) -> None:
        lost, self._last_session = self._last_session, exchange.protocol.session
        if lost is None or self._last_session is not None:
            return
        if exchange.protocol.state is LinkState.DEAD:
            logger.error("giving up: %s", exchange.protocol.dead_reason)
            return
        self._failover.left(lost.server)
        logger.warning("lost server %s: %s", lost.server.server, exchange.protocol.lost_reason)
        exchange.replicas.set_back(lost.server, self._clock.now_ns())

    def _note_merge(self, exchange: Exchange, plan: PlanView) -> None:
        self._merges_seen = plan.merges
        self._errors_in_row = 0
        if self.presence.server is not None:
            exchange.replicas.succeeded(self.presence.server)

    # -- receive ----------------------------------------------------------------------------------------

    def _on_sample(self, sample: Sample) -> None:
        if self._inbox.qsize() >= MAX_SAMPLES:
            self.counters["inbox_full"] += 1
            return
        self.post(sample)

    def _receive(self, sample: Sample, exchange: Exchange) -> None:
        try:
            header = decode_header(sample.header)
        except ProtocolError:
            exchange.protocol.counters["rejected_malformed"] += 1
            return
        now_ns = self._clock.now_ns()
        exchange.protocol.has_alternative = exchange.replicas.has_other(self.presence.server, now_ns)
        proposal = exchange.protocol.receive(header, sample.payload, now_ns)
        if proposal is not None:
            exchange.engine.propose(proposal)

    # -- send -------------------------------------------------------------------------------------------

    def _send(self, snapshot: Snapshot, exchange: Exchange) -> None:
        """Send a snapshot to the server of the session, if it is still wanted."""
        if self._failover.is_moving:
            self._failover.before_request(snapshot.draft, exchange)
            self._last_session = exchange.protocol.session or self._last_session
        request = exchange.protocol.offer(snapshot, self._clock.now_ns())
        session = exchange.protocol.session
        if request is None or session is None:
            return
        self._requests_made += 1
        self._note_instruction(request.epoch, request.seq, exchange.instruction)
        coding = RequestCoding(
            codec=exchange.contract.image_codec,
            instruction=exchange.instruction,
            seed=request_seed(self._run_seed, self._requests_made),
            jpeg_quality=self._config.jpeg_quality,
            encode_all=self._encoders.map,
        )
        try:
            header, body = encode_request(request, snapshot, exchange.contract.policy, coding)
        except VagusError as error:  # no frame, or one that cannot be sent
            logger.warning("observation not sent: %s", error)
            exchange.protocol.draft_failed(snapshot.draft.ticket, self._clock.now_ns())
            return
        key = session.server.client(self._opener.identity.name).observation
        self._link.publish(key, header=header, payload=body, delivery=Delivery.OBSERVATION)

    def instruction_of(self, epoch: int, seq: int) -> str | None:
        """Return the instruction of a recent request (any thread)."""
        return self._asked_for.get((epoch, seq))

    def _note_instruction(self, epoch: int, seq: int, instruction: str) -> None:
        self._asked_for[epoch, seq] = instruction
        if len(self._asked_for) > REMEMBERED_REQUESTS:
            del self._asked_for[next(iter(self._asked_for))]

    def _announce_reset(self, exchange: Exchange, episode: int) -> None:
        session = exchange.protocol.session
        if session is None:
            return
        key = session.server.client(self._opener.identity.name).reset
        payload = encode(ResetMessage(epoch=session.epoch, episode=episode))
        try:
            answers = self._link.query(key, payload, timeout_s=RESET_TIMEOUT_S)
            is_applied = any(decode(answer, ResetAck).applied for answer in answers)
        except (LinkError, ProtocolError):
            is_applied = False
        if not is_applied:
            self.counters["resets_unacknowledged"] += 1

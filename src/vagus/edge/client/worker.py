"""The worker thread: it owns link and session, sends what the engine asks for, and fails over."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

from vagus.clock import NS_PER_S, Clock
from vagus.edge.client.codec import RequestCoding, encode_request, request_seed
from vagus.edge.client.handshake import TRANSIENT_REFUSALS, Contract
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.client.replicas import Replicas
from vagus.edge.client.session import Presence, SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.handoff import EngineSide, PlanView
from vagus.errors import LinkError, ProtocolError, SessionRefusedError, VagusError
from vagus.thread_pool import ThreadPool
from vagus.threads import Supervised
from vagus.transport.keys import ServerKey
from vagus.transport.link import Delivery, Sample
from vagus.types import LinkState, Snapshot
from vagus.wire.codec import decode, decode_header, encode
from vagus.wire.schema import ResetAck, ResetMessage

__all__ = ["Conversation", "Worker"]

logger = logging.getLogger(__name__)

POLL_S = 0.01
"""Bounds how late the worker notices time and the plan; arrivals wake it at once."""
INBOX_SIZE = 1024
"""Pieces of work kept for the worker; more means that somebody floods us, and the surplus is dropped."""
MAX_SAMPLES = 256
"""Samples are dropped from here on, so that a flood of them leaves room for what this process must do."""
RESET_TIMEOUT_S = 0.5
"""Longest wait for the word that a reset was applied; the next observation carries the boundary anyway."""
JOIN_TIMEOUT_S = 5.0
HOPELESS_NS = 2 * NS_PER_S
"""Patience while only excluded servers are alive: after a router's restart tokens come back one by one."""
REMEMBERED_REQUESTS = 64
"""Requests whose instruction is known; a plan in hand answers one of the last few."""
ENCODE_THREADS = 2
"""Frames encoded at once: JPEG coding releases the GIL."""


class Conversation:
    """The parts that one run of a client is made of; `contract` changes with each session."""

    def __init__(
        self, engine: EngineSide, protocol: ClientProtocol, contract: Contract, replicas: Replicas
    ) -> None:
        self.engine = engine
        self.protocol = protocol
        self.contract = contract
        self.replicas = replicas
        self.instruction = ""


class Worker:
    """Runs a conversation on a thread of its own. Others hand it work by `post`."""

    def __init__(self, config: EdgeConfig, opener: SessionOpener, clock: Clock, *, run_seed: int) -> None:
        self._config = config
        self._opener = opener
        self._link = opener.link
        self._clock = clock
        self._run_seed = run_seed
        self._inbox: queue.Queue[Callable[[Conversation], None]] = queue.Queue(INBOX_SIZE)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._encoders = ThreadPool(ENCODE_THREADS, "vagus-encode")
        self._requests_made = 0
        self._asked_for: dict[tuple[int, int], str] = {}
        self._errors_in_row = 0
        self._hopeless_since_ns: int | None = None
        self._last_session: SessionRef | None = None
        self._merges_seen = 0
        self._announced_episode = 0
        self._talk: Conversation | None = None
        self.presence = Presence(opener.link, opener.identity, self._on_sample)
        self.counters: Counter[str] = Counter()

    # -- life -------------------------------------------------------------------------------------------

    def start(self, conversation: Conversation) -> None:
        """Begin to serve the engine; the first session is open."""
        self._talk = conversation
        self._last_session = conversation.protocol.session
        self._thread = Supervised(self._run, name="vagus-worker")
        self._thread.start()

    def stop(self) -> None:
        """End the threads; what is in the inbox is dropped. Twice does nothing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
        self._encoders.close()

    def post(self, work: Callable[[Conversation], None]) -> None:
        """Have `work` done on the worker thread (any thread); dropped and counted if it is flooded."""
        try:
            self._inbox.put_nowait(work)
        except queue.Full:
            self.counters["inbox_full"] += 1

    # -- loop -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._talk is not None and not self._stopping.is_set():
            self._turn_safely(self._talk)

    def _turn_safely(self, talk: Conversation) -> None:
        try:
            self._turn(talk)
        except BaseException as error:
            # Whatever it is, its owner sees it: ten without a merge between them are DEAD.
            self._errors_in_row += 1
            self.counters["worker_errors"] += 1
            logger.exception("worker error %d in a row", self._errors_in_row)
            if self._errors_in_row >= self._config.max_worker_errors:
                talk.protocol.kill(f"{self._errors_in_row} worker errors in a row, the last: {error!r}")
            talk.protocol.draft_failed(talk.protocol.view.ticket, self._clock.now_ns())
        self._publish(talk)

    @staticmethod
    def _publish(talk: Conversation) -> None:
        talk.engine.link_view = talk.protocol.view

    def _turn(self, talk: Conversation) -> None:
        """Do what lies in the inbox, then what time and the plan ask for."""
        self._empty_inbox(talk)
        plan = talk.engine.plan_view
        talk.protocol.follow(plan)
        talk.protocol.advance(self._clock.now_ns())
        self._note_refusals(talk)
        self._note_session(talk)
        if plan.merges != self._merges_seen:
            self._note_merge(talk, plan)
        if plan.episode != self._announced_episode:
            self._announced_episode = plan.episode
            self._publish(talk)  # before anything that waits for the network
            self._announce_reset(talk, plan.episode)
        if talk.protocol.state is LinkState.RECONNECTING and not plan.is_over:
            self._publish(talk)
            self._reconnect(talk)

    def _empty_inbox(self, talk: Conversation) -> None:
        timeout_s = POLL_S
        for _ in range(INBOX_SIZE):
            try:
                work = self._inbox.get(timeout=timeout_s) if timeout_s else self._inbox.get_nowait()
            except queue.Empty:
                return
            talk.protocol.follow(talk.engine.plan_view)  # a snapshot may be of an episode that just began
            work(talk)
            timeout_s = 0.0

    def leave_server(self, why: str, talk: Conversation) -> None:
        """Go to the next server through no fault of this one (worker thread)."""
        if talk.protocol.session is not None:
            logger.warning("left server %s: %s", talk.protocol.session.server.server, why)
        talk.protocol.lost(why)
        self._last_session = None

    def _note_refusals(self, talk: Conversation) -> None:
        for said in talk.protocol.refusals.take():
            server = "" if self.presence.server is None else self.presence.server.server
            logger.warning("server %s refused a request: %s", server, said)

    def _note_session(self, talk: Conversation) -> None:
        lost, self._last_session = self._last_session, talk.protocol.session
        if lost is None or self._last_session is not None:
            return
        if talk.protocol.state is LinkState.DEAD:
            logger.error("giving up: %s", talk.protocol.dead_reason)
            return
        logger.warning("lost server %s: %s", lost.server.server, talk.protocol.lost_reason)
        talk.replicas.set_back(lost.server, self._clock.now_ns())

    def _note_merge(self, talk: Conversation, plan: PlanView) -> None:
        self._merges_seen = plan.merges
        self._errors_in_row = 0
        if self.presence.server is not None:
            talk.replicas.succeeded(self.presence.server)

    # -- receive ----------------------------------------------------------------------------------------

    def _on_sample(self, sample: Sample) -> None:
        if self._inbox.qsize() >= MAX_SAMPLES:
            self.counters["inbox_full"] += 1
            return
        self.post(partial(self._receive, sample))

    def _receive(self, sample: Sample, talk: Conversation) -> None:
        try:
            header = decode_header(sample.header)
        except ProtocolError:
            talk.protocol.counters["rejected_malformed"] += 1
            return
        now_ns = self._clock.now_ns()
        talk.protocol.has_alternative = talk.replicas.has_other(self.presence.server, now_ns)
        proposal = talk.protocol.receive(header, sample.payload, now_ns)
        if proposal is not None:
            talk.engine.propose(proposal)

    # -- send -------------------------------------------------------------------------------------------

    def send(self, snapshot: Snapshot, talk: Conversation) -> None:
        """Send a snapshot to the server of the session, if it is still wanted (worker thread)."""
        request = talk.protocol.offer(snapshot, self._clock.now_ns())
        session = talk.protocol.session
        if request is None or session is None:
            return
        self._requests_made += 1
        self._note_instruction(request.epoch, request.seq, talk.instruction)
        coding = RequestCoding(
            codec=talk.contract.image_codec,
            instruction=talk.instruction,
            seed=request_seed(self._run_seed, self._requests_made),
            jpeg_quality=self._config.jpeg_quality,
            encode_all=self._encoders.map,
        )
        try:
            header, body = encode_request(request, snapshot, talk.contract.policy, coding)
        except VagusError as error:  # no frame, or one that cannot be sent
            logger.warning("observation not sent: %s", error)
            talk.protocol.draft_failed(snapshot.draft.ticket, self._clock.now_ns())
            return
        key = session.server.client(self._opener.identity.name).observation
        self._link.publish(key, header=header, payload=body, delivery=Delivery.OBSERVATION)

    def instruction_of(self, epoch: int, seq: int) -> str | None:
        """Return what a recent request asked for (any thread)."""
        return self._asked_for.get((epoch, seq))

    def _note_instruction(self, epoch: int, seq: int, instruction: str) -> None:
        self._asked_for[epoch, seq] = instruction
        if len(self._asked_for) > REMEMBERED_REQUESTS:
            del self._asked_for[next(iter(self._asked_for))]

    def _announce_reset(self, talk: Conversation, episode: int) -> None:
        session = talk.protocol.session
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

    # -- reconnect --------------------------------------------------------------------------------------

    def _reconnect(self, talk: Conversation) -> None:
        """Open a session with the next replica of the same contract, while the buffer plays."""
        if self._is_hopeless(talk):
            reasons = "; ".join(f"{key.server}: {why}" for key, why in talk.replicas.excluded.items())
            talk.protocol.kill(f"every living server contradicts what this run was started with: {reasons}")
            return
        server = talk.replicas.choose(self._clock.now_ns())
        if server is None:
            return
        self.presence.move_to(server)
        try:
            session, contract = self._opener.open(
                server, talk.contract.capabilities, instruction=talk.instruction, contract=talk.contract
            )
        except VagusError as error:
            self._on_open_failed(talk, server, error)
            return
        talk.contract = contract
        self._hopeless_since_ns = None
        talk.protocol.opened(session, self._clock.now_ns())
        self._last_session = session
        logger.warning("session open with server %s", server.server)

    def _is_hopeless(self, talk: Conversation) -> bool:
        """Whether nobody but excluded servers has been alive for a while."""
        now_ns = self._clock.now_ns()
        if not talk.replicas.are_all_excluded:
            self._hopeless_since_ns = None
        elif self._hopeless_since_ns is None:
            self._hopeless_since_ns = now_ns
        since_ns = self._hopeless_since_ns
        return since_ns is not None and now_ns - since_ns >= HOPELESS_NS

    def _on_open_failed(self, talk: Conversation, server: ServerKey, error: VagusError) -> None:
        is_transient = isinstance(error, (LinkError, ProtocolError)) or (
            isinstance(error, SessionRefusedError) and error.code in TRANSIENT_REFUSALS
        )
        logger.warning("server %s: %s", server.server, error)
        if is_transient:
            talk.replicas.set_back(server, self._clock.now_ns())
        else:
            talk.replicas.exclude(server, str(error))

"""The worker thread: it owns link and session, sends what the engine asks for, and fails over."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from vagus.clock import Clock
from vagus.edge.config import EdgeConfig
from vagus.edge.engine import Engine
from vagus.edge.exchange import PlanView
from vagus.edge.handshake import TRANSIENT_REFUSALS, Contract
from vagus.edge.opening import Opener
from vagus.edge.presence import Presence
from vagus.edge.replicas import Replicas
from vagus.edge.request import RequestCoding, encode_request, request_seed
from vagus.edge.uplink import Uplink
from vagus.errors import LinkError, ProtocolError, RobotError, SessionRefusedError, SpecError, VagusError
from vagus.transport.keys import ServerKey
from vagus.transport.link import Delivery, Sample
from vagus.types import LinkState, Snapshot
from vagus.wire.codec import decode, decode_header, encode
from vagus.wire.schema import ResetAck, ResetMessage

__all__ = ["Conversation", "Worker"]

logger = logging.getLogger(__name__)

POLL_S = 0.01
"""Bounds how late the worker notices time and the plan; arrivals wake it at once."""
INBOX_SIZE = 256
"""Messages kept for the worker; more means that somebody floods us, and the surplus is dropped."""
RESET_TIMEOUT_S = 0.5
"""Longest wait for the word that a reset was applied; the next observation carries the boundary anyway."""
JOIN_TIMEOUT_S = 5.0
ENCODE_THREADS = 2
"""Frames encoded at once: JPEG coding releases the GIL."""


class Conversation:
    """The parts that one run of a client is made of; `contract` changes with each session."""

    def __init__(self, engine: Engine, uplink: Uplink, contract: Contract, replicas: Replicas) -> None:
        self.engine = engine
        self.uplink = uplink
        self.contract = contract
        self.replicas = replicas
        self.instruction = ""


class Worker:
    """Runs a conversation on a thread of its own. Others hand it work by `post`."""

    def __init__(self, config: EdgeConfig, opener: Opener, clock: Clock, *, run_seed: int) -> None:
        self._config = config
        self._opener = opener
        self._link = opener.link
        self._clock = clock
        self._run_seed = run_seed
        self._inbox: queue.Queue[Callable[[], None]] = queue.Queue(INBOX_SIZE)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._encoders = ThreadPoolExecutor(ENCODE_THREADS, thread_name_prefix="vagus-encode")
        self._requests_made = 0
        self._errors_in_row = 0
        self._merges_seen = 0
        self._announced_episode = 0
        self._talk: Conversation | None = None
        self.presence = Presence(opener.link, opener.identity, self._on_sample)
        self.counters: Counter[str] = Counter()

    # -- life -------------------------------------------------------------------------------------------

    def start(self, conversation: Conversation) -> None:
        """Begin to serve the engine; the first session is open."""
        self._talk = conversation
        self._thread = threading.Thread(target=self._run, name="vagus-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is in the inbox is dropped. Twice does nothing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
        self.presence.leave()
        self._encoders.shutdown(wait=False)

    def post(self, work: Callable[[Conversation], None]) -> None:
        """Have `work` done on the worker thread (any thread); dropped and counted if it is flooded."""
        try:
            self._inbox.put_nowait(partial(self._do, work))
        except queue.Full:
            self.counters["inbox_full"] += 1

    def _do(self, work: Callable[[Conversation], None]) -> None:
        if self._talk is not None:
            work(self._talk)

    # -- loop -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._talk is not None and not self._stopping.is_set():
            self._turn_safely(self._talk)

    def _turn_safely(self, talk: Conversation) -> None:
        try:
            self._turn(talk)
        except Exception as error:
            # Whatever it is, its owner sees it: ten without a merge between them are DEAD.
            self._errors_in_row += 1
            self.counters["worker_errors"] += 1
            logger.exception("worker error %d in a row", self._errors_in_row)
            if self._errors_in_row >= self._config.max_worker_errors:
                talk.uplink.kill(f"{self._errors_in_row} worker errors in a row, the last: {error!r}")
            talk.uplink.draft_failed(talk.uplink.view.ticket, self._clock.now_ns())
        talk.engine.link_view = talk.uplink.view

    def _turn(self, talk: Conversation) -> None:
        try:
            work = self._inbox.get(timeout=POLL_S)
        except queue.Empty:
            pass
        else:
            work()
        plan = talk.engine.plan_view
        had_session = talk.uplink.session
        talk.uplink.advance(plan, self._clock.now_ns())
        if had_session is not None and talk.uplink.session is None:
            self._note_lost(talk, had_session.server)
        if plan.merges != self._merges_seen:
            self._note_merge(talk, plan)
        if plan.episode != self._announced_episode:
            self._announced_episode = plan.episode
            self._announce_reset(talk, plan.episode)
        if talk.uplink.state is LinkState.RECONNECTING and not plan.is_over:
            self._reconnect(talk)

    def _note_merge(self, talk: Conversation, plan: PlanView) -> None:
        self._merges_seen = plan.merges
        self._errors_in_row = 0
        if self.presence.server is not None:
            talk.replicas.succeeded(self.presence.server)

    def _note_lost(self, talk: Conversation, server: ServerKey) -> None:
        logger.warning("lost server %s: %s", server.server, talk.uplink.lost_reason)
        talk.replicas.set_back(server, self._clock.now_ns())

    # -- receive ----------------------------------------------------------------------------------------

    def _on_sample(self, sample: Sample) -> None:
        self.post(partial(self._receive, sample))

    def _receive(self, sample: Sample, talk: Conversation) -> None:
        try:
            header = decode_header(sample.header)
        except ProtocolError:
            talk.uplink.counters["rejected_malformed"] += 1
            return
        had_session = talk.uplink.session
        proposal = talk.uplink.receive(header, sample.payload, self._clock.now_ns())
        if proposal is not None:
            talk.engine.propose(proposal)
        if had_session is not None and talk.uplink.session is None:
            self._note_lost(talk, had_session.server)

    # -- send -------------------------------------------------------------------------------------------

    def send(self, snapshot: Snapshot, talk: Conversation) -> None:
        """Send a snapshot to the server of the session, if it is still wanted (worker thread)."""
        request = talk.uplink.offer(snapshot, self._clock.now_ns())
        session = talk.uplink.session
        if request is None or session is None:
            return
        self._requests_made += 1
        coding = RequestCoding(
            codec=talk.contract.image_codec,
            instruction=talk.instruction,
            seed=request_seed(self._run_seed, self._requests_made),
            encode_all=self._encoders.map,
        )
        try:
            header, body = encode_request(request, snapshot, talk.contract.policy, coding)
        except (RobotError, ProtocolError) as error:
            logger.warning("observation not sent: %s", error)
            talk.uplink.draft_failed(snapshot.draft.ticket, self._clock.now_ns())
            return
        key = session.server.client(self._opener.identity.name).observation
        self._link.publish(key, header=header, payload=body, delivery=Delivery.OBSERVATION)

    def _announce_reset(self, talk: Conversation, episode: int) -> None:
        session = talk.uplink.session
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
        if talk.replicas.are_all_excluded:
            reasons = "; ".join(f"{key.server}: {why}" for key, why in talk.replicas.excluded.items())
            talk.uplink.kill(f"every living server contradicts what this run was started with: {reasons}")
            return
        server = talk.replicas.choose(self._clock.now_ns())
        if server is None:
            return
        self.presence.move_to(server)
        try:
            session, contract = self._opener.open(
                server, talk.contract.capabilities, instruction=talk.instruction, contract=talk.contract
            )
        except (SessionRefusedError, SpecError, ProtocolError, LinkError) as error:
            self._on_open_failed(talk, server, error)
            return
        talk.contract = contract
        talk.uplink.opened(session, self._clock.now_ns())
        logger.warning("session open with server %s", server.server)

    def _on_open_failed(self, talk: Conversation, server: ServerKey, error: VagusError) -> None:
        is_transient = isinstance(error, LinkError) or (
            isinstance(error, SessionRefusedError) and error.code in TRANSIENT_REFUSALS
        )
        logger.warning("server %s: %s", server.server, error)
        if is_transient:
            talk.replicas.set_back(server, self._clock.now_ns())
        else:
            talk.replicas.exclude(server, str(error))

"""Conversation with one client of the draft: its newest observation, and the thread that has it answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vagus.clock import NS_PER_MS, NS_PER_S, Clock
from vagus.errors import LinkError, ProtocolError, VagusError
from vagus.gateways.metrics import GatewayMetrics
from vagus.gateways.peer import Peer
from vagus.gateways.profile import Profile
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment
from vagus.integrations.lerobot_zenoh.draft.canonical import foreign_request, foreign_rtc, rows_of_reply
from vagus.integrations.lerobot_zenoh.draft.client_session import DraftClientSession, DraftRequest, Tenancy
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk, DraftObservation
from vagus.threads import Supervised

__all__ = ["DraftConversation", "DraftSurroundings"]

PATIENCE_NS: Final = 4500 * NS_PER_MS
"""Longest time from an observation to its answer: a client of the draft waits 5 s for it."""
AGAIN_NS: Final = NS_PER_S
"""The same after a failure for want of a server: the client is soon told to ask with a newer observation."""
PAUSE_S: Final = 0.1
"""Pause before a failure is answered, since the client may ask again at once."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DraftSurroundings:
    """What all conversations of a gateway have in common.

    Attributes:
        profile: what the numbers of the wire mean.
        metrics: counters of the gateway.
        clock: monotonic.
        max_bytes: largest observation.
        load: returns how full the gateway is, 0 to 1.
        tell: logs an error of a client, but not each of many.
    """

    profile: Profile
    metrics: GatewayMetrics
    clock: Clock
    max_bytes: int
    load: Callable[[], float]
    tell: Callable[[str, VagusError], None]


class DraftConversation:
    """One client. The newest observation wins; each is answered at most once, if only by a failure.

    Args:
        name: uuid of the client, for the log.
        session: state of its session.
        admit: returns a new robot of the gateway.
        publish: sends the answer to an observation.
        surroundings: what all conversations have in common.
    """

    def __init__(
        self,
        name: str,
        session: DraftClientSession,
        admit: Callable[[], Peer],
        publish: Callable[[DraftAttachment, bytes], None],
        surroundings: DraftSurroundings,
    ) -> None:
        self._name = name
        self._session = session
        self._admit = admit
        self._publish = publish
        self._around = surroundings
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._is_resting = False
        self._peer: Peer | None = None
        self._uses_rtc = False
        self._patience_ns = PATIENCE_NS
        self._thread = Supervised(self._work, name=f"lerobot-draft-{name[:24]}", is_repeated=False)

    @property
    def session(self) -> DraftClientSession:
        """State of the session now."""
        with self._changed:
            return self._session

    def start(self, peer: Peer, *, uses_rtc: bool) -> None:
        """Answer observations from now on.

        Args:
            peer: the robot's session with a server; closed by this object.
            uses_rtc: whether the client says what it executes.
        """
        self._peer, self._uses_rtc = peer, uses_rtc
        self._thread.start()

    def observe(self, attachment: DraftAttachment, payload: bytes) -> None:
        """Take an observation, which waits for nobody's lock but this client's."""
        with self._changed:
            before = self._session
            session = before.observe(attachment, payload, self._around.clock.now_ns())
            if session is not None:
                self._session, self._is_resting = session, False
                self._changed.notify_all()
        if session is None:
            self._around.metrics.count("stale")
            if before.is_overtaken(attachment):
                self._publish(attachment.answered(), self._failure(attachment).encode())
        elif before.waiting is not None:
            self._around.metrics.count("superseded")

    def reset(self, episode: int) -> None:
        """Begin a new episode; nothing of the old one is answered any more."""
        with self._changed:
            self._session = self._session.reset(episode, self._around.clock.now_ns())

    def note_token(self, *, is_alive: bool) -> None:
        """Note that the client's token has come or gone."""
        with self._changed:
            self._session = self._session.token(is_alive=is_alive, now_ns=self._around.clock.now_ns())

    def settle(self, idle_ns: int) -> Tenancy:
        """Leave the place to others if the client is silent or away; return what becomes of it."""
        with self._changed:
            tenancy = self._session.tenancy(self._around.clock.now_ns(), idle_ns)
            if tenancy is Tenancy.RESTS and self._session.waiting is None:
                self._is_resting = True
                self._changed.notify_all()
        return tenancy

    def close(self) -> None:
        """End the conversation; what is in progress ends first, on its own thread. Twice does nothing."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait until the place is free, but no longer than this."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # -- on the thread ----------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (asked := self._take()) is not None:
                self._answer(asked)
        finally:
            self._leave()

    def _take(self) -> DraftRequest | None:
        """Return an observation to answer; None: the conversation has ended."""
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait_for(self._has_work)
                self._session, asked = self._session.taken()
                is_resting = self._is_resting
            if asked is not None:
                return None if self._closing.is_set() else asked
            if is_resting:
                self._leave()
        return None

    def _has_work(self) -> bool:
        must_leave = self._is_resting and self._peer is not None
        return self._closing.is_set() or must_leave or self._session.waiting is not None

    def _answer(self, asked: DraftRequest) -> None:
        chunk = self._chunk(asked)
        with self._changed:
            is_current = self._session.is_current(asked) and not self._closing.is_set()
            self._session = self._session.finished(asked)
        if is_current:
            self._publish(chunk.attachment, chunk.encode())

    def _chunk(self, asked: DraftRequest) -> DraftChunk:
        """Return the answer to an observation; one without rows, so that the client fails at once."""
        try:
            return self._computed(asked)
        except VagusError as error:
            self._patience_ns = AGAIN_NS if isinstance(error, LinkError) else PATIENCE_NS
            self._around.tell(self._name, error)
        except Exception:
            logger.exception("an observation of %s failed", self._name)
        self._closing.wait(PAUSE_S)
        return self._failure(asked.attachment)

    def _failure(self, attachment: DraftAttachment) -> DraftChunk:
        return DraftChunk(attachment=attachment.answered(), server_load=self._around.load())

    def _computed(self, asked: DraftRequest) -> DraftChunk:
        around = self._around
        seen = self._read(asked)
        request = foreign_request(seen, around.profile)
        if self._peer is None:
            self._peer = self._admit()
        if asked.begins_episode or seen.is_episode_start:
            self._peer.reset()
        begin_ns = around.clock.now_ns()
        left_s = max(asked.came_ns + self._patience_ns - begin_ns, 0) / NS_PER_S
        rtc = foreign_rtc(seen) if self._uses_rtc else None
        reply = self._peer.infer(request, rtc, timeout_s=left_s)
        rows = rows_of_reply(reply.reply)
        self._patience_ns = PATIENCE_NS
        return DraftChunk(
            attachment=asked.attachment.answered(),
            model=rows,  # the robot's units stand for the model's: what comes back is found by its numbers
            robot=rows,
            queue_wait_ms=(begin_ns - asked.came_ns) / NS_PER_MS,
            inference_ms=reply.timing.policy_ms or 0.0,
            superseded=asked.superseded,
            server_load=around.load(),
        )

    def _read(self, asked: DraftRequest) -> DraftObservation:
        try:
            return DraftObservation.decode(asked.payload, max_bytes=self._around.max_bytes)
        except ProtocolError:
            self._around.metrics.count_malformed()
            raise

    def _leave(self) -> None:
        """Free the place."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

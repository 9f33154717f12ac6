"""Table of the conversations with clients of the draft, by service and uuid."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from vagus.clock import Clock, seconds_to_ns
from vagus.edge.client.handshake import Contract
from vagus.errors import SessionRefusedError, StateError, VagusError
from vagus.gateways.gateway import Gateway
from vagus.gateways.peer import Peer
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment
from vagus.integrations.lerobot_zenoh.draft.client_session import DraftClientSession, Tenancy
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, DraftService
from vagus.integrations.lerobot_zenoh.draft.sessions import DraftClose, DraftOpen, DraftOpened
from vagus.integrations.lerobot_zenoh.draft.terms import check_draft_open, draft_model
from vagus.integrations.lerobot_zenoh.draft_conversation import DraftConversation, DraftSurroundings
from vagus.quoting import quoted
from vagus.server.fair_queue import Allowance
from vagus.transport.keys import ServiceKey

__all__ = ["DraftConversations"]

OPEN_S: Final = 1.5
"""Longest wait for a server at an open: a client of the draft waits 2 s for the answer."""
LEAVE_S: Final = 1.0
"""Longest wait for the place of a client that comes again."""
SPARE: Final = 64
"""Clients, beyond one per place, that are remembered while they rest."""
MAX_TOKENS: Final = 4096
"""Most tokens that are remembered, because clients choose their uuids."""
SPARE_OPENS: Final = 8
OPENS_PER_S: Final = 2.0
"""Sessions per second that all clients together may open in the long run, after two per place at once."""
MAX_WARNINGS: Final = 16

Who: TypeAlias = tuple[DraftService, str]
Publish: TypeAlias = Callable[[str, DraftAttachment, bytes], None]


class DraftConversations:
    """Conversations by service and uuid. Any thread may call it.

    Args:
        gateway: admits the robots.
        publish: sends an answer under a key.
        tell: logs an error of a client, but not each of many.
        service: returns the service of an entry, where it is known; it is found sooner than by its name.
        clock: monotonic.
    """

    def __init__(
        self,
        gateway: Gateway,
        publish: Publish,
        tell: Callable[[str, VagusError], None],
        service: Callable[[str], ServiceKey | None],
        clock: Clock,
    ) -> None:
        config = gateway.config
        self._gateway = gateway
        self._service = service
        self._publish = publish
        self._clock = clock
        self._around = DraftSurroundings(
            profile=gateway.mapping.profile,
            metrics=gateway.metrics,
            clock=clock,
            max_bytes=config.max_message_mb << 20,
            load=self.load,
            tell=tell,
        )
        self._idle_ns = seconds_to_ns(config.idle_timeout_s)
        self._lock = threading.Lock()
        self._table: dict[Who, DraftConversation] = {}
        self._opening: set[Who] = set()
        self._alive: set[Who] = set()
        self._opens = Allowance(burst=2 * config.max_peers + SPARE_OPENS, per_s=OPENS_PER_S)
        self._is_closed = False

    def load(self) -> float:
        """Return how full the gateway is, 0 to 1."""
        return min(self._gateway.metrics.peers / self._gateway.config.max_peers, 1.0)

    def find(self, service: DraftService, client: str) -> DraftConversation | None:
        """Return the conversation with a client; None: there is none."""
        with self._lock:
            return self._table.get((service, client))

    def note_token(self, service: DraftService, client: str, *, is_alive: bool) -> None:
        """Note that a client's token has come or gone."""
        who = (service, client)
        with self._lock:
            if not is_alive:
                self._alive.discard(who)
            elif len(self._alive) < MAX_TOKENS:
                self._alive.add(who)
            conversation = self._table.get(who)
            if conversation is not None:
                conversation.note_token(is_alive=is_alive)

    def open(self, service: DraftService, entry: str, asked: DraftOpen) -> DraftOpened:
        """Begin a conversation, in the place of an older one of the same uuid that has gone.

        Args:
            service: what the client's keys name.
            entry: what serves it, in the operator's list.
            asked: the client's request.

        Raises:
            ProtocolError: a uuid that no key can hold.
            SpecError: its robot is not the one of the profile.
            SessionRefusedError: the uuid is in use, or there is no place.
            LinkError: no server answers.
            StateError: the gateway closes.
        """
        key = str(DraftKey(DraftPlace.ACTION, service, asked.client))
        check_draft_open(asked, self._around.profile)
        who = (service, asked.client)

        def admit() -> Peer:
            return self._gateway.admit(asked.client, model=entry, service=self._service(entry))

        with self._claimed(who):
            peer = admit()
            try:
                contract = peer.open(OPEN_S)
            except BaseException:
                peer.close()
                raise
            session = DraftClientSession.opened(secrets.token_hex(16), self._clock.now_ns())
            conversation = DraftConversation(
                asked.client, session, admit, lambda head, body: self._publish(key, head, body), self._around
            )
            model = draft_model(self._around.profile, contract.capabilities)
            conversation.start(peer, uses_rtc=asked.is_rtc_enabled and model.supports_rtc)
            with self._lock:
                self._table[who] = conversation
                if who in self._alive:
                    conversation.note_token(is_alive=True)
        return self._opened(session.session_id, contract, asked)

    def end(self, service: DraftService, asked: DraftClose) -> str:
        """End the conversation that a client closes; return why not, "" if it has."""
        with self._lock:
            conversation = self._table.get((service, asked.client))
            session_id = "" if conversation is None else conversation.session.session_id
            is_its_own = secrets.compare_digest(session_id.encode(), asked.session_id.encode())
            if conversation is None or not is_its_own:
                return "this session is not open"
            del self._table[service, asked.client]
        conversation.close()
        return ""

    def sweep(self) -> None:
        """Free the places of clients that are silent or away, and forget those that have left."""
        with self._lock:
            everybody = list(self._table.items())
        for who, conversation in everybody:
            if conversation.settle(self._idle_ns) is Tenancy.ENDS:
                with self._lock:
                    if self._table.get(who) is conversation:
                        del self._table[who]
                conversation.close()

    def close(self) -> None:
        """End all conversations, and begin no more; wait for what is in progress."""
        with self._lock:
            self._is_closed = True
            everybody = list(self._table.values())
            self._table.clear()
        for conversation in everybody:
            conversation.close()
        for conversation in everybody:
            conversation.join(self._gateway.config.answer_timeout_s)

    # -- parts ------------------------------------------------------------------------------------------

    @contextmanager
    def _claimed(self, who: Who) -> Iterator[None]:
        """Hold a uuid while its session is opened, once the one that it had has ended."""
        with self._lock:
            before = self._table.get(who)
            self._check_claim(who, before)
            self._opening.add(who)
            self._table.pop(who, None)
        try:
            if before is not None:
                before.close()
                before.join(LEAVE_S)
            yield
        finally:
            with self._lock:
                self._opening.discard(who)
                late = self._table.pop(who, None) if self._is_closed else None
            if late is not None:
                late.close()

    def _check_claim(self, who: Who, before: DraftConversation | None) -> None:
        if self._is_closed:
            raise StateError("the gateway is closing")
        now_ns = self._clock.now_ns()
        if who in self._opening or (before is not None and before.session.is_held(now_ns)):
            self._gateway.metrics.count("refused_identity")
            raise SessionRefusedError(
                "client_in_use",
                f"a robot with the uuid {quoted(who[1], 40)!r} is here; give each robot a uuid of its own, "
                "or wait until the other one has gone",
            )
        is_crowd = len(self._table) + len(self._opening) >= self._gateway.config.max_peers + SPARE
        if before is None and is_crowd:
            self._gateway.metrics.count("refused_full")
            raise SessionRefusedError("peers_full", "too many robots are known here")
        if not self._opens.take("", now_ns):
            raise SessionRefusedError("overloaded", "too many sessions at once; ask again in some seconds")

    def _opened(self, session_id: str, contract: Contract, asked: DraftOpen) -> DraftOpened:
        model = draft_model(self._around.profile, contract.capabilities)
        warnings = list(contract.warnings)
        if asked.is_rtc_enabled and not model.supports_rtc:
            warnings.append("the policy has no real-time chunking: prefixes are not used")
        return DraftOpened(
            model=model,
            session_id=session_id,
            warnings=tuple(quoted(one, 400) for one in warnings[:MAX_WARNINGS]),
            server_load=self.load(),
        )

"""Gateway for robots of LeRobot's remote inference draft: keys `@lerobot/…`, without LeRobot."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import ProtocolError, SpecError, VagusError
from vagus.gateways.gateway import Gateway
from vagus.integrations.lerobot_zenoh.draft.allow_list import ANY_TASK, DraftAllowList, DraftRoute
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, DraftService, parse_draft_key
from vagus.integrations.lerobot_zenoh.draft.sessions import (
    DraftAck,
    DraftClose,
    DraftOpen,
    DraftOpened,
    DraftReset,
    decode_session_request,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.integrations.lerobot_zenoh.draft.terms import draft_model
from vagus.integrations.lerobot_zenoh.draft_conversations import DraftConversations
from vagus.integrations.lerobot_zenoh.draft_facts import DraftFacts
from vagus.integrations.lerobot_zenoh.robots_link import open_robots_link, robots_address
from vagus.quoting import quoted
from vagus.repeats import Repeats
from vagus.threads import Supervised
from vagus.transport.link import Delivery, Query, Sample
from vagus.transport.plain_link import PlainLink

__all__ = ["LeRobotDraftListener"]

SWEEP_NS: Final = NS_PER_S // 4
"""Time between two looks for clients that are silent or have gone."""
DESKS: Final = 4
"""Threads that answer questions; an open waits for a server."""
MAX_QUESTIONS: Final = 64
"""Most questions that wait; more are not answered, and their client asks again."""
MAX_ERROR: Final = 1500
"""Longest text of an error, in characters."""
MAX_QUESTION_BYTES: Final = 1 << 16
MAX_TASKS: Final = 64
"""Most tasks under `*` whose server's token is declared."""
TOLD_EVERY_NS: Final = 60 * NS_PER_S
MAX_TOLD: Final = 256

logger = logging.getLogger(__name__)


class LeRobotDraftListener:
    """Serves robots of the draft; each uuid is a robot with a session of its own.

    Args:
        gateway: admits the robots.
        open_link: opens the link to the robots; None: over Zenoh, as the gateway's settings say.
        clock: monotonic.

    Raises:
        ConfigError: the gateway's `models` are no list of what robots may name.
    """

    def __init__(
        self,
        gateway: Gateway,
        open_link: Callable[[], PlainLink] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._gateway = gateway
        self._open_link = open_link or (lambda: open_robots_link(gateway.config))
        self._clock = clock or MonotonicClock()
        self._allowed = DraftAllowList(gateway.config.models)
        self._facts = DraftFacts(gateway, self._clock)
        self._conversations = DraftConversations(
            gateway, self._publish, self._tell, self._facts.service, self._clock
        )
        self._questions: queue.Queue[tuple[DraftKey, DraftRoute, Query]] = queue.Queue(MAX_QUESTIONS)
        self._lock = threading.Lock()
        self._told: Repeats[tuple[str, str]] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=MAX_TOLD)
        self._announced: set[DraftService] = set()
        self._stop = threading.Event()
        self._link: PlainLink | None = None
        self._threads = [
            Supervised(self._sweep, name="lerobot-draft-sweep"),
            *(Supervised(self._answer_questions, name=f"lerobot-draft-desk-{at}") for at in range(DESKS)),
        ]

    @property
    def address(self) -> str:
        """Address that it listens on, "127.0.0.1:7447", or the router that it dials."""
        return robots_address(self._gateway.config)

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        link = self._link = self._open_link()
        for thread in self._threads:
            thread.start()
        for route in self._allowed.widest:
            link.watch(route.pattern(DraftPlace.CLIENT_ALIVE), self._note_token)
            link.subscribe(route.pattern(DraftPlace.OBSERVATION), self._observe)
            for place in (DraftPlace.STATUS, DraftPlace.SESSION, DraftPlace.RESET):
                link.serve(route.pattern(place), self._ask)
        for route in self._allowed.routes:
            if route.task != ANY_TASK:
                self._announce(DraftService(route.model, route.revision, route.task))

    def close(self) -> None:
        """Answer what is in progress, and stop. Twice does nothing."""
        self._stop.set()
        self._conversations.close()
        link, self._link = self._link, None
        if link is None:
            return
        link.close()
        for thread in self._threads:
            thread.join()

    # -- on the link's threads --------------------------------------------------------------------------

    def _observe(self, sample: Sample) -> None:
        try:
            key = parse_draft_key(sample.key)
            attachment = DraftAttachment.decode(sample.header)
        except ProtocolError as error:
            self._gateway.metrics.count_malformed()
            return self._tell("an observation", error)
        conversation = self._conversations.find(key.service, key.client)
        if attachment.kind is not DraftMessage.OBSERVATION or conversation is None:
            return self._gateway.metrics.count("unknown_client")
        return conversation.observe(attachment, sample.payload)

    def _note_token(self, token: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        try:
            key = parse_draft_key(token)
        except ProtocolError:
            return
        if key.place is DraftPlace.CLIENT_ALIVE:
            self._conversations.note_token(key.service, key.client, is_alive=is_alive)

    def _ask(self, query: Query) -> None:
        """Take a question; whoever asks about what is not served, or too much at once, gets no answer."""
        try:
            key = parse_draft_key(query.key)
            route = self._allowed.route_of(key.service)
        except ProtocolError:  # a question by pattern, which no client asks
            return query.drop()
        if route is None or len(query.payload) > MAX_QUESTION_BYTES:
            return query.drop()
        if key.place is DraftPlace.RESET:  # a robot in motion does not wait for the opens of others
            return query.reply(self._reset(key, query.payload).encode())
        try:
            return self._questions.put_nowait((key, route, query))
        except queue.Full:
            self._gateway.metrics.count("refused_crowd")
            return query.drop()

    # -- on the desks' threads --------------------------------------------------------------------------

    def _answer_questions(self) -> None:
        while not self._stop.is_set():
            try:
                key, route, query = self._questions.get(timeout=SWEEP_NS / NS_PER_S)
            except queue.Empty:
                continue
            try:
                answer = self._answer(key, route, query.payload)
            except Exception:
                query.drop()
                raise
            if answer is None:
                query.drop()
            else:
                query.reply(answer)

    def _answer(self, key: DraftKey, route: DraftRoute, payload: bytes) -> bytes | None:
        """Return the answer to a question; None: no server has ever answered ours."""
        if key.place is DraftPlace.STATUS:
            return self._status(key.service, route)
        who = "an open"
        try:
            asked = decode_session_request(payload)
            if isinstance(asked, DraftClose):
                return DraftAck(self._conversations.end(key.service, asked)).encode()
            who = f"the open of {asked.client}"
            return self._opened(key.service, route, asked).encode()
        except VagusError as error:
            self._tell(who, error)
            model = draft_model(self._gateway.mapping.profile, self._facts.known(route.entry))
            return DraftOpened(model=model, session_id="", error=str(error)[:MAX_ERROR]).encode()

    def _opened(self, service: DraftService, route: DraftRoute, asked: DraftOpen) -> DraftOpened:
        try:
            opened = self._conversations.open(service, route.entry, asked)
        except SpecError:
            self._gateway.metrics.count("refused_setup")
            raise
        logger.info("robot %s opens a session for %s", quoted(asked.client, 64), route.entry)
        return opened

    def _status(self, service: DraftService, route: DraftRoute) -> bytes | None:
        said = self._facts.of(route.entry)
        if said is None:
            return None
        self._announce(service)
        peers, most = self._gateway.metrics.peers, self._gateway.config.max_peers
        model = draft_model(self._gateway.mapping.profile, said)
        return DraftStatus(model=model, active_sessions=peers, max_sessions=most).encode()

    def _reset(self, key: DraftKey, payload: bytes) -> DraftAck:
        try:
            asked = DraftReset.decode(payload)
        except ProtocolError as error:
            return DraftAck(str(error)[:MAX_ERROR])
        conversation = self._conversations.find(key.service, key.client)
        if conversation is None or asked.client != key.client:
            return DraftAck("this client has no session")
        conversation.reset(asked.episode)
        return DraftAck()

    def _announce(self, service: DraftService) -> None:
        """Declare the server's token of a service, once and for good."""
        with self._lock:
            is_new = service not in self._announced and len(self._announced) < MAX_TASKS
            if is_new:
                self._announced.add(service)
        link = self._link
        if is_new and link is not None:
            link.token(str(DraftKey(DraftPlace.SERVER_ALIVE, service)))

    # -- around -----------------------------------------------------------------------------------------

    def _publish(self, key: str, attachment: DraftAttachment, payload: bytes) -> None:
        link = self._link
        if link is not None:
            link.publish(key, header=attachment.encode(), payload=payload, delivery=Delivery.CHUNK)

    def _tell(self, who: str, error: VagusError) -> None:
        """Log an error of a client, but not each of many."""
        with self._lock:
            repeat = self._told.note((who, type(error).__name__), self._clock.now_ns())
        if repeat is not None:
            logger.warning("%s is refused (%d times): %s", quoted(who, 64), repeat.count, error)

    def _sweep(self) -> None:
        while not self._stop.is_set():
            self._clock.wait_until_ns(self._clock.now_ns() + SWEEP_NS, self._stop)
            self._conversations.sweep()

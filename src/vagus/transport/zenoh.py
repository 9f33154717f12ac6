"""Connection and link over Zenoh; the only module that imports zenoh.

Zenoh calls a callback on its receiving thread (`indirect=False`). With a queue between them, one slow
receiver would delay the messages of all, and the thread of the queue would keep the interpreter from exiting.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import zenoh

from vagus.errors import ConfigError, LinkError, ProtocolError, QueryTimeoutError
from vagus.quoting import quoted
from vagus.transport.attachments import Attachments, PlainAttachments, SealedAttachments
from vagus.transport.link import Declaration, Delivery, Query, Sample
from vagus.transport.reopening import ReopeningLink
from vagus.transport.unreached import why_not_listening, why_unreached
from vagus.transport.zenoh_config import LinkMode, ZenohConfig, parse_extra

__all__ = [
    "QUALITY",
    "Quality",
    "ZenohConnection",
    "ZenohLink",
    "ZenohPlainLink",
    "close_zenoh_session",
    "open_zenoh_session",
]

logger = logging.getLogger(__name__)

QUERY_MARGIN_S = 0.5
"""Wait after the timeout of a query, because Zenoh ends the query by its own timer."""

EMPTY_PAUSES_S = (0.03, 0.06, 0.12, 0.24)
"""Pauses before an empty list of tokens is requested again.

A session that watches tokens gets an empty list in 4–11 % of requests without a pause between them, on a busy
computer six times in a row; after a pause it gets all tokens. So a list with tokens is believed at once."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Zenoh's quality-of-service settings of a published message."""

    congestion_control: zenoh.CongestionControl
    priority: zenoh.Priority
    is_express: bool


QUALITY = {
    # how long a message waits before it is dropped is the session's setting; blocking would stop everybody
    Delivery.OBSERVATION: Quality(zenoh.CongestionControl.DROP, zenoh.Priority.DATA, is_express=False),
    Delivery.CHUNK: Quality(zenoh.CongestionControl.DROP, zenoh.Priority.REAL_TIME, is_express=True),
}

MAX_ERROR_BYTES = 2048
"""Part of an error answer that is read."""

MAX_ASKED = 256
"""Keys of which a session is told who else uses them; the one that was asked first is forgotten first."""

_Asker = TypeVar("_Asker", zenoh.Publisher, zenoh.Querier)

QUERY_QUALITY = Quality(zenoh.CongestionControl.DROP, zenoh.Priority.DATA, is_express=True)
"""Quality of queries and their answers. Zenoh's default can block for 5 s, whatever the timeout."""


def open_zenoh_session(json5: str, extra: tuple[str, ...]) -> zenoh.Session:
    """Open a Zenoh session with this configuration; `extra` is applied last.

    Raises:
        ConfigError: Zenoh does not know a setting.
        LinkError: no endpoint to connect to answers, or none can be listened on.
    """
    try:
        config = zenoh.Config.from_json5(json5)
        for path, value in parse_extra(extra):
            config.insert_json5(path, value)
    except zenoh.ZError as error:
        raise ConfigError("Zenoh settings", wanted="settings that Zenoh knows", got=_text(error)) from error
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        raise LinkError(_text(error)) from error


def close_zenoh_session(session: zenoh.Session) -> None:
    """Close a Zenoh session; takes up to 10 s if messages wait for a black hole."""
    try:
        session.close()  # type: ignore[no-untyped-call]
    except zenoh.ZError as error:
        logger.debug("closing a session: %s", _text(error))


def _text(error: zenoh.ZError) -> str:
    """Return Zenoh's error text without the path of its source file."""
    return str(error).partition(" at /")[0].strip()


def _check_key(key: str) -> None:
    try:
        zenoh.KeyExpr(key)
    except zenoh.ZError as error:
        raise ProtocolError(f"not a key: {key!r}: {_text(error)}") from error


class _ZenohQuery:
    """A received query, until it is answered or dropped."""

    def __init__(self, query: zenoh.Query, key: str, attachments: Attachments) -> None:
        self.key = key
        self._attachments = attachments
        self.payload = query.payload.to_bytes() if query.payload is not None else b""
        self._query: zenoh.Query | None = query

    def reply(self, payload: bytes) -> None:
        query, self._query = self._query, None
        if query is None:
            return
        try:
            # travels like the query that it answers: droppable, express
            query.reply(self.key, payload, attachment=self._attachments.attachment(b"", payload) or None)
        except zenoh.ZError as error:
            logger.debug("answer to %s is lost: %s", self.key, _text(error))
        query.drop()  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        query, self._query = self._query, None
        if query is not None:
            query.drop()  # type: ignore[no-untyped-call]


SEALED = SealedAttachments()


def _bytes(attachment: zenoh.ZBytes | None) -> bytes:
    return attachment.to_bytes() if attachment is not None else b""


def _said(error: zenoh.ReplyError) -> str:
    """Return the beginning of the text of an error answer."""
    return error.payload.to_bytes()[:MAX_ERROR_BYTES].decode(errors="replace")


class _Others:
    """Who else subscribes to or serves a key: what a declared publisher or querier of the key is told."""

    def __init__(self, session: zenoh.Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._publishers: dict[str, zenoh.Publisher] = {}
        self._queriers: dict[str, zenoh.Querier] = {}

    def is_heard(self, key: str) -> bool:
        declare = partial(self._session.declare_publisher, key, allowed_destination=zenoh.Locality.REMOTE)
        return self._is_matched(self._publishers, key, declare)

    def is_served(self, key: str) -> bool:
        declare = partial(self._session.declare_querier, key, allowed_destination=zenoh.Locality.REMOTE)
        return self._is_matched(self._queriers, key, declare)

    def _is_matched(self, declared: dict[str, _Asker], key: str, declare: Callable[[], _Asker]) -> bool:
        try:
            with self._lock:
                if key not in declared:
                    while len(declared) >= MAX_ASKED:
                        declared.pop(next(iter(declared))).undeclare()  # type: ignore[no-untyped-call]
                    declared[key] = declare()
                status: object = declared[key].matching_status
        except zenoh.ZError as error:  # the session is closed
            logger.debug("who is at %s is unknown: %s", key, _text(error))
            return False
        return isinstance(status, zenoh.MatchingStatus) and status.matching  # Zenoh's stub calls it a bool


class _InHand(threading.local):
    """The message that a thread is sending: attachment and payload.

    Zenoh calls the subscribers of the same session on that thread, before it has been sent. They get the
    payload itself: a copy and a second checksum of camera frames take as long as all else that is done.
    """

    message: tuple[bytes, bytes] | None = None


class ZenohConnection:
    """A Zenoh session, until it is closed or its transport is lost."""

    def __init__(
        self,
        session: zenoh.Session,
        on_lost: Callable[[], None] | None,
        *,
        is_listening: bool = False,
        attachments: Attachments = SEALED,
        is_complete: bool = False,
    ) -> None:
        self.corrupted = 0
        """Messages that did not arrive as they were sent, and were dropped."""
        self._attachments = attachments
        self._is_complete = is_complete
        self._session = session
        self._others = _Others(session)
        self._on_lost = on_lost
        self._is_listening = is_listening
        self._is_live = True
        self._in_hand = _InHand()
        self._waiting: set[queue.SimpleQueue[zenoh.Reply | None]] = set()
        listener = zenoh.handlers.Callback(self._on_transport, indirect=False)
        self._events = session.info.declare_transport_events_listener(listener)
        if on_lost is not None and not self.is_connected:
            self._is_live = False  # lost between the open and the listener

    @property
    def is_live(self) -> bool:
        """Whether the session is neither lost nor closed."""
        return self._is_live

    @property
    def is_connected(self) -> bool:
        """Whether a router or a peer is at the other end, or this session listens for others."""
        if not self._is_live or self._is_listening:
            return self._is_live
        return bool(self._session.info.routers_zid() or self._session.info.peers_zid())

    def abandon(self) -> None:
        """Stop all deliveries and end the waiting queries, at once; `close` does the rest."""
        self._is_live = False
        for replies in tuple(self._waiting):
            replies.put(None)

    def close(self) -> None:
        """Close the session; takes seconds if the network is a black hole."""
        self.abandon()
        close_zenoh_session(self._session)

    def publish(self, key: str, header: bytes, payload: bytes, delivery: Delivery) -> None:
        """Send one message; it is lost without an error if the network is away."""
        quality = QUALITY[delivery]
        attachment = self._attachments.attachment(header, payload)
        before, self._in_hand.message = self._in_hand.message, (attachment, payload)
        try:
            # no declared publisher: it sends nothing until a router has told it of a subscriber
            self._session.put(
                key,
                payload,
                attachment=attachment or None,
                congestion_control=quality.congestion_control,
                priority=quality.priority,
                express=quality.is_express,
            )
        except zenoh.ZError as error:
            _check_key(key)
            logger.debug("message to %s is lost: %s", key, _text(error))
        finally:
            self._in_hand.message = before

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """Deliver the messages published under `key`."""

        def deliver(sample: zenoh.Sample) -> None:
            if not self._is_live or sample.kind != zenoh.SampleKind.PUT:
                return
            received = self._received(sample)
            if received is not None:
                self._call(key, on_sample, Sample(str(sample.key_expr), *received))

        callback = zenoh.handlers.Callback(deliver, indirect=False)
        return self._declared(key, partial(self._session.declare_subscriber, key, callback))

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        """Deliver the queries under `key`."""

        def deliver(asked: zenoh.Query) -> None:
            query = _ZenohQuery(asked, str(asked.key_expr) if "*" in key else key, self._attachments)
            is_whole = self._opened(_bytes(asked.attachment), query.payload) is not None
            if not is_whole or not self._is_live or not self._call(key, on_query, query):
                query.drop()

        callback = zenoh.handlers.Callback(deliver, indirect=False)
        declare = partial(self._session.declare_queryable, key, callback, complete=self._is_complete)
        return self._declared(key, declare)

    def token(self, key: str) -> Declaration:
        """Declare a liveliness token under `key`."""
        return self._declared(key, partial(self._session.liveliness().declare_token, key))

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        """Report the tokens under `key`, first those that are alive now."""

        def deliver(sample: zenoh.Sample) -> None:
            if self._is_live:
                is_alive = sample.kind == zenoh.SampleKind.PUT
                self._call(key, on_change, str(sample.key_expr), is_alive)

        callback = zenoh.handlers.Callback(deliver, indirect=False)
        declare = self._session.liveliness().declare_subscriber
        return self._declared(key, partial(declare, key, callback, history=True))

    def query(self, key: str, payload: bytes, timeout_s: float) -> tuple[bytes, ...]:
        """Send a query to every queryable of `key`; see `Link.query`."""
        ask = partial(
            self._session.get,
            key,
            payload=payload,
            attachment=self._attachments.attachment(b"", payload) or None,
            target=zenoh.QueryTarget.ALL,
            consolidation=zenoh.ConsolidationMode.NONE,  # others hold every answer back until the last is in
            congestion_control=QUERY_QUALITY.congestion_control,
            priority=QUERY_QUALITY.priority,
            express=QUERY_QUALITY.is_express,
        )
        replies, has_ended = self._ask(key, ask, timeout_s)
        samples = [reply.ok for reply in replies if reply.ok is not None]
        bodies = ((_bytes(sample.attachment), sample.payload.to_bytes()) for sample in samples)
        answers = tuple(body for attachment, body in bodies if self._opened(attachment, body) is not None)
        if answers:
            return answers
        errors = [_said(reply.err) for reply in replies if reply.err is not None]
        refusals = [error for error in errors if "timeout" not in error.lower()]
        if refusals:
            raise LinkError(f"{key} answered with an error: {quoted(refusals[0])}")
        if errors or not has_ended:
            raise QueryTimeoutError(f"no answer from {key} within {timeout_s:g} s")
        raise LinkError(f"nobody serves {key}, or whoever does ended the query without an answer")

    def tokens(self, key: str, timeout_s: float) -> frozenset[str]:
        """Return the keys of the tokens under `key` that are alive now."""
        deadline_s = time.monotonic() + timeout_s
        found = self._tokens_once(key, timeout_s)
        for pause_s in EMPTY_PAUSES_S:
            remaining_s = deadline_s - time.monotonic() - pause_s
            if found or remaining_s <= 0:
                break
            time.sleep(pause_s)
            try:
                found = self._tokens_once(key, remaining_s)
            except QueryTimeoutError:
                break  # a slow network leaves no time to ask again; none were told before
        return found

    def _tokens_once(self, key: str, timeout_s: float) -> frozenset[str]:
        replies, has_ended = self._ask(key, partial(self._session.liveliness().get, key), timeout_s)
        if not has_ended or any(reply.err is not None for reply in replies):
            raise QueryTimeoutError(f"tokens under {key} were not told within {timeout_s:g} s")
        return frozenset(str(reply.ok.key_expr) for reply in replies if reply.ok is not None)

    def _ask(self, key: str, ask: Callable[..., object], timeout_s: float) -> tuple[list[zenoh.Reply], bool]:
        """Return the answers, and whether Zenoh ended the query in time."""
        _check_key(key)
        arrived: queue.SimpleQueue[zenoh.Reply | None] = queue.SimpleQueue()
        self._waiting.add(arrived)
        try:
            callback = zenoh.handlers.Callback(arrived.put, lambda: arrived.put(None), indirect=False)
            ask(handler=callback, timeout=timeout_s)
            replies, has_ended = _collect(arrived, timeout_s)
        except zenoh.ZError as error:
            raise LinkError(f"cannot ask {key}: {_text(error)}") from error
        finally:
            self._waiting.discard(arrived)
        if not replies and not self._is_live:
            raise LinkError(f"the network was lost while asking {key}")
        return replies, has_ended

    def is_heard(self, key: str) -> bool:
        """See `PlainLink.is_heard`."""
        _check_key(key)
        return self._is_live and self._others.is_heard(key)

    def is_served(self, key: str) -> bool:
        """See `PlainLink.is_served`."""
        _check_key(key)
        return self._is_live and self._others.is_served(key)

    def _received(self, sample: zenoh.Sample) -> tuple[bytes, bytes] | None:
        """Return header and payload of a message, or None if its checksum is wrong."""
        message = self._in_hand.message
        attachment = _bytes(sample.attachment)
        if message is not None and attachment and attachment == message[0]:  # it never left this thread
            return self._attachments.header(attachment), message[1]
        payload = sample.payload.to_bytes()
        header = self._opened(attachment, payload)
        return None if header is None else (header, payload)

    def _opened(self, attachment: bytes, payload: bytes) -> bytes | None:
        """Return the header of a message, or None if its checksum is wrong."""
        header = self._attachments.checked_header(attachment, payload)
        self.corrupted += header is None
        return header

    def _declared(self, key: str, declare: Callable[[], Declaration]) -> Declaration:
        _check_key(key)
        try:
            return declare()
        except zenoh.ZError as error:
            raise LinkError(f"cannot declare {key}: {_text(error)}") from error

    def _call(self, key: str, callback: Callable[..., None], *args: object) -> bool:
        try:
            callback(*args)
        except Exception:  # the callback's owner must not end the network
            logger.exception("callback for %s raised", key)
            return False
        return True

    def _on_transport(self, event: zenoh.TransportEvent) -> None:
        if event.kind == zenoh.SampleKind.DELETE and self._is_live and self._on_lost is not None:
            self.abandon()
            self._on_lost()


def _collect(
    arrived: queue.SimpleQueue[zenoh.Reply | None], timeout_s: float
) -> tuple[list[zenoh.Reply], bool]:
    deadline_s = time.monotonic() + timeout_s + QUERY_MARGIN_S
    replies: list[zenoh.Reply] = []
    while True:
        try:
            reply = arrived.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            return replies, False
        if reply is None:
            return replies, True
        replies.append(reply)


class _OverZenoh(ReopeningLink):
    """A link over Zenoh, with this form of attachments."""

    def __init__(self, config: ZenohConfig, attachments: Attachments, *, is_complete: bool = False) -> None:
        self._config = config
        self._is_listening = bool(config.listen)
        self._attachments = attachments
        self._is_complete = is_complete
        super().__init__(
            self._connect,
            address=", ".join(config.reached or config.listen),
            explain=self._why_not_open,
            is_listening=self._is_listening,
            open_timeout_s=config.open_timeout_s,
            # a listening peer loses a transport whenever a robot leaves; the robot's end is reopened
            watchdog_s=0.0 if self._is_listening else config.watchdog_s,
        )

    def _why_not_open(self, said: str) -> str:
        if self._is_listening:
            return f"{said}; {why_not_listening(said)}"
        why = why_unreached(self._config.reached, self._config.tls)
        return why or f"{said}; start a router there (vagus router) or name another endpoint"

    def _connect(self, on_lost: Callable[[], None]) -> ZenohConnection:
        config = self._config
        session = open_zenoh_session(config.to_json5(), config.extra)
        is_replaced = config.reopen_on_loss and not self._is_listening
        connection = ZenohConnection(
            session,
            on_lost if is_replaced else None,
            is_listening=self._is_listening,
            attachments=self._attachments,
            is_complete=self._is_complete,
        )
        if config.mode is LinkMode.PEER and config.reached and not connection.is_connected:
            connection.close()  # a client's open fails by itself; a peer's succeeds with nobody there
            raise LinkError(f"nobody answers at {', '.join(config.reached)}")
        return connection


class ZenohLink(_OverZenoh):
    """A `Link` over Zenoh: `with ZenohLink(config) as link:`."""

    def __init__(self, config: ZenohConfig) -> None:
        super().__init__(config, SealedAttachments(is_checking=config.checksum))


class ZenohPlainLink(_OverZenoh):
    """A `PlainLink` over Zenoh, without shared memory; `checksum` of its configuration has no effect."""

    def __init__(self, config: ZenohConfig) -> None:
        super().__init__(replace(config, shared_memory=False), PlainAttachments(), is_complete=True)

    def is_heard(self, key: str) -> bool:
        """See `PlainLink.is_heard`."""
        connection = self._connection
        return isinstance(connection, ZenohConnection) and connection.is_heard(key)

    def is_served(self, key: str) -> bool:
        """See `PlainLink.is_served`."""
        connection = self._connection
        return isinstance(connection, ZenohConnection) and connection.is_served(key)

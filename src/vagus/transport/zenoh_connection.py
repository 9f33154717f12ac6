"""Connection over one Zenoh session: messages, queries and tokens, until its transport is lost.

Zenoh calls a callback on its receiving thread (`indirect=False`). With a queue between them, one slow
receiver would delay the messages of all, and the thread of the queue would keep the interpreter from exiting.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

import zenoh

from vagus.errors import LinkError, QueryTimeoutError
from vagus.quoting import quoted
from vagus.transport.attachments import Attachments, SealedAttachments
from vagus.transport.link import Declaration, Delivery, Query, Sample
from vagus.transport.zenoh_others import ZenohOthers
from vagus.transport.zenoh_query import ZenohQuery
from vagus.transport.zenoh_session import QUALITY, QUERY_QUALITY, check_key, close_zenoh_session, zenoh_text

__all__ = ["ZenohConnection"]

logger = logging.getLogger(__name__)

QUERY_MARGIN_S = 0.5
"""Wait after the timeout of a query, because Zenoh ends the query by its own timer."""

EMPTY_PAUSES_S = (0.03, 0.06, 0.12, 0.24)
"""Pauses before an empty list of tokens is requested again.

A session that watches tokens gets an empty list in 4–11 % of requests without a pause between them, on a busy
computer six times in a row; after a pause it gets all tokens. So a list with tokens is believed at once."""


MAX_ERROR_BYTES = 2048
"""Part of an error answer that is read."""

SEALED = SealedAttachments()


def _bytes(attachment: zenoh.ZBytes | None) -> bytes:
    return attachment.to_bytes() if attachment is not None else b""


def _said(error: zenoh.ReplyError) -> str:
    """Return the beginning of the text of an error answer."""
    return error.payload.to_bytes()[:MAX_ERROR_BYTES].decode(errors="replace")


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
        self._others = ZenohOthers(session)
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
            check_key(key)
            logger.debug("message to %s is lost: %s", key, zenoh_text(error))
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
            query = ZenohQuery(asked, str(asked.key_expr) if "*" in key else key, self._attachments)
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
        check_key(key)
        arrived: queue.SimpleQueue[zenoh.Reply | None] = queue.SimpleQueue()
        self._waiting.add(arrived)
        try:
            callback = zenoh.handlers.Callback(arrived.put, lambda: arrived.put(None), indirect=False)
            ask(handler=callback, timeout=timeout_s)
            replies, has_ended = _collect(arrived, timeout_s)
        except zenoh.ZError as error:
            raise LinkError(f"cannot ask {key}: {zenoh_text(error)}") from error
        finally:
            self._waiting.discard(arrived)
        if not replies and not self._is_live:
            raise LinkError(f"the network was lost while asking {key}")
        return replies, has_ended

    def is_heard(self, key: str) -> bool:
        """See `PlainLink.is_heard`."""
        check_key(key)
        return self._is_live and self._others.is_heard(key)

    def is_served(self, key: str) -> bool:
        """See `PlainLink.is_served`."""
        check_key(key)
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
        check_key(key)
        try:
            return declare()
        except zenoh.ZError as error:
            raise LinkError(f"cannot declare {key}: {zenoh_text(error)}") from error

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

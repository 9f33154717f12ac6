"""Keys of one deployment at a gateway: its token, and while it is active its queries and subscriptions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.robots import Robots
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace, every_session, parse_key
from vagus.transport.link import Query, Sample
from vagus.transport.plain_link import PlainLink

__all__ = ["Front", "answer_to", "read_query"]

MAX_QUERY_BYTES: Final = 1 << 20
"""Largest describe, open or control; they are read on the link's own thread."""
PUTS: Final = (RemotePlace.OBSERVATION, RemotePlace.LANGUAGE_REQUEST)

logger = logging.getLogger(__name__)


class Front:
    """What one deployment declares on the network of the robots.

    Args:
        link: the network.
        robots: its clients.
        on_describe: called with each question what it is; must not block.
        may_answer: whether this process answers now; it may have lost its turn before it could withdraw.
        max_message_bytes: largest observation.
    """

    def __init__(
        self,
        link: PlainLink,
        robots: Robots,
        on_describe: Callable[[Query], None],
        *,
        may_answer: Callable[[], bool],
        max_message_bytes: int,
    ) -> None:
        self._link = link
        self._robots = robots
        self._on_describe = on_describe
        self._may_answer = may_answer
        self._max_message_bytes = max_message_bytes
        self._token = ExitStack()
        self._active = ExitStack()

    def announce(self) -> None:
        """Declare the token of the server, and watch those of clients; what answers comes with `activate`."""
        name, instance = self._ids
        watched = every_session(RemotePlace.CLIENT_ALIVE, name, instance)
        self._token.callback(self._link.watch(watched, self._note_token).undeclare)
        alive = str(RemoteKey(RemotePlace.SERVER_ALIVE, name, instance))
        self._token.callback(self._link.token(alive).undeclare)

    def activate(self) -> None:
        """Answer clients from now on."""
        name, instance = self._ids
        for place in PUTS:
            subscribe = partial(self._link.subscribe, every_session(place, name, instance))
            self._active.callback(subscribe(partial(self.put, place)).undeclare)
        controls = every_session(RemotePlace.CONTROL, name, instance)
        self._serve(controls, self._control)
        self._serve(str(RemoteKey(RemotePlace.OPEN, name, instance)), self._open)
        self._serve(str(RemoteKey(RemotePlace.DESCRIBE, name)), self._on_describe)

    def deactivate(self) -> None:
        """Answer no client any more, and forget them; the token stays."""
        self._active.close()
        self._robots.forget()

    def close(self) -> None:
        """Withdraw all, and let go of the clients."""
        self._active.close()
        self._token.close()
        self._robots.close()

    def put(self, place: RemotePlace, sample: Sample, arrived_ns: int | None = None) -> None:
        """Hand a client's message to it; `arrived_ns` is when it came, None: now."""
        if len(sample.payload) > self._max_message_bytes or not self._may_answer():
            return
        try:
            robot = self._robots.find(parse_key(sample.key).session_id)
        except ProtocolError:
            return
        if robot is not None:
            robot.put(place, sample.payload, arrived_ns)

    def _serve(self, key: str, answer: Callable[[Query], None]) -> None:
        def serve(query: Query) -> None:
            if self._may_answer():
                answer(query)
            else:
                query.drop()

        self._active.callback(self._link.serve(key, serve).undeclare)

    @property
    def _ids(self) -> tuple[str, str]:
        deployment = self._robots.deployment
        return deployment.name, deployment.instance_id

    def _open(self, query: Query) -> None:
        found = read_query(query, MessageType.OPEN)
        if found is not None:
            query.reply(self._robots.open(*found, query.payload))

    def _control(self, query: Query) -> None:
        found = read_query(query, MessageType.CONTROL)
        if found is None:
            return
        head, body = found
        try:
            robot = self._robots.find(parse_key(query.key).session_id)
        except ProtocolError:  # a question for many sessions at once
            query.drop()
            return
        if robot is None:
            error = RemoteMessageError(ErrorCode.STALE, "control: wanted an open session, got another")
            query.reply(answer_to(head, error))
        else:
            robot.control(query, head, body)

    def _note_token(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        try:
            session_id = parse_key(key).session_id
        except ProtocolError:
            return
        self._robots.set_present(session_id, is_present=is_alive)


def read_query(query: Query, wanted: MessageType) -> tuple[MessageHead, ValueMap] | None:
    """Return head and body of a query; None: it is answered, or dropped, since it is another one."""
    if len(query.payload) > MAX_QUERY_BYTES:
        query.drop()
        return None
    try:
        head, body = decode_message(query.payload)
    except ProtocolError as error:
        logger.debug("a query is dropped: %s", error)
        query.drop()
        return None
    if head.kind is not wanted:
        text = f"message: wanted {wanted.value}, got {head.kind.value}"
        query.reply(answer_to(head, RemoteMessageError(ErrorCode.MALFORMED, text)))
        return None
    return head, body


def answer_to(head: MessageHead, error: RemoteMessageError) -> bytes:
    """Return the error that answers a query."""
    return encode_message(head.answered(MessageType.ERROR), RemoteFault.of(error).to_wire())

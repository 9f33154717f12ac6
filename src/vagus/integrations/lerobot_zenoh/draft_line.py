"""One session with a server of the draft, on a link of its own; used on one thread."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Final

from vagus.clock import NS_PER_S, monotonic_ns, seconds_left
from vagus.errors import LinkError, PolicyError, ProtocolError, QueryTimeoutError, VagusError
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, DraftService
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk, DraftObservation
from vagus.integrations.lerobot_zenoh.draft.sessions import (
    DraftAck,
    DraftClose,
    DraftOpen,
    DraftOpened,
    DraftReset,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel, DraftStatus
from vagus.quoting import quoted
from vagus.transport.link import Delivery, Sample
from vagus.transport.plain_link import PlainLink

__all__ = ["DraftLine"]

POLL_S: Final = 0.005
LOOK_S: Final = 0.25
"""Period in which the link is looked at while an answer is waited for."""
CLOSE_S: Final = 0.5
"""Longest wait until a server has closed the session."""


class DraftLine:
    """A session: one question at a time, and only the answer to it is taken.

    Args:
        link: the link, open; closed by `close`.
        service: what the keys name.
        client: uuid of this client.
        head: attachment of the next observation; its epoch is this session's.
    """

    def __init__(self, link: PlainLink, service: DraftService, client: str, head: DraftAttachment) -> None:
        self._link = link
        self._service = service
        self._client = client
        self.head = head
        self._asked: DraftAttachment | None = None
        self._answers: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        self._gone = threading.Event()
        self._session_id = ""
        self._stack = ExitStack()
        self._stack.callback(link.close)

    @property
    def is_open(self) -> bool:
        """Whether the session stands, as far as this side knows."""
        return bool(self._session_id) and not self._gone.is_set() and self._link.health().is_connected

    def status(self, end_ns: int) -> DraftStatus:
        """Return what the server serves.

        Raises:
            LinkError: nobody serves this model, revision and task here, or no answer in time.
            ProtocolError: an answer that is none.
        """
        return DraftStatus.decode(self._ask(DraftPlace.STATUS, b"", end_ns))

    def open(self, asked: DraftOpen, end_ns: int) -> DraftModel:
        """Open the session; return the model that it is with.

        Raises:
            LinkError: no answer in time, or the server refuses.
            ProtocolError: an answer that is none.
        """
        link = self._link
        link.on_reopen(lambda _: self._lose())
        link.subscribe(self._key(DraftPlace.ACTION), self._take)
        link.watch(self._key(DraftPlace.SERVER_ALIVE), lambda _, is_alive: None if is_alive else self._lose())
        opened = DraftOpened.decode(self._ask(DraftPlace.SESSION, asked.encode(), end_ns))
        if opened.error:
            raise LinkError(f"the server refuses: {quoted(opened.error, 400)}")
        link.token(self._key(DraftPlace.CLIENT_ALIVE))
        self._session_id = opened.session_id
        return opened.model

    def ask(self, observation: DraftObservation, end_ns: int) -> DraftChunk:
        """Return the answer to an observation.

        Raises:
            LinkError: the server or the network has gone, or no answer came in time.
            ProtocolError: an answer that is none.
            PolicyError: the server says that it has none.
        """
        payload = observation.encode()
        self.head = head = replace(self.head, sequence=self.head.sequence + 1, client_ns=monotonic_ns())
        self._asked = head  # first, so that a server that goes from here on is noticed
        self._link.publish(
            self._key(DraftPlace.OBSERVATION),
            header=head.encode(),
            payload=payload,
            delivery=Delivery.OBSERVATION,
        )
        try:
            sample = self._answer(end_ns)
        finally:
            self._asked = None
        chunk = DraftChunk.decode(sample.payload, head.answered())
        if chunk.robot is None:
            raise PolicyError("the server answers without actions: its own log says why")
        return chunk

    def reset(self, end_ns: int) -> None:
        """Begin the next episode.

        Raises:
            LinkError: no answer in time, or the server refuses.
            ProtocolError: an answer that is none.
        """
        self.head = replace(self.head, episode=self.head.episode + 1)
        asked = DraftReset(self._client, self.head.episode).encode()
        ack = DraftAck.decode(self._ask(DraftPlace.RESET, asked, end_ns))
        if ack.error:
            raise LinkError(f"the server refuses the reset: {quoted(ack.error, 400)}")

    def close(self) -> None:
        """Close the session if the server answers, and the link. Twice does nothing."""
        session_id, self._session_id = self._session_id, ""
        try:
            if session_id and not self._gone.is_set():
                with suppress(VagusError):
                    end_ns = monotonic_ns() + round(CLOSE_S * NS_PER_S)
                    self._ask(DraftPlace.SESSION, DraftClose(self._client, session_id).encode(), end_ns)
        finally:
            self._stack.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _answer(self, end_ns: int) -> Sample:
        """Return the answer to what is asked; a network that goes is looked for, since nobody tells it."""
        while self.is_open:
            left_s = seconds_left(end_ns)
            if left_s <= 0:
                raise QueryTimeoutError(
                    "no answer in time: silence is all that such a server says of an error; see its log"
                )
            with suppress(queue.Empty):
                sample = self._answers.get(timeout=min(left_s, LOOK_S))
                if sample is not None:
                    return sample
        raise LinkError("the server has gone" if self._gone.is_set() else "the network has gone")

    def _key(self, place: DraftPlace) -> str:
        return str(DraftKey(place, self._service, self._client if place.is_of_client else ""))

    def _ask(self, place: DraftPlace, payload: bytes, end_ns: int) -> bytes:
        key = self._key(place)
        while not self._link.is_served(key):
            if seconds_left(end_ns) <= 0:
                raise QueryTimeoutError(f"nobody serves {key}: are model, revision and task the server's?")
            time.sleep(POLL_S)
        answers = self._link.query(key, payload, timeout_s=seconds_left(end_ns))
        if len(answers) != 1:
            raise ProtocolError(
                f"{place.value}: wanted one answer, got {len(answers)}: two servers of one name"
            )
        return answers[0]

    def _take(self, sample: Sample) -> None:
        """Take the answer to what is asked, on a thread of the link; another one is nobody's."""
        asked = self._asked
        try:
            head = DraftAttachment.decode(sample.header)
        except ProtocolError:
            return
        if asked is None or head.kind is not DraftMessage.CHUNK:
            return
        if (head.sequence, head.episode, head.epoch) == (asked.sequence, asked.episode, asked.epoch):
            self._asked = None
            self._answers.put(sample)

    def _lose(self) -> None:
        self._gone.set()
        if self._asked is not None:
            self._answers.put(None)

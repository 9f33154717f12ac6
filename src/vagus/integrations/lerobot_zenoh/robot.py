"""One client of remote inference at a gateway: its messages, one after the other, and what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.errors import ProtocolError, VagusError
from vagus.gateways.msgpack import ValueMap
from vagus.gateways.peer import Peer, PeerReply
from vagus.integrations.lerobot_zenoh.asker import PolicyAsker, Question
from vagus.integrations.lerobot_zenoh.live_session import LiveSession, RobotTools
from vagus.integrations.lerobot_zenoh.v1.client_messages import read_put
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import ControlAck, ControlOperation, ControlRequest
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, encode_message
from vagus.integrations.lerobot_zenoh.v1.exchange import foreign_request, foreign_rtc, rows_of
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.patience import AnswerTimes
from vagus.integrations.lerobot_zenoh.v1.session import ClientSession, SessionStep
from vagus.integrations.lerobot_zenoh.v1.session_messages import (
    PendingRequest,
    SentMessage,
    SessionEffect,
    fault_message,
)
from vagus.threads import Supervised
from vagus.transport.link import Delivery, Query

__all__ = ["RemoteRobot"]

ASK_AGAIN_NS: Final = 5 * NS_PER_MS
"""Pause between two looks whether a new client hears its actions."""
HEARD_NS: Final = NS_PER_S
"""Longest wait for that; the acknowledgement is sent then in any case."""
IDLE_NS: Final = NS_PER_S


class RemoteRobot:
    """One client. What comes is put down here by the link's threads, and read on a thread of its own.

    Args:
        tools: what all clients have in common.
        peer: the robot's session with a server.
        session_id: id of the client's session.
        terms: what was agreed.
        is_resumed: another gateway process opened the session; the first message says where it is.
        on_end: called once, when the session has ended.

    Attributes:
        session_id: id of the client's session.
        began_ns: when this object was made.
    """

    def __init__(
        self,
        tools: RobotTools,
        peer: Peer,
        session_id: str,
        terms: AcceptedSession,
        *,
        is_resumed: bool,
        on_end: Callable[[RemoteRobot], None],
    ) -> None:
        self.session_id = session_id
        self.began_ns = tools.clock.now_ns()
        self._tools = tools
        self._name = peer.name
        self._terms = terms
        self._on_end = on_end
        self._state = LiveSession(peer.name, session_id, terms, tools, is_resumed=is_resumed)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._has_ended = False
        self._mail: dict[RemotePlace, tuple[bytes, int]] = {}
        self._late: list[tuple[Query, bytes]] = []
        self._times = AnswerTimes()
        self._is_starting = not is_resumed
        self._asker = PolicyAsker(
            peer,
            tools.clock,
            is_wanted=self._state.is_pending,
            on_answer=self._answer,
            on_refused=self._refuse,
        )
        self._thread = Supervised(self._serve, name=f"remote-{peer.name}")

    def start(self) -> None:
        """Start its threads."""
        self._asker.start()
        self._thread.start()

    # -- from the link's threads ------------------------------------------------------------------------

    def control(self, query: Query, head: MessageHead, body: ValueMap) -> None:
        """Answer a control at once, but for the first one: its client may not hear its actions yet."""
        try:
            request = ControlRequest.from_wire(body)
        except RemoteMessageError as error:
            fault = fault_message(head, RemotePlace.CONTROL, error)
            step = self._advance(lambda session: SessionStep(session, fault))
        else:
            self._state.begin(head.generation)
            step = self._advance(lambda session: session.control(head, request))
        if step.sent is None:
            query.drop()
            return
        answer = encode_message(step.sent.head, step.sent.body.to_wire())
        if head.generation == 0 and _is_reset(step.sent):
            with self._lock:
                self._late.append((query, answer))
            self._wake.set()
        else:
            query.reply(answer)
        if SessionEffect.END in step.effects:
            self.end()

    def put(self, place: RemotePlace, payload: bytes, arrived_ns: int | None = None) -> None:
        """Put a message down, which came now or at `arrived_ns`; the newest of a place is read."""
        came_ns = self._tools.clock.now_ns() if arrived_ns is None else arrived_ns
        with self._lock:
            is_superseded = place in self._mail
            self._mail[place] = payload, came_ns
        if is_superseded:
            self._tools.metrics.count("superseded")
        self._wake.set()

    def set_present(self, *, is_present: bool) -> None:
        """Note that the client's token came or went."""
        now_ns = self._tools.clock.now_ns()
        self._advance(lambda session: session.appeared() if is_present else session.vanished(now_ns))
        self._wake.set()

    def end(self) -> None:
        """End the session; twice does nothing. Its threads end soon."""
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
        self._asker.end()
        self._wake.set()
        self._on_end(self)

    def is_alive(self) -> bool:
        """Return whether a thread of it still works."""
        return self._thread.is_alive() or self._asker.is_alive()

    def join(self) -> None:
        """Wait until its threads have ended."""
        self._asker.join()
        self._thread.join()

    # -- on its own thread ------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._has_ended:
            self._tools.clock.wait_until_ns(self._due_ns(), self._wake)
            self._wake.clear()
            with self._lock:
                mail, self._mail = self._mail, {}
            for place, (payload, arrived_ns) in mail.items():
                self._read(place, payload, arrived_ns)
            self._answer_late()
            self._do_overdue(self._tools.clock.now_ns())
        with self._lock:
            late, self._late = self._late, []
        for query, _ in late:
            query.drop()

    def _do_overdue(self, now_ns: int) -> None:
        step = self._advance(lambda session: session.overdue(now_ns))
        self._send(step.sent)
        if SessionEffect.END in step.effects:
            self.end()

    def _due_ns(self) -> int:
        soon_ns = self._tools.clock.now_ns() + (ASK_AGAIN_NS if self._late else IDLE_NS)
        due_ns = self._state.due_ns
        return soon_ns if due_ns is None else min(soon_ns, due_ns)

    def _read(self, place: RemotePlace, payload: bytes, arrived_ns: int) -> None:
        try:
            put = read_put(place, payload)
        except RemoteMessageError:
            self._tools.metrics.count_malformed()  # whose it is is not known, so nobody is told
            return
        if put.fault is not None:
            fault = put.fault
            self._send(self._advance(lambda session: SessionStep(session, fault)).sent)
            return
        self._state.begin(put.head.generation, put.sequence - 1)
        if put.observation is None:
            self._send(self._advance(lambda session: session.ask(put.head, put.sequence)).sent)
        else:
            self._observe(put.head, put.observation, arrived_ns)

    def _observe(self, head: MessageHead, seen: RemoteObservation, arrived_ns: int) -> None:
        patience_ns = self._times.patience_ns(
            self._tools.rules, has_rows=seen.continuation_rows > 0, is_starting=self._is_starting
        )
        rules = replace(self._tools.rules, patience_ns=patience_ns)
        step = self._advance(lambda session: replace(session, rules=rules).observe(head, seen, arrived_ns))
        pending = step.session.pending
        if SessionEffect.ASK not in step.effects or pending is None:
            self._send(step.sent)
            return
        try:
            request = foreign_request(seen)
        except ProtocolError as error:
            self._refuse(pending, error)
        else:
            rtc = None if self._tools.is_relative else foreign_rtc(seen, pending.plan)
            self._asker.ask(Question(pending, request, rtc))

    def _answer_late(self) -> None:
        """Answer the first control of a client once it hears its actions: a put before that is lost."""
        if not self._late:
            return
        is_over = self._tools.clock.now_ns() >= self.began_ns + HEARD_NS
        if not is_over and not self._tools.link.is_heard(self._key(RemotePlace.ACTION)):
            return
        with self._lock:
            late, self._late = self._late, []
        for query, answer in late:
            query.reply(answer)

    # -- on the asker's thread --------------------------------------------------------------------------

    def _answer(self, pending: PendingRequest, reply: PeerReply) -> None:
        now_ns = self._tools.clock.now_ns()
        self._times = self._times.with_one(now_ns - pending.arrived_ns)
        rows = rows_of(reply.reply)
        step = self._advance(
            lambda session: session.answered(
                pending.head.request_id, rows, now_ns, model_chunk=rows, is_continued=reply.is_continued
            )
        )
        self._is_starting = self._is_starting and step.sent is None
        self._send(step.sent)

    def _refuse(self, pending: PendingRequest, error: VagusError) -> None:
        """Tell the client that its observation is wrong."""
        fault = fault_message(
            pending.head, RemotePlace.ACTION, RemoteMessageError(ErrorCode.MALFORMED, str(error))
        )

        def refused(session: ClientSession) -> SessionStep:
            if session.pending is not pending:
                return SessionStep(session)
            return SessionStep(replace(session, pending=None), fault)

        self._send(self._advance(refused).sent)

    # -- parts ------------------------------------------------------------------------------------------

    def _advance(self, event: Callable[[ClientSession], SessionStep]) -> SessionStep:
        step = self._state.advance(event)
        if SessionEffect.RESET_EPISODE in step.effects:
            self._is_starting = True
            self._asker.begin_episode()
        return step

    def _send(self, sent: SentMessage | None) -> None:
        if sent is None:
            return
        payload = encode_message(sent.head, sent.body.to_wire())
        key = self._key(sent.place)
        self._tools.link.publish(key, header=b"", payload=payload, delivery=Delivery.OBSERVATION)

    def _key(self, place: RemotePlace) -> str:
        deployment = self._terms.deployment
        return str(RemoteKey(place, deployment.name, deployment.instance_id, self.session_id))


def _is_reset(sent: SentMessage) -> bool:
    return isinstance(sent.body, ControlAck) and sent.body.operation is ControlOperation.RESET

"""One client's session at a gateway: a frozen state, to which each event gives the next one (pure).

A client ends its run at any error, and one second after its rows ran out. So an error is sent only where the
client is wrong. Where the policy is late, the client gets a *hold*: the rows that it has, and the last of
them again and again; after `max_hold_ns` without an answer of the policy its run is ended with an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from vagus.integrations.lerobot_zenoh.v1.alignment import exact_rows, reply_plan
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import (
    ControlAck,
    ControlOperation,
    ControlRequest,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, SessionOwner
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType
from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules, hold_due_ns, hold_of, policy_rows
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.session_messages import (
    ClientState,
    PendingRequest,
    SentMessage,
    SessionEffect,
    actions_message,
    acts_at,
    check_asked,
    fault_message,
)
from vagus.types import FloatArray

__all__ = ["ABSENCE_NS", "ClientSession", "SessionStep"]

ABSENCE_NS: Final = 10_000_000_000
"""A client whose token is away for so long has left."""
_REMEMBERED_REQUESTS: Final = 128


@dataclass(frozen=True, eq=False)
class SessionStep:
    """The session after an event, the message that it sends, if any, and what is to be done."""

    session: ClientSession
    sent: SentMessage | None = None
    effects: tuple[SessionEffect, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class ClientSession:
    """State of one client's session. Times are the gateway's own monotonic clock.

    Attributes:
        session_id: id of the session.
        terms: what was agreed at the open.
        rules: when holds are sent, and for how long.
        state: what the session may do.
        generation: newest generation that a control stated.
        last_sequence: of observations and questions; None before the first.
        request_ids: the last 128.
        pending: the request without an answer.
        holding_since_ns: when the first hold after an answer of the policy was sent.
        absent_since_ns: since when the client's token is away; from the open on until it comes.
        is_believed: the generation is only that of an observation; another gateway process may have
            acknowledged a newer one.
    """

    session_id: str
    terms: AcceptedSession
    rules: HoldRules
    absent_since_ns: int | None
    state: ClientState = ClientState.OPEN
    generation: int = 0
    last_sequence: int | None = None
    request_ids: tuple[str, ...] = ()
    pending: PendingRequest | None = None
    holding_since_ns: int | None = None
    is_believed: bool = False

    @property
    def due_ns(self) -> int | None:
        """When `overdue` has something to do; None: never, as it stands."""
        hold_ns = None if self.pending is None else self.pending.hold_due_ns
        absence_ns = None if self.absent_since_ns is None else self.absent_since_ns + ABSENCE_NS
        times = [time_ns for time_ns in (hold_ns, absence_ns) if time_ns is not None]
        return min(times, default=None) if self.state is not ClientState.CLOSED else None

    def control(self, head: MessageHead, request: ControlRequest) -> SessionStep:
        """Answer a control at once; a running inference is not waited for.

        Reset and invalidate do something only in a newer generation. A close is granted in any.
        """
        operation = request.operation
        try:
            self._check_ids(head)
        except RemoteMessageError as error:
            return _refused(self, head, RemotePlace.CONTROL, error)
        if operation is ControlOperation.CLOSE:
            return replace(self._closed(), sent=_ack(self, head, operation))
        if head.generation < self.generation:
            old = _stale(f"generation {self.generation} or newer", str(head.generation))
            return _refused(self, head, RemotePlace.CONTROL, old)
        if operation is ControlOperation.STATUS:
            return SessionStep(self, _ack(self, head, operation))
        known = replace(self, is_believed=False) if self.is_believed else self
        if head.generation == self.generation:
            return SessionStep(known, _ack(known, head, operation))
        session = replace(known, generation=head.generation, pending=None, holding_since_ns=None)
        is_reset = operation is ControlOperation.RESET
        effect = SessionEffect.RESET_EPISODE if is_reset else SessionEffect.DROP_MOTION
        return SessionStep(session, _ack(session, head, operation), (effect,))

    def observe(self, head: MessageHead, observation: RemoteObservation, now_ns: int) -> SessionStep:
        """Take an observation: ask the policy, or tell the client what is wrong with it.

        One that comes twice, or is older than the newest control, gets nothing: its client awaits another. A
        newer one takes the place of one without an answer, for which its client waits no more. Where another
        process may have acknowledged a newer generation, that of the observation is taken, as after a reset.
        """
        if self.is_believed and head.generation > self.generation:
            newer = replace(self, generation=head.generation, holding_since_ns=None)
            step = newer.observe(head, observation, now_ns)
            is_asked = SessionEffect.ASK in step.effects
            effects = (SessionEffect.RESET_EPISODE, *step.effects)
            return replace(step, effects=effects) if is_asked else replace(step, session=self)
        terms = self.terms
        if head.generation < self.generation or head.request_id in self.request_ids:
            return SessionStep(self)
        try:
            self._check_order(head, observation.sequence)
            check_asked(observation, terms)
        except RemoteMessageError as error:
            return _refused(self, head, RemotePlace.ACTION, error)
        plan = reply_plan(observation, terms.mode, is_aligned=terms.is_aligned)
        due_ns = hold_due_ns(observation, terms, self.rules, now_ns)
        pending = PendingRequest(head, observation, plan, now_ns, due_ns)
        session = replace(self._noted(head, observation.sequence), pending=pending)
        return SessionStep(session, effects=(SessionEffect.ASK,))

    def ask(self, head: MessageHead, sequence: int) -> SessionStep:
        """Refuse a question about a picture; `unsupported` is the one answer that ends no run."""
        is_new = self.last_sequence is None or sequence > self.last_sequence
        session = self._noted(head, sequence) if is_new else self
        error = RemoteMessageError(ErrorCode.UNSUPPORTED, "language: the model answers no questions")
        return _refused(session, head, RemotePlace.LANGUAGE_RESULT, error)

    def answered(
        self,
        request_id: str,
        chunk: FloatArray,
        now_ns: int,
        *,
        model_chunk: FloatArray | None = None,
        is_continued: bool = False,
    ) -> SessionStep:
        """Send what the policy answered, exactly as many rows as agreed; nothing if it is too late.

        A policy that does not know the continuation counts on a robot that moves on. Where the robot is held
        until the reply acts, the rows come later by as much; else it would jump.

        Args:
            request_id: that of the pending request.
            chunk: rows from the frame on, in the robot's units, (n, action_dim).
            now_ns: when the answer came.
            model_chunk: the same rows in the model's units, (n, model_dim); needed in RTC.
            is_continued: whether the rows continue the prefix of the plan, as those of RTC do.

        Raises:
            PolicyError: rows of another width, none, not finite; or in RTC none for the model.
        """
        pending = self.pending
        if pending is None or pending.head.request_id != request_id:
            return SessionStep(self)
        rows, model_rows = policy_rows(chunk, model_chunk, self.terms)
        steps, first = self.terms.steps, pending.plan.first_row
        if self.rules.is_holdable and not is_continued:
            first -= pending.plan.held_rows(acts_at(pending, self.terms, now_ns))
        model = None if model_rows is None else exact_rows(model_rows, first, steps)
        session = replace(self, pending=None, holding_since_ns=None)
        return SessionStep(session, actions_message(pending, exact_rows(rows, first, steps), model))

    def overdue(self, now_ns: int) -> SessionStep:
        """Do what is due: send a hold, end a run that was held too long, close the session of who left."""
        absent_ns = self.absent_since_ns
        if self.state is ClientState.CLOSED:
            return SessionStep(self)
        if absent_ns is not None and now_ns - absent_ns >= ABSENCE_NS:
            return self._closed()
        pending = self.pending
        if pending is None or pending.hold_due_ns is None or now_ns < pending.hold_due_ns:
            return SessionStep(self)
        since_ns = now_ns if self.holding_since_ns is None else self.holding_since_ns
        if now_ns - since_ns >= self.rules.max_hold_ns:
            return self._given_up(pending, now_ns - since_ns)
        rows, model = hold_of(pending.observation, pending.plan, self.terms, self.rules)
        session = replace(self, pending=None, holding_since_ns=since_ns)
        return SessionStep(session, replace(actions_message(pending, rows, model), is_hold=True))

    def appeared(self) -> SessionStep:
        """Note that the client's token is there."""
        return SessionStep(replace(self, absent_since_ns=None))

    def vanished(self, now_ns: int) -> SessionStep:
        """Note that the client's token is gone."""
        since_ns = now_ns if self.absent_since_ns is None else self.absent_since_ns
        return SessionStep(replace(self, absent_since_ns=since_ns))

    @classmethod
    def resumed(
        cls, head: MessageHead, observation: RemoteObservation, terms: AcceptedSession, rules: HoldRules
    ) -> ClientSession:
        """Return the session of a client whose gateway was another process before this observation.

        Nothing is known of it but what the message says; its generation and sequence are believed.
        """
        return cls(
            session_id=head.session_id,
            terms=terms,
            rules=rules,
            absent_since_ns=None,
            generation=head.generation,
            last_sequence=observation.sequence - 1,
            is_believed=True,
        )

    def _check_ids(self, head: MessageHead) -> None:
        instance = self.terms.deployment.instance_id
        if self.state is ClientState.CLOSED:
            raise _stale("an open session", "a closed one")
        if (head.instance_id, head.session_id) != (instance, self.session_id):
            raise _stale(f"session {self.session_id}", f"{head.session_id} of {head.instance_id}")

    def _check_order(self, head: MessageHead, sequence: int) -> None:
        """Refuse an observation that is not of this session, generation and turn."""
        self._check_ids(head)
        if self.state is ClientState.FAULTED:
            raise _stale("an open session", "one whose run was ended")
        if head.generation != self.generation:
            raise _stale(f"generation {self.generation}", str(head.generation))
        if self.last_sequence is not None and sequence <= self.last_sequence:
            raise _stale(f"a sequence above {self.last_sequence}", str(sequence))

    def _noted(self, head: MessageHead, sequence: int) -> ClientSession:
        request_ids = (*self.request_ids, head.request_id)[-_REMEMBERED_REQUESTS:]
        return replace(self, last_sequence=sequence, request_ids=request_ids)

    def _closed(self) -> SessionStep:
        session = replace(self, state=ClientState.CLOSED, pending=None)
        return SessionStep(session, effects=(SessionEffect.END,))

    def _given_up(self, pending: PendingRequest, held_ns: int) -> SessionStep:
        """End the run of a client that was held for too long."""
        error = RemoteMessageError(
            ErrorCode.TIMEOUT, f"action: the policy gave none, and the robot was held {held_ns / 1e9:.1f} s"
        )
        session = replace(self, state=ClientState.FAULTED, pending=None)
        step = _refused(session, pending.head, RemotePlace.ACTION, error)
        return replace(step, effects=(SessionEffect.DROP_MOTION,))


def _ack(session: ClientSession, head: MessageHead, operation: ControlOperation) -> SentMessage:
    is_status = operation is ControlOperation.STATUS
    owner = SessionOwner(
        owner=session.session_id,
        is_client_present=session.absent_since_ns is None,
        is_inference_pending=session.pending is not None,
    )
    applied = max(session.generation, head.generation) if not is_status else session.generation
    body = ControlAck(operation, applied, owner if is_status else None)
    return SentMessage(RemotePlace.CONTROL, head.answered(MessageType.ACK), body)


def _refused(
    session: ClientSession, head: MessageHead, place: RemotePlace, error: RemoteMessageError
) -> SessionStep:
    return SessionStep(session, fault_message(head, place, error))


def _stale(wanted: str, got: str) -> RemoteMessageError:
    return RemoteMessageError(ErrorCode.STALE, f"session: wanted {wanted}, got {got}")

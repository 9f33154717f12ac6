"""A client of LeRobot's remote inference v1 on a link: admission, session, and its loop."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Protocol

from remote_client.admission import NotAdmittedError, Wishes, admitted
from remote_client.engine import Engine
from remote_client.engine_parts import Control, Observed, Phase, Timing
from vagus.clock import monotonic_ns
from vagus.errors import LinkError, ProtocolError
from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import (
    ControlAck,
    ControlOperation,
    ControlRequest,
    RemoteFault,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import RemoteCapabilities
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.language import LanguageResult
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, RemoteActions
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap
from vagus.transport.link import Delivery, Sample
from vagus.transport.plain_link import PlainLink
from vagus.types import FloatArray

__all__ = ["RemoteClient", "Robot", "in_thread"]

S = 1_000_000_000
POLL_S = 0.005
MOST_REPLIES = 4
"""Replies that may lie unread; one more ends the run."""
MOST_PRESENCE = 8
CLOSE_S = 1.0
HARMLESS = (ErrorCode.EXECUTION, ErrorCode.UNSUPPORTED)
"""Errors of a question that end no run."""


class Robot(Protocol):
    """What the client moves."""

    def observe(self, capabilities: RemoteCapabilities) -> FrameFeatures:
        """Return the features of the next frame."""
        ...

    def act(self, row: FloatArray | None, commit: int) -> None:
        """Execute a row, the `commit`-th since the last control, or hold (None)."""
        ...

    def asked(self, observed: Observed) -> None:
        """Note that a request is sent."""
        ...

    def replied(self, actions: RemoteActions) -> None:
        """Note the reply to the newest request."""
        ...


def in_thread(work: Callable[[], None]) -> None:
    """Do work beside the loop."""
    threading.Thread(target=work, daemon=True).start()


class RemoteClient:
    """One client: `connect`, then `step` once per interval, or `run`; then `close`."""

    def __init__(
        self,
        link: PlainLink,
        wishes: Wishes,
        robot: Robot,
        *,
        task: str = "",
        timing: Timing | None = None,
        clock: Callable[[], int] = monotonic_ns,
        beside: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self.answers: list[str] = []
        """Answers to questions, or the codes of errors."""
        self._link = link
        self._wishes = wishes
        self._robot = robot
        self._task = task
        self._timing = timing or Timing()
        self._clock = clock
        self._beside = beside
        self._inbox: list[Sample] = []
        self._presence: list[bool] = []
        self._done: list[tuple[Control, str]] = []
        self._to_do: list[Callable[[Engine, int], None]] = []
        self._lock = threading.Lock()
        self._terms: AcceptedSession | None = None
        self._session_id = ""
        self._question = self._question_id = ""

    def connect(self) -> None:
        """Find the server and open a session.

        Raises:
            NotAdmittedError: the original would end here.
        """
        handshake_s = self._timing.handshake_s
        link = self._link
        self._terms, self._session_id = admitted(
            lambda key, payload: self._asked(key, payload, handshake_s), self._wishes
        )
        link.subscribe(self._key(RemotePlace.ACTION), self._inbox_of)
        link.subscribe(self._key(RemotePlace.LANGUAGE_RESULT), self._inbox_of)
        link.token(self._key(RemotePlace.CLIENT_ALIVE))
        link.watch(self._key(RemotePlace.SERVER_ALIVE), lambda _, is_alive: self._presence.append(is_alive))
        self._await(lambda _: any(self._presence), self._key(RemotePlace.SERVER_ALIVE))
        self.engine = Engine(self._terms, self._timing, self._task, self._clock())
        (first,) = self.engine.controls
        self.engine.controls.clear()
        if wrong := self._controlled(first):
            raise NotAdmittedError(f"first control: {wrong}")
        self.engine.acked(first, self._clock())
        for place in (RemotePlace.OBSERVATION, RemotePlace.LANGUAGE_REQUEST):
            self._await(link.is_heard, self._key(place))

    @property
    def interval_ns(self) -> int:
        """From tick to tick."""
        assert self._terms is not None
        return round(self._terms.deployment.capabilities.action_interval_s * S)

    def step(self) -> None:
        """Do one tick: read what came, take a frame, execute a row, send what is due."""
        now_ns, engine = self._clock(), self.engine
        self._read(now_ns)
        assert self._terms is not None
        features = self._robot.observe(self._terms.deployment.capabilities)
        row = engine.tick(now_ns, features)
        self._robot.act(row, engine.queue.cursor - 1)
        for observed in engine.asked:
            self._robot.asked(observed)
            request_id = uuid.uuid4().hex
            engine.sent(request_id)
            self._publish(
                RemotePlace.OBSERVATION, MessageType.OBSERVATION, request_id, observed.observation.to_wire()
            )
        engine.asked.clear()
        controls = list(engine.controls)
        engine.controls.clear()
        for control in controls:
            self._beside(lambda control=control: self._control(control))  # type: ignore[misc]

    def run(self, is_over: threading.Event) -> None:
        """Step at the robot's rate until `is_over`, or until the run ends by a fault."""
        due_ns = self._clock()
        while not is_over.is_set() and not self.engine.is_over:
            self.step()
            due_ns = max(due_ns + self.interval_ns, self._clock() - self.interval_ns)
            while (left_ns := due_ns - self._clock()) > 0 and not self.engine.is_over:
                time.sleep(min(left_ns / S, POLL_S))
                self._read(self._clock())

    def do(self, wish: Callable[[Engine, int], None]) -> None:
        """Do what the operator wants, with the engine and the time, before the next tick; any thread."""
        with self._lock:
            self._to_do.append(wish)

    def ask(self, text: str) -> None:
        """Ask a question; the robot is held until it is answered."""

        def pause(engine: Engine, now_ns: int) -> None:
            engine.pause(now_ns)
            self._question = text

        self.do(pause)

    def close(self) -> None:
        """Close the session."""
        if self.engine.is_served:
            self._controlled(Control(ControlOperation.CLOSE, self.engine.generation), CLOSE_S)

    def _control(self, control: Control) -> None:
        wrong = self._controlled(control)
        with self._lock:
            self._done.append((control, wrong))

    def _controlled(self, control: Control, timeout_s: float | None = None) -> str:
        """Send a control; return what is wrong with its answer, or ""."""
        assert self._terms is not None
        limits = self._terms.deployment.limits
        longest_s = self._timing.handshake_s + max(limits.action_deadline_s, limits.language_deadline_s)
        head = self._head(MessageType.CONTROL, uuid.uuid4().hex, control.generation)
        payload = encode_message(head, ControlRequest(control.operation).to_wire())
        try:
            answers = self._asked(self._key(RemotePlace.CONTROL), payload, timeout_s or longest_s)
            if len(answers) != 1:
                return f"{len(answers)} answers to {control.operation.value}"
            answer, body = decode_message(answers[0])
            if answer.kind is MessageType.ERROR:
                return str(RemoteFault.from_wire(body))
            ack = ControlAck.from_wire(body)
        except (LinkError, NotAdmittedError, ProtocolError) as error:
            return f"{control.operation.value}: {error}"
        is_right = answer == head.answered(MessageType.ACK) and ack.operation is control.operation
        return "" if is_right and ack.applied_generation == control.generation else f"wrong ack {ack}"

    def _read(self, now_ns: int) -> None:
        """Take what came since the last time."""
        with self._lock:
            samples, self._inbox = self._inbox, []
            done, self._done = self._done, []
            presence, self._presence = self._presence, []
            wishes, self._to_do = self._to_do, []
        engine = self.engine
        if not all(presence) or len(presence) > MOST_PRESENCE:
            engine.is_served = False
        if len(samples) > MOST_REPLIES:
            engine.fail(f"{len(samples)} replies unread")
        for control, wrong in done:
            if wrong and not engine.is_over:
                engine.fail(wrong)
            engine.acked(control, now_ns)
        for sample in samples:
            self._take(sample.payload, now_ns)
        for wish in wishes:
            wish(engine, now_ns)
        if engine.phase is Phase.PAUSED and self._question:
            self._send_question()

    def _take(self, payload: bytes, now_ns: int) -> None:
        try:
            head, body = decode_message(payload)
            self._take_message(head, body, now_ns)
        except RemoteMessageError as error:
            self.engine.fail(f"bad message: {error}")

    def _take_message(self, head: MessageHead, body: ValueMap, now_ns: int) -> None:
        assert self._terms is not None
        ids = (self._terms.deployment.instance_id, self._session_id, self.engine.generation)
        if (head.instance_id, head.session_id, head.generation) != ids:
            return
        if head.request_id == self._question_id:
            self._take_answer(head, body, now_ns)
        elif head.request_id != self.engine.request_id:
            return
        elif head.kind is MessageType.ERROR:
            self.engine.fail(str(RemoteFault.from_wire(body)))
        elif head.kind is MessageType.ACTION:
            actions = RemoteActions.from_wire(body)
            self._robot.replied(actions)
            self.engine.receive(actions, now_ns)
        else:
            self.engine.fail(f"{head.kind.value} on /act")

    def _send_question(self) -> None:
        text, self._question, self._question_id = self._question, "", uuid.uuid4().hex
        body = self.engine.question(text).to_wire()
        self._publish(RemotePlace.LANGUAGE_REQUEST, MessageType.LANGUAGE_REQUEST, self._question_id, body)

    def _take_answer(self, head: MessageHead, body: ValueMap, now_ns: int) -> None:
        self._question_id = ""
        if head.kind is MessageType.ERROR:
            fault = RemoteFault.from_wire(body)
            self.answers.append(fault.code.value)
            if fault.code not in HARMLESS:
                self.engine.fail(str(fault))
        else:
            self.answers.append(LanguageResult.from_wire(body).answer)
        self.engine.resume(now_ns)

    def _inbox_of(self, sample: Sample) -> None:
        with self._lock:
            self._inbox.append(sample)

    def _publish(self, place: RemotePlace, kind: MessageType, request_id: str, body: RemoteMap) -> None:
        payload = encode_message(self._head(kind, request_id, self.engine.generation), body)
        self._link.publish(self._key(place), header=b"", payload=payload, delivery=Delivery.OBSERVATION)

    def _head(self, kind: MessageType, request_id: str, generation: int) -> MessageHead:
        assert self._terms is not None
        instance = self._terms.deployment.instance_id
        return MessageHead(kind, instance, self._session_id, generation, request_id)

    def _key(self, place: RemotePlace) -> str:
        assert self._terms is not None
        deployment = self._terms.deployment
        session = "" if place is RemotePlace.SERVER_ALIVE else self._session_id
        return str(RemoteKey(place, deployment.name, deployment.instance_id, session))

    def _asked(self, key: str, payload: bytes, timeout_s: float) -> tuple[bytes, ...]:
        left_s = timeout_s - self._await(self._link.is_served, key, timeout_s)
        return self._link.query(key, payload, timeout_s=left_s)

    def _await(self, is_there: Callable[[str], bool], key: str, timeout_s: float | None = None) -> float:
        """Wait for somebody at a key; return how long it took, in seconds."""
        begun_ns, longest_s = self._clock(), timeout_s or self._timing.handshake_s
        while not is_there(key):
            if self._clock() - begun_ns >= longest_s * S:
                raise NotAdmittedError(f"nobody is at {key}")
            time.sleep(POLL_S)
        return (self._clock() - begun_ns) / S

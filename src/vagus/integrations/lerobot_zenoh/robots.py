"""Clients of one deployment: let in, found by the id of their session, and gone."""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

from vagus.clock import NS_PER_S
from vagus.errors import SessionRefusedError
from vagus.gateways.msgpack import ValueMap
from vagus.gateways.peer import Peer
from vagus.integrations.lerobot_zenoh.live_session import RobotTools
from vagus.integrations.lerobot_zenoh.robot import RemoteRobot
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType, encode_message
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest, granted
from vagus.integrations.lerobot_zenoh.v1.terms import agreed_in, session_id_of
from vagus.repeats import Repeats

__all__ = ["Admit", "Robots"]

Admit: TypeAlias = Callable[[str], Peer]
"""Admits a robot that comes from an address; raises as `Gateway.admit`."""
MAX_OPENED: Final = 32
"""Opens whose answers are remembered, as at the original server."""
MAX_ENDED: Final = 1024
"""Sessions that are remembered as ended, so that nothing late brings them back."""
MAX_TOKENS: Final = 4096
TOLD_EVERY_NS: Final = 10 * NS_PER_S

logger = logging.getLogger(__name__)


class Robots:
    """Clients of one deployment; any thread may call it.

    Args:
        admit: admits a robot to the policy of the deployment.
        deployment: what is offered to them.
        tools: what they have in common.
    """

    def __init__(self, admit: Admit, deployment: Deployment, tools: RobotTools) -> None:
        self.deployment = deployment
        self._admit = admit
        self._tools = tools
        self._lock = threading.RLock()
        self._robots: dict[str, RemoteRobot] = {}
        self._leaving: list[RemoteRobot] = []
        self._present: set[str] = set()
        self._opened: OrderedDict[str, tuple[bytes, str, bytes]] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._told: Repeats[str] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=16)
        self._is_closed = False

    def __len__(self) -> int:
        """Return the number of clients."""
        return len(self._robots)

    def open(self, head: MessageHead, body: ValueMap, payload: bytes) -> bytes:
        """Return the answer to an open: a session, or why there is none.

        The same request gets the same answer, since its client may not have heard the first one. Who shows
        its token has heard it: then the request is that of another robot, which gets a session of its own.
        """
        digest = hashlib.sha256(payload).digest()
        with self._lock:
            known = self._opened.get(head.request_id)
            if known is not None and known[0] == digest and self._is_awaited(known[1]):
                return known[2]
            try:
                robot, accepted = self._let_in(head, OpenRequest.from_wire(body))
            except RemoteMessageError as error:
                return self._refusal(head, error)
            answer_head = MessageHead(
                MessageType.ACCEPTED,
                self.deployment.instance_id,
                robot.session_id,
                head.generation,
                head.request_id,
            )
            answer = encode_message(answer_head, accepted.to_wire())
            if head.request_id:
                self._opened[head.request_id] = digest, robot.session_id, answer
            while len(self._opened) > MAX_OPENED:
                self._opened.popitem(last=False)
            return answer

    def find(self, session_id: str) -> RemoteRobot | None:
        """Return the client with this session; None: it has none here.

        A session of another gateway process of this deployment goes on here, if its client is there.
        """
        with self._lock:
            robot = self._robots.get(session_id)
            if robot is not None or self._is_closed:
                return robot
            terms = agreed_in(session_id, self.deployment)
            if terms is None or session_id not in self._present or session_id in self._ended:
                return None
            try:
                return self._added(session_id, terms, is_resumed=True)
            except SessionRefusedError as error:
                self._tell(f"session {session_id[:8]} of another gateway: {error}")
                return None

    def set_present(self, session_id: str, *, is_present: bool) -> None:
        """Note that a client's token came or went."""
        with self._lock:
            if not is_present:
                self._present.discard(session_id)
            elif len(self._present) < MAX_TOKENS:
                self._present.add(session_id)
            robot = self._robots.get(session_id)
        if robot is not None:
            robot.set_present(is_present=is_present)

    def forget(self) -> None:
        """Let go of all clients without a word: another gateway process serves them."""
        with self._lock:
            robots = list(self._robots.values())
        for robot in robots:
            robot.end()
        with self._lock:
            self._ended.clear()
            self._opened.clear()

    def close(self) -> None:
        """Let go of all clients for good, and wait for their threads."""
        with self._lock:
            self._is_closed = True
        self.forget()
        for robot in self._leaving:
            robot.join()

    def _is_awaited(self, session_id: str) -> bool:
        return session_id in self._robots and session_id not in self._present

    def _let_in(self, head: MessageHead, request: OpenRequest) -> tuple[RemoteRobot, AcceptedSession]:
        if head.instance_id != self.deployment.instance_id or self._is_closed:
            raise RemoteMessageError(
                ErrorCode.STALE, f"open: wanted instance {self.deployment.instance_id}, got another"
            )
        accepted = granted(request, self.deployment)
        is_appended = accepted.mode is InferenceMode.CHUNK and not accepted.is_aligned
        if is_appended and not self._tools.rules.is_holdable:
            text = "open: chunk_merge: wanted aligned, since these actions cannot be repeated, got append"
            raise RemoteMessageError(ErrorCode.UNSUPPORTED, text)
        try:
            robot = self._added(session_id_of(secrets.token_hex(16), accepted), accepted, is_resumed=False)
        except SessionRefusedError as error:
            raise RemoteMessageError(ErrorCode.BUSY, str(error)) from error
        return robot, accepted

    def _added(self, session_id: str, terms: AcceptedSession, *, is_resumed: bool) -> RemoteRobot:
        peer = self._admit(f"session {session_id[:8]}")
        robot = RemoteRobot(
            self._tools, peer, session_id, terms, is_resumed=is_resumed, on_end=self._note_end
        )
        self._robots[session_id] = robot
        robot.start()
        return robot

    def _note_end(self, robot: RemoteRobot) -> None:
        with self._lock:
            self._robots.pop(robot.session_id, None)
            self._leaving = [each for each in self._leaving if each.is_alive()] + [robot]
            self._ended[robot.session_id] = None
            while len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)

    def _refusal(self, head: MessageHead, error: RemoteMessageError) -> bytes:
        self._tools.metrics.count(f"refused_{error.code.value}")
        self._tell(f"a robot is refused: {error}")
        details = {"admission_blocker": "active_session", "absence_grace_remaining_s": None}
        fault = RemoteFault.of(error)
        if error.code is ErrorCode.BUSY:
            fault = RemoteFault(fault.code, fault.message, details)
        return encode_message(head.answered(MessageType.ERROR), fault.to_wire())

    def _tell(self, text: str) -> None:
        """Log why a robot is not served, but not each of many times; under the lock."""
        repeat = self._told.note(text, self._tools.clock.now_ns())
        if repeat is not None:
            logger.warning("%s%s", text, repeat.times)

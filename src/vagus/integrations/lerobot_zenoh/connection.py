"""Queries to the servers of one deployment of LeRobot's remote inference, each with a deadline."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from vagus.clock import seconds_left
from vagus.errors import LinkError, ProtocolError, QueryTimeoutError
from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.control import (
    ControlAck,
    ControlOperation,
    ControlRequest,
    RemoteFault,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.questions import RemoteFaultError
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap
from vagus.quoting import quoted
from vagus.transport.plain_link import PlainLink

__all__ = ["DeploymentLine", "new_id"]

DESCRIBE_S: Final = 1.0
"""Longest wait for servers that do not say what they are, while others have said it."""
DESCRIBE_SHARE: Final = 0.4
"""The same as a share of the time that is left; the rest is for the session."""
POLL_S: Final = 0.005


class DeploymentLine:
    """A link, and the queries to the servers of one deployment on it.

    Args:
        link: the link, open.
        deployment: name of the deployment.
    """

    def __init__(self, link: PlainLink, deployment: str) -> None:
        self.link = link
        self._deployment = deployment

    def key(self, place: RemotePlace, head: MessageHead) -> str:
        """Return the key of a place, as text."""
        return str(RemoteKey(place, self._deployment, head.instance_id, head.session_id))

    def described(self, end_ns: int) -> tuple[tuple[Deployment, ...], tuple[str, ...]]:
        """Return the servers of the deployment, and why others are none of them.

        Raises:
            LinkError: nobody serves the deployment, or nobody answers.
        """
        head = MessageHead(MessageType.DESCRIBE, request_id=new_id())
        key = self.key(RemotePlace.DESCRIBE, head)
        self.await_true(
            partial(self.link.is_served, key), end_ns, f"nobody serves the deployment {self._deployment}"
        )
        timeout_s = min(DESCRIBE_S, DESCRIBE_SHARE * seconds_left(end_ns))
        found, others = [], []
        for payload in self.link.query(key, encode_message(head, {}), timeout_s=timeout_s):
            try:
                answer, body = _answer(payload, head, MessageType.DESCRIPTOR)
                found.append(self._deployment_in(answer, body))
            except (ProtocolError, LinkError) as error:  # noqa: PERF203 - one bad server hides no other
                others.append(quoted(error, 300))
        return tuple(found), tuple(others)

    def opened(
        self, deployment: Deployment, request: OpenRequest, end_ns: int
    ) -> tuple[MessageHead, ValueMap]:
        """Return the ids of a new session at a server, and the body that says what it accepts, not read.

        Raises:
            RemoteFaultError: it refuses.
            LinkError: no answer in time.
            ProtocolError: an answer that is none.
        """
        head = MessageHead(MessageType.OPEN, deployment.instance_id, request_id=new_id())
        answer, body = self._ask(RemotePlace.OPEN, head, request.to_wire(), MessageType.ACCEPTED, end_ns)
        return replace(head, kind=MessageType.CONTROL, session_id=answer.session_id), body

    def control(self, head: MessageHead, operation: ControlOperation, end_ns: int) -> None:
        """Tell a session something, and wait until it is done.

        Args:
            head: its ids, and the generation that holds afterwards.
            operation: what to do.
            end_ns: deadline.

        Raises:
            RemoteFaultError: the server refuses.
            LinkError: no answer in time.
            ProtocolError: an answer that is none.
        """
        body = ControlRequest(operation).to_wire()
        _, answer = self._ask(RemotePlace.CONTROL, head, body, MessageType.ACK, end_ns)
        if ControlAck.from_wire(answer) != ControlAck(operation, head.generation):
            raise ProtocolError(f"ack: wanted {operation.value} of generation {head.generation}, got another")

    def closed(self, head: MessageHead, end_ns: int) -> None:
        """Close a session; errors as `control`."""
        asked = replace(head, kind=MessageType.CONTROL, request_id=new_id())
        self.control(asked, ControlOperation.CLOSE, end_ns)

    def await_true(self, is_so: Callable[[], bool], end_ns: int, what: str) -> None:
        """Wait until something is so; QueryTimeoutError with `what` if it is not in time."""
        while not is_so():
            if seconds_left(end_ns) <= 0:
                raise QueryTimeoutError(what)
            time.sleep(POLL_S)

    def _ask(
        self, place: RemotePlace, head: MessageHead, body: RemoteMap, kind: MessageType, end_ns: int
    ) -> tuple[MessageHead, ValueMap]:
        key = self.key(place, head)
        self.await_true(partial(self.link.is_served, key), end_ns, f"nobody serves {key}")
        answers = self.link.query(key, encode_message(head, body), timeout_s=seconds_left(end_ns))
        if len(answers) != 1:
            raise ProtocolError(
                f"{place.value}: wanted one answer, got {len(answers)}: two servers of one id"
            )
        return _answer(answers[0], head, kind)

    def _deployment_in(self, head: MessageHead, body: ValueMap) -> Deployment:
        deployment = Deployment.from_wire(body)
        if (deployment.name, deployment.instance_id) != (self._deployment, head.instance_id):
            raise ProtocolError(f"descriptor: wanted {self._deployment} and the id of its server, got others")
        return deployment


def new_id() -> str:
    """Return a new id, 32 hex digits."""
    return secrets.token_hex(16)


def _answer(payload: bytes, asked: MessageHead, kind: MessageType) -> tuple[MessageHead, ValueMap]:
    head, body = decode_message(payload)
    if head.request_id != asked.request_id:
        raise ProtocolError(f"answer to {asked.kind.value}: wanted its request_id, got another")
    if head.kind is MessageType.ERROR:
        raise RemoteFaultError(RemoteFault.from_wire(body))
    if head.kind is not kind:
        raise ProtocolError(f"answer to {asked.kind.value}: wanted {kind.value}, got {head.kind.value}")
    return head, body

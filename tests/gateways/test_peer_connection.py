"""A client's time for one message is over when it is over, however much it sends."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from control.rig import FakeClock
from integrations.gr00t import rig
from vagus.gateways.batch_conversation import BatchConversation
from vagus.gateways.entrance import Entrance
from vagus.gateways.gateway import Gateway
from vagus.gateways.peer_connection import PeerConnection
from vagus.gateways.robot_rows import RobotRows
from vagus.gateways.wire_answer import WireAnswer
from vagus.gateways.zmtp import ZmqMessage
from vagus.integrations.gr00t.wire_dialect import Gr00tDialect

IDLE_S, MANY = 5, 100


class EndlessEnd:
    """A message that never ends: whatever comes, more is there already, and a second is over."""

    is_between_messages = False
    is_over = False
    may_return = False

    def __init__(self, clock: FakeClock, client: socket.socket) -> None:
        self._clock = clock
        self._client = client
        self.received = 0

    def receive(self, data: bytes) -> Sequence[ZmqMessage]:
        self.received += 1
        self._clock.stall(1.0)
        if self.received < MANY:
            self._client.sendall(b"more")
        else:
            self._client.close()
        return ()

    def bytes_to_send(self) -> bytes:
        return b""

    def encode(self, message: ZmqMessage, answer: WireAnswer) -> bytes:
        raise AssertionError


def test_a_client_that_sends_without_an_end_is_dropped_when_its_time_is_over() -> None:
    clock, told = FakeClock(), list[str]()
    with rig.served() as stand:
        gateway = Gateway(rig.config(idle_timeout_s=IDLE_S), rig.PROFILE, stand.link)
        dialect, robots = Gr00tDialect(rig.PROFILE, ""), RobotRows(gateway, "here")
        conversation = BatchConversation(gateway, dialect, robots, Entrance())
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
        with client:
            client.sendall(b"begin")
            end = EndlessEnd(clock, client)
            PeerConnection(ours, end, conversation, gateway, clock, told.append).run()
    assert (end.received, told) == (IDLE_S, ["wanted the rest of a message, got none"])

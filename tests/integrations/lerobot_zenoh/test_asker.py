"""The thread that asks the policy for one client: what a fault of ours costs the client."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from integrations.lerobot_zenoh.rig import FRONT, PATIENCE_S, standing
from vagus.clock import MonotonicClock
from vagus.errors import VagusError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation, WirePath
from vagus.gateways.peer import PeerReply
from vagus.integrations.lerobot_zenoh.asker import PolicyAsker, Question
from vagus.integrations.lerobot_zenoh.v1.alignment import reply_plan
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.session_messages import PendingRequest


def test_a_fault_of_ours_costs_time_and_not_the_question(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[str] = []
    refused: list[VagusError] = []
    is_answered = threading.Event()

    def take(pending: PendingRequest, reply: PeerReply) -> None:
        tries.append(pending.head.request_id)
        if len(tries) == 1:
            raise ZeroDivisionError("a bug")
        assert len(reply.reply.actions["action"])
        is_answered.set()

    with standing() as stand:
        asker = PolicyAsker(
            stand.gateway.admit("somewhere"),
            MonotonicClock(),
            is_wanted=lambda _: not is_answered.is_set(),
            on_answer=take,
            on_refused=lambda _, error: refused.append(error),
        )
        asker.start()
        asker.ask(question())
        assert is_answered.wait(PATIENCE_S)
        asker.end()
        asker.join()
        assert stand.gateway.metrics.peers == 0
    assert (tries, refused) == (["r", "r"], [])
    told = [record for record in caplog.records if "a bug" in record.getMessage()]
    assert [record.levelname for record in told] == ["CRITICAL"]
    assert told[0].exc_info


def question() -> Question:
    seen = RemoteObservation(sequence=1, identity=FrameIdentity("a", "o", 0.0, "", 0), features={})
    plan = reply_plan(seen, InferenceMode.CHUNK, is_aligned=True)
    pending = PendingRequest(MessageHead(MessageType.OBSERVATION, "i", "s", 0, "r"), seen, plan, 0, None)
    values: dict[WirePath, Value] = {
        ("observation.state",): np.zeros(2, np.float32),
        ("observation.images.front",): FRONT,
    }
    return Question(pending, ForeignRequest(Operation.INFER, Envelope("lerobot_zenoh", "1"), values), None)

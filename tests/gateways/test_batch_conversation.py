"""Conversations: whatever comes is read in turn and answered, and the operator is told what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from integrations.gr00t import rig
from integrations.gr00t.clients import ClientN16, nested_observation
from vagus.gateways.batch_conversation import BatchConversation
from vagus.gateways.entrance import FREE_NS, PAUSE_PER_WORK, Entrance
from vagus.gateways.gateway import Gateway
from vagus.gateways.robot_rows import RobotRows
from vagus.integrations.gr00t.wire_dialect import Gr00tDialect


def conversation_of(
    stand: rig.Stand, entrance: Entrance, note: Callable[[str], None] = lambda _: None
) -> BatchConversation:
    gateway = Gateway(rig.config(), rig.PROFILE, stand.link)
    return BatchConversation(
        gateway, Gr00tDialect(rig.PROFILE, ""), RobotRows(gateway, "here"), entrance, note
    )


def test_whatever_is_asked_is_read_in_turn() -> None:
    works: Iterator[int] = itertools.count(step=FREE_NS + 1_000_000_000)
    pauses: list[float] = []

    with rig.served() as stand, ClientN16("127.0.0.1:1") as client:
        conversation = conversation_of(stand, Entrance(works.__next__, pauses.append))
        for frame in (client.request("ping"), client.request("get_modality_config"), b"\xc1", b""):
            pauses.clear()
            assert conversation.answer(memoryview(frame)).body
            assert pauses == [PAUSE_PER_WORK]


def test_the_operator_is_told_what_is_wrong_with_a_request() -> None:
    told: list[str] = []
    with rig.served() as stand, ClientN16("127.0.0.1:1") as client:
        conversation = conversation_of(stand, Entrance(), told.append)
        conversation.answer(memoryview(client.request("ping")))
        assert told == []
        conversation.answer(memoryview(b"\xc1"))
        asked: dict[str, object] = {"observation": {"video": {}}, "options": None}
        conversation.answer(memoryview(client.request("get_action", asked, with_data=True)))
        conversation.refuse("too long")
    assert len(told) == 3
    assert "wanted" in told[1]
    assert told[2] == "too long"


def test_a_first_answer_that_takes_long_keeps_no_stranger_waiting() -> None:
    with (
        rig.served() as stand,
        rig.listening(stand.link) as listener,
        ClientN16(listener.address) as slow,
        ClientN16(listener.address) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(slow.act, rig.arm(rig.WAITS))
        assert stand.policy.is_waiting.wait(rig.PATIENCE_S)
        assert other.ping()
        stand.policy.gate.set()
        assert np.array_equal(answer.result(), rig.expected(rig.WAITS))


def test_only_a_client_with_a_robot_passes_the_strangers() -> None:
    entrance = Entrance()
    with rig.served() as stand, ClientN16("127.0.0.1:1") as client, ThreadPoolExecutor(1) as pool:
        known, stranger = (conversation_of(stand, entrance) for _ in range(2))
        asked = {"observation": nested_observation(rig.arm(1)[None], ["pick"]), "options": None}
        known.answer(memoryview(client.request("get_action", asked, with_data=True)))
        ping = memoryview(client.request("ping"))
        with entrance.turn(is_known=False):
            waiting = pool.submit(stranger.answer, ping)
            answers = {known.answer(ping) for _ in range(100)}
            assert not waiting.done()
        assert answers == {waiting.result()}
        known.release()

"""Turns at the entrance: strangers one at a time, and a pause for whatever was slow to read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from integrations.gr00t import rig
from integrations.gr00t.clients import ClientN16, nested_observation
from vagus.errors import ProtocolError
from vagus.gateways.gateway import Gateway
from vagus.integrations.gr00t.conversation import Gr00tConversation
from vagus.integrations.gr00t.entrance import FREE_NS, PAUSE_PER_WORK, Entrance


class Work:
    """Processor time that a test spends."""

    def __init__(self) -> None:
        self.spent_ns = 0
        self.pauses: list[float] = []
        self.entrance = Entrance(lambda: self.spent_ns, self.pauses.append)


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_read_quickly_costs_no_pause_and_the_rest_four_times_its_work(is_known: bool) -> None:
    work = Work()
    with work.entrance.turn(is_known=is_known):
        work.spent_ns += FREE_NS
    assert work.pauses == []
    with suppress(ProtocolError), work.entrance.turn(is_known=is_known):
        work.spent_ns += FREE_NS + 1_000_000_000
        raise ProtocolError("unreadable")
    assert work.pauses == [PAUSE_PER_WORK]


def test_strangers_wait_for_each_other_and_robots_for_nobody() -> None:
    entrance, inside, second = Entrance(), threading.Event(), threading.Event()

    def come() -> None:
        inside.set()
        with entrance.turn(is_known=False):
            second.set()

    stranger = threading.Thread(target=come)
    with entrance.turn(is_known=False):
        stranger.start()
        assert inside.wait(30)
        with entrance.turn(is_known=True):
            assert not second.is_set()
    assert second.wait(30)
    stranger.join()


def test_whatever_is_asked_is_read_in_turn() -> None:
    work = Work()

    def next_ns() -> int:
        work.spent_ns += FREE_NS + 1_000_000_000
        return work.spent_ns

    with rig.served() as stand, ClientN16("127.0.0.1:1") as client:
        gateway = Gateway(rig.config(), rig.PROFILE, stand.link)
        conversation = Gr00tConversation(gateway, "here", Entrance(next_ns, work.pauses.append))
        for frame in (client.request("ping"), client.request("get_modality_config"), b"\xc1", b""):
            work.pauses.clear()
            assert conversation.answer(memoryview(frame))
            assert work.pauses == [PAUSE_PER_WORK]


def test_the_operator_is_told_what_is_wrong_with_a_request() -> None:
    told: list[str] = []
    with rig.served() as stand, ClientN16("127.0.0.1:1") as client:
        gateway = Gateway(rig.config(), rig.PROFILE, stand.link)
        conversation = Gr00tConversation(gateway, "here", Entrance(), told.append)
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
        gateway = Gateway(rig.config(), rig.PROFILE, stand.link)
        known, stranger = (Gr00tConversation(gateway, "here", entrance) for _ in range(2))
        asked = {"observation": nested_observation(rig.arm(1)[None], ["pick"]), "options": None}
        known.answer(memoryview(client.request("get_action", asked, with_data=True)))
        ping = memoryview(client.request("ping"))
        with entrance.turn(is_known=False):
            waiting = pool.submit(stranger.answer, ping)
            answers = {known.answer(ping) for _ in range(100)}
            assert not waiting.done()
        assert answers == {waiting.result()}
        known.release()

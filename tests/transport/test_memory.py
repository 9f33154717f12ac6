from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.transport.keys import keys_intersect
from vagus.transport.link import Delivery, Sample
from vagus.transport.memory import MemoryLink, MemoryNetwork

HEADER = bytes(27)
segments = st.sampled_from(["a", "b", "@a", "*"])
keys = st.lists(segments, min_size=1, max_size=3).map("/".join)


def send(link: MemoryLink, payload: bytes, key: str = "a/b") -> None:
    link.publish(key, header=HEADER, payload=payload, delivery=Delivery.CHUNK)


def listening(network: MemoryNetwork, key: str = "a/b") -> list[Sample]:
    received: list[Sample] = []
    network.link().subscribe(key, received.append)
    return received


@given(keys, keys)
def test_intersection_is_symmetric_and_every_key_meets_itself(left: str, right: str) -> None:
    assert keys_intersect(left, right) == keys_intersect(right, left)
    assert keys_intersect(left, left)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("a/*", "a/@b", False),
        ("a/@b", "a/@b", True),
        ("*/b", "a/*", True),
        ("a", "b", False),
    ],
)
def test_a_star_stands_for_one_plain_segment(left: str, right: str, expected: bool) -> None:
    assert keys_intersect(left, right) is expected


def test_a_dropped_message_is_lost_and_others_arrive() -> None:
    network = MemoryNetwork()
    received, sender = listening(network), network.link()
    network.set_drop(lambda sample: sample.payload == b"1")
    send(sender, b"1")
    send(sender, b"2")
    assert [s.payload for s in received] == [b"2"]


def test_held_messages_arrive_on_release_in_the_order_asked_for() -> None:
    network = MemoryNetwork()
    received, sender = listening(network), network.link()
    network.set_hold(lambda sample: True)
    send(sender, b"1")
    send(sender, b"2")
    assert received == []
    assert network.release(newest_first=True) == 2
    assert [s.payload for s in received] == [b"2", b"1"]
    assert network.release() == 0


def test_a_doubled_message_arrives_twice() -> None:
    network = MemoryNetwork()
    received, sender = listening(network), network.link()
    network.set_duplicate(lambda sample: True)
    send(sender, b"1")
    assert [s.payload for s in received] == [b"1", b"1"]


def test_a_misrouted_message_arrives_under_the_wrong_key() -> None:
    network = MemoryNetwork()
    received, wrong, sender = listening(network), listening(network, "a/c"), network.link()
    network.set_misroute(lambda sample: "a/c" if sample.payload == b"1" else None)
    send(sender, b"1")
    send(sender, b"2")
    assert [s.payload for s in received] == [b"2"]
    assert [(s.key, s.payload) for s in wrong] == [("a/c", b"1")]


def test_a_cut_link_hears_nothing_and_its_tokens_are_gone_for_the_others() -> None:
    network = MemoryNetwork()
    robot, server = network.link("robot"), network.link("server")
    changes: list[tuple[str, bool]] = []
    received: list[Sample] = []
    server.watch("a/*", lambda key, is_alive: changes.append((key, is_alive)))
    robot.subscribe("a/b", received.append)
    robot.token("a/x")
    robot.cut()
    send(server, b"1")
    assert received == []
    assert changes == [("a/x", True), ("a/x", False)]
    robot.heal()
    assert changes[-1] == ("a/x", True)


def test_an_outage_that_went_unnoticed_raises_no_generation() -> None:
    network = MemoryNetwork()
    link = network.link()
    generations: list[int] = []
    link.on_reopen(generations.append)
    link.cut()
    link.heal(is_reopened=False)
    assert link.health().is_connected
    assert link.health().generation == 0
    link.heal()
    assert generations == []


def test_a_callback_that_raises_leaves_the_others_served(caplog: pytest.LogCaptureFixture) -> None:
    network = MemoryNetwork()

    def explode(sample: Sample) -> None:
        raise RuntimeError("mine")

    network.link().subscribe("a/b", explode)
    received = listening(network)
    send(network.link(), b"1")
    assert [s.payload for s in received] == [b"1"]
    assert "callback for a/b raised" in caplog.text


def test_a_subscription_taken_back_by_an_earlier_callback_is_not_called() -> None:
    network = MemoryNetwork()
    received: list[Sample] = []
    first = network.link()
    second = network.link()
    first.subscribe("a/b", lambda sample: second.close())
    second.subscribe("a/b", received.append)
    send(network.link(), b"1")
    assert received == []

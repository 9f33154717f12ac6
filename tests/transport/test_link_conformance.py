"""What every link does, whatever carries it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from transport.rig import MemoryRig, Rig, ZenohRig, eventually, is_served, settle
from vagus.errors import LinkError, QueryTimeoutError
from vagus.transport.link import Delivery, Link, Query, Sample

HEADER = bytes(range(27))
CHUNK = "@vagus/m/r/default/server/robot/chunk"
ANY_CHUNK = "@vagus/m/r/default/server/*/chunk"
SESSION = "@vagus/m/r/default/server/robot/session"
ANY_SESSION = "@vagus/m/r/default/server/*/session"
ALIVE = "@vagus/m/r/default/server/alive"
ANY_ALIVE = "@vagus/m/r/default/*/alive"


@pytest.fixture(params=[MemoryRig, ZenohRig], ids=["memory", "zenoh"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made: Rig = request.param()
    yield made
    made.close()


def send(link: Link, payload: bytes, key: str = CHUNK) -> None:
    link.publish(key, header=HEADER, payload=payload, delivery=Delivery.CHUNK)


def test_a_message_arrives_with_its_key_header_and_payload(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    received: list[Sample] = []
    receiver.subscribe(CHUNK, received.append)
    settle(receiver, sender)
    sender.publish(CHUNK, header=HEADER, payload=b"chunk", delivery=Delivery.CHUNK)
    sender.publish(CHUNK, header=HEADER, payload=b"", delivery=Delivery.OBSERVATION)
    assert eventually(lambda: len(received) == 2)
    assert {sample.payload for sample in received} == {b"chunk", b""}
    assert {(sample.key, sample.header) for sample in received} == {(CHUNK, HEADER)}


def test_a_message_of_three_megabytes_arrives_whole(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    received: list[Sample] = []
    receiver.subscribe(CHUNK, received.append)
    settle(receiver, sender)
    payload = bytes(range(256)) * 12_000
    sender.publish(CHUNK, header=HEADER, payload=payload, delivery=Delivery.OBSERVATION)
    assert eventually(lambda: bool(received))
    assert received[0].payload == payload


def test_a_star_receives_every_robot_and_nothing_deeper(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    received: list[str] = []
    receiver.subscribe(ANY_CHUNK, lambda sample: received.append(sample.key))
    settle(receiver, sender)
    send(sender, b"", "@vagus/m/r/default/server/robot/deeper/chunk")
    send(sender, b"", "@vagus/m/r/default/server/obs")
    for name in ("robot", "robot2"):
        send(sender, b"", f"@vagus/m/r/default/server/{name}/chunk")
    assert eventually(lambda: len(received) >= 2)
    assert sorted(received) == [f"@vagus/m/r/default/server/{name}/chunk" for name in ("robot", "robot2")]


def test_a_star_does_not_stand_for_a_verbatim_segment(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    received: list[str] = []
    receiver.subscribe("*/m/chunk", lambda sample: received.append(sample.key))
    settle(receiver, sender)
    send(sender, b"", "@vagus/m/chunk")
    send(sender, b"", "other/m/chunk")
    assert eventually(lambda: bool(received))
    assert received == ["other/m/chunk"]


def test_messages_of_one_sender_arrive_in_order(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    received: list[bytes] = []
    receiver.subscribe(CHUNK, lambda sample: received.append(sample.payload))
    settle(receiver, sender)
    sent = [str(i).encode() for i in range(200)]
    for payload in sent:
        send(sender, payload)
    assert eventually(lambda: len(received) == len(sent))
    assert received == sent


def test_what_is_undeclared_receives_nothing_more(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    first: list[bytes] = []
    second: list[bytes] = []
    declared = receiver.subscribe(CHUNK, lambda sample: first.append(sample.payload))
    receiver.subscribe(CHUNK, lambda sample: second.append(sample.payload))
    declared.undeclare()
    declared.undeclare()
    settle(receiver, sender)
    send(sender, b"1")
    assert eventually(lambda: second == [b"1"])
    assert first == []


def test_a_query_is_answered_by_everybody_who_serves_the_key(rig: Rig) -> None:
    asker, left, right = rig.link(), rig.link(), rig.link()
    left.serve(SESSION, lambda query: query.reply(b"left " + query.payload))
    right.serve(ANY_SESSION, lambda query: query.reply(b"right " + query.payload))
    settle(left, right, asker)
    answers = asker.query(SESSION, b"open", timeout_s=5.0)
    assert sorted(answers) == [b"left open", b"right open"]


def test_a_query_carries_the_concrete_key(rig: Rig) -> None:
    asker, server = rig.link(), rig.link()
    keys: list[str] = []

    def answer(query: Query) -> None:
        keys.append(query.key)
        query.reply(b"")

    server.serve(ANY_SESSION, answer)
    server.serve(ALIVE, answer)
    settle(server, asker)
    asker.query(SESSION, b"", timeout_s=5.0)
    asker.query(ANY_ALIVE, b"", timeout_s=5.0)  # the asker's key is a pattern, the server's is not
    assert keys == [SESSION, ALIVE]


def test_an_answer_may_come_from_another_thread_and_counts_once(rig: Rig) -> None:
    asker, server = rig.link(), rig.link()
    threads: list[threading.Thread] = []

    def answer_twice(query: Query) -> None:
        query.reply(b"first")
        query.reply(b"second")
        query.drop()

    def answer_later(query: Query) -> None:
        threads.append(threading.Thread(target=answer_twice, args=(query,)))
        threads[-1].start()

    server.serve(SESSION, answer_later)
    settle(server, asker)
    assert asker.query(SESSION, b"", timeout_s=5.0) == (b"first",)
    for thread in threads:
        thread.join()


def test_a_query_returns_as_soon_as_all_have_answered(rig: Rig) -> None:
    asker, server = rig.link(), rig.link()
    server.serve(SESSION, lambda query: query.reply(b"at once"))
    settle(server, asker)
    began_s = time.monotonic()
    asker.query(SESSION, b"", timeout_s=60.0)
    assert time.monotonic() - began_s < 30.0


def test_nobody_serving_is_told_at_once_and_is_not_a_timeout(rig: Rig) -> None:
    asker = rig.link()
    began_s = time.monotonic()
    with pytest.raises(LinkError) as caught:
        asker.query(SESSION, b"", timeout_s=60.0)
    assert not isinstance(caught.value, QueryTimeoutError)
    assert time.monotonic() - began_s < 30.0


def test_a_server_that_hangs_is_a_timeout(rig: Rig) -> None:
    asker, server = rig.link(), rig.link()
    kept: list[Query] = []
    server.serve(SESSION, kept.append)
    settle(server, asker)
    with pytest.raises(QueryTimeoutError, match=r"within 0\.3 s"):
        asker.query(SESSION, b"", timeout_s=0.3)
    kept[0].reply(b"too late")  # and no error either


def test_an_answer_that_came_survives_another_that_hangs(rig: Rig) -> None:
    asker, good, bad = rig.link(), rig.link(), rig.link()
    kept: list[Query] = []
    good.serve(SESSION, lambda query: query.reply(b"good"))
    bad.serve(SESSION, kept.append)
    settle(good, bad, asker)
    assert asker.query(SESSION, b"", timeout_s=0.3) == (b"good",)


def test_a_dropped_query_ends_at_once_without_an_answer(rig: Rig) -> None:
    asker, server = rig.link(), rig.link()
    server.serve(SESSION, lambda query: query.drop())
    settle(server, asker)
    began_s = time.monotonic()
    with pytest.raises(LinkError) as caught:
        asker.query(SESSION, b"", timeout_s=60.0)
    assert not isinstance(caught.value, QueryTimeoutError)
    assert time.monotonic() - began_s < 30.0


def test_a_callback_that_raises_ends_its_query_and_nothing_else(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    asker, server = rig.link(), rig.link()

    def explode(query: Query) -> None:
        raise RuntimeError("mine")

    server.serve(SESSION, explode)
    server.serve(ALIVE, lambda query: query.reply(b"here"))
    settle(server, asker)
    with pytest.raises(LinkError):
        asker.query(SESSION, b"", timeout_s=60.0)
    assert asker.query(ALIVE, b"", timeout_s=5.0) == (b"here",)
    assert f"callback for {SESSION} raised" in caplog.text


def test_a_watch_reports_tokens_there_before_and_after_and_gone(rig: Rig) -> None:
    server, robot = rig.link(), rig.link()
    server.token(ALIVE)
    settle(server, robot)
    changes: list[tuple[str, bool]] = []
    robot.watch(ANY_ALIVE, lambda key, is_alive: changes.append((key, is_alive)))
    assert eventually(lambda: changes == [(ALIVE, True)])
    other = server.token("@vagus/m/r/default/other/alive")
    assert eventually(lambda: len(changes) == 2)
    other.undeclare()
    assert eventually(lambda: len(changes) == 3)
    assert changes[1:] == [
        ("@vagus/m/r/default/other/alive", True),
        ("@vagus/m/r/default/other/alive", False),
    ]


def test_a_token_of_two_holders_is_gone_when_the_last_goes(rig: Rig) -> None:
    left, right, robot = rig.link(), rig.link(), rig.link()
    first, second = left.token(ALIVE), right.token(ALIVE)
    settle(left, right, robot)
    changes: list[bool] = []
    robot.watch(ALIVE, lambda key, is_alive: changes.append(is_alive))
    assert eventually(lambda: changes == [True])
    first.undeclare()
    settle(left, robot)
    assert changes == [True]
    second.undeclare()
    assert eventually(lambda: changes == [True, False])


def test_tokens_are_listed(rig: Rig) -> None:
    server, robot = rig.link(), rig.link()
    assert robot.tokens(ANY_ALIVE, timeout_s=5.0) == frozenset()
    server.token(ALIVE)
    settle(server, robot)
    assert robot.tokens(ANY_ALIVE, timeout_s=5.0) == frozenset({ALIVE})


def test_tokens_are_listed_truly_while_they_are_watched(rig: Rig) -> None:
    """A Zenoh session that watches is told of none now and then; acting on that drops live robots."""
    server, robot = rig.link(), rig.link()
    server.token(ALIVE)
    robot.watch(ANY_ALIVE, lambda key, is_alive: None)
    settle(server, robot)
    listed = [robot.tokens(ANY_ALIVE, timeout_s=5.0) for _ in range(300)]
    assert listed == [frozenset({ALIVE})] * 300


def test_a_closed_link_takes_its_tokens_and_answers_along(rig: Rig) -> None:
    server, robot = rig.link(), rig.link()
    server.token(ALIVE)
    server.serve(SESSION, lambda query: query.reply(b""))
    settle(server, robot)
    changes: list[bool] = []
    robot.watch(ALIVE, lambda key, is_alive: changes.append(is_alive))
    assert eventually(lambda: changes == [True])
    server.close()
    assert eventually(lambda: changes == [True, False])
    assert eventually(lambda: not is_served(robot, SESSION))


def test_nothing_is_delivered_after_close(rig: Rig) -> None:
    sender, receiver, witness = rig.link(), rig.link(), rig.link()
    received: list[Sample] = []
    seen: list[Sample] = []
    receiver.subscribe(CHUNK, received.append)
    witness.subscribe(CHUNK, seen.append)
    settle(receiver, witness, sender)
    receiver.close()
    send(sender, b"late")
    assert eventually(lambda: bool(seen))
    assert received == []


def test_a_closed_link_says_so_and_closing_twice_does_nothing(rig: Rig) -> None:
    link = rig.link()
    link.close()
    link.close()
    assert not link.health().is_connected
    send(link, b"into the void")  # never raises
    declarations: list[Callable[[], object]] = [
        lambda: link.subscribe(CHUNK, lambda sample: None),
        lambda: link.serve(SESSION, lambda query: None),
        lambda: link.token(ALIVE),
        lambda: link.watch(ALIVE, lambda key, is_alive: None),
        lambda: link.query(SESSION, b"", timeout_s=0.1),
        lambda: link.tokens(ALIVE, timeout_s=0.1),
    ]
    for declare in declarations:
        with pytest.raises(LinkError, match="closed"):
            declare()


def test_while_cut_publishing_does_not_raise_and_asking_says_why(rig: Rig) -> None:
    link = rig.link()
    assert link.health().is_connected
    rig.cut(link)
    assert not link.health().is_connected
    send(link, b"lost")
    with pytest.raises(LinkError, match="away"):
        link.query(SESSION, b"", timeout_s=0.1)
    with pytest.raises(LinkError, match="away"):
        link.tokens(ALIVE, timeout_s=0.1)


def test_a_reopen_keeps_every_declaration_and_is_announced(rig: Rig) -> None:
    server, robot = rig.link(), rig.link()
    received: list[bytes] = []
    changes: list[tuple[str, bool]] = []
    generations: list[int] = []
    server.subscribe(CHUNK, lambda sample: received.append(sample.payload))
    server.serve(SESSION, lambda query: query.reply(b"here"))
    server.token(ALIVE)
    server.watch(ANY_ALIVE, lambda key, is_alive: changes.append((key, is_alive)))
    server.on_reopen(generations.append)
    rig.cut(server)
    added_while_away = server.subscribe(ANY_CHUNK, lambda sample: received.append(b"again " + sample.payload))
    rig.heal(server)
    assert eventually(lambda: generations == [1])
    settle(server, robot)
    assert server.health().generation == server.health().reopened == 1
    send(robot, b"1")
    assert eventually(lambda: sorted(received) == [b"1", b"again 1"])
    assert robot.query(SESSION, b"", timeout_s=5.0) == (b"here",)
    assert robot.tokens(ALIVE, timeout_s=5.0) == frozenset({ALIVE})
    other = "@vagus/m/r/default/other/alive"
    robot.token(other)
    assert eventually(lambda: (other, True) in changes)
    added_while_away.undeclare()
    settle(server, robot)
    send(robot, b"2")
    assert eventually(lambda: len(received) == 3)
    assert received[-1] == b"2"


def test_tokens_that_went_while_cut_are_reported_gone(rig: Rig) -> None:
    server, stays, robot = rig.link(), rig.link(), rig.link()
    gone = server.token("@vagus/m/r/default/gone/alive")
    stays.token(ALIVE)
    settle(server, stays, robot)
    known: dict[str, bool] = {}
    robot.watch(ANY_ALIVE, lambda key, is_alive: known.update({key: is_alive}))
    assert eventually(lambda: len(known) == 2)
    rig.cut(robot)
    gone.undeclare()
    server.token("@vagus/m/r/default/fresh/alive")
    settle(server, stays)
    rig.heal(robot)
    expected = {
        "@vagus/m/r/default/gone/alive": False,
        "@vagus/m/r/default/fresh/alive": True,
        ALIVE: True,
    }
    assert eventually(lambda: known == expected), known


def test_a_watch_reports_only_changes(rig: Rig) -> None:
    server, robot = rig.link(), rig.link()
    server.token(ALIVE)
    settle(server, robot)
    changes: list[bool] = []
    robot.watch(ALIVE, lambda key, is_alive: changes.append(is_alive))
    assert eventually(lambda: bool(changes))
    generations: list[int] = []
    robot.on_reopen(generations.append)
    rig.cut(robot)
    rig.heal(robot)
    assert eventually(lambda: generations == [1] and changes[-1])
    assert all(before != after for before, after in itertools.pairwise(changes)), changes


def test_many_threads_may_publish_at_once(rig: Rig) -> None:
    sender, receiver = rig.link(), rig.link()
    received: list[bytes] = []
    receiver.subscribe(CHUNK, lambda sample: received.append(sample.payload))
    settle(receiver, sender)

    def run(name: int) -> None:
        for i in range(100):
            send(sender, f"{name} {i}".encode())

    threads = [threading.Thread(target=run, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eventually(lambda: len(received) == 800)
    assert len(set(received)) == 800


def test_many_links_share_a_network_and_hear_only_their_own(rig: Rig) -> None:
    server = rig.link()
    robots = [rig.link() for _ in range(20)]
    received: list[list[bytes]] = [[] for _ in robots]
    for index, robot in enumerate(robots):
        robot.subscribe(
            f"@vagus/m/r/default/server/robot{index}/chunk",
            lambda sample, mine=received[index]: mine.append(sample.payload),  # type: ignore[misc]
        )
    settle(*robots, server)
    for index in range(len(robots)):
        send(server, str(index).encode(), f"@vagus/m/r/default/server/robot{index}/chunk")
    assert eventually(lambda: all(received))
    assert received == [[str(index).encode()] for index in range(len(robots))]

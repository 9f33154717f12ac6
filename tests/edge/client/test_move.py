"""A robot moves to another server because its server asks for it, and no tick is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from edge.rig import MS, SERVICE, capabilities
from edge.stand import CONFIG, Body, Script, changed, opened, refusal, wait_until
from vagus.clock import monotonic_ns
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import LinkState, MotionState
from vagus.wire.codec import encode
from vagus.wire.schema import EventCode, EventMessage, Header, Kind, ObservationMessage

PACED = replace(CONFIG, execute_horizon=5)
"""Asks for the next chunk after five of fifty actions: there is always a plan for more than a second."""


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def link(network: MemoryNetwork) -> Iterator[MemoryLink]:
    link = network.link("robot")
    yield link
    link.close()


def invite(server: Script, target: str, *, epoch: int | None = None, seq: int = 0) -> None:
    header = Header(Kind.EVENT, seq, 0, 0, server.epoch if epoch is None else epoch)
    server.say(header, encode(EventMessage(code=EventCode.MOVE.value, target=target, seq=seq)))


def serving(body: Body, servers: tuple[Script, ...]) -> Script:
    name = body.client.status().server
    return next(server for server in servers if server.key.server == name)


def other_of(one: Script, servers: tuple[Script, ...]) -> Script:
    return next(server for server in servers if server is not one)


def two(network: MemoryNetwork) -> tuple[Script, Script]:
    return Script(network, "one"), Script(network, "two")


def begun(body: Body, servers: tuple[Script, ...]) -> tuple[Script, Script]:
    """Play a plan, and know both servers; return where the robot is, and the other."""
    body.until_merged(3)
    here = serving(body, servers)
    body.until(lambda: len(body.client._replicas.alive) == len(servers))
    return here, other_of(here, servers)


def without_a_gap(body: Body) -> bool:
    """Whether each step was commanded once and in order since the first, and none was missing."""
    steps = [d.provenance.step for d in body.directives if d.knot is not None]
    first = next(n for n, d in enumerate(body.directives) if d.knot is not None)
    is_whole = all(d.knot is not None for d in body.directives[first:])
    known = list(dict.fromkeys(steps))
    return is_whole and known == list(range(known[0] or 0, (known[-1] or 0) + 1))


def test_a_robot_moves_and_plays_on(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        left = here.epoch
        invite(here, there.key.server)
        body.until(lambda: body.client.status().server == there.key.server)
        body.until_merged(3)
        assert body.client.status().link is LinkState.STREAMING
        wait_until(lambda: here.closes == [left])
        assert body.engine.link_view.epoch == there.epoch
        assert {d.provenance.epoch for d in body.directives if d.knot is not None} == {left, there.epoch}
        assert without_a_gap(body)
        assert body.count("moves") == 1
        assert body.count("sessions_lost") == body.count("starved") == body.count("worker_errors") == 0
        assert there.opens[-1].open is not None
        assert there.opens[-1].open.can_move
        assert there.seen[0][0].seq == 1
        assert there.seen[0][0].epoch == there.epoch
        served = len(here.seen)
        body.until_merged(3)
        assert len(here.seen) == served
    wait_until(lambda: there.closes == [there.epoch])


def test_a_robot_that_asks_ahead_moves_although_replies_were_under_way_all_the_time(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    """A move waits until no reply is awaited, and a robot that asks ahead always awaits one."""
    servers = two(network)
    waiting: list[tuple[Script, Header, ObservationMessage]] = []

    def keep(server: Script, header: Header, message: ObservationMessage) -> None:
        waiting.append((server, header, message))

    for server in servers:
        server.capable = changed(server.capable, continues_awaited=True)
        server.answer = partial(keep, server)
    with opened(link, replace(CONFIG, execute_horizon="auto", rtc=True)) as body:

        def until(is_true: Callable[[], bool]) -> None:
            """Tick until it is true; a request is answered after 0.35 s, another one is made after 0.25 s."""

            def is_done() -> bool:
                while waiting and monotonic_ns() - waiting[0][1].client_mono_ns > 350 * MS:
                    server, header, message = waiting.pop(0)
                    server.good(header, message)
                return is_true()

            body.until(is_done)

        until(lambda: body.engine.plan_view.merges >= 2 and body.engine.link_view.in_flight > 1)
        here = serving(body, servers)
        there = other_of(here, servers)
        until(lambda: len(body.client._replicas.alive) == len(servers))
        invite(here, there.key.server)
        until(lambda: body.client.status().server == there.key.server)
        until(lambda: bool(there.seen) and body.engine.link_view.in_flight > 1)
        assert body.count("moves") == 1
        assert body.count("sessions_lost") == body.count("old_epoch") == 0


def test_no_request_is_disturbed_by_a_move(network: MemoryNetwork, link: MemoryLink) -> None:
    """The old server answers late: the robot waits for it, and the answer is played."""
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        late: list[tuple[Header, object]] = []
        here.answer = lambda header, message: late.append((header, message))
        body.until(lambda: bool(late))
        invite(here, there.key.server)
        body.until(lambda: len(there.opens) == 1)
        for _ in range(20):
            body.tick()
        assert body.client.status().server == here.key.server
        assert there.seen == []
        merged = body.engine.plan_view.merges
        here.good(*late[0])  # type: ignore[arg-type] # what was put in above
        body.until(lambda: body.engine.plan_view.merges == merged + 1)
        body.until(lambda: body.client.status().server == there.key.server)
        body.until_merged()
        assert without_a_gap(body)
        assert body.count("old_epoch") == 0


@pytest.mark.parametrize(
    "target", ["*", "**", "three", "", "one/../two", "two/status", "a" * 200, "@x", "tw*"]
)
def test_an_invitation_to_nobody_changes_nothing(
    network: MemoryNetwork, link: MemoryLink, target: str
) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        invite(here, target)
        body.until(lambda: body.count("event_move") == 1)
        body.until_merged(3)
        assert body.client.status().server == here.key.server
        assert there.opens == []
        assert body.count("moves_declined") == (1 if target else 0)
        assert without_a_gap(body)


def test_a_server_of_another_service_is_nobody(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    network.link("other").token(replace(SERVICE, name="other").server("three").alive)
    with opened(link, PACED, service=SERVICE) as body:
        here, _ = begun(body, servers)
        invite(here, "three")
        body.until(lambda: body.count("moves_declined") == 1)
        assert body.client.status().server == here.key.server


def test_a_forged_invitation_is_not_read(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        invite(here, there.key.server, epoch=here.epoch + 7)
        body.until(lambda: body.count("misrouted") == 1)
        body.until_merged(2)
        assert there.opens == []
        assert body.count("event_move") == body.count("moves_declined") == 0


def test_of_a_storm_of_invitations_one_is_followed(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        for _ in range(50):
            invite(here, there.key.server)
        body.until(lambda: body.client.status().server == there.key.server)
        for _ in range(50):
            invite(there, here.key.server)
        body.until(lambda: body.count("event_move") == 100)
        body.until_merged(3)
        assert body.client.status().server == there.key.server
        assert len(there.opens) == 1
        assert body.count("moves") == 1
        assert without_a_gap(body)


def test_invitations_that_are_declined_again_and_again_fill_no_log(
    network: MemoryNetwork, link: MemoryLink, caplog: pytest.LogCaptureFixture
) -> None:
    servers = two(network)
    with caplog.at_level("INFO", logger="vagus.edge"), opened(link, PACED) as body:
        here, _ = begun(body, servers)
        for times in range(1, 6):
            invite(here, here.key.server)
            body.until(lambda times=times: body.count("moves_declined") == times)  # type: ignore[misc] # bound now
    assert caplog.text.count("it is invited where it is") == 1


def test_an_answer_to_a_request_that_says_move_is_an_invitation_only(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)

        def move(header: Header, message: object) -> None:
            invite(here, there.key.server, seq=header.seq)
            here.answer = here.good
            here.good(header, message)  # type: ignore[arg-type] # as it came

        here.answer = move
        body.until(lambda: body.client.status().server == there.key.server)
        assert body.count("requests_refused") == 0
        assert without_a_gap(body)


def test_a_pinned_robot_stays_and_says_so_when_it_opens(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, replace(PACED, pin_server="one")) as body:
        body.until_merged(2)
        invite(servers[0], "two")
        body.until(lambda: body.count("moves_declined") == 1)
        assert servers[1].opens == []
        asked = servers[0].opens[-1].open
        assert asked is not None
        assert not asked.can_move


def test_a_robot_of_an_exclusive_policy_stays(network: MemoryNetwork, link: MemoryLink) -> None:
    alone = [
        Script(network, name, capable=changed(capabilities(SERVICE.server(name)), serving_mode="exclusive"))
        for name in ("one", "two")
    ]
    servers = (alone[0], alone[1])
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        invite(here, there.key.server)
        body.until(lambda: body.count("moves_declined") == 1)
        assert there.opens == []


def test_a_refused_move_leaves_the_robot_where_it_was(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        there.refusals = [refusal(EventCode.SESSIONS_FULL)]
        invite(here, there.key.server)
        body.until(lambda: body.count("moves_failed") == 1)
        body.until_merged(3)
        assert body.client.status().server == here.key.server
        assert without_a_gap(body)
        assert there.key not in body.client._replicas.excluded


def test_a_target_with_other_weights_is_refused_and_excluded(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        there.capable = changed(there.capable, model_hash="bb")
        invite(here, there.key.server)
        body.until(lambda: body.count("moves_failed") + body.count("moves_declined") == 1)
        body.until_merged(3)
        assert body.client.status().server == here.key.server
        wait_until(lambda: len(there.closes) == len(there.opens))  # what it opened before it was refused
        assert without_a_gap(body)


def test_a_target_that_hangs_costs_no_tick_and_no_request(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        there.is_hung = True
        invite(here, there.key.server)
        body.until(lambda: body.count("moves_failed") == 1)
        body.until_merged(2)
        assert body.client.status().server == here.key.server
        assert body.count("timeouts") == 0
        assert without_a_gap(body)


def test_a_reset_during_a_move_reaches_the_new_server(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        late: list[Header] = []
        here.answer = lambda header, message: late.append(header)
        body.until(lambda: bool(late))
        invite(here, there.key.server)
        body.until(lambda: len(there.opens) == 1)
        body.engine.reset()
        here.answer = here.good
        body.until(lambda: body.client.status().server == there.key.server)
        body.until_merged(2)
        assert body.engine.episode == 1
        assert {header.episode for header, _ in there.seen} == {1}
        assert all(d.knot is None or d.provenance.episode in (0, 1) for d in body.directives)


def test_the_old_server_dies_during_a_move(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        late: list[Header] = []
        here.answer = lambda header, message: late.append(header)
        body.until(lambda: bool(late))
        invite(here, there.key.server)
        body.until(lambda: len(there.opens) == 1 and body.client._worker._failover._moving.is_opened)
        here.vanish()
        body.until(lambda: body.client.status().server == there.key.server)
        body.until_merged(2)
        assert len(there.opens) == 1  # the session that was opened for the move is used
        assert body.count("moves") == 0
        assert without_a_gap(body)


def test_the_new_server_dies_before_it_is_used(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        late: list[tuple[Header, object]] = []
        here.answer = lambda header, message: late.append((header, message))
        body.until(lambda: bool(late))
        invite(here, there.key.server)
        body.until(lambda: body.client._worker._failover._moving.is_opened)
        there.vanish()
        body.until(lambda: body.client._worker._failover._moving.target is None)
        here.answer = here.good
        here.good(*late[0])  # type: ignore[arg-type] # what was put in above
        body.until_merged(3)
        assert body.client.status().server == here.key.server
        assert body.count("sessions_lost") == 0


def test_the_new_server_dies_right_after_the_move(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        there.answer = lambda header, message: there.vanish()
        invite(here, there.key.server)
        body.until(lambda: body.count("moves") == 1)
        body.until(lambda: body.client.status().server == here.key.server)
        body.until_merged(2)
        assert without_a_gap(body)


def test_a_paused_robot_stays(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        body.engine.pause(0)
        body.until(lambda: body.engine.plan_view.motion is MotionState.PAUSED)
        invite(here, there.key.server)
        body.until(lambda: body.count("moves_declined") == 1)
        assert there.opens == []


def test_a_move_that_is_never_completed_is_given_up(
    network: MemoryNetwork, link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.edge.client.failover.MOVE_PATIENCE_NS", 100_000_000)
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        late: list[Header] = []
        here.answer = lambda header, message: late.append(header)
        body.until(lambda: bool(late))
        invite(here, there.key.server)
        body.until(lambda: body.count("moves_failed") == 1)
        wait_until(lambda: there.closes == [there.epoch])
        assert body.client.status().server == here.key.server


def test_a_robot_without_the_buffer_for_it_stays(network: MemoryNetwork, link: MemoryLink) -> None:
    """Each answer takes longer than half of the plan that is left."""
    servers = two(network)
    lean = replace(CONFIG, buffer_time_s=0.01)
    with opened(link, lean) as body:
        here, there = begun(body, servers)
        body.client._latency.add(10**9)
        invite(here, there.key.server)
        body.until(lambda: len(there.opens) == 1)
        body.until_merged(1)
        assert body.client.status().server == here.key.server


def test_a_client_that_ends_during_a_move_leaves_nothing_open(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        here.answer = lambda header, message: None
        invite(here, there.key.server)
        body.until(lambda: len(there.opens) == 1)
    wait_until(lambda: len(there.closes) == 1 and len(here.closes) == 1)
    for server in servers:
        assert not link.tokens(server.key.client("arm-1").alive("1f3a"), timeout_s=1.0)


def test_a_transport_that_is_lost_during_a_move_voids_it(network: MemoryNetwork, link: MemoryLink) -> None:
    servers = two(network)
    with opened(link, PACED) as body:
        here, there = begun(body, servers)
        here.answer = lambda header, message: None
        invite(here, there.key.server)
        body.until(lambda: body.client._worker._failover._moving.is_opened)
        epoch = there.epoch
        link.cut()
        link.heal()
        here.answer = here.good
        body.until(lambda: body.count("sessions_opened") == 2)
        body.until_merged(2)
        assert body.engine.link_view.epoch != epoch
        wait_until(lambda: epoch in there.closes)

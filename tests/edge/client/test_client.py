"""First contact, and what a client does when servers come, go, hang and contradict."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace

import msgspec
import pytest

from edge.rig import CAMERA, POLICY, ROBOT, SERVICE, capabilities
from edge.stand import (
    CONFIG,
    FAST_ROBOT,
    Script,
    StepPolicy,
    changed,
    make_client,
    opened,
    refusal,
    served,
    wait_until,
)
from vagus.edge.client.client import ClientStatus
from vagus.errors import (
    ConfigError,
    LinkError,
    ProtocolError,
    ServerStartingError,
    SessionRefusedError,
    SpecError,
    StateError,
)
from vagus.specs import CameraSpec
from vagus.transport.keys import ServiceKey
from vagus.transport.link import Query
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import LinkState, MotionState
from vagus.wire.codec import encode
from vagus.wire.schema import EventCode

# -- first contact ----------------------------------------------------------------------------------------


def test_with_nobody_there_the_error_says_so(link: MemoryLink) -> None:
    with make_client(link) as client, pytest.raises(LinkError, match="no vagus server"):
        client.open()


def test_with_nobody_of_this_service_the_error_names_it(network: MemoryNetwork, link: MemoryLink) -> None:
    Script(network)
    other = ServiceKey.of("reach", "other")
    with make_client(link, service=other) as client, pytest.raises(LinkError, match="reach/other"):
        client.open()


def test_a_server_that_still_starts_is_waited_for_and_told_once(
    network: MemoryNetwork, link: MemoryLink, caplog: pytest.LogCaptureFixture
) -> None:
    server = Script(network)
    server.capable = msgspec.structs.replace(server.capable, phase="warming")
    server.token.undeclare()
    starting = server.link.token(server.key.starting)
    ready = threading.Timer(3 * CONFIG.connect_timeout_s, lambda: server.link.token(server.key.alive))
    with caplog.at_level("INFO", "vagus.edge.client.first_contact"), make_client(link) as client:
        ready.start()
        client.open()
    assert len(server.opens) == 1
    told = [record.message for record in caplog.records if "warming" in record.message]
    assert told == [f"server one of {SERVICE.text} is warming; waiting for it, at most 300 s"]
    starting.undeclare()


def test_a_server_that_never_starts_is_waited_for_within_a_bound(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    server.token.undeclare()
    server.link.token(server.key.starting)
    hasty = replace(CONFIG, start_timeout_s=0.2)
    with make_client(link, hasty) as client, pytest.raises(ServerStartingError, match="server one of"):
        client.open()


def test_an_unreachable_network_is_an_error(link: MemoryLink) -> None:
    link.cut()
    with make_client(link) as client, pytest.raises(LinkError, match="away"):
        client.open()


def test_several_services_are_listed(network: MemoryNetwork, link: MemoryLink) -> None:
    with served(network.link()):
        network.link("other").token(ServiceKey.of("act", "v2").server("three").alive)
        with make_client(link) as client, pytest.raises(ConfigError, match="act/v2/default, reach/main"):
            client.open()
        with make_client(link, service=SERVICE) as client:
            client.open()


def test_a_refusal_is_final_and_says_why(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    server.refusals = [refusal(EventCode.INSTRUCTION_PINNED)] * 9
    with make_client(link) as client, pytest.raises(SessionRefusedError, match="instruction_pinned"):
        client.open()
    assert len(server.opens) == 1


def test_a_server_that_is_not_ready_is_asked_again_until_it_is(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    server.refusals = [refusal(EventCode.NOT_READY)] * 2
    with opened(link) as body:
        assert len(server.opens) == 3
        body.until_merged()


def test_a_server_that_never_gets_ready_is_an_error_in_the_end(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    server.refusals = [refusal(EventCode.NOT_READY)] * 1000
    with make_client(link) as client, pytest.raises(SessionRefusedError, match="not_ready"):
        client.open()


def test_a_second_server_is_tried_if_the_first_is_full(network: MemoryNetwork, link: MemoryLink) -> None:
    full, free = Script(network, "one"), Script(network, "two")
    full.refusals = [refusal(EventCode.SESSIONS_FULL)] * 1000
    with opened(link) as body:
        assert body.client.status().server == free.key.server


def test_a_missing_camera_is_refused_before_anything_moves(network: MemoryNetwork, link: MemoryLink) -> None:
    blind = replace(ROBOT, cameras=(CameraSpec("rear", 4, 6),))
    with (
        served(network.link()),
        make_client(link, robot=blind) as client,
        pytest.raises(SessionRefusedError, match="front"),
    ):
        client.open()


def test_a_server_that_accepts_what_does_not_fit_is_refused_by_us_and_told(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    blind = replace(FAST_ROBOT, cameras=(replace(CAMERA, name="rear"),))
    with make_client(link, robot=blind) as client, pytest.raises(SpecError, match="front"):
        client.open()
    assert server.closes == [server.epoch]


def test_a_robot_slower_than_the_policy_leaves_no_session_behind(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    slow = replace(ROBOT, rate_hz=10.0)
    with make_client(link, robot=slow) as client, pytest.raises(ConfigError, match="10 Hz"):
        client.open()
    assert server.closes == [server.epoch]
    assert not link.tokens(server.key.client("arm-1").alive("1f3a"), timeout_s=1)


def test_a_hung_server_is_not_waited_for_longer_than_allowed(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    Script(network).is_hung = True
    with make_client(link) as client, pytest.raises(LinkError, match="no answer"):
        client.open()


def test_only_the_pinned_server_is_talked_to(network: MemoryNetwork, link: MemoryLink) -> None:
    Script(network, "one-aa11")
    pinned = Script(network, "two-bb22")
    for pin in ("two", pinned.key.server):
        with opened(link, replace(CONFIG, pin_server=pin)) as body:
            assert body.client.status().server == pinned.key.server
    with make_client(link, replace(CONFIG, pin_server="six")) as client, pytest.raises(LinkError):
        client.open()


# -- life -------------------------------------------------------------------------------------------------


def test_a_client_is_opened_once_and_closed_as_often_as_one_likes(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    client = make_client(link)
    with pytest.raises(StateError, match="not open"):
        _ = client.engine
    client.open()
    with pytest.raises(StateError, match="opened once"):
        client.open()
    client.close()
    client.close()
    assert server.closes == [server.epoch]
    with pytest.raises(StateError, match="opened once"):
        client.open()


def test_closing_what_was_never_open_is_harmless(link: MemoryLink) -> None:
    make_client(link).close()


def test_a_network_that_is_away_does_not_hold_up_the_close(network: MemoryNetwork, link: MemoryLink) -> None:
    Script(network)
    with opened(link):
        link.cut()


def test_a_true_server_drives_the_robot_step_by_step(network: MemoryNetwork, link: MemoryLink) -> None:
    with served(network.link()) as server, opened(link) as body:
        assert body.client.contract.uses_rtc
        body.until(lambda: body.engine.step > 60)
        assert body.count("merged") >= 2
        for directive in body.directives:
            if directive.knot is not None:
                assert directive.knot.tolist() == [float(directive.provenance.step or 0)] * 2
        status = body.client.status()
        assert (status.link, status.server) == (LinkState.STREAMING, server.key.server)
        assert status.latency_ms is not None
        assert body.count("starved") == 0


def test_what_a_status_line_shows_before_the_first_reply(network: MemoryNetwork, link: MemoryLink) -> None:
    Script(network)
    with opened(link) as body:
        status = body.client.status()
        assert (status.latency_ms, status.dead_reason, status.lost_reason) == (None, "", "")


def test_an_instruction_can_be_changed_while_running(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    with opened(link, replace(CONFIG, execute_horizon=1)) as body:
        body.until_merged()
        body.client.set_instruction("the blue one")
        body.until(lambda: server.seen[-1][1].instruction == "the blue one")


def test_requests_carry_the_prefix_and_the_seeds_differ(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    with opened(link, replace(CONFIG, execute_horizon=1)) as body:
        body.until_merged(3)
    assert server.seen[0][1].prefix_robot is None
    assert server.seen[0][1].episode_start
    assert server.seen[1][1].prefix_robot is not None
    assert len({message.seed for _, message in server.seen}) == len(server.seen)


# -- failover ---------------------------------------------------------------------------------------------


def test_when_its_server_dies_the_robot_goes_to_the_next_while_the_buffer_plays(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    one = Script(network, "one")
    two = Script(network, "two")
    with opened(link) as body:
        body.until_merged()
        first, second = (one, two) if one.opens else (two, one)
        first.vanish()
        body.until(lambda: body.client.status().server == second.key.server)
        body.until_merged()
        body.until(lambda: body.engine.link is LinkState.STREAMING)
        assert body.count("starved") == 0
        assert second.opens[0].open is not None
        assert second.opens[0].open.model_hash == "aa"


def test_a_true_server_that_drains_hands_the_robot_over_without_a_gap(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    config = replace(CONFIG, buffer_time_s=1.2)
    with (
        served(network.link(), "one") as one,
        served(network.link(), "two") as two,
        opened(link, config) as body,
    ):
        body.until_merged()
        first, second = (one, two) if body.client.status().server == one.key.server else (two, one)
        drainer = threading.Thread(target=first.drain)
        drainer.start()
        body.until(lambda: body.client.status().server == second.key.server)
        body.until_merged()
        drainer.join()
        assert body.count("starved") == 0


def test_a_hung_server_is_left_and_never_blocks_the_control_thread(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    one, two = Script(network, "one"), Script(network, "two")
    with opened(link) as body:
        body.until_merged()
        first, second = (one, two) if one.opens else (two, one)
        first.is_hung = True
        body.until(lambda: body.client.status().server == second.key.server)
        body.until_merged()
        assert body.count("timeouts") >= 2


def test_with_only_a_hung_server_the_control_thread_ticks_on(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link) as body:
        body.until_merged()
        server.is_hung = True
        body.until(lambda: body.engine.motion is MotionState.FALLBACK)
        body.until(lambda: body.engine.link is LinkState.RECONNECTING)
        ticks = len(body.directives)
        body.until(lambda: len(body.directives) > ticks + 50)
        server.is_hung = False
        body.until(lambda: body.engine.motion is MotionState.PLAYING)


def test_a_server_that_restarts_is_found_again(network: MemoryNetwork, link: MemoryLink) -> None:
    old = Script(network, "one-aa")
    with opened(link) as body:
        body.until_merged()
        old.vanish()
        body.until(lambda: body.engine.link is LinkState.RECONNECTING)
        Script(network, "one-bb")
        body.until_merged()


def test_an_unknown_session_is_opened_again_under_a_new_epoch(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link, replace(CONFIG, execute_horizon=1)) as body:
        body.until_merged()
        epoch = server.epoch
        server.answer = server.event(EventCode.UNKNOWN_SESSION)
        body.until(lambda: body.count("event_unknown_session") > 0)
        server.answer = server.good
        body.until_merged()
        assert server.epoch > epoch
        body.until(lambda: body.directives[-1].provenance.epoch == server.epoch)


@pytest.mark.parametrize(
    "fields",
    [
        {"model_hash": "bb"},
        {"actions": capabilities().actions[::-1]},
        {"rtc": None},
    ],
)
def test_a_server_that_returns_with_another_contract_is_excluded_and_the_robot_stopped(
    network: MemoryNetwork, link: MemoryLink, fields: dict[str, object]
) -> None:
    old = Script(network, "one-aa")
    with opened(link) as body:
        body.until_merged()
        old.vanish()
        body.until(lambda: body.engine.link is LinkState.RECONNECTING)
        other = changed(capabilities(SERVICE.server("one-bb")), **fields)
        changed_one = Script(network, "one-bb", capable=other)
        body.until(lambda: body.engine.motion is MotionState.STOPPED)
        assert body.engine.link is LinkState.DEAD
        assert "contradicts" in body.client.status().dead_reason
        assert not changed_one.seen
        epochs = {d.provenance.epoch for d in body.directives if d.knot is not None}
        assert epochs == {old.epoch}


def test_a_true_server_with_other_weights_is_refused(network: MemoryNetwork, link: MemoryLink) -> None:
    with contextlib.ExitStack() as stack:
        with served(network.link(), "one"):
            body = stack.enter_context(opened(link))
            body.until_merged()
        body.until(lambda: body.engine.link is LinkState.RECONNECTING)
        stack.enter_context(served(network.link(), "two", policy=StepPolicy(model_hash="bb")))
        body.until(lambda: body.engine.motion is MotionState.STOPPED)
        assert "contradicts" in body.client.status().dead_reason


def test_beside_an_excluded_server_a_good_one_is_used(network: MemoryNetwork, link: MemoryLink) -> None:
    old = Script(network, "one")
    with opened(link) as body:
        body.until_merged()
        bad = Script(network, "two", capable=changed(capabilities(), model_hash="bb"))
        good = Script(network, "three")
        old.vanish()
        body.until(lambda: body.client.status().server == good.key.server)
        body.until_merged()
        assert not bad.seen


def test_a_reopened_link_gets_a_new_session_with_a_new_epoch(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link) as body:
        body.until_merged()
        epoch = server.epoch
        link.cut()
        body.until(lambda: body.count("requests") >= 2)
        link.heal()
        body.until(lambda: server.epoch > epoch)
        body.until_merged()


def test_a_link_that_flaps_often_is_reopened_each_time_at_once(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = Script(network)
    with opened(link, replace(CONFIG, backoff_initial_s=5.0, backoff_max_s=5.0)) as body:
        body.until_merged()
        for _ in range(5):
            epoch = server.epoch
            link.cut()
            link.heal()
            body.until(lambda before=epoch: server.epoch > before)  # type: ignore[misc]
        body.until_merged()


def test_nothing_delivered_for_too_long_is_the_end(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    with opened(link, replace(CONFIG, max_offline_s=0.5)) as body:
        body.until_merged()
        server.answer = server.silent  # it shakes hands, but never delivers
        body.until(lambda: body.engine.motion is MotionState.STOPPED)
        wait_until(lambda: body.client.status().link is LinkState.DEAD)
        assert "no chunk could be merged" in body.client.status().dead_reason


def test_policy_without_rtc_gets_no_prefix(network: MemoryNetwork, link: MemoryLink) -> None:
    with served(network.link(), policy=StepPolicy(replace(POLICY, rtc=None))), opened(link) as body:
        assert not body.client.contract.uses_rtc
        body.until_merged(2)


def test_a_server_that_says_nonsense_does_not_keep_a_robot_from_another_one(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    broken = network.link("broken")
    for name in ("a", "b", "c"):
        key = SERVICE.server(name)
        broken.serve(key.status, lambda query: query.reply(b"\xc1nonsense"))
        broken.token(key.alive)
    sound = Script(network, "sound")
    with opened(link, replace(CONFIG, connect_timeout_s=5.0)) as body:
        body.until_merged()
        assert len(sound.opens) == 1


def test_of_servers_that_say_nonsense_the_error_tells(network: MemoryNetwork, link: MemoryLink) -> None:
    broken, key = network.link("broken"), SERVICE.server("a")
    broken.serve(key.status, lambda query: query.reply(b"\xc1nonsense"))
    broken.token(key.alive)
    with make_client(link) as client, pytest.raises(ProtocolError, match="malformed"):
        client.open()


def test_a_server_whose_policy_fails_is_not_begun_with(network: MemoryNetwork, link: MemoryLink) -> None:
    broken = Script(network, "one")
    broken.capable = changed(broken.capable, failing="RuntimeError: CUDA error")
    with make_client(link) as client, pytest.raises(SessionRefusedError, match=r"fails.*CUDA error"):
        client.open()
    assert broken.opens == []
    good = Script(network, "two")
    with opened(link) as body:
        assert body.client.status().server == good.key.server


@pytest.mark.parametrize(
    ("dead_reason", "said", "cause"),
    [
        ("", "", "the link is dead"),
        ("every server is excluded", "", "the link is dead; every server is excluded"),
        ("", "policy_error: why", "the link is dead; the server said: policy_error: why"),
        ("the link is dead: x", "y", "the link is dead: x"),
        ("lost; the server said: y", "y", "the link is dead; lost; the server said: y"),
    ],
)
def test_the_cause_of_a_stop_is_one_sentence_with_nothing_twice(
    dead_reason: str, said: str, cause: str
) -> None:
    status = ClientStatus(LinkState.DEAD, "", None, dead_reason, "", said)
    assert status.cause_of("the link is dead") == cause


def weights(network: MemoryNetwork, name: str, model_hash: str) -> Script:
    server = Script(network, name)
    server.capable = changed(server.capable, model_hash=model_hash)
    return server


def test_a_pinned_model_is_found_among_others(network: MemoryNetwork, link: MemoryLink) -> None:
    others = [weights(network, name, f"bbbb{name}0000") for name in ("a", "b", "z")]
    right = weights(network, "m", "aaaabbbbcccc")
    with opened(link, replace(CONFIG, pin_model="aaaabbbb")) as body:
        assert body.client.status().server == right.key.server
        body.until_merged()
    assert [server.opens for server in others] == [[], [], []]


def test_without_the_pinned_model_nothing_begins_and_every_hash_is_told(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    servers = [weights(network, name, f"bbbb{name}0000000000") for name in ("a", "b")]
    with make_client(link, replace(CONFIG, pin_model="aaaabbbb", connect_timeout_s=60.0)) as client:
        for _ in range(2):  # whoever waits asks again
            with pytest.raises(SessionRefusedError, match=r"aaaabbbb.*bbbba0000000.*bbbbb0000000") as caught:
                client.open()
            assert caught.value.code == "model_changed"
    assert [server.opens for server in servers] == [[], []]


def test_a_server_that_says_another_hash_when_it_accepts_is_refused(
    network: MemoryNetwork, link: MemoryLink
) -> None:
    server = weights(network, "a", "aaaabbbbcccc")
    first = server.capable

    def lie(query: Query) -> None:
        query.reply(encode(first))
        server.capable = changed(first, model_hash="bbbb00000000")

    server._declarations[0].undeclare()
    server.link.serve(server.key.status, lie)
    with (
        make_client(link, replace(CONFIG, pin_model="aaaabbbb")) as client,
        pytest.raises(SessionRefusedError, match="bbbb00000000"),
    ):
        client.open()
    assert len(server.closes) == len(server.opens) > 0


def test_the_first_session_says_how_long_the_status_took(network: MemoryNetwork, link: MemoryLink) -> None:
    server = Script(network)
    with make_client(link) as client:
        client.open()
    asked = server.opens[0].open
    assert asked is not None
    assert 0 < asked.round_trip_ms < 1000 * CONFIG.connect_timeout_s

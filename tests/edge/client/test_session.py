from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from edge.rig import ROBOT, SERVER, SERVICE, capabilities
from edge.stand import CONFIG, Script
from vagus.edge.asking import processor_time_s
from vagus.edge.client.handshake import Identity
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.session import SessionOpener, fetch_capabilities, find_service, living_servers
from vagus.errors import ConfigError, LinkError, ProtocolError
from vagus.transport.keys import ALL_SERVERS_ALIVE, ServiceKey
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.wire.codec import encode


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


def opener(link: MemoryLink) -> SessionOpener:
    return SessionOpener(link, ROBOT, CONFIG, Identity("arm-1", "1f3a"))


def test_tokens_of_other_programs_are_no_servers(network: MemoryNetwork) -> None:
    server = Script(network)
    network.link().token("@vagus/a/b/c/d!/alive")
    assert living_servers(network.link(), ALL_SERVERS_ALIVE, timeout_s=1) == {server.key}


def test_the_only_service_is_found(network: MemoryNetwork) -> None:
    with pytest.raises(LinkError, match="vagus serve"):
        find_service(network.link(), timeout_s=1)
    Script(network, "one")
    Script(network, "two")
    assert find_service(network.link(), timeout_s=1) == SERVICE
    network.link().token(ServiceKey.of("act", "v2").server("x").alive)
    with pytest.raises(ConfigError, match="act/v2/default"):
        find_service(network.link(), timeout_s=1)


def test_a_server_says_what_it_is(network: MemoryNetwork) -> None:
    server = Script(network)
    assert fetch_capabilities(network.link(), server.key) == server.capable


def test_a_server_that_does_not_answer_or_talks_nonsense_is_an_error(network: MemoryNetwork) -> None:
    link = network.link()
    with pytest.raises(LinkError, match="nobody serves"):
        fetch_capabilities(link, SERVER)
    network.link().serve(SERVER.status, lambda query: query.reply(b"?"))
    with pytest.raises(ProtocolError):
        fetch_capabilities(link, SERVER)


def test_a_session_is_opened_and_closed(network: MemoryNetwork) -> None:
    server, link = Script(network), network.link()
    session, contract = opener(link).open(server.key, server.capable, instruction="reach", contract=None)
    processor_s = processor_time_s(server.capable.decode_per_s)
    assert session == SessionRef(server.key, server.epoch, processor_s=processor_s)
    assert contract.model_hash == "aa"
    asked = server.opens[0].open
    assert asked is not None
    assert (asked.instance, asked.instruction) == ("1f3a", "reach")
    assert opener(link).close(session)
    assert server.closes == [server.epoch]


def test_a_session_knows_what_a_request_costs_its_servers_processor(network: MemoryNetwork) -> None:
    server, link = Script(network), network.link()
    for decode_per_s, least_s, most_s in ((20.0, 0.05, 0.051), (0.0, 0.0, 0.0)):
        server.capable = msgspec.structs.replace(server.capable, decode_per_s=decode_per_s)
        session, _ = opener(link).open(server.key, server.capable, instruction="", contract=None)
        assert least_s <= session.processor_s <= most_s


def test_closing_at_a_server_that_is_gone_is_no_error(network: MemoryNetwork) -> None:
    assert not opener(network.link()).close(SessionRef(SERVER, 5))


def test_an_ack_that_is_no_ack_is_malformed(network: MemoryNetwork) -> None:
    server, link = Script(network), network.link()
    network.link().serve(SERVICE.server("bad").any_client.session, lambda query: query.reply(b"?"))
    with pytest.raises(ProtocolError):
        opener(link).open(SERVICE.server("bad"), server.capable, instruction="", contract=None)


def test_where_only_the_session_is_out_of_reach_the_access_rules_are_named(network: MemoryNetwork) -> None:
    network.link().serve(SERVER.status, lambda query: query.reply(encode(capabilities())))
    with pytest.raises(LinkError, match=r"common name of its certificate.*--name arm-1"):
        opener(network.link()).open(SERVER, capabilities(), instruction="", contract=None)


def test_the_server_learns_the_round_trip_and_the_buffer_of_a_robot(network: MemoryNetwork) -> None:
    server, link = Script(network), network.link()
    robot = opener(link)
    robot.open(server.key, server.capable, instruction="", contract=None, round_trip_ns=2_500_000)
    asked = server.opens[-1].open
    assert asked is not None
    assert (asked.round_trip_ms, asked.buffer_time_s) == (2.5, robot.config.buffer_time_s)


def test_who_waits_for_its_answers_has_no_buffer(network: MemoryNetwork) -> None:
    server, link = Script(network), network.link()
    waiting = replace(opener(link), waits_for_answers=True)
    waiting.open(server.key, server.capable, instruction="", contract=None)
    asked = server.opens[-1].open
    assert asked is not None
    assert (asked.buffer_time_s, asked.execute_horizon) == (0.0, 0)

from __future__ import annotations

import pytest

from vagus.cli.survey import survey
from vagus.edge.client.session import parse_service
from vagus.errors import ConfigError, LinkError
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.memory import MemoryNetwork
from vagus.transport.service_name import ServiceName


def test_nothing_means_every_service() -> None:
    assert parse_service("") is None


def test_a_service_is_model_revision_and_name() -> None:
    assert parse_service("reach/main/lab") == ServiceName("reach/main/lab")


@pytest.mark.parametrize("text", ["/", "//", "a" * 2000])
def test_what_is_no_service_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="service"):
        parse_service(text)


def test_a_server_that_is_alive_but_silent_is_listed_with_its_trouble() -> None:
    network = MemoryNetwork()
    key = ServerKey(ServiceKey("reach", "main", "default"), "hangs")
    network.link("server").token(key.alive)
    (found,) = survey(network.link("tool"), None, timeout_s=0.1)
    assert (found.key, found.service, found.capabilities) == (key, "reach/main/default", None)
    assert found.trouble


@pytest.fixture
def network() -> MemoryNetwork:
    """A network with a server that accepts sessions, one that warms up, and one of another service."""
    network = MemoryNetwork()
    network.link("ready").token(READY.alive)
    network.link("warming").token(WARMING.starting)
    return network


READY = ServiceKey.of("act", "main", "cam 1").server("one")
WARMING = ServiceKey.of("/home/me/pi.py:wave", "main").server("two")


def test_a_server_that_still_starts_is_listed(network: MemoryNetwork) -> None:
    found = survey(network.link("tool"), None, timeout_s=0.1)
    assert {server.key for server in found} == {READY, WARMING}


@pytest.mark.parametrize("name", ["/home/me/pi.py:wave", WARMING.service.text])
def test_one_service_is_listed_by_either_of_its_names(network: MemoryNetwork, name: str) -> None:
    (found,) = survey(network.link("tool"), ServiceName.of(name), timeout_s=0.1)
    assert (found.key, found.service) == (WARMING, WARMING.service.text)


def test_a_miss_lists_who_is_there(network: MemoryNetwork) -> None:
    with pytest.raises(LinkError, match="'act/main/cam2' is there") as missed:
        survey(network.link("tool"), ServiceName.of("act/main/cam2"), timeout_s=0.1)
    assert f"{READY.service.text}, {WARMING.service.text} (starting)" in str(missed.value)
    assert survey(MemoryNetwork().link("tool"), ServiceName.of("act"), timeout_s=0.1) == []

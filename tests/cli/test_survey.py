from __future__ import annotations

import pytest

from vagus.cli.survey import survey
from vagus.edge.opening import parse_service
from vagus.errors import ConfigError
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.memory import MemoryNetwork


def test_nothing_means_every_service() -> None:
    assert parse_service("") is None


def test_a_service_is_model_revision_and_name() -> None:
    assert parse_service("reach/main/lab") == ServiceKey("reach", "main", "lab")


def test_without_a_name_it_is_the_default_one() -> None:
    assert parse_service("reach/main") == ServiceKey("reach", "main", "default")


@pytest.mark.parametrize("text", ["reach", "reach/", "/main", "a/b/c/d", "a//c", "/"])
def test_what_is_no_service_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="model/revision"):
        parse_service(text)


def test_a_server_that_is_alive_but_silent_is_listed_with_its_trouble() -> None:
    network = MemoryNetwork()
    key = ServerKey(ServiceKey("reach", "main", "default"), "hangs")
    network.link("server").token(key.alive)
    (found,) = survey(network.link("tool"), None, timeout_s=0.1)
    assert (found.key, found.service, found.capabilities) == (key, "reach/main/default", None)
    assert found.trouble

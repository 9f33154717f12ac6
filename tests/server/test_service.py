"""The name of a service as robots know it, wherever the weights are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from edge.stand import PATIENCE_S, StepPolicy, opened
from vagus.api.serve import describe
from vagus.edge.client.session import find_service
from vagus.errors import ConfigError, LinkError
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.keys import ServiceKey
from vagus.transport.memory import MemoryNetwork
from vagus.transport.service_name import ServiceName, nearest


@pytest.mark.parametrize(
    ("service", "text"),
    [
        ("pi05", "pi05/main/default"),
        ("pi05/v2", "pi05/v2/default"),
        ("pi05/v2/kitchen-1", "pi05/v2/kitchen-1"),
        ("", "_home_me_pi05-6d5ad1b7/r1/lab"),
    ],
)
def test_the_service_has_the_name_that_is_set_and_else_that_of_the_model(service: str, text: str) -> None:
    other = {} if service else {"revision": "r1", "service_name": "lab"}
    config = ServeConfig(model="/home/me/pi05", service=service, **other)  # type: ignore[arg-type] # texts
    assert ServiceKey.of(*config.service_parts).text.partition("-")[0] == text.partition("-")[0]
    if service:
        assert ServiceKey.of(*config.service_parts).text == text


@pytest.mark.parametrize("service", ["a/b/c/d", "/a", "a//b", "a b", "ä", "a*", "x-12345678", "@a", "a/"])
def test_a_name_that_would_be_spelled_otherwise_in_keys_is_refused(service: str) -> None:
    with pytest.raises(ConfigError, match="service: wanted model, model/revision or model/revision/name"):
        ServeConfig(service=service)


def test_two_names_of_one_service_are_refused() -> None:
    with pytest.raises(ConfigError, match="one of service and service_name"):
        ServeConfig(service="pi05", service_name="kitchen")


@contextlib.contextmanager
def served(network: MemoryNetwork, model: str) -> Iterator[Server[None]]:
    config = ServeConfig(
        policy="reach", model=model, service="arms", server_name=model.rpartition("/")[2], warm_up=False
    )
    with Server(network.link(model), StepPolicy, config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield server


def test_weights_in_two_folders_are_one_service_and_a_robot_fails_over() -> None:
    network = MemoryNetwork()
    link = network.link("robot")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(served(network, "/data/one"))
        assert describe(first.capabilities())[0].startswith("service arms/main/default, ")
        service = find_service(link, ServiceName.of("arms"), timeout_s=1.0)
        with opened(link, service=service) as body, served(network, "/mnt/copy/two") as second:
            body.until_merged(2)
            assert body.client.status().server == first.key.server
            body.until(lambda: len(body.client._replicas.alive) == 2)
            stack.close()
            body.until(lambda: body.client.status().server == second.key.server)
            body.until_merged(2)
    link.close()


def test_a_name_that_is_not_there_is_answered_with_those_that_are_and_the_nearest() -> None:
    network = MemoryNetwork()
    link = network.link("robot")
    for model in ("arms", "legs"):
        network.link(model).token(ServiceKey.of(model, "main").server("one").alive)
    with pytest.raises(
        LinkError, match=r"arms/main/default, legs/main/default; did you mean arms/main/default\?"
    ):
        find_service(link, ServiceName.of("armz"), timeout_s=1.0)
    with pytest.raises(LinkError, match=r"legs/main/default$"):
        find_service(link, ServiceName.of("qqq"), timeout_s=1.0)
    link.close()


def test_the_nearest_name_is_near() -> None:
    assert (
        nearest("reach/main", ["reach/main/default", "act/main/default"])
        == "; did you mean reach/main/default?"
    )
    assert nearest("reech", ["act/main/default", "reach/v2/cam"]) == "; did you mean reach/v2/cam?"
    assert nearest("zzz", ["reach/main/default"]) == ""

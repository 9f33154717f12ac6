"""Our connection to servers of LeRobot's remote inference on a real network: a router, its rules, its end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateways.foreign_rig import profile_of
from integrations.lerobot_zenoh.test_client import (
    LONG_S,
    NAMES,
    OPTIONS,
    RATE_HZ,
    STEPS,
    asked_of,
    states_of,
)
from remote_server import DEPLOYMENT, SEMANTICS, RemoteServer, deployment_of
from transport.certificates import Authority
from vagus.errors import LinkError
from vagus.gateways.foreign_address import ForeignAddress, parse_address
from vagus.integrations.lerobot_zenoh.client import LeRobotZenohClient
from vagus.integrations.lerobot_zenoh.options import LeRobotZenohOptions
from vagus.transport.lerobot_acl import LeRobotParties
from vagus.transport.router import Router
from vagus.transport.router_acl import access_control
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, RouterConfig, ZenohConfig

PROFILE = replace(profile_of("lerobot_zenoh"), semantics=SEMANTICS)


def address_of(endpoint: str) -> ForeignAddress:
    return parse_address(f"lerobot+zenoh://{endpoint.partition('/')[2]}")


@contextmanager
def serving(config: ZenohConfig, hold: threading.Event | None = None) -> Iterator[RemoteServer]:
    """Serve; while the event is not set, the policy computes."""

    def act(observation: object) -> np.ndarray:
        assert hold is None or hold.wait(LONG_S)
        return states_of(observation)  # type: ignore[arg-type]

    with ZenohPlainLink(config) as link:
        server = RemoteServer(link, deployment_of(NAMES, rate_hz=RATE_HZ, steps=STEPS), act)
        server.start()
        yield server
        server.close()


@contextmanager
def client_at(endpoint: str, options: LeRobotZenohOptions = OPTIONS) -> Iterator[LeRobotZenohClient]:
    client = LeRobotZenohClient(address_of(endpoint), options, PROFILE)
    try:
        yield client
    finally:
        client.close()


def test_a_server_that_listens_itself_is_reached_and_left_free() -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:  # only to find a port
        (endpoint,) = router.endpoints
    with serving(ZenohConfig(mode=LinkMode.PEER, listen=(endpoint,))) as server:
        for number in range(2):
            with client_at(endpoint) as client:
                client.open(LONG_S)
                (reply,) = client.ask([asked_of((number, 1.0))], LONG_S)
                assert reply.actions["action"][0, 0] == number
            assert not server.is_owned
    with client_at(endpoint) as client, pytest.raises(LinkError):
        client.open(0.5)


def test_the_rules_of_a_router_leave_a_robot_all_that_it_needs(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    parties = LeRobotParties(robots={"arm": [DEPLOYMENT]}, servers={"gpu": [DEPLOYMENT]})
    rules = tmp_path / "access.json5"
    rules.write_text(json.dumps(access_control([], [], lerobot=parties)))
    secured = RouterConfig(listen=("tls/127.0.0.1:0",), tls=authority.issue("router"), access_control=rules)
    tls = authority.issue("arm")
    options = replace(
        OPTIONS, ca=str(tls.ca), certificate=str(tls.certificate), private_key=str(tls.private_key)
    )
    with Router(secured) as router:
        (endpoint,) = router.endpoints
        place = ZenohConfig(mode=LinkMode.PEER, connect=(endpoint,), tls=authority.issue("gpu"))
        with serving(place) as server:
            with client_at(endpoint, options) as client:
                client.open(LONG_S)
                client.ask([asked_of()], LONG_S)
                client.reset(LONG_S)
                client.ask([asked_of()], LONG_S)
            assert not server.is_owned


def test_nothing_hangs_when_the_router_goes_and_all_goes_on_when_it_returns() -> None:
    hold = threading.Event()
    router = Router(RouterConfig(listen=("tcp/127.0.0.1:0",)))
    router.open()
    (endpoint,) = router.endpoints
    with (
        serving(ZenohConfig(mode=LinkMode.PEER, connect=(endpoint,)), hold) as server,
        client_at(endpoint) as client,
    ):
        client.open(LONG_S)
        threading.Timer(0.1, router.close).start()
        with pytest.raises(LinkError, match=r"lost|gone"):
            client.ask([asked_of()], LONG_S)  # long before its deadline
        client.close()
        with pytest.raises(LinkError):
            client.open(0.5)
        hold.set()
        router.open()
        client.open(LONG_S)
        (reply,) = client.ask([asked_of((3.0, 1.0))], LONG_S)
        assert reply.actions["action"][0, 0] == 3.0
        assert server.is_owned
    router.close()

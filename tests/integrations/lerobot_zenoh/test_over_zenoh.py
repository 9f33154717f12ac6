"""A gateway that listens with Zenoh itself: clients of both modes, and one that sends all that it may."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from integrations.lerobot_zenoh.rig import PROFILE, HandClock, RawRobot, Stand, serving, wait_until
from vagus.clock import Clock
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.integrations.lerobot_zenoh.gateway import LeRobotZenohListener
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.threads import Supervised
from vagus.transport.memory import MemoryNetwork
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig

LARGEST = 32 << 20


@contextmanager
def listening(clock: Clock | None = None) -> Iterator[tuple[Stand, str]]:
    """Serve the policy in memory, and let a gateway listen on a real port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    network = MemoryNetwork()
    with serving(network) as policy:
        config = GatewayConfig(protocol="lerobot_zenoh", profile="two_joints", listen=address)
        gateway = Gateway(config, PROFILE, network.link("gateway"))
        listener = LeRobotZenohListener(gateway, clock=clock)
        listener.start()
        try:
            yield Stand(policy, gateway, listener, network, network), address
        finally:
            policy.gate.set()
            listener.close()


@contextmanager
def linked(address: str, mode: LinkMode = LinkMode.PEER) -> Iterator[RawRobot]:
    config = ZenohConfig(mode=mode, connect=(f"tcp/{address}",), reopen_on_loss=False)
    with ZenohPlainLink(config) as link:
        yield RawRobot(link)


@pytest.mark.parametrize("mode", list(LinkMode))
def test_a_client_of_either_mode_is_served(mode: LinkMode) -> None:
    with listening() as (_, address), linked(address, mode) as robot:
        robot.admit()
        robot.observe((3.0, 3.0))
        np.testing.assert_allclose(robot.actions().canonical_actions[0], (3.0, 3.0), rtol=1e-5)
        assert robot.control("close")[0].kind is MessageType.ACK


def test_a_client_that_goes_without_a_word_loses_its_place_and_the_others_go_on() -> None:
    clock = HandClock()
    with listening(clock) as (stand, address), linked(address) as other:
        other.admit()
        with linked(address) as robot:
            robot.admit()
            assert stand.gateway.metrics.peers == 2

        def is_gone() -> bool:
            clock.advance(0.1)
            return stand.gateway.metrics.peers == 1

        wait_until(is_gone)
        other.observe((1.0, 1.0))
        other.actions()


def test_a_client_that_sends_the_largest_messages_slows_nobody() -> None:
    with listening() as (stand, address), linked(address) as other, linked(address) as robot:
        other.admit()
        robot.admit()
        is_over = threading.Event()

        def flood() -> None:
            while not is_over.is_set():
                for place in (RemotePlace.OBSERVATION, RemotePlace.LANGUAGE_REQUEST):
                    robot.put(place, bytes(LARGEST - 4096))

        thread = Supervised(flood, name="flood")
        thread.start()
        wait_until(lambda: stand.gateway.metrics.requests().get("malformed", 0) > 3)
        for number in range(20):
            other.observe((float(number), 0.0))
            assert other.actions().identity.observation_id == f"o{number + 1}"
        is_over.set()
        thread.join()

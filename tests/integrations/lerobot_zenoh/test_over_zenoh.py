"""A gateway that listens with Zenoh itself: clients of both modes, and one that sends all that it may."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from integrations.lerobot_zenoh.rig import (
    PATIENCE_S,
    PROFILE,
    HandClock,
    RawRobot,
    Stand,
    serving,
    wait_until,
)
from transport.certificates import Authority
from vagus.clock import Clock
from vagus.errors import LinkError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.host import GatewayHost
from vagus.integrations.lerobot_zenoh.gateway import LeRobotZenohListener
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.server.manifest import load_gateways
from vagus.threads import Supervised
from vagus.transport.memory import MemoryNetwork
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, TlsConfig, ZenohConfig

LARGEST = 32 << 20


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def listening(clock: Clock | None = None, tls: TlsConfig | None = None) -> Iterator[tuple[Stand, str]]:
    """Serve the policy in memory, and let a gateway listen on a real port."""
    address, network, files = free_address(), MemoryNetwork(), tls or TlsConfig()
    with serving(network) as policy:
        config = GatewayConfig(
            protocol="lerobot_zenoh",
            profile="two_joints",
            listen=address,
            robots_ca=files.ca,
            robots_certificate=files.certificate,
            robots_private_key=files.private_key,
        )
        gateway = Gateway(config, PROFILE, network.link("gateway"))
        listener = LeRobotZenohListener(gateway, clock=clock)
        listener.start()
        try:
            yield Stand(policy, gateway, listener, network, network), address
        finally:
            policy.gate.set()
            listener.close()


@contextmanager
def linked(address: str, mode: LinkMode = LinkMode.PEER, tls: TlsConfig | None = None) -> Iterator[RawRobot]:
    endpoint = f"tcp/{address}" if tls is None else f"tls/{address}"
    config = ZenohConfig(
        mode=mode,
        connect=(endpoint,),
        tls=tls or TlsConfig(),
        reopen_on_loss=False,
        open_timeout_s=PATIENCE_S,
    )
    with ZenohPlainLink(config) as link:
        yield RawRobot(link)


@pytest.mark.parametrize("mode", list(LinkMode))
def test_a_client_of_either_mode_is_served(mode: LinkMode) -> None:
    with listening() as (_, address), linked(address, mode) as robot:
        robot.admit()
        robot.observe((3.0, 3.0))
        np.testing.assert_allclose(robot.actions().canonical_actions[0], (3.0, 3.0), rtol=1e-5)
        assert robot.control("close")[0].kind is MessageType.ACK


def test_a_manifest_brings_it_into_the_server_s_process(tmp_path: Path) -> None:
    address, network, manifest = free_address(), MemoryNetwork(), tmp_path / "gateways.yaml"
    profile: dict[str, object] = {
        "protocol": "lerobot_zenoh",
        "robot_type": "two_joints",
        "semantics": "two joints in degrees",
    }
    joints: dict[str, object] = {"names": ["pan", "tilt"], "unit": "rad", "wire_unit": "deg"}
    profile |= {"rate_hz": 20, "horizon": 40, "state": [{"key": "observation.state", **joints}]}
    profile |= {"actions": [{"key": "action", **joints}], "instruction": "task"}
    front = {"key": "observation.images.front", "name": "front", "height": 16, "width": 24}
    file = tmp_path / "two_joints.json"
    file.write_text(json.dumps({**profile, "images": [front]}), encoding="utf-8")
    gateways = [{"protocol": "lerobot_zenoh", "profile": str(file), "listen": address}]
    manifest.write_text(json.dumps({"gateways": gateways}), encoding="utf-8")
    host = GatewayHost(load_gateways(manifest), network.link("gateways"))
    with serving(network), host, linked(address) as robot:
        (line,) = host.lines()
        assert f"gateway lerobot_zenoh on {address}" in line
        robot.admit()
        robot.observe((3.0, 3.0))
        robot.actions()


def test_with_certificates_nobody_else_gets_in(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "another")
    with listening(tls=ours.issue("gateway")) as (_, address):
        with linked(address, tls=ours.issue("arm")) as robot:
            robot.admit()
            robot.observe((3.0, 3.0))
            robot.actions()
        stranger = theirs.issue("stranger", ca=ours.ca)
        config = ZenohConfig(connect=(f"tls/{address}",), tls=stranger, open_timeout_s=0.5)
        with pytest.raises(LinkError), ZenohPlainLink(config):
            raise AssertionError("the stranger is in")


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

"""Gateways and robots of both generations at one router with certificates and rules, and the search there."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from draft_robot import Answer, DraftRobot
from integrations.lerobot_zenoh import rig
from integrations.lerobot_zenoh.draft import rig as draft_rig
from integrations.lerobot_zenoh.rig import Climbing, RawRobot, wait_until
from transport.certificates import Authority
from vagus.errors import LinkError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.recognition.address import parse_searched
from vagus.gateways.recognition.search import search
from vagus.integrations.lerobot_zenoh.draft_gateway import LeRobotDraftListener
from vagus.integrations.lerobot_zenoh.gateway import LeRobotZenohListener
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.transport.lerobot_acl import LeRobotParties
from vagus.transport.memory import MemoryNetwork
from vagus.transport.plain_link import PlainLink
from vagus.transport.router import Router
from vagus.transport.router_acl import access_control
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

PARTIES = LeRobotParties(
    robots={"so101": ["two_joints"], "elsewhere": ["other"], "doctor": ["two_joints"]},
    servers={"cell": ["two_joints"]},
    draft_robots=["so100"],
    draft_servers={"cell": ["org-arm"]},
)


class Hall:
    """A router with rules, and what connects to it by certificates."""

    def __init__(self, folder: Path) -> None:
        self._resources = ExitStack()
        self.authority = Authority(folder)
        rules = folder / "access.json5"
        rules.write_text(json.dumps(access_control([], [], gateways=["cell"], lerobot=PARTIES)))
        tls = self.authority.issue("router")
        config = RouterConfig(listen=("tls/127.0.0.1:0",), tls=tls, access_control=rules)
        (self.endpoint,) = self._resources.enter_context(Router(config)).endpoints
        self.cell = self.authority.issue("cell")
        self.servers = MemoryNetwork()

    def link(self, name: str) -> PlainLink:
        config = ZenohConfig(connect=(self.endpoint,), tls=self.authority.issue(name))
        return self._resources.enter_context(ZenohPlainLink(config))

    def config(self, **settings: object) -> GatewayConfig:
        given: dict[str, object] = {
            "router": self.endpoint,
            "robots_ca": self.cell.ca,
            "robots_certificate": self.cell.certificate,
            "robots_private_key": self.cell.private_key,
            **settings,
        }
        return GatewayConfig(**given)  # type: ignore[arg-type] # by name

    def gateway(self, name: str, *, is_standby: bool = False) -> LeRobotZenohListener:
        config = self.config(protocol="lerobot_zenoh", profile="two_joints", name=name, standby=is_standby)
        listener = LeRobotZenohListener(Gateway(config, rig.PROFILE, self.servers.link(name)))
        listener.start()
        self._resources.callback(listener.close)
        return listener

    def serve(self) -> Climbing:
        return self._resources.enter_context(rig.serving(self.servers))

    def draft(self) -> None:
        """Serve the draft's policy on a network of its own, by a gateway at the router."""
        servers = MemoryNetwork()
        self._resources.enter_context(draft_rig.serving(servers, draft_rig.Echo()))
        models = {"org-arm/main/*": draft_rig.MODEL}
        config = self.config(protocol="lerobot_zenoh_draft", profile="tiny", name="arm", models=models)
        listener = LeRobotDraftListener(Gateway(config, draft_rig.PROFILE, servers.link("gateway")))
        listener.start()
        self._resources.callback(listener.close)

    def close(self) -> None:
        self._resources.close()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.close()


def test_a_robot_of_version_1_works_within_its_rules_and_another_does_not_see_it(hall: Hall) -> None:
    hall.serve()
    hall.gateway("first")
    robot = RawRobot(hall.link("so101")).admit()
    wait_until(lambda: robot.link.is_heard(robot.key(RemotePlace.OBSERVATION)))
    robot.observe((3.0, 4.0))
    assert np.allclose(robot.actions().canonical_actions[0], (3.0, 4.0), atol=1e-4)
    stranger = RawRobot(hall.link("elsewhere"), deployment=robot.deployment)
    with pytest.raises(LinkError):
        stranger.link.query(stranger.key(RemotePlace.OPEN), b"", timeout_s=0.3)


def test_a_standby_finds_the_active_gateway_within_the_rules_and_goes_on_for_it(hall: Hall) -> None:
    hall.serve()
    first = hall.gateway("first")
    robot = RawRobot(hall.link("so101"))
    robot.admit()
    second = hall.gateway("second", is_standby=True)
    wait_until(lambda: second._instance is not None)
    wait_until(lambda: robot.link.is_heard(robot.key(RemotePlace.OBSERVATION)))
    robot.observe((1.0, 1.0))
    robot.actions()
    assert robot.got.empty()  # one of the two answers
    first.close()

    def goes_on() -> bool:
        robot.observe((2.0, 2.0))
        with suppress(queue.Empty):
            return robot.next(0.5)[0].kind is MessageType.ACTION
        return False

    wait_until(goes_on)
    assert second._gateway.metrics.events()["resumed"] == 1


def test_a_robot_of_the_draft_works_within_its_rules(hall: Hall) -> None:
    hall.draft()
    link = hall.link("so100")
    robot = DraftRobot(link, draft_rig.SERVICE, "so100", draft_rig.ROBOT)
    wait_until(lambda: _is_connected(robot))
    wait_until(lambda: robot.ask(draft_rig.joints(1.0))[0] is Answer.ROWS)
    assert robot.last is not None
    impatient = replace(draft_rig.ROBOT, request_s=0.3)
    other = DraftRobot(link, draft_rig.SERVICE, "so101", impatient)  # not its certificate's name
    other.connect()
    assert other.ask(draft_rig.joints(1.0)) == (Answer.TIMEOUT, None)


def _is_connected(robot: DraftRobot) -> bool:
    try:
        return not robot.connect().error
    except LinkError:
        return False


def test_the_search_finds_a_gateway_behind_certificates_and_takes_no_session(hall: Hall) -> None:
    policy = hall.serve()
    hall.gateway("first")
    RawRobot(hall.link("so101")).describe()  # it is served

    where = parse_searched(f"{hall.endpoint}/two_joints")  # the rules let nobody list deployments
    tls = hall.authority.issue("doctor")
    [found] = search(where, ZenohConfig(connect=(hall.endpoint,), tls=tls)).recognised
    name = ("LeRobot remote inference v1", "generation B and C")
    assert (found.protocol, found.version, found.is_kept) == (*name, True)
    assert policy.opened == 0

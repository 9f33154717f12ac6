"""A ready server is found over a real router, or it is said why there is none."""

from __future__ import annotations

import pytest

from rollout_rig import PATIENCE_S, Sway, serving
from vagus.edge.client.discovery import Endpoint
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, SessionRefusedError
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import RobotSpec
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import LinkMode, RouterConfig, ZenohConfig

QUICK = ServeConfig(model="sway", max_batch=1, warm_up_runs=1)
"""Is warm after a few inferences."""


def contact(endpoint: str, service: str = "") -> Endpoint:
    return Endpoint(endpoint, service, ZenohConfig(), EdgeConfig(connect_timeout_s=0.3))


def test_a_server_says_what_it_serves() -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        endpoint = router.endpoints[0]
        with serving(endpoint, Sway()):
            assert contact(f"tcp/127.0.0.1:1, {endpoint}").ask() == Sway().spec
            assert contact(endpoint, "sway/main").ask() == Sway().spec
            with pytest.raises(LinkError, match="on this network are: sway/main/default"):
                contact(endpoint, "other/main").ask()
        with pytest.raises(LinkError):
            contact(endpoint).ask()


def test_without_an_endpoint_the_network_settings_say_where() -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router, serving(router.endpoints[0], Sway()):
        network = ZenohConfig(connect=router.endpoints)
        assert Endpoint("", "", network, EdgeConfig()).ask() == Sway().spec


def test_a_server_that_listens_is_reached_without_a_router() -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as port_finder:
        endpoint = port_finder.endpoints[0]
    listening = ZenohConfig(mode=LinkMode.PEER, listen=(endpoint,))
    config = ServeConfig(model="sway", zenoh=listening)
    with ZenohLink(listening) as link, Server(link, Sway, config) as server:
        assert server.wait_ready(PATIENCE_S)
        for mode in LinkMode:
            network = ZenohConfig(mode=mode)
            assert Endpoint(endpoint, "", network, EdgeConfig()).ask() == Sway().spec


def test_what_no_robot_could_be_driven_by_is_refused_before_one_is_connected() -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        endpoint = router.endpoints[0]
        with serving(endpoint, Sway(inference_s=0.2), QUICK):
            slow = EdgeConfig(max_action_age_s=0.15, buffer_time_s=0.1)
            with pytest.raises(SessionRefusedError, match=r"too_slow.*--max-action-age-s"):
                Endpoint(endpoint, "", ZenohConfig(), slow).ask()
            pinned = EdgeConfig(pin_model="0123456789")
            with pytest.raises(SessionRefusedError, match=r"model_changed.*0123456789"):
                Endpoint(endpoint, "", ZenohConfig(), pinned).ask()


def test_a_full_server_is_refused_before_a_robot_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.edge.client.discovery.LEFT_BEHIND_S", 0.2)
    with (
        Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router,
        serving(router.endpoints[0], Sway(), max_sessions=1),
    ):
        spec, here = Sway().spec, contact(router.endpoints[0])
        robot = RobotSpec("arm", spec.actions, spec.state, spec.cameras, spec.rate_hz)
        with here.link() as link:
            who = Identity("first", "1a")
            opener = SessionOpener(link, robot, EdgeConfig(), who)
            server, said = here.find(link)
            link.token(server.client(who.name).alive(who.instance))  # or it would not keep its place for long
            session, _ = opener.open(server, said, instruction="", contract=None)
            while not here.find(link)[1].load.sessions:
                pass  # the status may be that of a moment ago
            with pytest.raises(SessionRefusedError, match=r"sessions_full.*has 1 robots"):
                here.ask()
            opener.close(session)
        assert here.ask() == spec

"""The policy that keeps an arm where it is: served, it answers robot programs on both wires."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from integrations.pointact import rig
from integrations.pointact.clients import HttpClient, PointActClient, ZmqClient
from vagus.errors import ConfigError
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile_file import load_profile
from vagus.integrations.pointact.echo import EchoPolicy
from vagus.integrations.pointact.echo_options import EchoOptions
from vagus.integrations.pointact.gateway import PointActListener
from vagus.policies.registry import load_policy
from vagus.server.config import ServeConfig
from vagus.server.manifest import parse_manifest
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork

FRAME = np.zeros((256, 256, 3), np.uint8)


@pytest.mark.parametrize("wire", [ZmqClient, HttpClient])
@pytest.mark.parametrize("profile", ["so100", "so101", "pose"])
def test_each_robot_is_kept_where_it_is_on_both_wires(profile: str, wire: type[PointActClient]) -> None:
    network = MemoryNetwork()
    width = len(EchoPolicy(options=EchoOptions(profile=profile)).spec.actions)
    make = lambda: load_policy("pointact-echo", options={"profile": profile})  # noqa: E731
    with Server(network.link("server"), make, ServeConfig()) as server:
        assert server.wait_ready(rig.PATIENCE_S)
        gateway = Gateway(rig.config(), load_profile(profile, "pointact"), network.link("gateway"))
        listener = PointActListener(gateway)
        listener.start()
        try:
            with wire(listener.address) as client:
                for place in (0.0, 0.25):
                    state = np.linspace(0.0, 0.5, width) + place
                    chunk = client.act(state, frame=FRAME)
                    np.testing.assert_allclose(chunk, np.tile(state, (50, 1)), atol=1e-6)
        finally:
            listener.close()


def test_a_profile_whose_actions_are_no_states_is_refused(tmp_path: Path) -> None:
    velocities = tmp_path / "velocities.yaml"
    velocities.write_text(
        "protocol: pointact\nrobot_type: arm\nrate_hz: 30\nhorizon: 5\n"
        "state: [{key: observation.state, names: [a], unit: rad}]\n"
        "actions: [{key: action, names: [b], unit: rad/s, kind: velocity}]\n"
    )
    with pytest.raises(ConfigError, match=r"wanted each action also as a state.*none for b"):
        EchoPolicy(options=EchoOptions(profile=str(velocities)))


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="inference_ms"):
        EchoOptions(inference_ms=-1.0)


def test_the_example_is_what_the_page_shows_and_can_be_served() -> None:
    root = Path(__file__).parents[3]
    text = (root / "examples" / "pointact_echo.yaml").read_text(encoding="utf-8")
    page = (root / "docs" / "pointact.md").read_text(encoding="utf-8")
    assert text.partition("\n")[2] in page
    parse_manifest(text.encode(), ".yaml")

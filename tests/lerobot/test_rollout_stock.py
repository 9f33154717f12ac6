"""The stock `lerobot-rollout` script, with our policy and inference types and LeRobot's own engine."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs import FeatureType

from rollout_rig import Stand, Sway, serving, stand_in, start_lerobot_rollout, table
from vagus.errors import ConfigError, LinkError
from vagus.integrations.lerobot import version as lerobot_version
from vagus.integrations.lerobot.rollout.remote_policy import (
    VagusConfig,
    VagusPolicy,
    make_vagus_pre_post_processors,
)
from vagus.specs import ActionKind
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig


def lerobot_rollout(stand: Stand, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the stock script to its end."""
    running = start_lerobot_rollout(stand, *arguments)
    output, errors = running.communicate(timeout=100)
    return subprocess.CompletedProcess(running.args, running.returncode, output, errors)


def test_the_stock_script_is_driven_although_it_is_told_to_compile(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        done = lerobot_rollout(stand, "--inference.type=vagus", "--duration=4", "--use_torch_compile=true")
        if version("lerobot") == "0.6.0":
            assert done.returncode != 0
            assert "leave it out (LeRobot 0.6.0" in done.stderr
            assert not stand.journal.exists()  # nothing was connected
            return
        assert done.returncode == 0, done.stderr
        assert len(stand.sent()) > 20, done.stderr
    assert "--use_torch_compile has no effect: the network is on the server" in done.stderr


def test_the_stock_script_refuses_another_release_of_lerobot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lerobot_version, "TESTED", ("0.5.9",))
    with pytest.raises(ConfigError, match="untested_lerobot"):
        VagusPolicy.from_pretrained(None, config=VagusConfig())


def test_the_stock_script_is_driven_through_our_types(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        done = lerobot_rollout(stand, "--inference.type=vagus", "--duration=3")
        assert done.returncode == 0, done.stderr
        played, rows = table(stand.sent(), stand.policy.names), stand.policy.rows
    assert len(played) > 40, done.stderr
    shares = 1.0 + np.arange(played.shape[1])  # each joint sways by its own, in the policy's order
    assert np.abs(played - played[:, :1] * shares).max() < 0.01
    # LeRobot's engine leaves out the steps that it slept through, one more of them on a busy computer
    assert np.median(np.abs(np.diff(played, axis=0)).max(axis=1)) < 0.5
    prefixes = [
        row.prefix for row in rows if row.prefix is not None and row.observation.instruction == "sway"
    ]
    assert prefixes
    assert all(prefix.robot[1:].any(axis=1).all() for prefix in prefixes)  # no zeros that LeRobot pads with


class Elsewhere(Sway):
    """The same names and sizes, other weights."""

    model_hash = "elsewhere"

    def actions(self, step: int) -> np.ndarray:
        return super().actions(step) + 50.0


def test_the_stock_script_is_not_driven_by_other_weights_after_a_restart(tmp_path: Path) -> None:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        endpoint = router.endpoints[0]
        with serving(endpoint, Sway()) as server:
            stand = Stand(endpoint, Sway(), server, tmp_path)
            running = start_lerobot_rollout(stand, "--inference.type=vagus", "--duration=90")
            stand.await_actions(20)
            first = server.capabilities().model_hash
        with serving(endpoint, Elsewhere()) as server:
            _, errors = running.communicate(timeout=100)
            second = server.capabilities().model_hash
    assert first in errors
    assert second in errors
    assert max(max(action.values()) for action in stand.sent()) < 30.0


def test_the_stock_script_is_told_not_to_block_its_control_loop(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        done = lerobot_rollout(stand, "--inference.type=sync", "--duration=3")
    assert done.returncode != 0
    assert "add --inference.type=vagus" in done.stderr
    assert stand.sent() == []


def test_the_stock_script_is_told_what_cannot_stand_before_anything_is_connected(tmp_path: Path) -> None:
    with stand_in(tmp_path, Sway(has_base=True)) as stand:
        done = lerobot_rollout(stand, "--inference.type=vagus", "--duration=3", "--robot.has_base=true")
    assert done.returncode != 0
    assert "x.vel (velocity), theta.vel (velocity); use `vagus lerobot-rollout`" in done.stderr
    assert not stand.journal.exists()


def test_a_binary_is_left_to_an_engine_that_tells_it_0_or_1(tmp_path: Path) -> None:
    switching = Sway()
    first, *rest = switching.spec.actions
    suction = replace(first, unit="bool", kind=ActionKind.BINARY)
    switching.spec = replace(switching.spec, actions=(suction, *rest))
    with stand_in(tmp_path, switching) as stand, pytest.raises(ConfigError, match=r"gripper\.pos \(binary\)"):
        VagusPolicy.from_pretrained(None, config=VagusConfig(endpoint=stand.endpoint))


@pytest.fixture
def policy(tmp_path: Path) -> VagusPolicy:
    with stand_in(tmp_path) as stand:
        return VagusPolicy.from_pretrained(None, config=VagusConfig(endpoint=stand.endpoint))


def test_the_server_fills_in_what_lerobot_checks(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        config = VagusConfig(endpoint=stand.endpoint, rename={"eye": "front", "grip.pos": "gripper.pos"})
        policy = VagusPolicy.from_pretrained(None, config=config)
    assert sum(weights.numel() for weights in policy.parameters()) == 0
    assert policy.supports_rtc()
    assert config.action_feature_names is not None
    assert config.action_feature_names[0] == "grip.pos"
    assert config.input_features["observation.images.eye"].type is FeatureType.VISUAL
    assert config.input_features["observation.state"].shape == (6,)
    assert config.output_features["action"].shape == (6,)


def test_a_path_to_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="the server holds the weights"):
        VagusPolicy.from_pretrained("somewhere/act", config=VagusConfig())


def test_nobody_to_ask_is_said_at_once(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        stand.server.close()
        with pytest.raises(LinkError):
            VagusPolicy.from_pretrained(
                None, config=VagusConfig(endpoint=stand.endpoint, service="other/main")
            )


def test_a_chunk_comes_with_what_the_next_request_needs(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        policy = VagusPolicy.from_pretrained(None, config=VagusConfig(endpoint=stand.endpoint))
        batch = {
            "observation.state": torch.zeros(1, 6),
            "observation.images.front": torch.full((1, 3, 48, 64), 200 / 255),
            "task": ["sway"],
        }
        rows = policy.predict_action_chunk(batch)[0]
        padded = torch.cat([rows[5:12], torch.zeros(8, rows.shape[1])])
        policy.predict_action_chunk(batch, inference_delay=3, prev_chunk_left_over=padded)
        policy.predict_action_chunk(batch, inference_delay=16, prev_chunk_left_over=padded[7:])
        policy.reset()
        policy.predict_action_chunk(batch)
        policy.close()
        asked = stand.policy.rows[-4:]
        begun = stand.policy.begun
    _, post = make_vagus_pre_post_processors(policy.config)
    np.testing.assert_allclose(post(rows).numpy(), Sway().actions(0), atol=1e-6)
    assert asked[0].prefix is None
    assert (asked[0].observation.images["front"] == 200).all()
    prefix = asked[1].prefix
    assert prefix is not None
    np.testing.assert_allclose(prefix.robot, rows[5:12, -6:].numpy())
    np.testing.assert_allclose(prefix.model, rows[5:12, 1:7].numpy())
    assert asked[1].inference_delay == 3
    assert asked[2].prefix is None  # nothing but padding: no plan to continue
    assert asked[3].step == 0
    assert begun >= 2


def test_a_session_is_opened_again_after_the_server_went(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        policy = VagusPolicy.from_pretrained(None, config=VagusConfig(endpoint=stand.endpoint))
        batch = {
            "observation.state": torch.zeros(1, 6),
            "observation.images.front": torch.zeros(1, 3, 48, 64),
        }
        policy.predict_action_chunk(batch)
        stand.server.close()
        with pytest.raises(LinkError):
            policy.predict_action_chunk(batch)
        with serving(stand.endpoint, Sway()):
            assert policy.predict_action_chunk(batch).shape == (1, 40, 13)
            policy.close()


def test_it_cannot_be_trained(policy: VagusPolicy) -> None:
    assert policy.get_optim_params() == {}
    with pytest.raises(Exception, match="holds no weights"):
        policy.forward({})

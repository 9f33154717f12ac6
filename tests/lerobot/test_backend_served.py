"""A LeRobot policy over the wire is that policy beside the robot; what does not fit is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lerobot_backend import (
    JOINTS,
    RATE_HZ,
    SIZE,
    TABLE,
    Local,
    act_config,
    diffusion_config,
    save,
    seen,
)
from server.raw_client import RawClient, Reply
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.edge.engine.engine import Engine
from vagus.errors import SessionRefusedError
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.served_policy import load_model
from vagus.server.server import Server
from vagus.specs import ActionFeature, CameraSpec, RobotSpec, StateFeature
from vagus.transport.link import Link
from vagus.transport.memory import MemoryNetwork
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.types import Directive, FloatArray, Observation, Snapshot
from vagus.wire.codec import decode_tensor, encode_tensor
from vagus.wire.contract import to_wire_actions, to_wire_cameras, to_wire_states
from vagus.wire.images import encode_image

PATIENCE_S = 60.0
ROBOT = RobotSpec(
    robot_type="so101_follower",
    actions=tuple(ActionFeature(name, "lerobot_norm", feedback=name) for name in JOINTS),
    state=tuple(StateFeature(name, "lerobot_norm") for name in JOINTS),
    cameras=(CameraSpec("front", SIZE, SIZE),),
    rate_hz=RATE_HZ,
)


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(act_config(), tmp_path_factory.mktemp("act"))


@contextmanager
def serving(link: Link, path: Path, *, warm_up: bool = False) -> Iterator[Server[object]]:
    config = ServeConfig(
        policy="lerobot",
        model=str(path),
        device="cpu",
        spec=TABLE,
        trained_rate_hz=RATE_HZ,
        options={"allowed_sources": (str(path.parent),)},
        warm_up=warm_up,
        warm_up_runs=1,
        max_batch=2,
    )
    with Server(link, lambda: load_model(config), config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield server


def opened(network: MemoryNetwork, server: Server[object], name: str) -> RawClient:
    client = RawClient(network.link(name), server.key, name)
    client.open(
        actions=to_wire_actions(ROBOT.actions),
        state=to_wire_states(ROBOT.state),
        cameras=to_wire_cameras(ROBOT.cameras),
        rate_hz=RATE_HZ,
    )
    return client


def ask(client: RawClient, observation: Observation, *, step: int, seed: int) -> Reply:
    images = {name: encode_image(image, "raw") for name, image in observation.images.items()}
    state = encode_tensor(observation.state)
    return client.ask(0.0, changes={"state": state, "images": images, "step": step, "seed": seed})


def assert_chunk(reply: Reply, wanted: tuple[FloatArray, FloatArray]) -> None:
    assert reply.chunk is not None, reply.event
    for sent, made in ((reply.chunk.chunk_model, wanted[0]), (reply.chunk.chunk_robot, wanted[1])):
        array = decode_tensor(sent, shape=(None, None), name="chunk")
        np.testing.assert_allclose(array, made, atol=1e-5, rtol=0.0)


def test_remote_act_equals_local_act(act: Path) -> None:
    network, local = MemoryNetwork(), Local(act)
    with serving(network.link("server"), act, warm_up=True) as server:
        said = server.capabilities()
        assert (said.policy_type, said.horizon, len(said.latency)) == ("act", 20, 2)
        clients = [opened(network, server, name) for name in ("left", "right")]
        for step in range(3):
            for n, client in enumerate(clients):
                observation = seen(10 * n + step)
                wanted = local.chunk(local.prepared(observation))
                assert_chunk(ask(client, observation, step=step, seed=1), wanted)


def test_remote_diffusion_equals_local_diffusion_with_the_same_noise(tmp_path: Path) -> None:
    path = save(diffusion_config(), tmp_path / "diffusion")
    network, local = MemoryNetwork(), Local(path)
    with serving(network.link("server"), path) as server:
        client = opened(network, server, "arm")
        before = seen(0)
        for step in range(3):
            observation = seen(step)
            reply = ask(client, observation, step=8 * step, seed=step)
            pair = [local.prepared(one) for one in (before, observation)]
            keys = ("observation.state", "observation.images.front")
            stacked = {key: torch.stack([batch[key] for batch in pair], dim=1) for key in keys}
            noise = torch.randn((16, 6), generator=torch.Generator().manual_seed(step))[None]
            assert_chunk(reply, local.chunk(stacked, noise=noise))
            before = observation


def test_a_robot_over_a_router_commands_what_lerobot_would(act: Path) -> None:
    local, observation = Local(act), seen(3)
    _, wanted = local.chunk(local.prepared(observation))
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        network = ZenohConfig(connect=router.endpoints)
        with (
            ZenohLink(network) as far,
            serving(far, act),
            ZenohLink(network) as near,
            PolicyClient(
                SessionOpener(near, ROBOT, EdgeConfig(image_codec=ImageCodec.RAW), Identity("arm", "1a")),
                Engine,
            ) as client,
        ):
            client.open()
            knots = list(moved(client, observation, count=30))
    for directive in knots:
        assert directive.knot is not None
        assert directive.provenance.index is not None
        np.testing.assert_allclose(directive.knot, wanted[directive.provenance.index], atol=1e-5, rtol=0.0)
    assert len({directive.provenance.seq for directive in knots}) > 1


def moved(client: PolicyClient[Engine], observation: Observation, *, count: int) -> Iterator[Directive]:
    """Tick a robot that stands still; yield the first `count` directives that move it."""
    waiter = threading.Event()
    deadline_s = time.monotonic() + PATIENCE_S
    while count:
        assert time.monotonic() < deadline_s, client.status()
        directive = client.engine.advance(monotonic_ns(), observation.state)
        draft = client.engine.take_draft()
        if draft is not None:
            client.offer(Snapshot(draft, observation.images))
        if directive.knot is not None:
            count -= 1
            yield directive
        waiter.wait(1 / RATE_HZ)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"cameras": (CameraSpec("cam_front", SIZE, SIZE),)}, "--rename cam_front front"),
        (
            {
                "actions": tuple(replace(a, unit="rad") for a in ROBOT.actions),
                "state": tuple(replace(s, unit="rad") for s in ROBOT.state),
            },
            "'lerobot_norm'.*'rad'",
        ),
    ],
)
def test_a_robot_that_does_not_fit_is_told_why(act: Path, changes: dict[str, object], match: str) -> None:
    network = MemoryNetwork()
    robot = replace(ROBOT, **changes)  # type: ignore[arg-type] # the test names fields
    with (
        serving(network.link("server"), act),
        PolicyClient(
            SessionOpener(network.link("arm"), robot, EdgeConfig(), Identity("arm", "1a")), Engine
        ) as client,
        pytest.raises(SessionRefusedError, match=match),
    ):
        client.open()


def test_actions_in_another_order_are_refused(act: Path) -> None:
    network = MemoryNetwork()
    with serving(network.link("server"), act) as server:
        client = RawClient(network.link("arm"), server.key, "arm")
        answer = client.try_open(
            actions=to_wire_actions(ROBOT.actions[::-1]),
            state=to_wire_states(ROBOT.state),
            cameras=to_wire_cameras(ROBOT.cameras),
            rate_hz=RATE_HZ,
        )
    assert not answer.accepted
    assert "order" in answer.error


@pytest.mark.process
def test_the_command_line_serves_a_checkpoint_and_says_for_how_many(act: Path, tmp_path: Path) -> None:
    units = dict.fromkeys(JOINTS, "lerobot_norm")
    manifest = tmp_path / "serve.json"
    said = ""
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        settings = {
            "policy": "lerobot",
            "model": str(act),
            "options": {"allowed_sources": [str(act.parent)]},
            "device": "cpu",
            "trained_rate_hz": RATE_HZ,
            "max_batch": 2,
            "spec": {"actions": units, "state": units},
            "zenoh": {"connect": list(router.endpoints)},
        }
        manifest.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "vagus", "serve", str(manifest)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            assert server.stdout is not None
            for line in server.stdout:
                said += line
                if "server ready" in line:
                    break
            server.terminate()
            said += server.stdout.read()
            assert server.wait(PATIENCE_S) in (0, 130), said
    assert "act, shared: 20 actions at 30 Hz" in said
    assert "carries" in said or "fast enough" in said or "too slow" in said


@pytest.mark.process
def test_the_manifest_that_is_printed_can_be_saved_and_served(act: Path, tmp_path: Path) -> None:
    allowed = ["--options", "allowed_sources", str(act.parent)]
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        told = ["serve", "--policy", "lerobot", "--model", str(act), *allowed, "--device", "cpu"]
        command = [sys.executable, "-m", "vagus", *told, "--connect", *router.endpoints]
        first = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert first.returncode == ExitCode.CONFIG, first.stderr
    printed = first.stderr.partition("\n\n")[2]
    manifest = tmp_path / "serve.yaml"
    manifest.write_text(printed)
    config = load_manifest(manifest)
    assert config.options == {"allowed_sources": (str(act),)}
    assert set(config.spec.actions.values()) == {"lerobot_norm"}
    assert load_model(replace(config, device="cpu", warm_up=False)).spec.rate_hz == RATE_HZ

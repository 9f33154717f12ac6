"""Robots in mixed batches, asked and answered over the wire, against LeRobot beside each of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import lerobot_checkpoints as tiny
from lerobot_backend import RATE_HZ, act_config, diffusion_config, save
from lerobot_backend import TABLE as PLAIN_TABLE
from lerobot_conversations import (
    MAKERS,
    MAX_GUIDANCE,
    ROUNDS,
    SCHEDULE,
    TABLE,
    Beside,
    Lerobot,
    PlainBeside,
    Robot,
    assert_same,
)
from server.raw_client import PATIENCE_S, RawClient, Reply, wait_until
from vagus.errors import PolicyError
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Policy, Row
from vagus.server.config import ServeConfig
from vagus.server.served_policy import load_model
from vagus.server.server import Server
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk
from vagus.wire.codec import decode_tensor, encode_tensor
from vagus.wire.contract import to_wire_actions, to_wire_cameras, to_wire_states
from vagus.wire.images import encode_image

LOAD_S = 60.0


@dataclass(frozen=True)
class Family:
    """A family of policies: a tiny checkpoint of it, what a manifest says of it, and LeRobot's own."""

    make: Callable[[Path], object]
    table: SpecTable = TABLE
    beside: Callable[[Path], Lerobot] = Beside
    cameras: tuple[str, ...] = tiny.CAMERAS
    has_rtc: bool = True


def plain(config: Callable[[], object]) -> Family:
    return Family(lambda folder: save(config(), folder), PLAIN_TABLE, PlainBeside, ("front",), has_rtc=False)


FAMILIES = {
    "act": plain(act_config),
    "diffusion": plain(diffusion_config),
    **{name: Family(make) for name, make in MAKERS.items()},
}


class Gated:
    """A policy that begins a batch when its gate is open; who asks meanwhile is in the next batch."""

    def __init__(self, policy: Policy[object]) -> None:
        self._policy = policy
        self.spec, self.serving_mode, self.model_hash = policy.spec, policy.serving_mode, policy.model_hash
        self.open_session, self.begin_episode = policy.open_session, policy.begin_episode
        self.close = policy.close
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.gate.set()

    def infer(self, batch: Sequence[Row[object]]) -> list[ActionChunk | PolicyError]:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        return list(self._policy.infer(batch))


class Stand:
    """A server, a client for each robot, and one more that keeps the policy busy."""

    def __init__(self, server: Server[object], policy: Gated, network: MemoryNetwork) -> None:
        self._server, self._policy, self._network = server, policy, network
        self._filler, self._marker = self.client("filler"), self.client("marker")

    def client(self, name: str) -> RawClient:
        spec = self._policy.spec
        client = RawClient(self._network.link(name), self._server.key, name)
        client.open(
            actions=to_wire_actions(spec.actions),
            state=to_wire_states(spec.state),
            cameras=to_wire_cameras(spec.cameras),
            rate_hz=RATE_HZ,
        )
        return client

    def together(self, asking: Sequence[tuple[RawClient, Robot]]) -> list[Reply]:
        """Return the replies to requests that were all there before the batch was chosen."""
        self._policy.entered.clear()
        self._policy.gate.clear()
        seen = Robot(0).observation()
        frames = {camera.name: seen.images["front"] for camera in self._policy.spec.cameras}
        images = {name: encode_image(image, "raw") for name, image in frames.items()}
        self._filler.send(0.0, changes={"state": encode_tensor(seen.state), "images": images})
        assert self._policy.entered.wait(PATIENCE_S)
        has_rtc = self._policy.spec.rtc is not None
        for client, robot in asking:
            client.send(0.0, episode=robot.episode, changes=message_of(robot, has_rtc=has_rtc))
        wait_until(lambda: self._server.load().waiting == len(asking))
        assert self._marker.ask(0.0).code == "invalid_input"  # one thread decodes: those before are done
        self._policy.gate.set()
        assert self._filler.receive().chunk is not None
        return [client.receive() for client, _ in asking]


def message_of(robot: Robot, *, has_rtc: bool) -> dict[str, object]:
    """Return what `robot` asks, as fields of the message."""
    seen, request = robot.observation(), robot.request
    prefix = robot.prefix() if has_rtc else None
    return {
        "state": encode_tensor(seen.state),
        "images": {name: encode_image(image, "raw") for name, image in seen.images.items()},
        "instruction": seen.instruction,
        "step": robot.step,
        "seed": robot.seed,
        "episode_start": request.is_fresh,
        "inference_delay": 0 if prefix is None else request.delay,
        "prefix_horizon": 0 if prefix is None else request.horizon,
        "prefix_model": None if prefix is None else encode_tensor(prefix.model),
        "prefix_robot": None if prefix is None else encode_tensor(prefix.robot),
    }


def chunk_of(reply: Reply) -> ActionChunk:
    assert reply.chunk is not None, reply.event
    sent = (reply.chunk.chunk_model, reply.chunk.chunk_robot)
    model, robot = (decode_tensor(part, shape=(None, None), name="chunk") for part in sent)
    return ActionChunk(reply.chunk.step, np.array(model), np.array(robot))


@contextlib.contextmanager
def serving(folder: Path, table: SpecTable) -> Iterator[Stand]:
    network = MemoryNetwork()
    config = ServeConfig(
        scheduler="round_robin",  # it makes the largest batch, whatever a busy machine takes for one
        policy="lerobot",
        model=str(folder),
        device="cpu",
        spec=table,
        trained_rate_hz=RATE_HZ,
        options={"allowed_sources": (str(folder),)},
        rtc_schedule=SCHEDULE,
        rtc_max_guidance=MAX_GUIDANCE,
        warm_up=False,
        decode_workers=1,
    )
    made: list[Gated] = []

    def load() -> Gated:
        made.append(Gated(load_model(config)))
        return made[0]

    with Server(network.link("server"), load, config) as server:
        assert server.wait_ready(LOAD_S)
        yield Stand(server, made[0], network)
        made[0].gate.set()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_robot_in_a_batch_is_answered_over_the_wire_as_by_lerobot_beside_it(
    name: str, tmp_path: Path
) -> None:
    """Each side continues its own answers, so that differences would add up over the conversation."""
    family = FAMILIES[name]
    family.make(tmp_path)
    numbers = range(4)
    with tiny.tiny_gemma(), serving(tmp_path, family.table) as stand:
        served = [(stand.client(f"robot_{n}"), Robot(n, family.cameras)) for n in numbers]
        beside = [(family.beside(tmp_path), Robot(n, family.cameras)) for n in numbers]
        for members in ROUNDS:
            asking = [number for number in members if not served[number][1].is_done]
            replies = stand.together([served[number] for number in asking])
            for number, reply in zip(asking, replies, strict=True):
                lerobot, robot = beside[number]
                assert reply.chunk is not None, reply.event
                assert reply.chunk.batch_size == len(asking)
                ours, theirs = chunk_of(reply), lerobot.answer(robot)
                assert ours.step == theirs.step
                assert_same(ours, theirs)
                served[number][1].answers.append(ours)
                robot.answers.append(theirs)
        assert all(len(robot.answers) == 4 for _, robot in served)

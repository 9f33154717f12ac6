"""Clients with the original's rules at a gateway, in every mode, while their operators do what they may."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from integrations.lerobot_zenoh.rig import FRONT, PROFILE, standing
from remote_client.admission import Wishes
from remote_client.client import RemoteClient
from remote_client.engine import Engine
from remote_client.engine_parts import Observed, Phase
from server.raw_client import wait_until
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode, RemoteCapabilities
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, RemoteActions
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, picture_of
from vagus.types import FloatArray

ALIGNED = Wishes(deployment=PROFILE.name, semantics=PROFILE.semantics)
EVERY = {
    "aligned": ALIGNED,
    "jpeg": replace(ALIGNED, encoding=PictureEncoding.JPEG),
    "generation B": replace(ALIGNED, is_generation_b=True),
    "append": replace(ALIGNED, merge=ChunkMerge.APPEND),
    "rtc": replace(ALIGNED, mode=InferenceMode.RTC_GUIDED),
}
FEW = 10
TWO_CHUNKS = 50


@dataclass
class Arm:
    """Goes where it is told; notes the largest step, in degrees."""

    encoding: PictureEncoding
    at: FloatArray = field(default_factory=lambda: np.zeros(2, np.float32))
    done: int = 0
    largest: float = 0.0

    def observe(self, capabilities: RemoteCapabilities) -> FrameFeatures:
        picture = picture_of(FRONT, self.encoding)
        return {"observation.state": self.at.copy(), "observation.images.front": picture}

    def act(self, row: FloatArray | None, commit: int) -> None:
        if row is not None:
            self.largest = max(self.largest, float(np.abs(row - self.at).max()))
            self.at, self.done = row.copy(), self.done + 1

    def asked(self, observed: Observed) -> None:
        pass

    def replied(self, actions: RemoteActions) -> None:
        pass


@dataclass
class Running:
    client: RemoteClient
    arm: Arm
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def engine(self) -> Engine:
        return self.client.engine

    def start(self) -> None:
        self.client.connect()
        self.thread = threading.Thread(target=self.client.run, args=(self.is_over,), daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.is_over.set()
        self.thread.join()
        self.client.close()


def all_go_on(robots: Sequence[Running], rows: int = FEW) -> None:
    """Wait until each has executed some more rows, or its run has ended."""
    wanted = [robot.arm.done + rows for robot in robots]
    wait_until(
        lambda: all(one.arm.done >= n or one.engine.is_over for one, n in zip(robots, wanted, strict=True))
    )


@pytest.mark.slow
def test_no_run_ends_by_what_an_operator_does_in_any_mode() -> None:
    with standing() as stand:
        robots = []
        for wishes in EVERY.values():
            arm = Arm(wishes.encoding)
            client = RemoteClient(stand.robots_network.link("robot"), wishes, arm, task="climb")
            robots.append(Running(client, arm))
        for robot in robots:
            robot.start()
        all_go_on(robots, TWO_CHUNKS)
        for robot in robots:
            robot.client.do(lambda engine, now_ns: engine.reset(now_ns))
            robot.client.do(lambda engine, now_ns: engine.set_task("climb higher", now_ns))
        all_go_on(robots)
        for robot in robots:
            robot.client.ask("what is it?")
        wait_until(lambda: all(robot.client.answers or robot.engine.is_over for robot in robots))
        all_go_on(robots)
        for robot in robots:
            robot.client.do(lambda engine, now_ns: engine.pause(now_ns))
        wait_until(lambda: all(one.engine.phase in (Phase.PAUSED, Phase.FAULTED) for one in robots))
        for robot in robots:
            robot.client.do(lambda engine, now_ns: engine.resume(now_ns))
        all_go_on(robots)
        for robot in robots:
            robot.end()
        told = dict(zip(EVERY, robots, strict=True))
        assert {name: one.engine.counts.fault for name, one in told.items()} == dict.fromkeys(EVERY, "")
        assert {name: one.client.answers for name, one in told.items()} == {
            name: ["unsupported"] for name in EVERY
        }
        assert all(one.arm.largest <= 1.5 for one in robots), {n: one.arm.largest for n, one in told.items()}
        assert stand.policy.episodes >= len(EVERY)
        assert any(row.prefix is not None for row in stand.policy.rows)

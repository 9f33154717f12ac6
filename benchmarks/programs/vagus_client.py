"""The robot's side of vagus, closed loop: `FRAMES ENDPOINT CODEC near|far`.

The blocking client, with the link and the encoder threads of a robot: one request follows the other at once.
`far`: a robot on another host, for which codec `auto` means JPEG and shared memory is not to be had.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.programs.driver import Frames, Notes, drive, state
from benchmarks.programs.policies import echo_spec
from vagus.clock import NS_PER_MS, MonotonicClock
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.handshake import Identity
from vagus.edge.client.worker import ENCODE_THREADS
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.specs import RobotSpec
from vagus.threads import ThreadPool
from vagus.transport.host import host_id
from vagus.transport.link import Declaration, Delivery, Sample
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.codec import decode
from vagus.wire.schema import ChunkMessage

REPLY_TIMEOUT_S = 30.0


class NotingLink(ZenohLink):
    """A link that notes when the last message was sent, its size, and what came last."""

    sent_ns = 0
    sent_bytes = 0
    received: Sample

    def publish(self, key: str, *, header: bytes, payload: bytes, delivery: Delivery) -> None:
        """Send one message."""
        self.sent_ns = MonotonicClock().now_ns()
        self.sent_bytes = len(header) + len(payload)
        super().publish(key, header=header, payload=payload, delivery=delivery)

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """Deliver what is published under `key`."""

        def note(sample: Sample) -> None:
            self.received = sample
            on_sample(sample)

        return super().subscribe(key, note)


def call(
    client: BlockingClient, link: NotingLink, images: dict[str, Frames]
) -> tuple[NDArray[np.float32], Notes]:
    """Return the actions of the reply."""
    begin_ns = MonotonicClock().now_ns()
    chunk = client.ask(ChunkRequest(state(), images), timeout_s=REPLY_TIMEOUT_S)
    reply = link.received
    told = decode(reply.payload, ChunkMessage)
    parts_ms = {
        "encode": (link.sent_ns - begin_ns) / NS_PER_MS,
        "decode": told.decode_ms,
        "wait": told.queue_wait_ms + told.inference_ms,
    }
    return chunk.robot, Notes(link.sent_bytes, len(reply.header) + len(reply.payload), parts_ms)


def main(frames_path: str, endpoint: str, codec: str, place: str) -> None:
    is_near = place == "near"
    spec = echo_spec(cameras=3)
    robot = RobotSpec("benchmark", spec.actions, spec.state, spec.cameras, rate_hz=100.0)
    identity = Identity(
        name=f"robot-{codec}-{place}-{endpoint.rpartition(':')[2]}",
        instance="1",
        host_id=host_id() if is_near else "another-host",
    )
    config = EdgeConfig(image_codec=ImageCodec(codec))
    with (
        NotingLink(ZenohConfig(connect=(endpoint,), shared_memory=is_near)) as link,
        BlockingClient(link, robot, identity, config, instruction="put the cup on the shelf") as client,
    ):
        client.encode_all = ThreadPool(ENCODE_THREADS, "encode").map
        client.open()
        drive(frames_path, lambda images: call(client, link, images))


if __name__ == "__main__":
    main(*sys.argv[1:5])

"""Many robots of vagus at a steady rate: `ENDPOINT FIRST COUNT SIDE`; each has a link and a session.

The observation, one raw frame of SIDE × SIDE pixels, is encoded once: the way to the server and back is what
is measured. The robots are dealt out to the servers in turn.
"""

from __future__ import annotations

import queue
import sys
from contextlib import ExitStack
from functools import partial

import numpy as np

from benchmarks.programs.paced import Answer, Answers, drive_paced
from benchmarks.programs.table_policy import CAMERA, JOINTS, table_spec
from vagus.clock import NS_PER_MS, monotonic_ns
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import (
    Presence,
    SessionOpener,
    fetch_capabilities,
    find_service,
    living_servers,
)
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.specs import RobotSpec
from vagus.transport.keys import ServerKey
from vagus.transport.link import Delivery, Sample
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.codec import decode, decode_header, encode, encode_header, encode_tensor
from vagus.wire.images import encode_image
from vagus.wire.schema import Capabilities, ChunkMessage, EventMessage, Header, Kind, ObservationMessage

TIMEOUT_S = 10.0


class LoadRobots:
    """Robots that only ask."""

    def __init__(self, stack: ExitStack, endpoint: str, first: int, count: int, side: int) -> None:
        self.answers: Answers = queue.SimpleQueue()
        self.seqs = [1] * count
        spec = table_spec(horizon=1, rate_hz=30.0, side=side)
        robot = RobotSpec("load", spec.actions, spec.state, spec.cameras, rate_hz=30.0)
        config = EdgeConfig(image_codec=ImageCodec.RAW, handshake_timeout_s=TIMEOUT_S)
        frame = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        state = encode_tensor(np.zeros(len(JOINTS), np.float32))
        self._body = encode(ObservationMessage(state=state, images={CAMERA: encode_image(frame, "raw")}))
        self._links: list[ZenohLink] = []
        self._keys: list[str] = []
        self._epochs: list[int] = []
        network = ZenohConfig(connect=(endpoint,), shared_memory=False)
        servers: list[tuple[ServerKey, Capabilities]] = []
        for number in range(count):
            name = f"load-{first + number}"
            link = stack.enter_context(ZenohLink(network))
            servers = servers or _servers(link)
            server, wanted = servers[(first + number) % len(servers)]
            identity = Identity(name, "1", host_id="another-host")
            Presence(link, identity, partial(self._note, number)).move_to(server)
            opener = SessionOpener(link, robot, config, identity)
            session, _ = opener.open(server, wanted, instruction="", contract=None)
            self._links.append(link)
            self._keys.append(server.client(name).observation)
            self._epochs.append(session.epoch)

    def send(self, robot: int, seq: int) -> None:
        """Send the observation of one robot."""
        header = Header(Kind.OBSERVATION, seq, 0, monotonic_ns(), self._epochs[robot])
        self._links[robot].publish(
            self._keys[robot],
            header=encode_header(header),
            payload=self._body,
            delivery=Delivery.OBSERVATION,
        )

    def _note(self, robot: int, sample: Sample) -> None:
        arrived_ns = monotonic_ns()
        header = decode_header(sample.header)
        if header.kind is Kind.CHUNK:
            told = decode(sample.payload, ChunkMessage)
            served_ms = told.queue_wait_ms + told.decode_ms + told.inference_ms
            self.answers.put(Answer(robot, header.seq, arrived_ns, round(served_ms * NS_PER_MS)))
        elif header.kind is Kind.EVENT:
            code = decode(sample.payload, EventMessage).code
            self.answers.put(Answer(robot, header.seq, arrived_ns, event=code))


def _servers(link: ZenohLink) -> list[tuple[ServerKey, Capabilities]]:
    service = find_service(link, timeout_s=TIMEOUT_S)
    servers = sorted(living_servers(link, service.all_alive, timeout_s=TIMEOUT_S), key=str)
    return [(server, fetch_capabilities(link, server, timeout_s=TIMEOUT_S)) for server in servers]


def main(endpoint: str, first: int, count: int, side: int) -> None:
    with ExitStack() as stack:
        robots = LoadRobots(stack, endpoint, first, count, side)
        drive_paced(robots.send, robots.answers, robots.seqs)


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:5]))

"""The robot's side of vagus, closed loop: `FRAMES ENDPOINT CODEC near|far`.

Session open, request, reply check, link and encoder threads are those of the robot; only plan and control
loop are missing, so that one request follows the other at once. `far`: a robot on another host, for which
codec `auto` means JPEG and shared memory is not to be had.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.programs.driver import Frames, Notes, drive, state
from benchmarks.programs.policies import echo_spec
from vagus.clock import NS_PER_MS, MonotonicClock
from vagus.edge.client.codec import ReplyFault, RequestCoding, encode_request, read_chunk, request_seed
from vagus.edge.client.handshake import Contract, Identity
from vagus.edge.client.inflight import Request
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.session import SessionOpener, fetch_capabilities, find_service, living_servers
from vagus.edge.client.worker import ENCODE_THREADS
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.specs import RobotSpec
from vagus.threads import ThreadPool
from vagus.transport.host import host_id
from vagus.transport.link import Delivery, Sample
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import Image, RequestDraft, Snapshot
from vagus.wire.codec import decode, decode_header
from vagus.wire.schema import ChunkMessage, Header, Kind

REPLY_TIMEOUT_S = 30.0


class Caller:
    """Makes one request after the other in one session."""

    def __init__(self, link: ZenohLink, opener: SessionOpener) -> None:
        self._link = link
        self._opener = opener
        self._clock = MonotonicClock()
        self._arrived: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        self._encoders = ThreadPool(ENCODE_THREADS, "encode")
        self._seq = 0
        self._session, self.contract = self._open()

    def _open(self) -> tuple[SessionRef, Contract]:
        service = find_service(self._link, timeout_s=2.0)
        (server,) = living_servers(self._link, service.all_alive, timeout_s=2.0)
        keys = server.client(self._opener.identity.name)
        self._link.subscribe(keys.chunk, self._arrived.put)
        self._link.token(keys.alive(self._opener.identity.instance))
        wanted = fetch_capabilities(self._link, server)
        session, contract = self._opener.open(server, wanted, instruction="put the cup away", contract=None)
        self._key = keys.observation
        return session, contract

    def call(self, images: Mapping[str, Image]) -> tuple[NDArray[np.float32], Notes]:
        """Return the actions of the reply."""
        begin_ns = self._clock.now_ns()
        request, snapshot = self._request(images)
        coding = RequestCoding(
            codec=self.contract.image_codec,
            instruction="put the cup on the shelf",
            seed=request_seed(0, self._seq),
            encode_all=self._encoders.map,
        )
        header, body = encode_request(request, snapshot, self.contract.policy, coding)
        encoded_ns = self._clock.now_ns()
        self._link.publish(self._key, header=header, payload=body, delivery=Delivery.OBSERVATION)
        sample = self._reply_to(request.header)
        reply = read_chunk(sample.payload, self.contract.policy, step=0)
        if isinstance(reply, ReplyFault):
            raise TypeError(f"the reply was refused: {reply}")
        told = decode(sample.payload, ChunkMessage)
        parts_ms = {
            "encode": (encoded_ns - begin_ns) / NS_PER_MS,
            "decode": told.decode_ms,
            "wait": told.queue_wait_ms + told.inference_ms,
        }
        sizes = len(header) + len(body), len(sample.header) + len(sample.payload)
        return reply.chunk.robot, Notes(*sizes, parts_ms)

    def _request(self, images: Mapping[str, Image]) -> tuple[Request, Snapshot]:
        self._seq += 1
        now_ns = self._clock.now_ns()
        draft = RequestDraft(
            ticket=self._seq,
            episode=0,
            step=0,
            state=state(),
            captured_ns=now_ns,
            prefix=None,
            inference_delay=0,
            episode_start=self._seq == 1,
            slack_ns=0,
        )
        return Request(self._session.epoch, self._seq, draft, now_ns, now_ns), Snapshot(draft, images)

    def _reply_to(self, asked: Header) -> Sample:
        while True:
            sample = self._arrived.get(timeout=REPLY_TIMEOUT_S)
            header = decode_header(sample.header)
            if header.epoch != asked.epoch or header.seq != asked.seq:
                continue
            if header.kind is not Kind.CHUNK:
                raise TypeError(f"no chunk but an event: {sample.payload!r}")
            return sample


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
    with ZenohLink(ZenohConfig(connect=(endpoint,), shared_memory=is_near)) as link:
        caller = Caller(link, SessionOpener(link, robot, config, identity))

        def call(images: dict[str, Frames]) -> tuple[NDArray[np.float32], Notes]:
            return caller.call(images)

        drive(frames_path, call)


if __name__ == "__main__":
    main(*sys.argv[1:5])

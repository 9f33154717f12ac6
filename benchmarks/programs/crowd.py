"""Many robots in one process, each asks again once it is answered: `FRAMES ENDPOINT CAMERAS SESSIONS`.

The observation is encoded once and one thread serves all sessions, so that the server is what is measured.
With a blocking client and a thread for each robot, this process would be: half as many requests per second at
eight robots. Every session is opened as a robot's is.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import time
from functools import partial

import numpy as np

from benchmarks.programs.driver import CAMERAS, announce, state
from benchmarks.programs.policies import echo_spec
from vagus.edge.client.discovery import find_server
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import Presence, SessionOpener
from vagus.edge.config import EdgeConfig, ImageCodec
from vagus.specs import RobotSpec
from vagus.transport.link import Delivery, Sample
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.codec import decode_header, encode, encode_header, encode_tensor
from vagus.wire.images import encode_image
from vagus.wire.schema import Header, Kind, ObservationMessage

SILENCE_S = 2.0
"""A request without an answer for this long counts as lost, and the next one is sent."""


class Crowd:
    """Sessions on one link."""

    def __init__(
        self, link: ZenohLink, robot: RobotSpec, config: EdgeConfig, body: bytes, count: int
    ) -> None:
        self._link = link
        self._body = body
        self._arrived: queue.SimpleQueue[tuple[int, Header]] = queue.SimpleQueue()
        self._keys: list[str] = []
        self._epochs: list[int] = []
        self._seqs = [0] * count
        self._sent_s = [0.0] * count
        server, wanted = find_server(link, None, config)
        for number in range(count):
            identity = Identity(f"robot-{number}", "1", host_id="another-host")
            Presence(link, identity, partial(self._note, number)).move_to(server)
            opener = SessionOpener(link, robot, config, identity)
            session, _ = opener.open(server, wanted, instruction="", contract=None)
            self._keys.append(server.client(identity.name).observation)
            self._epochs.append(session.epoch)

    def run(self, sessions: int, seconds: float) -> dict[str, object]:
        """Keep one request of each session in flight; return what was served and lost."""
        served, lost, others = [0] * sessions, 0, 0
        begin_s = time.monotonic()
        end_s = begin_s + seconds
        for number in range(sessions):
            self._send(number)
        while time.monotonic() < end_s:
            try:
                number, header = self._arrived.get(timeout=SILENCE_S)
            except queue.Empty:
                lost += self._resend(sessions)
                continue
            if header.kind is not Kind.CHUNK or header.seq != self._seqs[number]:
                others += 1
                continue
            served[number] += 1
            self._send(number)
        elapsed_s = time.monotonic() - begin_s
        lost += sessions - self._last_answers(sessions)
        return {"served": served, "lost": lost, "others": others, "elapsed_s": elapsed_s}

    def _send(self, number: int) -> None:
        self._seqs[number] += 1
        header = Header(Kind.OBSERVATION, self._seqs[number], 0, time.monotonic_ns(), self._epochs[number])
        self._sent_s[number] = time.monotonic()
        self._link.publish(
            self._keys[number],
            header=encode_header(header),
            payload=self._body,
            delivery=Delivery.OBSERVATION,
        )

    def _resend(self, sessions: int) -> int:
        silent = [n for n in range(sessions) if time.monotonic() - self._sent_s[n] >= SILENCE_S]
        for number in silent:
            self._send(number)
        return len(silent)

    def _last_answers(self, sessions: int) -> int:
        """Return how many of the requests still in flight were answered; the next run begins with none."""
        answered: set[int] = set()
        with contextlib.suppress(queue.Empty):
            while len(answered) < sessions:
                number, header = self._arrived.get(timeout=SILENCE_S)
                if header.seq == self._seqs[number]:
                    answered.add(number)
        return len(answered)

    def _note(self, number: int, sample: Sample) -> None:
        self._arrived.put((number, decode_header(sample.header)))


def observation(frames_path: str, cameras: int) -> bytes:
    """Return the body that every robot sends."""
    moment = np.load(frames_path)[0]
    images = {name: encode_image(moment[i], "jpeg") for i, name in enumerate(CAMERAS[:cameras])}
    return encode(ObservationMessage(state=encode_tensor(state()), images=images))


def main(frames_path: str, endpoint: str, cameras: int, count: int) -> None:
    spec = echo_spec(cameras=cameras)
    robot = RobotSpec("crowd", spec.actions, spec.state, spec.cameras, rate_hz=100.0)
    config = EdgeConfig(image_codec=ImageCodec.JPEG)
    with ZenohLink(ZenohConfig(connect=(endpoint,), shared_memory=False)) as link:
        crowd = Crowd(link, robot, config, observation(frames_path, cameras), count)
        announce(ready=True)
        for line in sys.stdin:
            asked = json.loads(line)
            announce(**crowd.run(asked["sessions"], asked["seconds"]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

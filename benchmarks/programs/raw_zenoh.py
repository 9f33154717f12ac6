"""Zenoh alone with our network settings: `serve ENDPOINT NAME BYTES`, `ask ENDPOINT FIRST COUNT BYTES NAMES`.

A server answers each message at once with so many bytes; robots ask at a steady rate, each in a session of
its own. No checksum, no header that is read, no policy: what remains is the network and two callbacks.
"""

from __future__ import annotations

import os
import queue
import sys
from contextlib import ExitStack

import zenoh

from benchmarks.programs.driver import announce
from benchmarks.programs.paced import Answer, Answers, drive_paced
from vagus.clock import monotonic_ns
from vagus.transport.link import Delivery
from vagus.transport.zenoh_config import ZenohConfig
from vagus.transport.zenoh_session import QUALITY, open_zenoh_session

ROOT = "raw"
NUMBER_BYTES = 8


def put(session: zenoh.Session, key: str, seq: int, payload: bytes, delivery: Delivery) -> None:
    """Send one message with its number, in the delivery class of ours."""
    quality = QUALITY[delivery]
    session.put(
        key,
        payload,
        attachment=seq.to_bytes(NUMBER_BYTES, "little"),
        congestion_control=quality.congestion_control,
        priority=quality.priority,
        express=quality.is_express,
    )


def number_of(sample: zenoh.Sample) -> int:
    """Return the number of a message."""
    attachment = sample.attachment
    return 0 if attachment is None else int.from_bytes(attachment.to_bytes(), "little")


def session_at(stack: ExitStack, endpoint: str) -> zenoh.Session:
    """Return a session with the network settings of a robot or server of ours."""
    config = ZenohConfig(connect=(endpoint,), shared_memory=False)
    session = open_zenoh_session(config.to_json5(), ())
    stack.callback(session.close)
    return session


def serve(endpoint: str, name: str, reply_bytes: int) -> None:
    reply = os.urandom(reply_bytes)
    with ExitStack() as stack:
        session = session_at(stack, endpoint)

        def answer(sample: zenoh.Sample) -> None:
            sample.payload.to_bytes()
            key = str(sample.key_expr).replace("/up", "/down")
            put(session, key, number_of(sample), reply, Delivery.CHUNK)

        session.declare_subscriber(f"{ROOT}/{name}/*/up", zenoh.handlers.Callback(answer, indirect=False))
        announce(ready=True)
        sys.stdin.read()


class RawRobots:
    """Robots without anything of ours."""

    def __init__(
        self, stack: ExitStack, endpoint: str, first: int, count: int, size: int, servers: list[str]
    ) -> None:
        self.answers: Answers = queue.SimpleQueue()
        self.seqs = [1] * count
        self._payload = os.urandom(size)
        self._sessions: list[zenoh.Session] = []
        self._keys: list[str] = []
        for number in range(count):
            session = session_at(stack, endpoint)
            key = f"{ROOT}/{servers[(first + number) % len(servers)]}/robot-{first + number}"
            self._subscribe(session, key, number)
            self._sessions.append(session)
            self._keys.append(f"{key}/up")

    def _subscribe(self, session: zenoh.Session, key: str, robot: int) -> None:
        def note(sample: zenoh.Sample) -> None:
            arrived_ns = monotonic_ns()
            sample.payload.to_bytes()
            self.answers.put(Answer(robot, number_of(sample), arrived_ns))

        session.declare_subscriber(f"{key}/down", zenoh.handlers.Callback(note, indirect=False))

    def send(self, robot: int, seq: int) -> None:
        """Send the message of one robot."""
        put(self._sessions[robot], self._keys[robot], seq, self._payload, Delivery.OBSERVATION)


def ask(endpoint: str, first: int, count: int, size: int, servers: str) -> None:
    with ExitStack() as stack:
        robots = RawRobots(stack, endpoint, first, count, size, servers.split(","))
        drive_paced(robots.send, robots.answers, robots.seqs)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        first, count, size = (int(word) for word in sys.argv[3:6])
        ask(sys.argv[2], first, count, size, sys.argv[6])

"""A client on a network in memory, a robot that ticks by the real clock, and servers true and scripted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from edge.rig import FRAMES, POLICY, ROBOT, SERVICE, STATE, capabilities, chunk_payload, echo, event_payload
from vagus.clock import monotonic_ns
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import PolicyError
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import PolicySpec, RobotSpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.link import Declaration, Delivery, Link, Query, Sample
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.transport.service_name import ServiceName
from vagus.types import ActionChunk, Directive, Image, Snapshot
from vagus.wire.codec import decode, decode_header, encode, encode_header
from vagus.wire.schema import (
    Ack,
    Capabilities,
    EventCode,
    Header,
    Kind,
    ObservationMessage,
    ResetAck,
    ResetMessage,
    SessionRequest,
)

PATIENCE_S = 10.0
TICK_S = 0.005
CONFIG = EdgeConfig(
    connect_timeout_s=0.3,
    handshake_timeout_s=0.3,
    backoff_initial_s=0.02,
    backoff_max_s=0.1,
    max_offline_s=20.0,
    seed=1,
)
FAST_ROBOT = replace(ROBOT, rate_hz=1 / TICK_S)


def wait_until(is_true: Callable[[], bool]) -> None:
    """Return when it is true, or fail the test."""
    waiter = threading.Event()
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_true():
        if time.monotonic() > deadline_s:
            pytest.fail("it did not happen")
        waiter.wait(0.002)


def make_client(
    link: Link,
    config: EdgeConfig = CONFIG,
    *,
    robot: RobotSpec = FAST_ROBOT,
    service: ServiceKey | None = None,
    instance: str = "1f3a",
) -> PolicyClient[Engine]:
    name = None if service is None else ServiceName.of(service.text)
    return PolicyClient(SessionOpener(link, robot, config, Identity("arm-1", instance)), Engine, service=name)


class Body:
    """A robot that ticks in the test's thread."""

    def __init__(self, client: PolicyClient[Engine]) -> None:
        self.client = client
        self.engine = client.engine
        self.images: dict[str, Image] = dict(FRAMES)
        self.directives: list[Directive] = []
        self._waiter = threading.Event()

    def tick(self) -> Directive:
        directive = self.engine.advance(monotonic_ns(), STATE)
        draft = self.engine.take_draft()
        if draft is not None:
            self.client.offer(Snapshot(draft, self.images))
        self.directives.append(directive)
        return directive

    def until(self, is_true: Callable[[], bool]) -> None:
        """Tick until it is true, or fail the test."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_true():
            if time.monotonic() > deadline_s:
                pytest.fail(f"it did not happen: {self.client.status()} {dict(self.client.counters())}")
            self.tick()
            self._waiter.wait(TICK_S)

    def until_merged(self, more: int = 1) -> None:
        wanted = self.engine.plan_view.merges + more
        self.until(lambda: self.engine.plan_view.merges >= wanted)

    def count(self, name: str) -> int:
        return self.client.counters().get(name, 0)


@contextlib.contextmanager
def opened(
    link: Link, config: EdgeConfig = CONFIG, *, instance: str = "1f3a", service: ServiceKey | None = None
) -> Iterator[Body]:
    with make_client(link, config, instance=instance, service=service) as client:
        client.open()
        yield Body(client)


# -- a true server ----------------------------------------------------------------------------------------


class StepPolicy:
    """Answers each step with its own number."""

    serving_mode = ServingMode.SHARED

    def __init__(self, spec: PolicySpec = POLICY, model_hash: str = "aa") -> None:
        self.spec = spec
        self.model_hash = model_hash
        self.boundaries = 0
        self.gate = threading.Event()
        self.gate.set()

    def open_session(self) -> None:
        return None

    def begin_episode(self, session: None) -> None:
        self.boundaries += 1

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        self.gate.wait(PATIENCE_S)
        return [self._answer(row) for row in batch]

    def _answer(self, row: Row[None]) -> ActionChunk:
        steps = np.arange(row.step, row.step + self.spec.horizon, dtype=np.float32)[:, None]
        robot = np.repeat(steps, len(self.spec.actions), axis=1)
        return ActionChunk(row.step, np.repeat(steps, self.spec.model_dim, axis=1), robot)

    def close(self) -> None:
        self.gate.set()


@contextlib.contextmanager
def served(
    link: MemoryLink, name: str = "one", *, policy: StepPolicy | None = None
) -> Iterator[Server[None]]:
    """Run a true server until the end of the block."""
    factory: Policy[None] = policy or StepPolicy()
    config = ServeConfig(policy="reach", server_name=name, warm_up=False, client_grace_s=0.5)
    with Server(link, lambda: factory, config) as server:
        assert server.wait_ready(PATIENCE_S)
        yield server


# -- a scripted server ------------------------------------------------------------------------------------


class Script:
    """A server that does what the test says. Every hook may be replaced."""

    def __init__(
        self, network: MemoryNetwork, name: str = "one", *, capable: Capabilities | None = None
    ) -> None:
        self.link = network.link(name)
        self.key: ServerKey = SERVICE.server(name)
        self.capable = capable or capabilities(self.key)
        self.epoch = 100 * (1 + sum(map(ord, name)))
        self.opens: list[SessionRequest] = []
        self.closes: list[int] = []
        self.resets: list[ResetMessage] = []
        self.seen: list[tuple[Header, ObservationMessage]] = []
        self.answer: Callable[[Header, ObservationMessage], None] = self.good
        self.refusals: list[Ack] = []
        self.is_hung = False
        any_client = self.key.any_client
        self._declarations: list[Declaration] = [
            self.link.serve(self.key.status, self._on_status),
            self.link.serve(any_client.session, self._on_session),
            self.link.serve(any_client.reset, self._on_reset),
            self.link.subscribe(any_client.observation, self._on_observation),
        ]
        self.token: Declaration = self.link.token(self.key.alive)

    def vanish(self) -> None:
        """Be killed."""
        self.link.close()

    # -- what it says ---------------------------------------------------------------------------------------

    def good(self, header: Header, message: ObservationMessage) -> None:
        self.say(echo(header), chunk_payload(message.step, self.capable.horizon))

    def silent(self, header: Header, message: ObservationMessage) -> None:
        """Say nothing."""

    def event(self, code: EventCode) -> Callable[[Header, ObservationMessage], None]:
        return lambda header, _: self.say(echo(header, Kind.EVENT), event_payload(code.value))

    def say(self, header: Header, payload: bytes) -> None:
        self.say_raw(encode_header(header), payload)

    def say_raw(self, header: bytes, payload: bytes) -> None:
        key = self.key.client("arm-1").chunk
        self.link.publish(key, header=header, payload=payload, delivery=Delivery.CHUNK)

    # -- what it hears --------------------------------------------------------------------------------------

    def _on_status(self, query: Query) -> None:
        if not self.is_hung:
            query.reply(encode(self.capable))

    def _on_session(self, query: Query) -> None:
        if self.is_hung:
            return
        request = decode(query.payload, SessionRequest)
        if request.close is not None:
            self.closes.append(request.close.epoch)
            query.reply(encode(Ack(accepted=True)))
            return
        self.opens.append(request)
        if self.refusals:
            query.reply(encode(self.refusals.pop(0)))
            return
        self.epoch += 1
        query.reply(encode(Ack(accepted=True, epoch=self.epoch, capabilities=self.capable)))

    def _on_reset(self, query: Query) -> None:
        if self.is_hung:
            return
        self.resets.append(decode(query.payload, ResetMessage))
        query.reply(encode(ResetAck(applied=True)))

    def _on_observation(self, sample: Sample) -> None:
        header = decode_header(sample.header)
        message = decode(sample.payload, ObservationMessage)
        self.seen.append((header, message))
        if not self.is_hung:
            self.answer(header, message)


def refusal(code: EventCode) -> Ack:
    return Ack(accepted=False, code=code.value, error=f"because {code.value}")


def changed(capable: Capabilities, **fields: object) -> Capabilities:
    return msgspec.structs.replace(capable, **fields)

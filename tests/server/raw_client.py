"""The smallest client there can be, and policies whose mistakes would show."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from vagus.clock import Clock, MonotonicClock
from vagus.errors import PolicyError
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.server.slot import Stage
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, RtcSpec, StateFeature
from vagus.transport.keys import ServerKey
from vagus.transport.link import Delivery, Link, Sample
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk
from vagus.wire.codec import decode, decode_header, decode_tensor, encode, encode_header, encode_tensor
from vagus.wire.contract import to_wire_actions, to_wire_cameras, to_wire_states
from vagus.wire.images import encode_image
from vagus.wire.schema import (
    Ack,
    Capabilities,
    ChunkMessage,
    CloseMessage,
    EventMessage,
    Header,
    Kind,
    ObservationMessage,
    OpenMessage,
    ResetAck,
    ResetMessage,
    SessionRequest,
)

PATIENCE_S = 10.0
"""Longest wait for anything that a healthy server does at once."""

SPEC = PolicySpec(
    policy_type="test",
    actions=(ActionFeature("calls", "1"), ActionFeature("state", "1")),
    state=(StateFeature("x", "1"),),
    cameras=(CameraSpec("front", 8, 12),),
    horizon=4,
    model_dim=2,
    rate_hz=10.0,
    rtc=RtcSpec(3),
    default_instruction="count",
)
IMAGE = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)

Calls = list[int]
Changes = dict[str, object]


class CountingPolicy:
    """Answers (calls of this session in this episode, state), so that any mix-up of sessions shows.

    A state below 0 asks for trouble: -1 raises for the whole batch, -2 gives NaN, -3 another width, -4 a
    PolicyError for that row, -5 one chunk too few, -6 another step, -7 a PolicyError at the next boundary.
    """

    spec = SPEC
    serving_mode = ServingMode.SHARED
    model_hash = "counting-1"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.is_closed = False
        self.work_s = 0.0
        self.served: Counter[float] = Counter()
        self.widest = 0

    def begin_count(self, states: Iterable[float]) -> None:
        """Count from now on how often each robot, known by its state, is served."""
        self.served = Counter(dict.fromkeys(states, 0))

    def open_session(self) -> Calls:
        self.threads.add(threading.current_thread().name)
        return [0]

    def begin_episode(self, session: Calls) -> None:
        if session == [-7]:
            session[0] = 0
            raise RuntimeError("the boundary failed")
        session[0] = 0

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        self.threads.add(threading.current_thread().name)
        self.entered.release()
        assert self.gate.wait(PATIENCE_S)
        self.batches.append(len(batch))
        states = [float(row.observation.state[0]) for row in batch]
        if self.served:
            self.served.update(states)
            self.widest = max(self.widest, max(self.served.values()) - min(self.served.values()))
        time.sleep(self.work_s)
        if -1.0 in states:
            raise RuntimeError("no such place")
        results = [self._answer(row) for row in batch]
        return results[:-1] if -5.0 in states else results

    def close(self) -> None:
        self.is_closed = True

    def _answer(self, row: Row[Calls]) -> ActionChunk | PolicyError:
        state = float(row.observation.state[0])
        row.session[0] += 1
        if state == -4.0:
            return PolicyError("this row cannot be done")
        if state == -7.0:
            row.session[0] = -7
        robot = np.tile(np.array([row.session[0], state], np.float32), (SPEC.horizon, 1))
        if state == -2.0:
            robot[1, 1] = np.nan
        if state == -3.0:
            robot = robot[:, :1]
        return ActionChunk(row.step + (state == -6.0), robot * 10, robot)


class Reply(NamedTuple):
    """What came back: the header, and a chunk or an event."""

    header: Header
    chunk: ChunkMessage | None
    event: EventMessage | None

    @property
    def values(self) -> list[float]:
        """The first action of the chunk, in the robot's units."""
        assert self.chunk is not None, self.event
        array = decode_tensor(self.chunk.chunk_robot, shape=(None, None), name="robot")
        return [float(value) for value in array[0]]

    @property
    def code(self) -> str:
        """The code of the event."""
        assert self.event is not None, self.chunk
        return self.event.code


class RawClient:
    """Says on the wire what it is told to say, also what no client of ours would.

    Tests of the server choose epochs, numbers, episodes and bytes by it, have several requests in flight, and
    look at each reply's header. It shares nothing with the client but the schema, so that no mistake of the
    client hides one of the server.
    """

    def __init__(self, link: Link, server: ServerKey, name: str, instance: str = "i1") -> None:
        self.link = link
        self.keys = server.client(name)
        self.instance = instance
        self.epoch = 0
        self.seq = 0
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.on_reply: Callable[[Reply], None] = self.replies.put
        self.foreign: list[Header] = []
        self.token = link.token(self.keys.alive(instance))
        link.subscribe(self.keys.chunk, self._receive)

    def open_message(self, **changes: object) -> OpenMessage:
        message = OpenMessage(
            instance=self.instance,
            robot_type="test",
            actions=to_wire_actions(SPEC.actions),
            state=to_wire_states(SPEC.state),
            cameras=to_wire_cameras(SPEC.cameras),
            rate_hz=SPEC.rate_hz,
            wants_rtc=True,
        )
        return msgspec.structs.replace(message, **changes)

    def try_open(self, **changes: object) -> Ack:
        ack = decode(self._ask(self.keys.session, SessionRequest(open=self.open_message(**changes))), Ack)
        if ack.accepted:
            self.epoch, self.seq = ack.epoch, 0
        return ack

    def open(self, **changes: object) -> Ack:
        ack = self.try_open(**changes)
        assert ack.accepted, ack.error
        return ack

    def close(self) -> Ack:
        return decode(self._ask(self.keys.session, SessionRequest(close=CloseMessage(epoch=self.epoch))), Ack)

    def reset(self, episode: int) -> ResetAck:
        return decode(self._ask(self.keys.reset, ResetMessage(epoch=self.epoch, episode=episode)), ResetAck)

    def send(
        self, state: float, *, episode: int = 0, header: Header | None = None, changes: Changes | None = None
    ) -> int:
        """Send an observation and return its number."""
        self.seq += 1
        message = ObservationMessage(
            state=encode_tensor(np.array([state], np.float32)),
            images={"front": encode_image(IMAGE, "raw")},
            step=self.seq * 10,
            seed=self.seq,
        )
        self.send_bytes(
            encode(msgspec.structs.replace(message, **(changes or {}))), episode=episode, header=header
        )
        return self.seq

    def send_bytes(self, payload: bytes, *, episode: int = 0, header: Header | None = None) -> None:
        header = header or Header(Kind.OBSERVATION, self.seq, episode, 1000 + self.seq, self.epoch)
        self.link.publish(
            self.keys.observation,
            header=encode_header(header),
            payload=payload,
            delivery=Delivery.OBSERVATION,
        )

    def receive(self) -> Reply:
        return self.replies.get(timeout=PATIENCE_S)

    def ask(self, state: float, *, episode: int = 0, changes: Changes | None = None) -> Reply:
        """Send an observation and return the answer to it."""
        seq = self.send(state, episode=episode, changes=changes)
        reply = self.receive()
        assert reply.header.seq == seq
        return reply

    def status(self) -> Capabilities:
        (answer,) = self.link.query(self.keys.server.status, b"", timeout_s=PATIENCE_S)
        return decode(answer, Capabilities)

    def _ask(self, key: str, message: msgspec.Struct) -> bytes:
        (answer,) = self.link.query(key, encode(message), timeout_s=PATIENCE_S)
        return answer

    def _receive(self, sample: Sample) -> None:
        header = decode_header(sample.header)
        if header.epoch != self.epoch:
            self.foreign.append(header)
        elif header.kind is Kind.CHUNK:
            self.on_reply(Reply(header, decode(sample.payload, ChunkMessage), None))
        else:
            self.on_reply(Reply(header, None, decode(sample.payload, EventMessage)))


def wait_until(is_true: Callable[[], bool]) -> None:
    """Return when it is true, or fail the test."""
    waiter = threading.Event()
    for _ in range(2000):
        if is_true():
            return
        waiter.wait(0.005)
    pytest.fail("it did not happen")


class PolicyClock(MonotonicClock):
    """A clock that stands still, but for what the policy says that its work takes."""

    def __init__(self) -> None:
        self._now_ns = 10**12

    def now_ns(self) -> int:
        return self._now_ns

    def work(self, milliseconds: float) -> None:
        """Let so much time pass."""
        self._now_ns += round(milliseconds * 1e6)


class Stand:
    """A server on a network in memory, and the clients made for it."""

    def __init__(self, network: MemoryNetwork, server: Server[Calls], policy: CountingPolicy) -> None:
        self.network = network
        self.server = server
        self.policy = policy

    def client(self, name: str, instance: str = "i1") -> RawClient:
        return RawClient(self.network.link(name), self.server.key, name, instance)

    def opened(self, name: str, instance: str = "i1") -> RawClient:
        client = self.client(name, instance)
        client.open()
        return client

    def hold(self, client: RawClient, state: float = 0.0) -> None:
        """Send a request, and return when the policy has it, which answers nothing until the gate opens."""
        self.policy.entered = threading.Semaphore(0)
        self.policy.gate.clear()
        client.send(state)
        assert self.policy.entered.acquire(timeout=PATIENCE_S)

    def wait_for_ready(self, count: int) -> None:
        """Return when so many requests are decoded and wait for a batch."""
        pipeline = self.server._pipeline
        assert pipeline is not None
        shared = pipeline._shared

        def are_ready() -> bool:
            with shared.changed:
                return sum(slot.stage is Stage.READY for slot in shared.slots) == count

        wait_until(are_ready)

    def wait_for_resets(self, count: int) -> None:
        """Return when so many resets wait for the policy thread."""
        pipeline = self.server._pipeline
        assert pipeline is not None
        shared = pipeline._shared
        wait_until(lambda: sum(slot.reset is not None for slot in shared.slots) == count)

    def dropped(self, reason: str) -> int:
        return self.server.metrics.counter("dropped", reason)

    def outcomes(self, outcome: str) -> int:
        return self.server.metrics.counter("requests", outcome)


@contextlib.contextmanager
def serving(
    config: ServeConfig | None = None, policy: CountingPolicy | None = None, clock: Clock | None = None
) -> Iterator[Stand]:
    """Run a server with a counting policy until the end of the block."""
    counting = policy or CountingPolicy()
    network = MemoryNetwork()
    factory: Policy[Calls] = counting
    cold = config or ServeConfig(warm_up=False)
    with Server(network.link("server"), lambda: factory, cold, clock=clock) as server:
        assert server.wait_ready(PATIENCE_S)
        yield Stand(network, server, counting)
        counting.gate.set()


class Asker:
    """A robot that asks again in the moment it is answered, and checks every answer.

    Each of its observations has the same `changes`.
    """

    def __init__(self, client: RawClient, number: int, *, changes: Changes | None = None) -> None:
        self.client = client
        self._changes = changes
        self.number = number
        self.replies = 0
        self.faults: list[str] = []
        self.is_asking = True
        self._calls: float | None = None
        client.on_reply = self._answered

    def start(self) -> None:
        """Ask for the first time."""
        self.client.send(float(self.number), changes=self._changes)

    def _answered(self, reply: Reply) -> None:
        if reply.chunk is None:
            self.faults.append(f"event {reply.event}")
            return
        calls, state = reply.values
        if state != self.number or (self._calls is not None and calls != self._calls + 1):
            self.faults.append(f"after {self._calls} calls of {self.number}: {reply.values}")
        if reply.header.seq != self.client.seq:
            self.faults.append(f"asked {self.client.seq}, answered {reply.header.seq}")
        self._calls = calls
        self.replies += 1
        if self.is_asking:
            self.start()

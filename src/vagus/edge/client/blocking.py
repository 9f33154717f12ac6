"""Blocking client: one request, one awaited chunk, for callers that may wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from vagus.clock import NS_PER_S, MonotonicClock, seconds_to_ns
from vagus.edge.client.codec import (
    EncodeAll,
    Reply,
    ReplyFault,
    RequestCoding,
    encode_request,
    read_chunk,
    request_seed,
)
from vagus.edge.client.discovery import find_server
from vagus.edge.client.handshake import TRANSIENT_REFUSALS, Contract, Identity
from vagus.edge.client.inflight import Request
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.session import Presence, SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, PolicyError, ProtocolError, SessionRefusedError, VagusError
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.link import Delivery, Link, Sample
from vagus.transport.service_name import ServiceName
from vagus.types import ActionChunk, DepthImage, FloatArray, Image, Prefix, RequestDraft, Snapshot
from vagus.wire.codec import decode, decode_header
from vagus.wire.schema import Capabilities, EventCode, EventMessage, Header, Kind

__all__ = ["BlockingClient", "ChunkRequest"]

REPLY_TIMEOUT_S = 5.0
"""Longest wait for one chunk, unless told otherwise; the session is opened again after it."""

GONE_GRACE_S = 1.0
"""Longest wait for a chunk after the server has withdrawn: one that drains still answers what it accepted."""

NOTHING_TO_PLAY_NS = 0
"""Slack of a caller that waits for its answer: it may play a plan meanwhile, but cannot say so. The server
takes its requests as due when they come, and bounds them by the share of whoever sends them."""


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """Observation and running plan of one request.

    Attributes:
        state: measured state in the policy's order, (state_dim,), float32.
        images: policy's camera name → (height, width, 3), RGB uint8.
        prefix: what is left of the running plan, or None.
        inference_delay: steps of it that will be executed before the answer can act.
        prefix_horizon: end of the guidance by it.
        step: policy step of the observation; None: by the time since the episode began.
        depth: policy's depth camera name → (height, width), uint16.
    """

    state: FloatArray
    images: Mapping[str, Image]
    prefix: Prefix | None = None
    inference_delay: int = 0
    prefix_horizon: int = 0
    step: int | None = None
    depth: Mapping[str, DepthImage] = field(default_factory=dict)


class BlockingClient:
    """One session on a link of others, one request at a time; any number of clients may share the link.

    The session opens with the first request and again after a failure. Every later session must agree on the
    same as the first (model, actions, order, units): a robot in motion does not change models.

    Args:
        link: the network; not closed by this object.
        robot: what the robot offers, in the policy's names.
        identity: who asks; its name is the client's in all keys.
        config: settings of the conversation.
        service: whom to talk to, by name, or by key, which is found sooner; None: the only service on the
            network.
        instruction: what the robot is to do; may be set anew before each request.

    Attributes:
        instruction: what the next request asks for.
        encode_all: applies the encoder to frames that travel compressed; `map`, or the method of a pool of
            threads, which clients may share.
    """

    def __init__(
        self,
        link: Link,
        robot: RobotSpec,
        identity: Identity,
        config: EdgeConfig | None = None,
        *,
        service: ServiceName | ServiceKey | None = None,
        instruction: str = "",
    ) -> None:
        self._link = link
        self._config = config or EdgeConfig()
        self._service = service
        self._opener = SessionOpener(link, robot, self._config, identity, waits_for_answers=True)
        self.instruction = instruction
        self.encode_all: EncodeAll = map
        self._clock = MonotonicClock()
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._contract: Contract | None = None
        self._seq = 0
        self._asked = 0
        self._episode = 0
        self._began_ns: int | None = None

    def begin_episode(self) -> None:
        """Begin a new episode: the next request carries the boundary (any thread)."""
        with self._lock:
            self._episode += 1
            self._began_ns = None

    def open(self) -> Contract:
        """Open the session, if none is open, and return its contract.

        Raises:
            LinkError: nobody to ask.
            SpecError: there are servers, but none of what the first session agreed on.
            SessionRefusedError, ProtocolError, ConfigError: as the session open raises them.
        """
        return (self._open or self._begin_session()).contract

    def ask(self, request: ChunkRequest, *, timeout_s: float = REPLY_TIMEOUT_S) -> ActionChunk:
        """Return the chunk for this observation; arguments and errors as of `ask_timed`."""
        return self.ask_timed(request, timeout_s=timeout_s).chunk

    def ask_timed(self, request: ChunkRequest, *, timeout_s: float = REPLY_TIMEOUT_S) -> Reply:
        """Return the chunk for this observation, with the times that the server took.

        Args:
            request: what it is asked for with.
            timeout_s: longest wait for the reply, once a session is open.

        Raises:
            LinkError: nobody to ask, no reply in time, or the server has gone.
            PolicyError: the server answered that it cannot, or that the request is not what was agreed.
            RobotError: the request lacks a camera.
            SpecError, SessionRefusedError, ProtocolError, ConfigError: as `open` raises them.
        """
        if self._open is not None and self._open.gone.is_set():
            self.close()
        opened = self._open or self._begin_session()
        try:
            return self._ask(request, opened, timeout_s)
        except (LinkError, ProtocolError):
            self.close()
            raise

    def close(self) -> None:
        """End the session; a later request opens another. Twice does nothing."""
        opened, self._open = self._open, None
        if opened is not None and self._link.health().is_connected:
            self._opener.close(opened.session)
        self._stack.close()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _begin_session(self) -> _Open:
        """Open a session with a server that takes it: the load that a server says may be a moment old."""
        refusals: dict[ServerKey, SessionRefusedError] = {}
        while True:
            try:
                server, said = find_server(
                    self._link, self._service, self._config, self._contract, without=refusals
                )
            except VagusError as error:
                raise next(iter(refusals.values()), error) from error
            try:
                return self._begin_session_with(server, said)
            except SessionRefusedError as error:
                if error.code not in TRANSIENT_REFUSALS:
                    raise
                refusals[server] = error

    def _begin_session_with(self, server: ServerKey, said: Capabilities) -> _Open:
        samples: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
        gone = threading.Event()

        def note_token(token: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
            del token
            if not is_alive:
                gone.set()
                samples.put(None)

        with ExitStack() as stack:
            presence = Presence(self._link, self._opener.identity, samples.put)
            stack.callback(presence.leave)
            presence.move_to(server)
            stack.callback(self._link.watch(server.alive, note_token).undeclare)
            session, contract = self._opener.open(
                server, said, instruction=self.instruction, contract=self._contract
            )
            self._stack = stack.pop_all()
        self._seq = 0
        self._service = server.service
        self._contract = contract
        self._open = _Open(session, contract, samples, gone)
        return self._open

    def _ask(self, asked: ChunkRequest, opened: _Open, timeout_s: float) -> Reply:
        draft = self._draft(asked, opened)
        self._seq += 1
        now_ns = self._clock.now_ns()
        request = Request(opened.session.epoch, self._seq, draft, now_ns, now_ns)
        coding = RequestCoding(
            codec=opened.contract.image_codec,
            instruction=self.instruction,
            seed=self._seed(opened),
            jpeg_quality=self._config.jpeg_quality,
            encode_all=self.encode_all,
        )
        snapshot = Snapshot(draft, asked.images, asked.depth)
        header, body = encode_request(request, snapshot, opened.contract.policy, coding)
        key = opened.session.server.client(self._opener.identity.name).observation
        self._link.publish(key, header=header, payload=body, delivery=Delivery.OBSERVATION)
        return self._await(request, opened, timeout_s)

    def _draft(self, asked: ChunkRequest, opened: _Open) -> RequestDraft:
        now_ns = self._clock.now_ns()
        with self._lock:
            is_start, episode = self._began_ns is None, self._episode
            began_ns = self._began_ns = self._began_ns or now_ns
        is_conditioned = opened.contract.uses_rtc and asked.prefix is not None
        return RequestDraft(
            ticket=self._seq,
            episode=episode,
            step=_step_of(asked, now_ns - began_ns, opened.contract),
            state=asked.state,
            captured_ns=now_ns,
            prefix=asked.prefix if is_conditioned else None,
            inference_delay=asked.inference_delay if is_conditioned else 0,
            episode_start=is_start,
            slack_ns=NOTHING_TO_PLAY_NS,
            prefix_horizon=asked.prefix_horizon if is_conditioned else 0,
        )

    def _seed(self, opened: _Open) -> int:
        if self._config.seed is None:
            return request_seed(opened.session.epoch, self._seq)
        self._asked += 1  # not `_seq`: a run that must repeat goes on after a session was opened again
        return request_seed(self._config.seed, self._asked)

    def _await(self, request: Request, opened: _Open, timeout_s: float) -> Reply:
        deadline_ns = self._clock.now_ns() + seconds_to_ns(timeout_s)
        silence = f"no chunk within {timeout_s:g} s"
        while True:
            left_s = (deadline_ns - self._clock.now_ns()) / NS_PER_S
            try:
                sample = opened.samples.get(timeout=max(left_s, 0.0))
            except queue.Empty:
                raise LinkError(silence) from None
            if sample is None:
                deadline_ns = min(deadline_ns, self._clock.now_ns() + seconds_to_ns(GONE_GRACE_S))
                silence = f"server {opened.session.server.server} has gone"
                continue
            header = decode_header(sample.header)
            if header.epoch == request.epoch and header.kind is Kind.EVENT:
                _raise_event(decode(sample.payload, EventMessage), header, request)
            elif _answers(header, request):
                reply = read_chunk(sample.payload, opened.contract.policy, step=request.draft.step)
                if isinstance(reply, ReplyFault):
                    raise ProtocolError(f"the chunk was refused: {reply.value}")
                return reply


@dataclass(frozen=True, slots=True)
class _Open:
    session: SessionRef
    contract: Contract
    samples: queue.SimpleQueue[Sample | None]
    """Samples; None wakes whoever waits for one once the server is gone."""
    gone: threading.Event


def _step_of(asked: ChunkRequest, since_begin_ns: int, contract: Contract) -> int:
    if asked.step is not None:
        return asked.step
    return round(since_begin_ns * contract.step_rate_hz / NS_PER_S)


def _answers(header: Header, request: Request) -> bool:
    asked = request.header
    return header.kind is Kind.CHUNK and (
        (header.epoch, header.seq, header.episode, header.client_mono_ns)
        == (asked.epoch, asked.seq, asked.episode, asked.client_mono_ns)
    )


def _raise_event(event: EventMessage, header: Header, request: Request) -> None:
    """Raise the error that an event about the session or this request means; ignore others."""
    if event.code == EventCode.MOVE.value:
        return  # whoever waits for the answer has no plan to play meanwhile
    if event.seq == request.seq:
        raise PolicyError(f"the server answered {quoted(event.code)}: {quoted(event.message)}")
    if event.seq == 0:
        raise LinkError(f"the session is over ({quoted(event.code)}: {quoted(event.message)})")
    del header

"""Blocking client: one request, one awaited chunk, for callers that may wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from vagus.clock import NS_PER_S, MonotonicClock
from vagus.edge.client.codec import RequestCoding, encode_request, request_seed
from vagus.edge.client.discovery import Endpoint
from vagus.edge.client.handshake import Contract, Identity
from vagus.edge.client.inflight import Request
from vagus.edge.client.presence import Presence
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.reply import ReplyFault, read_chunk
from vagus.edge.client.session import SessionOpener
from vagus.errors import LinkError, PolicyError, ProtocolError
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.transport.link import Delivery, Sample
from vagus.types import ActionChunk, FloatArray, Image, Prefix, RequestDraft, Snapshot
from vagus.wire.codec import decode, decode_header
from vagus.wire.schema import EventMessage, Header, Kind

__all__ = ["BlockingClient", "ChunkRequest"]

REPLY_TIMEOUT_S = 5.0
"""Longest wait for one chunk; the session is opened again after it."""


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """What a chunk is asked for with.

    Attributes:
        state: measured state in the policy's order, (state_dim,), float32.
        images: policy's camera name → (height, width, 3), RGB uint8.
        prefix: what is left of the running plan, or None.
        inference_delay: steps of it that will be executed before the answer can act.
        prefix_horizon: end of the guidance by it.
    """

    state: FloatArray
    images: Mapping[str, Image]
    prefix: Prefix | None = None
    inference_delay: int = 0
    prefix_horizon: int = 0


class BlockingClient:
    """One session, one question at a time. The session opens with the first and again after a failure.

    Every later session must agree on the same as the first: a robot in motion does not change models.
    """

    def __init__(self, contact: Endpoint, robot: RobotSpec, identity: Identity, instruction: str) -> None:
        self._contact = contact
        self._robot = robot
        self._identity = identity
        self.instruction = instruction
        self._clock = MonotonicClock()
        self._stack = ExitStack()
        self._samples: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._contract: Contract | None = None
        self._seq = 0
        self._episode = 0
        self._began_ns: int | None = None

    def begin_episode(self) -> None:
        """Begin a new episode: the next question carries the boundary (any thread)."""
        with self._lock:
            self._episode += 1
            self._began_ns = None

    def ask(self, question: ChunkRequest) -> ActionChunk:
        """Return the chunk for this observation.

        Raises:
            LinkError: nobody to ask, or no answer in time.
            PolicyError: the server answered that it cannot.
            SpecError: there are servers, but none of what the first session agreed on.
            SessionRefusedError, ProtocolError: as the session open raises them.
        """
        opened = self._open or self._begin_session()
        try:
            return self._ask(question, opened)
        except (LinkError, ProtocolError):
            self.close()
            raise

    def close(self) -> None:
        """End the session; a later question opens another. Twice does nothing."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.opener.close(opened.session)
        self._stack.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _begin_session(self) -> _Open:
        with ExitStack() as stack:
            link = stack.enter_context(self._contact.link())
            server, said = self._contact.find(link, self._contract)
            opener = SessionOpener(link, self._robot, self._contact.edge, self._identity)
            presence = Presence(link, self._identity, self._samples.put)
            stack.callback(presence.leave)
            presence.move_to(server)
            session, contract = opener.open(
                server, said, instruction=self.instruction, contract=self._contract
            )
            self._stack = stack.pop_all()
        self._seq = 0
        self._contract = contract
        self._open = _Open(opener, session, contract)
        return self._open

    def _ask(self, question: ChunkRequest, opened: _Open) -> ActionChunk:
        draft = self._draft(question, opened)
        self._seq += 1
        now_ns = self._clock.now_ns()
        request = Request(opened.session.epoch, self._seq, draft, now_ns, now_ns)
        coding = RequestCoding(
            codec=opened.contract.image_codec,
            instruction=self.instruction,
            seed=request_seed(opened.session.epoch, self._seq),
            jpeg_quality=self._contact.edge.jpeg_quality,
        )
        header, body = encode_request(
            request, Snapshot(draft, question.images), opened.contract.policy, coding
        )
        key = opened.session.server.client(self._identity.name).observation
        opened.opener.link.publish(key, header=header, payload=body, delivery=Delivery.OBSERVATION)
        return self._await(request, opened)

    def _draft(self, question: ChunkRequest, opened: _Open) -> RequestDraft:
        now_ns = self._clock.now_ns()
        with self._lock:
            is_start, episode = self._began_ns is None, self._episode
            began_ns = self._began_ns = self._began_ns or now_ns
        is_conditioned = opened.contract.uses_rtc and question.prefix is not None
        return RequestDraft(
            ticket=self._seq,
            episode=episode,
            step=round((now_ns - began_ns) * opened.contract.step_rate_hz / NS_PER_S),
            state=question.state,
            captured_ns=now_ns,
            prefix=question.prefix if is_conditioned else None,
            inference_delay=question.inference_delay if is_conditioned else 0,
            episode_start=is_start,
            slack_ns=0,
            prefix_horizon=question.prefix_horizon if is_conditioned else 0,
        )

    def _await(self, request: Request, opened: _Open) -> ActionChunk:
        deadline_ns = self._clock.now_ns() + round(REPLY_TIMEOUT_S * NS_PER_S)
        while True:
            left_s = (deadline_ns - self._clock.now_ns()) / NS_PER_S
            try:
                sample = self._samples.get(timeout=max(left_s, 0.0))
            except queue.Empty:
                raise LinkError(f"no chunk within {REPLY_TIMEOUT_S:g} s") from None
            header = decode_header(sample.header)
            if header.epoch == request.epoch and header.kind is Kind.EVENT:
                _raise_event(decode(sample.payload, EventMessage), header, request)
            elif _answers(header, request):
                reply = read_chunk(sample.payload, opened.contract.policy, step=request.draft.step)
                if isinstance(reply, ReplyFault):
                    raise ProtocolError(f"the chunk was refused: {reply.value}")
                return reply.chunk


@dataclass(frozen=True, slots=True)
class _Open:
    opener: SessionOpener
    session: SessionRef
    contract: Contract


def _answers(header: Header, request: Request) -> bool:
    asked = request.header
    return header.kind is Kind.CHUNK and (
        (header.epoch, header.seq, header.episode, header.client_mono_ns)
        == (asked.epoch, asked.seq, asked.episode, asked.client_mono_ns)
    )


def _raise_event(event: EventMessage, header: Header, request: Request) -> None:
    """Raise what an event about the session or this request means; others are old news."""
    if event.seq == request.seq:
        raise PolicyError(f"the server answered {quoted(event.code)}: {quoted(event.message)}")
    if event.seq == 0:
        raise LinkError(f"the session is over ({quoted(event.code)}: {quoted(event.message)})")
    del header

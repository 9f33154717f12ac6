"""From a received observation to an answer: mailbox, decode pool, one policy thread.

One lock orders the traffic. It is never held over numpy work, inference or the network.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.crew import Crew
from vagus.errors import PolicyError, ProtocolError
from vagus.server.answer import Answers, Cost
from vagus.server.journal import Journal
from vagus.server.lane import Lane, Parcel, PendingReset, Ready
from vagus.server.mailbox import Letter
from vagus.server.model import Model
from vagus.server.outbox import Outbox
from vagus.server.policy_check import PolicyCheck
from vagus.server.request import Request, decode_request
from vagus.server.runner import Batch, Runner
from vagus.server.scheduler import Scheduler, round_robin
from vagus.server.sessions import Session
from vagus.server.telemetry import BusyMeter
from vagus.server.traffic import Next, Traffic
from vagus.server.validate import Terms
from vagus.types import ActionChunk
from vagus.wire.schema import EventCode, Header, Load, ResetAck

__all__ = ["Pipeline", "PipelineOptions"]

SessionT = TypeVar("SessionT")

MAX_PENDING_RESETS = 256
"""Boundaries that may wait for the policy thread; more are refused, and the next observation brings them."""

BUSY_WINDOW_NS = 5 * NS_PER_S

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How a pipeline works.

    Attributes:
        max_batch: largest batch.
        max_sessions: for the load that is reported.
        decode_workers: threads that turn bytes into arrays.
        profile: batch size → measured inference time in milliseconds.
        ends_when_broken: `serve` raises once the policy fails for everybody.
        scheduler: who is served next.
    """

    max_batch: int
    max_sessions: int
    decode_workers: int
    profile: Mapping[int, float]
    ends_when_broken: bool = False
    scheduler: Scheduler = round_robin


class Pipeline(Generic[SessionT]):
    """The way of a request through the server.

    Transport callbacks call `submit`, `reset`, `open` and `close`, which return at once; one thread calls
    `serve`.
    """

    def __init__(
        self,
        model: Model[SessionT],
        options: PipelineOptions,
        *,
        outbox: Outbox,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._spec = model.spec
        self._options = options
        self._clock = clock
        self._telemetry = journal.telemetry
        self._runner = Runner(model, clock)
        self._check = PolicyCheck(model, clock, ends_when_broken=options.ends_when_broken)
        self._answers = Answers(outbox, journal, self.load)
        self._changed = threading.Condition()
        self._traffic: Traffic[SessionT] = Traffic(options.scheduler)
        self._resets: list[PendingReset] = []
        self._busy = BusyMeter(BUSY_WINDOW_NS)
        self._is_stopping = False
        self._is_draining = False
        self._is_running = False
        self._to_decode: queue.SimpleQueue[Lane[SessionT] | None] = queue.SimpleQueue()
        self._crew = Crew(options.decode_workers, "vagus-frames")
        self._decoders = [
            threading.Thread(target=self._decode_loop, name=f"vagus-decode-{number}", daemon=True)
            for number in range(options.decode_workers)
        ]

    def start(self) -> None:
        """Start the decode pool."""
        for thread in self._decoders:
            thread.start()

    def stop(self) -> None:
        """End `serve` and the decode pool; what is in flight is dropped."""
        with self._changed:
            self._is_stopping = True
            resets, self._resets = self._resets, []
            self._changed.notify_all()
        for reset in resets:
            reset.answer(_refusal(EventCode.DRAINING, "the server has stopped"))
        for _ in self._decoders:
            self._to_decode.put(None)
        for thread in self._decoders:
            if thread.ident is not None:
                thread.join()
        self._crew.close()

    def drain(self, timeout_s: float) -> bool:
        """Answer new requests with `draining`, finish those that were accepted; False: not all in time."""
        with self._changed:
            self._is_draining = True
            return self._changed.wait_for(self._has_finished, timeout=timeout_s)

    def open(self, session: Session, terms: Terms) -> None:
        """Make room for a session."""
        with self._changed:
            self._traffic.open(session, terms)

    def close(self, session: Session) -> None:
        """Forget a session; nothing more is published to it."""
        with self._changed:
            self._traffic.close(session.epoch)
            self._changed.notify_all()

    def load(self) -> Load:
        """Return how busy the server is."""
        with self._changed:
            return Load(
                sessions=len(self._traffic),
                max_sessions=self._options.max_sessions,
                waiting=self._traffic.waiting,
                busy=round(self._busy.share(self._clock.now_ns()), 3),
            )

    def submit(self, session: Session, header: Header, payload: bytes) -> None:
        """Take in an observation."""
        parcel = Parcel(header, payload)
        with self._changed:
            lane = self._traffic.lane(session.epoch)
            is_draining = self._is_draining or self._is_stopping
            verdict = Next.CLOSED
            if lane is not None and not is_draining:
                verdict = self._traffic.submit(lane, parcel, self._clock.now_ns())
            if lane is not None and verdict is Next.DECODE:
                self._to_decode.put(lane)
        if is_draining:
            self._answers.failed(session, parcel, EventCode.DRAINING, "the server is going; ask a replica")
        elif verdict not in (Next.DECODE, Next.WAIT):
            self._answers.dropped(session, parcel, verdict)

    def reset(self, session: Session, episode: int, answer: Callable[[ResetAck], None]) -> None:
        """Begin an episode: older results are not published from now on; answered once it is applied."""
        with self._changed:
            refusal = self._refuse_reset(self._traffic.lane(session.epoch), episode)
            if refusal is None:
                self._resets.append(PendingReset(session.epoch, episode, answer))
                self._changed.notify_all()
        if refusal is not None:
            answer(refusal)

    def _refuse_reset(self, lane: Lane[SessionT] | None, episode: int) -> ResetAck | None:
        """Return why not, or None once the traffic has turned to the new episode."""
        if lane is None:
            return _refusal(EventCode.UNKNOWN_SESSION, "this session is closed; open a new one")
        if self._is_draining or self._is_stopping:
            return _refusal(EventCode.DRAINING, "the server is going; ask a replica")
        if len(self._resets) >= MAX_PENDING_RESETS:
            return _refusal(EventCode.OVERLOADED, "too many resets wait; the next observation will do")
        if not self._traffic.begin_episode(lane, episode):
            return _refusal(EventCode.INVALID_INPUT, f"episode {episode} is over, {lane.episode} is running")
        return None

    # decode pool

    def _decode_loop(self) -> None:
        while (lane := self._to_decode.get()) is not None:
            with self._changed:
                letter = self._traffic.take(lane)
                self._changed.notify_all()
            if letter is not None:
                self._decode(lane, letter)

    def _decode(self, lane: Lane[SessionT], letter: Letter[Parcel]) -> None:
        begin_ns = self._clock.now_ns()
        request = self._request(lane, letter.item)
        if request is None:
            self._release(lane)
            return
        now_ns = self._clock.now_ns()
        ready = Ready(letter, request, decode_ns=now_ns - begin_ns, ready_ns=now_ns)
        with self._changed:
            verdict = self._traffic.decoded(lane, ready)
            self._changed.notify_all()
        if verdict is Next.READY:
            return
        if verdict is not Next.SUPERSEDED:
            self._answers.dropped(lane.session, letter.item, verdict)
        self._release(lane)

    def _request(self, lane: Lane[SessionT], parcel: Parcel) -> Request | None:
        """Return the request, or None after its sender was told what is wrong with it."""
        try:
            stamp_ns = parcel.header.client_mono_ns
            return decode_request(parcel.payload, self._spec, lane.terms, stamp_ns, decode_all=self._crew.map)
        except ProtocolError as error:
            self._answers.failed(lane.session, parcel, EventCode.INVALID_INPUT, str(error))
        except Exception as error:  # a decoder's bug must not take the pool down with it
            logger.exception("decoding a request of %s failed", lane.session.session_id)
            message = f"{type(error).__name__}: {error}"
            self._answers.failed(lane.session, parcel, EventCode.INVALID_INPUT, message)
        return None

    def _release(self, lane: Lane[SessionT]) -> None:
        with self._changed:
            if not lane.is_closed and self._traffic.release(lane) is Next.DECODE:
                self._to_decode.put(lane)
            self._changed.notify_all()

    # policy thread

    @property
    def failing(self) -> str:
        """Why the policy is broken for everybody; "" while it is not (any thread)."""
        return self._check.failing

    def serve(self) -> None:
        """Apply boundaries and run batches until `stop`.

        Raises:
            PolicyError: the policy is broken, and that is to end the server.
        """
        options = self._options
        while True:
            with self._changed:
                self._is_running = False
                self._changed.notify_all()
                self._changed.wait_for(self._has_work, timeout=self._check.patience_s)
                if self._is_stopping:
                    return
                self._is_running = True
                resets, self._resets = self._resets, []
                batch = self._traffic.choose(options.profile, self._clock.now_ns(), options.max_batch)
            for reset in resets:
                self._apply(reset)
            if batch:
                self._run(batch)
            self._check.test_if_due()

    def _has_work(self) -> bool:
        return self._is_stopping or bool(self._resets) or self._traffic.has_ready

    def _has_finished(self) -> bool:
        is_idle = self._traffic.is_idle and not self._resets and not self._is_running
        return is_idle or self._is_stopping

    def _apply(self, reset: PendingReset) -> None:
        with self._changed:
            lane = self._traffic.lane(reset.epoch)
        if lane is None:
            reset.answer(_refusal(EventCode.UNKNOWN_SESSION, "this session was closed meanwhile"))
            return
        failure = self._runner.begin_episode(lane, reset.episode)
        if failure is not None:
            self._check.tell(lane.session, 0, failure)
        reset.answer(
            ResetAck(applied=True) if failure is None else _refusal(EventCode.POLICY_ERROR, str(failure))
        )

    def _run(self, batch: Batch[SessionT]) -> None:
        results, cost = self._runner.run(batch)
        self._check.note(batch, results)
        self._telemetry.observe("inference", cost.inference_ns / NS_PER_S)
        self._telemetry.observe("batch_size", cost.batch_size)
        with self._changed:
            self._busy.add(cost.begin_ns, cost.begin_ns + cost.inference_ns)
        for (lane, ready), result in zip(batch, results, strict=True):
            self._finish(lane, ready, result, cost)

    def _finish(
        self, lane: Lane[SessionT], ready: Ready, result: ActionChunk | PolicyError, cost: Cost
    ) -> None:
        with self._changed:
            verdict = self._traffic.inferred(lane, ready.header.episode)
        if verdict is not Next.PUBLISH:
            self._answers.dropped_row(lane.session, ready, verdict, cost)
        elif isinstance(result, PolicyError):
            self._answers.failed_row(lane.session, ready, EventCode.POLICY_ERROR, str(result), cost)
        else:
            self._answers.chunk(lane.session, ready, result, cost)
        self._release(lane)


def _refusal(code: EventCode, reason: str) -> ResetAck:
    return ResetAck(applied=False, code=code.value, error=reason)

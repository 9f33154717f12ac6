"""Decoding of the requests on a pool of threads, from the mailbox to the slot."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from vagus.errors import ProtocolError
from vagus.quoting import quoted
from vagus.server.fair_queue import DecodePool
from vagus.server.mailbox import QueuedRequest
from vagus.server.replies import Replies
from vagus.server.request import DecodedRequest, decode_request
from vagus.server.request_slots import Disposition
from vagus.server.served_policy import ServedPolicy
from vagus.server.shared_slots import SharedSlots
from vagus.server.slot import ReadyRequest, Slot, gain_s
from vagus.threads import Threads
from vagus.wire.schema import EventCode

__all__ = ["Decoding"]

SessionT = TypeVar("SessionT")


class Decoding(Generic[SessionT]):
    """Decoder of requests; a request that cannot be decoded is answered with an event.

    Args:
        model: the served policy.
        shared: slots of all sessions.
        replies: sender of the events.
        workers: number of threads.
        threads: the threads of the server, to which these are added, and their clock.
    """

    def __init__(
        self,
        model: ServedPolicy[SessionT],
        shared: SharedSlots[SessionT],
        replies: Replies,
        *,
        workers: int,
        threads: Threads,
    ) -> None:
        self._spec = model.spec
        self._batch_key_of = model.batch_key
        self._shared = shared
        self._replies = replies
        self._threads = threads
        self._clock = threads.clock
        self._pool: DecodePool[Slot[SessionT]] = DecodePool(workers, self._take, threads)

    def start(self) -> None:
        """Start the threads."""
        self._pool.start()

    def stop(self, timeout_s: float) -> None:
        """End the threads; waiting requests are dropped."""
        self._pool.stop(timeout_s)

    def put(self, slot: Slot[SessionT]) -> None:
        """Decode the newest request of a slot as soon as a thread is free."""
        self._pool.put(slot.session.tenant, slot.session.client, slot)

    def release(self, slot: Slot[SessionT]) -> None:
        """Note that a request is finished, and decode the next one, if there is one."""
        with self._shared.changed:
            if not slot.is_closed and self._shared.slots.release(slot) is Disposition.DECODE:
                self.put(slot)
            self._shared.advanced.notify_all()

    def _take(self, slot: Slot[SessionT]) -> None:
        with self._shared.changed:
            queued = self._shared.slots.take(slot)
            self._shared.advanced.notify_all()
        if queued is None:
            return
        is_ready = False
        try:
            is_ready = self._decode(slot, queued)
        finally:
            if not is_ready:
                self.release(slot)

    def _decode(self, slot: Slot[SessionT], queued: QueuedRequest) -> bool:
        """Decode a request; return whether it is ready for a batch."""
        begin_ns = self._clock.now_ns()
        request = self._request(slot, queued)
        if request is None:
            return False
        now_ns = self._clock.now_ns()
        key = self._batch_key(slot, request)
        gain = gain_s(request, horizon=self._spec.horizon, rate_hz=slot.terms.rate_hz)
        ready = ReadyRequest(queued, request, now_ns - begin_ns, ready_ns=now_ns, batch_key=key, gain_s=gain)
        with self._shared.changed:
            verdict = self._shared.slots.decoded(slot, ready)
            self._shared.wake()
        if verdict not in (Disposition.READY, Disposition.SUPERSEDED):
            self._replies.dropped(slot.session, queued, verdict)
        return verdict is Disposition.READY

    def _batch_key(self, slot: Slot[SessionT], request: DecodedRequest) -> Hashable:
        """Return the policy's batch key; if the policy fails, the request gets a batch of its own."""
        with self._threads.going_on("asking the policy which requests go together"):
            key = self._batch_key_of(request.observation)
            hash(key)
            return key
        return slot.session.epoch

    def _request(self, slot: Slot[SessionT], queued: QueuedRequest) -> DecodedRequest | None:
        """Return the decoded request, or None after an event with the error was sent."""
        try:
            stamp_ns = queued.header.client_mono_ns
            return decode_request(
                queued.payload, self._spec, slot.terms, stamp_ns, decode_all=self._pool.helpers.map
            )
        except ProtocolError as error:
            self._replies.failed(slot.session, queued, EventCode.INVALID_INPUT, str(error))
        except BaseException as error:  # a decoder's bug is told in the log, and its client is answered
            message = f"{type(error).__name__}: {quoted(error)}"
            self._replies.failed(slot.session, queued, EventCode.INVALID_INPUT, message)
            raise
        return None

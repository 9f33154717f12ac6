"""Conversation with one robot client: its newest observation, and the call that waits for the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vagus.clock import Clock
from vagus.errors import StateError
from vagus.gateways.neutral import ForeignRequest
from vagus.gateways.peer import Peer
from vagus.integrations.lerobot_grpc.canonical import canonical_request, encode_timed
from vagus.integrations.lerobot_grpc.dialect import decode_request
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig

__all__ = ["Conversation", "WaitingCall"]

WAIT_S = 2.0
"""Longest that `GetActions` waits for an observation, as in LeRobot."""


class WaitingCall:
    """One call of `GetActions`."""

    def __init__(self) -> None:
        self.is_over = False


class Conversation:
    """One robot client. The newest observation wins; each is answered at most once.

    Args:
        config: what the client said of its robot, checked.
        peer: the robot's session with a server.
        max_age_ns: an observation that has waited longer is not answered.
        clock: monotonic.

    Attributes:
        config: what the client said of its robot.
    """

    def __init__(self, config: RemotePolicyConfig, peer: Peer, *, max_age_ns: int, clock: Clock) -> None:
        self.config = config
        self._peer = peer
        self._max_age_ns = max_age_ns
        self._clock = clock
        self._changed = threading.Condition()
        self._newest: tuple[ForeignRequest, int] | None = None
        self._waiting: WaitingCall | None = None
        self._episode = 0
        self._is_answering = False
        self._is_closed = False
        self._stream: tuple[Callable[[], object], int] | None = None

    @contextmanager
    def receiving(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Hold the one place for an observation that is on its way.

        Args:
            cancel: ends its stream.

        Raises:
            StateError: another one is on its way.
        """
        with self._changed:
            if self._stream is not None:
                raise StateError(
                    "wanted one observation after the other, got a second stream beside the first"
                )
            self._stream = (cancel, self._clock.now_ns())
        try:
            yield
        finally:
            with self._changed:
                self._stream = None

    def cancel_slow_stream(self, timeout_ns: int) -> bool:
        """End the stream of an observation that takes longer than this; return whether there was one."""
        with self._changed:
            stream = self._stream
        if stream is None or self._clock.now_ns() - stream[1] <= timeout_ns:
            return False
        stream[0]()
        return True

    def put(self, payload: bytes | memoryview) -> bool:
        """Take a pickled observation in the place of the last one; return whether that one was unanswered.

        Raises:
            ProtocolError: it is malformed, or lacks what the client's setup names.
        """
        request = canonical_request(decode_request(payload), self.config)
        with self._changed:
            is_superseding = self._newest is not None
            self._newest = (request, self._clock.now_ns())
            self._changed.notify_all()
        return is_superseding

    def answer(self, call: WaitingCall) -> bytes:
        """Return the actions for the newest observation; b"": none came, or the call is over.

        A second call takes the place of a first one that waits.

        Raises:
            VagusError: no actions could be computed.
        """
        taken = self._take(call)
        if taken is None:
            return b""
        request, episode = taken
        try:
            reply = self._peer.infer(request)
            most = self.config.actions_per_chunk
            message = encode_timed(reply.reply, request, step_s=reply.step_s, most=most)
        finally:
            is_current = self._finish() == episode
        return message if is_current else b""

    def end(self, call: WaitingCall) -> None:
        """End a call of `answer` from another thread: its client has gone."""
        with self._changed:
            call.is_over = True
            self._changed.notify_all()

    def reset(self) -> None:
        """Begin a new episode: what was observed before is not answered any more.

        Raises:
            VagusError: the server could not be told.
        """
        with self._changed:
            self._newest = None
            self._episode += 1
        self._peer.reset()

    def close(self) -> None:
        """End the conversation, and free its place; what is in progress ends first, on its own thread."""
        with self._changed:
            self._is_closed = True
            self._newest = None
            self._changed.notify_all()
            is_free, stream = not self._is_answering, self._stream
        if stream is not None:
            stream[0]()
        if is_free:
            self._peer.close()

    def _take(self, call: WaitingCall) -> tuple[ForeignRequest, int] | None:
        """Return an observation to answer, with its episode; then `_finish` must follow."""
        with self._changed:
            self._waiting = call
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_given_up(call) or self._can_answer(), WAIT_S)
            if self._is_given_up(call) or not self._can_answer() or self._newest is None:
                return None
            (request, came_ns), self._newest = self._newest, None
            if self._clock.now_ns() - came_ns > self._max_age_ns:
                return None
            self._is_answering = True
            return request, self._episode

    def _is_given_up(self, call: WaitingCall) -> bool:
        return self._is_closed or call.is_over or self._waiting is not call

    def _can_answer(self) -> bool:
        return self._newest is not None and not self._is_answering

    def _finish(self) -> int:
        """Let the next answer begin, and return the episode; end what was closed meanwhile."""
        with self._changed:
            self._is_answering = False
            self._changed.notify_all()
            is_closed, episode = self._is_closed, self._episode
        if is_closed:
            self._peer.close()
        return episode

"""One foreign robot at a gateway: its session with a vagus server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from vagus.clock import NS_PER_MS, NS_PER_S, seconds_to_ns
from vagus.edge.client.handshake import TRANSIENT_REFUSALS, Contract, Identity
from vagus.errors import LinkError, SessionRefusedError, SpecError, StateError
from vagus.gateways.neutral import ForeignReply, ForeignRequest, ForeignRtc, ReplyTiming
from vagus.gateways.peer_session import PeerSession, PeerSettings
from vagus.transport.keys import ServiceKey
from vagus.transport.service_name import ServiceName
from vagus.wire.schema import EventCode

__all__ = ["Peer", "PeerReply"]

RETRY_NS = 50 * NS_PER_MS
"""Pause between two tries to find a server."""

PASSING = TRANSIENT_REFUSALS - {EventCode.SESSIONS_FULL.value, EventCode.TOO_SLOW.value}
"""Refusals that pass within a moment: the server starts or ends, or has not yet heard that this robot's last
process is gone."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, eq=False)
class PeerReply:
    """Answer to a foreign robot.

    Attributes:
        reply: actions by their names on the wire, (horizon, width) each.
        timing: how long it took.
        step_s: seconds from one action to the next.
        is_continued: whether the actions continue the plan that the robot said it executes.
    """

    reply: ForeignReply
    timing: ReplyTiming
    step_s: float
    is_continued: bool = False


class Peer:
    """A foreign robot with a session of its own; a context manager.

    The session opens with the first request, and again, with any server that has the same policy, when its
    server goes. Methods block; any thread may call them, and calls wait for each other.

    Args:
        settings: what all robots of the gateway have in common.
        identity: name in keys, logs and audits.
        service: whom it is served by; None: the only service on the network.
        leave: called once, when the robot has gone.

    Attributes:
        name: name of the robot's session, `<gateway>-<n>`.
    """

    def __init__(
        self,
        settings: PeerSettings,
        identity: Identity,
        *,
        service: ServiceName | ServiceKey | None,
        leave: Callable[[], None],
    ) -> None:
        self.name = identity.name
        self._settings = settings
        self._identity = identity
        self._service = service
        self._leave = leave
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._session: PeerSession | None = None

    def open(self, timeout_s: float | None = None) -> Contract:
        """Open the session, if none is open, and return what was agreed on.

        Args:
            timeout_s: shorter patience than the answer timeout; None: that.

        Raises:
            LinkError: no server in this time.
            SpecError: profile and policy do not fit.
            SessionRefusedError: no server has a place for this robot.
            StateError: the robot has gone.
        """
        with self._lock:
            return self._patiently(self._deadline_ns(timeout_s), lambda _: self._ready().open())

    def infer(
        self, request: ForeignRequest, rtc: ForeignRtc | None = None, *, timeout_s: float | None = None
    ) -> PeerReply:
        """Return the actions for an observation.

        Args:
            request: canonical: one array per state group, one picture per camera.
            rtc: what the robot says of the plan that it executes.
            timeout_s: shorter patience than the answer timeout; None: that.

        Raises:
            ProtocolError, SpecError: the request is not what the profile says, or profile and policy do not
                fit.
            LinkError: no server, or no answer of one, in this time.
            PolicyError: the policy failed for this observation.
            SessionRefusedError: no server has a place for this robot.
            StateError: the robot has gone.
        """
        with self._lock, self._settings.metrics.timed() as timed:
            observation = self._settings.mapping.observation_from(request)
            reply = self._patiently(
                self._deadline_ns(timeout_s),
                lambda left_s: self._ready().ask(observation, rtc, timeout_s=left_s),
            )
            actions = self._settings.mapping.actions_to(reply.chunk.robot, observation.state)
            timing = ReplyTiming(infer_ms=timed.elapsed_ms(), policy_ms=reply.inference_ns / NS_PER_MS)
            session = self._ready()
            step_s = 1 / session.open().step_rate_hz
            return PeerReply(ForeignReply(actions), timing, step_s, session.is_continued)

    def reset(self) -> None:
        """Begin a new episode: the next request carries the boundary.

        A policy that has changed meanwhile is accepted from here on: no plan of the old one is executed.
        """
        with self._lock:
            if self._session is None:
                return
            if self._session.is_outdated:
                self._end_session()
            else:
                self._session.begin_episode()

    def close(self) -> None:
        """End the session and free the place. Twice does nothing; it waits for a request in progress."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._lock:
            self._end_session()
        self._leave()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _deadline_ns(self, timeout_s: float | None) -> int:
        longest_s = self._settings.answer_timeout_s
        patience_s = longest_s if timeout_s is None else min(timeout_s, longest_s)
        return self._settings.clock.now_ns() + seconds_to_ns(patience_s)

    def _patiently(self, deadline_ns: int, attempt: Callable[[float], ResultT]) -> ResultT:
        """Return what `attempt` returns; without a server that takes it, it is repeated until the deadline.

        Args:
            deadline_ns: monotonic time at which the last try has failed.
            attempt: one try; gets the seconds that are left.
        """
        clock = self._settings.clock
        while True:
            if self._closing.is_set():
                raise StateError(f"robot {self.name} has gone")
            try:
                return attempt(max((deadline_ns - clock.now_ns()) / NS_PER_S, 0.0))
            except (LinkError, SessionRefusedError) as error:
                is_final = isinstance(error, SessionRefusedError) and error.code not in PASSING
                if is_final or clock.now_ns() + RETRY_NS >= deadline_ns:
                    raise
            except SpecError:
                if self._session is not None:
                    self._session.is_outdated = True
                raise
            clock.wait_until_ns(clock.now_ns() + RETRY_NS, self._closing)

    def _ready(self) -> PeerSession:
        if self._session is None:
            self._session = PeerSession(self._settings, self._identity, self._service)
        return self._session

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

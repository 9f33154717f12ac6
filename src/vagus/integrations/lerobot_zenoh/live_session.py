"""State of one client's session, for the threads that share it; what happens to it is counted and told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from vagus.clock import NS_PER_S, Clock
from vagus.gateways.metrics import GatewayMetrics
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.session import ClientSession, SessionStep
from vagus.integrations.lerobot_zenoh.v1.session_messages import PendingRequest, SentMessage
from vagus.repeats import Repeats
from vagus.transport.plain_link import PlainLink

__all__ = ["LiveSession", "RobotTools"]

TOLD_EVERY_NS: Final = 10 * NS_PER_S

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RobotTools:
    """What all clients of an instance have in common.

    Attributes:
        link: network of the robots.
        rules: when they are held.
        metrics: counters of the gateway.
        clock: monotonic.
        is_relative: whether actions count from a state, so that no row of a client can be continued.
    """

    link: PlainLink
    rules: HoldRules
    metrics: GatewayMetrics
    clock: Clock
    is_relative: bool


class LiveSession:
    """The session of one client; any thread may advance it.

    Args:
        name: name of the robot, for logs.
        session_id: id of the session.
        terms: what was agreed.
        tools: what all clients of an instance have in common.
        is_resumed: another gateway process opened it; `begin` says where it is.
    """

    def __init__(
        self,
        name: str,
        session_id: str,
        terms: AcceptedSession,
        tools: RobotTools,
        *,
        is_resumed: bool,
    ) -> None:
        self._name = name
        self._metrics = tools.metrics
        self._clock = tools.clock
        self._told: Repeats[str] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=16)
        self._lock = threading.Lock()
        self._session = ClientSession(
            session_id=session_id,
            terms=terms,
            rules=tools.rules,
            absent_since_ns=None if is_resumed else tools.clock.now_ns(),
        )
        self._has_begun = not is_resumed

    @property
    def due_ns(self) -> int | None:
        """When `ClientSession.overdue` has something to do; None: never, as it stands."""
        return self._session.due_ns

    def begin(self, generation: int, last_sequence: int | None = None) -> bool:
        """Take a message's word for where the session is; return whether another process opened it.

        Only the first message of a resumed session counts.

        Args:
            generation: that of the message.
            last_sequence: the one before that of an observation or question; None: the message is a control.
        """
        with self._lock:
            if self._has_begun:
                return False
            self._has_begun = True
            self._session = replace(
                self._session,
                generation=generation,
                last_sequence=last_sequence,
                is_believed=last_sequence is not None,
            )
        self._metrics.count("resumed")
        logger.info("robot %s goes on: another gateway served it until now", self._name)
        return True

    def is_pending(self, pending: PendingRequest) -> bool:
        """Return whether the client still waits for the answer to this request."""
        return self._session.pending is pending

    def advance(self, event: Callable[[ClientSession], SessionStep]) -> SessionStep:
        """Apply an event; return what is to be sent and done."""
        with self._lock:
            before = self._session
            step = event(before)
            self._session = step.session
        if step.sent is not None:
            self._note(before.holding_since_ns, step.sent)
        return step

    def _note(self, held_since_ns: int | None, sent: SentMessage) -> None:
        if isinstance(sent.body, RemoteFault):
            self._metrics.count(f"error_{sent.body.code.value}")
            self._tell_error(sent.body)
        elif sent.is_hold:
            self._metrics.count("holds")
            if held_since_ns is None:
                logger.warning("robot %s is held: the policy has not answered in time", self._name)
        elif held_since_ns is not None and sent.place is RemotePlace.ACTION:
            self._metrics.count("outages_bridged")
            held_s = (self._clock.now_ns() - held_since_ns) / NS_PER_S
            logger.warning("robot %s moves again; it was held since %.1f s ago", self._name, held_s)

    def _tell_error(self, fault: RemoteFault) -> None:
        """Log an error of a client, but not each of many."""
        with self._lock:
            repeat = self._told.note(fault.code.value, self._clock.now_ns())
        if repeat is not None:
            said = f"{fault.code.value}: {fault.message}{repeat.times}"
            logger.warning("robot %s is told: %s", self._name, said)

"""Thread that asks the policy for one client of remote inference: the newest request, and no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vagus.clock import NS_PER_MS, NS_PER_S, Clock
from vagus.errors import LinkError, ProtocolError, VagusError
from vagus.gateways.neutral import ForeignRequest, ForeignRtc
from vagus.gateways.peer import Peer, PeerReply
from vagus.integrations.lerobot_zenoh.v1.session_messages import PendingRequest
from vagus.repeats import Repeats
from vagus.threads import Supervised

__all__ = ["PolicyAsker", "Question"]

LATE_NS: Final = 300 * NS_PER_MS
"""Time after the hold for which an answer is still waited for; it teaches how long the policy takes."""
TRY_NS: Final = 2 * NS_PER_S
"""Longest try where no hold can be sent."""
RETRY_NS: Final = 50 * NS_PER_MS
FAILED_RETRY_NS: Final = 500 * NS_PER_MS
"""Pause after a policy has failed for an observation, before it is asked again."""
TOLD_EVERY_NS: Final = 10 * NS_PER_S

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Question:
    """One request for the policy.

    Attributes:
        pending: the client's request.
        request: its observation, by the keys of a profile.
        rtc: what the client says of the rows that it executes.
    """

    pending: PendingRequest
    request: ForeignRequest
    rtc: ForeignRtc | None


class PolicyAsker:
    """Asks the policy, again and again while the answer is wanted; a question of a dead server is given up.

    Args:
        peer: the robot's session with a server; closed by this object.
        clock: monotonic.
        is_wanted: whether the client still waits for this request's answer.
        on_answer: called on the thread with each answer; a PolicyError says that it is none.
        on_refused: called on the thread if the observation itself is wrong.
    """

    def __init__(
        self,
        peer: Peer,
        clock: Clock,
        *,
        is_wanted: Callable[[PendingRequest], bool],
        on_answer: Callable[[PendingRequest, PeerReply], None],
        on_refused: Callable[[PendingRequest, VagusError], None],
    ) -> None:
        self._peer = peer
        self._clock = clock
        self._is_wanted = is_wanted
        self._on_answer = on_answer
        self._on_refused = on_refused
        self._changed = threading.Condition()
        self._question: Question | None = None
        self._is_new_episode = False
        self._ending = threading.Event()
        self._told: Repeats[str] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=16)
        self._thread = Supervised(self._work, name=f"remote-ask-{peer.name}")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, question: Question) -> None:
        """Ask this next; what was not asked yet is forgotten."""
        with self._changed:
            self._question = question
            self._changed.notify()

    def begin_episode(self) -> None:
        """Begin a new episode with the next question."""
        with self._changed:
            self._is_new_episode = True

    def end(self) -> None:
        """End the thread after its present try, and close the session with the server; do not wait."""
        self._ending.set()
        with self._changed:
            self._changed.notify()

    def is_alive(self) -> bool:
        """Return whether the thread still works."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _work(self) -> None:
        while (question := self._next()) is not None:
            self._settle(question)
        self._peer.close()

    def _next(self) -> Question | None:
        with self._changed:
            self._changed.wait_for(lambda: self._question is not None or self._ending.is_set())
            question, self._question = self._question, None
            is_new, self._is_new_episode = self._is_new_episode, False
        if self._ending.is_set():
            return None
        if is_new:
            self._peer.reset()
        return question

    def _settle(self, question: Question) -> None:
        pending = question.pending
        while self._is_wanted(pending) and not self._ending.is_set():
            pause_ns = self._try(question)
            self._clock.wait_until_ns(self._clock.now_ns() + pause_ns, self._ending)

    def _try(self, question: Question) -> int:
        """Ask once; return the pause before the next try."""
        pending = question.pending
        try:
            reply = self._peer.infer(question.request, question.rtc, timeout_s=self._left_s(pending))
            self._on_answer(pending, reply)
        except ProtocolError as error:
            self._on_refused(pending, error)
        except LinkError as error:
            self._tell(error)
            return RETRY_NS
        except VagusError as error:
            self._tell(error)
            return FAILED_RETRY_NS
        except Exception as error:  # noqa: BLE001 - a fault of ours costs the robot time, and not its question
            self._tell(error, is_ours=True)
            return FAILED_RETRY_NS
        return 0

    def _left_s(self, pending: PendingRequest) -> float:
        due_ns = pending.hold_due_ns
        left_ns = TRY_NS if due_ns is None else due_ns + LATE_NS - self._clock.now_ns()
        return max(left_ns, RETRY_NS) / NS_PER_S

    def _tell(self, error: Exception, *, is_ours: bool = False) -> None:
        """Log why there is no answer, but not each time; a fault of ours with where it was."""
        repeat = self._told.note(type(error).__name__, self._clock.now_ns())
        if repeat is not None:
            level, trace = (logging.CRITICAL, error) if is_ours else (logging.WARNING, None)
            said = f"robot {self._peer.name} has no answer ({repeat.count} times): {error}"
            logger.log(level, "%s", said, exc_info=trace)

"""Health of the loaded policy: tests after failures, which tell a broken policy from a bad observation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.errors import PolicyError
from vagus.server.failure_log import FailureLog
from vagus.server.served_policy import ServedPolicy
from vagus.server.sessions import Session
from vagus.server.slot import BatchRows
from vagus.server.warmup import try_policy
from vagus.types import ActionChunk

__all__ = ["PolicyCheck", "PolicyHealth"]

logger = logging.getLogger(__name__)

FAILURES_UNTIL_TESTED = 5
"""Number of failed requests in a row after which the policy is tested."""
TEST_PAUSE_NS = 10 * NS_PER_S
"""Shortest pause between two tests."""
SHARE = 20
"""Pause after a test, as a multiple of its duration: a failing robot costs the others 1/20 of the time."""
MAX_TEST_PAUSE_NS = 600 * NS_PER_S
"""Longest pause between two tests, in case the machine slept during a test."""
BROKEN_DEVICE = (
    "CUDA error",
    "cudaError",
    "device-side assert",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "HIP error",
    "Xid",
)
"""Error texts of a device that failed for good, which lead to a test at once. Out of memory is none of
them."""

SessionT = TypeVar("SessionT")


class PolicyHealth:
    """Health of the policy: several failures in a row lead to a test request, which decides.

    The observations of one robot may make the policy fail, but the server must not look broken to other
    robots. So failures in a row are no proof: the policy gets the observation of its warm-up, and it counts
    as broken only if this fails, too. It is tested again from time to time, and any success ends the broken
    state.

    Pure; used on the policy thread, but any thread may read `failing`.
    """

    def __init__(self) -> None:
        self.failing = ""
        """Reason why the policy fails for every session; "": it works."""
        self._failures_in_row = 0
        self._is_suspected = False
        self._not_before_ns: int | None = None

    def note(self, failures: Sequence[str], successes: int) -> None:
        """Note the error texts of a batch's failed rows, and the number of rows that succeeded."""
        if successes:
            self._heal()
            return
        self._failures_in_row += len(failures)
        is_device = any(sign in failure for failure in failures for sign in BROKEN_DEVICE)
        self._is_suspected |= is_device or self._failures_in_row >= FAILURES_UNTIL_TESTED

    def wants_test(self, now_ns: int) -> bool:
        """Return whether a test is due now."""
        return (self._is_suspected or bool(self.failing)) and self.test_due_in_ns(now_ns) == 0

    def test_due_in_ns(self, now_ns: int) -> int:
        """Return the time until the next test may run."""
        return 0 if self._not_before_ns is None else max(self._not_before_ns - now_ns, 0)

    def tested(self, failure: str, begin_ns: int, end_ns: int) -> None:
        """Note the result of a test: the error text, or "" for a success."""
        pause_ns = min(max(TEST_PAUSE_NS, SHARE * (end_ns - begin_ns)), MAX_TEST_PAUSE_NS)
        self._not_before_ns = end_ns + pause_ns
        if failure:
            self.failing, self._is_suspected = failure, False
        else:
            self._heal()

    def _heal(self) -> None:
        self.failing, self._is_suspected, self._failures_in_row = "", False, 0


class PolicyCheck(Generic[SessionT]):
    """Check of one policy's results. Used on the policy thread; any thread may read `failing`.

    Args:
        model: the served policy.
        clock: monotonic clock.
        ends_when_broken: whether to raise when the policy is broken.
    """

    def __init__(self, model: ServedPolicy[SessionT], clock: Clock, *, ends_when_broken: bool) -> None:
        self._model = model
        self._clock = clock
        self._ends_when_broken = ends_when_broken
        self._health = PolicyHealth()
        self._log = FailureLog(clock)

    @property
    def failing(self) -> str:
        """Reason why the policy fails for every session; "": it works."""
        return self._health.failing

    @property
    def patience_s(self) -> float | None:
        """Longest time that the policy thread may wait for work; None: no limit."""
        if not self._health.failing:
            return None
        return self._health.test_due_in_ns(self._clock.now_ns()) / NS_PER_S

    def tell(self, session: Session, seq: int, error: PolicyError) -> None:
        """Log a failure outside a batch."""
        self._log.tell(session, seq, error)

    def note(self, batch: BatchRows[SessionT], results: Sequence[ActionChunk | PolicyError]) -> None:
        """Note the results of a batch."""
        failures: list[str] = []
        for (slot, ready), result in zip(batch, results, strict=True):
            if isinstance(result, PolicyError):
                failures.append(str(result))
                self._log.tell(slot.session, ready.header.seq, result)
        was_failing = self._health.failing
        self._health.note(failures, len(batch) - len(failures))
        self._tell_change(was_failing)

    def test_if_due(self) -> None:
        """Test the policy, if a test is due.

        Raises:
            PolicyError: the policy is broken, and the settings end the process then.
        """
        begin_ns = self._clock.now_ns()
        if not self._health.wants_test(begin_ns):
            return
        was_failing = self._health.failing
        failure = try_policy(self._model, self._clock)
        self._health.tested(failure, begin_ns, self._clock.now_ns())
        self._tell_change(was_failing)
        if self._health.failing and self._ends_when_broken:
            raise PolicyError(f"the policy fails for everybody: {self._health.failing}")

    def _tell_change(self, was_failing: str) -> None:
        if self._health.failing and not was_failing:
            logger.error(
                "the policy fails for everybody, on the observation of its warm-up, too: %s; "
                "this server is not ready until it succeeds",
                self._health.failing,
            )
        elif was_failing and not self._health.failing:
            logger.warning("the policy works again")

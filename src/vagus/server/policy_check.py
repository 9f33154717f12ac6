"""Handles failed inferences: logs them, and finds a policy that fails for everybody."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.errors import PolicyError
from vagus.server.executor import BatchRows
from vagus.server.failure_log import FailureLog
from vagus.server.policy_health import PolicyHealth
from vagus.server.served_policy import ServedPolicy
from vagus.server.sessions import Session
from vagus.server.warmup import try_policy
from vagus.types import ActionChunk

__all__ = ["PolicyCheck"]

SessionT = TypeVar("SessionT")

logger = logging.getLogger(__name__)


class PolicyCheck(Generic[SessionT]):
    """Watches the results of one model. Belongs to the policy thread, but `failing` may be read anywhere.

    Args:
        model: what is watched.
        clock: monotonic.
        ends_when_broken: raise once the policy is found to be broken.
    """

    def __init__(self, model: ServedPolicy[SessionT], clock: Clock, *, ends_when_broken: bool) -> None:
        self._model = model
        self._clock = clock
        self._ends_when_broken = ends_when_broken
        self._health = PolicyHealth()
        self._log = FailureLog(clock)

    @property
    def failing(self) -> str:
        """Why the policy is broken for everybody; "" while it is not."""
        return self._health.failing

    @property
    def patience_s(self) -> float | None:
        """How long the policy thread may wait for work; None: as long as it likes."""
        if not self._health.failing:
            return None
        return self._health.test_due_in_ns(self._clock.now_ns()) / NS_PER_S

    def tell(self, session: Session, seq: int, error: PolicyError) -> None:
        """Put a failure on record that belongs to no batch."""
        self._log.tell(session, seq, error)

    def note(self, batch: BatchRows[SessionT], results: Sequence[ActionChunk | PolicyError]) -> None:
        """A batch was run."""
        failures: list[str] = []
        for (slot, ready), result in zip(batch, results, strict=True):
            if isinstance(result, PolicyError):
                failures.append(str(result))
                self._log.tell(slot.session, ready.header.seq, result)
        was_failing = self._health.failing
        self._health.note(failures, len(batch) - len(failures))
        self._tell_change(was_failing)

    def test_if_due(self) -> None:
        """Test the policy, if that is called for.

        Raises:
            PolicyError: it is broken, and the operator wants the process to end then.
        """
        begin_ns = self._clock.now_ns()
        if not self._health.wants_test(begin_ns):
            return
        was_failing = self._health.failing
        failure = try_policy(self._model, self._clock)
        self._health.tested(failure, begin_ns, self._clock.now_ns())
        self._tell_change(was_failing)
        if self._health.failing and self._ends_when_broken:
            raise PolicyError(f"the policy is broken for everybody: {self._health.failing}")

    def _tell_change(self, was_failing: str) -> None:
        if self._health.failing and not was_failing:
            logger.error(
                "the policy fails for everybody, on the observation of its warm-up, too: %s; "
                "this server is not ready until it succeeds",
                self._health.failing,
            )
        elif was_failing and not self._health.failing:
            logger.warning("the policy works again")

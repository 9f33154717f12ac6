"""Log of failed inferences: the first of each kind with its traceback, the others as a count."""

from __future__ import annotations

import logging
import traceback

from vagus.clock import NS_PER_S, Clock
from vagus.errors import PolicyError
from vagus.quoting import quoted, quoted_block
from vagus.repeats import Repeats
from vagus.server.sessions import Session

__all__ = ["FailureLog"]

INTERVAL_NS = 10 * NS_PER_S
"""Shortest time between two reports of one kind of failure of one client."""
MAX_KINDS = 64
"""Largest number of kinds that are reported within one interval."""
MAX_FRAMES = 40

logger = logging.getLogger(__name__)


class FailureLog:
    """Log of failed requests. Used on the policy thread only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._repeats: Repeats[tuple[str, str]] = Repeats(interval_ns=INTERVAL_NS, max_keys=MAX_KINDS)

    def tell(self, session: Session, seq: int, error: PolicyError) -> None:
        """Report that a request of `session` failed in the policy."""
        repeat = self._repeats.note((session.client, _kind(error)), self._clock.now_ns())
        if repeat is None:
            return
        who = quoted(session.session_id)
        if repeat.is_first:
            logger.error("the policy failed for %s, seq %d: %s", who, seq, _whole(error))
        else:
            logger.error(
                "the policy failed for %s %d more times, last seq %d: %s",
                who,
                repeat.count,
                seq,
                quoted(error),
            )


def _kind(error: PolicyError) -> str:
    """Return the place in the code that raised, or the text without numbers, which differ each time."""
    cause = error.__cause__
    if cause is None:
        return "".join(character for character in quoted(error, 100) if not character.isdigit())
    places = [f"{frame.f_code.co_filename}:{line}" for frame, line in traceback.walk_tb(cause.__traceback__)]
    return f"{type(cause).__name__} {places[-1] if places else ''}"


def _whole(error: PolicyError) -> str:
    """Return the failure in one line, followed by the traceback if the policy raised an error."""
    cause = error.__cause__
    if cause is None:
        return quoted(error)
    lines = traceback.format_exception(type(cause), cause, cause.__traceback__, limit=-MAX_FRAMES)
    return f"{quoted(error)}\n{quoted_block(''.join(lines).rstrip())}"

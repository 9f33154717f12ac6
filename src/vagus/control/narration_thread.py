"""The thread that tells what changes in a run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from vagus.clock import Clock, MonotonicClock
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.narration import Changes, Line, Narrator
from vagus.edge.client.client import ClientStatus
from vagus.edge.client.handshake import Contract
from vagus.threads import Supervised
from vagus.transport.keys import ServiceKey
from vagus.types import LinkState

__all__ = ["RUN_LOGGER", "NarrationThread", "greetings", "tell_end", "tell_greetings", "trouble_of"]

RUN_LOGGER = "vagus.run"
"""Name of the logger of a run, whatever command it belongs to."""
logger = logging.getLogger(RUN_LOGGER)

LOOK_S = 0.25
"""Longest delay before a change is logged."""
JOIN_S = 1.0
"""Longest wait at the end for a log that accepts no line."""


class NarrationThread:
    """Logs one line per change while it is open, on a thread of its own.

    Args:
        changes: filled by the control thread.
        cause: what is known of the link while it is not well, in words; "" while it is.
        clock: tells the time.
    """

    def __init__(self, changes: Changes, cause: Callable[[], str], clock: Clock | None = None) -> None:
        self._changes = changes
        self._cause = cause
        self._clock = clock or MonotonicClock()
        self._narrator = Narrator()
        self._stopping = threading.Event()
        self._thread = Supervised(self._run, name="vagus-telling")

    def __enter__(self) -> NarrationThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Log what is left; a log that accepts nothing is not waited for."""
        self._stopping.set()
        self._thread.join(JOIN_S)

    def tell(self) -> None:
        """Log the changes since the last call."""
        cause = self._cause()
        for change in self._changes.take():
            self._say(self._narrator.tell(change, cause))
        self._say(self._changes.take_warnings())
        self._say(self._narrator.remind(self._clock.now_ns(), cause))

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self.tell()
        self.tell()

    @staticmethod
    def _say(lines: list[Line]) -> None:
        for line in lines:
            logger.log(logging.WARNING if line.is_warning else logging.INFO, "%s", line.text)


def trouble_of(status: ClientStatus) -> str:
    """Return the trouble of the link, in words; "" while it is well."""
    if status.link in (LinkState.CONNECTING, LinkState.STREAMING):
        return ""
    known = {
        LinkState.DEGRADED: status.said or "an answer is late",
        LinkState.RECONNECTING: status.lost_reason,
        LinkState.DEAD: status.dead_reason,
    }
    return f"link {status.link.value}: {known[status.link]}"


def greetings(contract: Contract) -> list[Line]:
    """Return the lines for the start: server, contract, and warnings."""
    said = contract.capabilities
    session = Line(
        f"session with {said.server} ({ServiceKey.of(said.model, said.revision, said.service_name).text}), "
        f"model {contract.model_hash[:12]}, "
        f"{contract.step_rate_hz:g} Hz, frames {contract.image_codec}, "
        f"{'real-time chunking' if contract.uses_rtc else 'plain chunks'}"
    )
    return [session, *(Line(warning, is_warning=True) for warning in contract.warnings)]


def tell_greetings(contract: Contract) -> None:
    """Log the lines for the start: server, contract, and warnings."""
    for line in greetings(contract):
        logger.log(logging.WARNING if line.is_warning else logging.INFO, "%s", line.text)


def tell_end(summary: LoopSummary) -> None:
    """Log that a run is over, and why."""
    is_good = summary.reason in (EndReason.FINISHED, EndReason.INTERRUPTED, EndReason.TERMINATED)
    why = f": {summary.error}" if summary.error else ""
    logger.log(logging.INFO if is_good else logging.ERROR, "run ended: %s%s", summary.reason.value, why)

"""Pace of the calls of each client of a gateway, and what of their errors is logged."""

from __future__ import annotations

import logging
import threading

from vagus.clock import NS_PER_S, Clock
from vagus.errors import ProtocolError, VagusError
from vagus.gateways.metrics import GatewayMetrics
from vagus.quoting import quoted
from vagus.repeats import Repeats
from vagus.server.fair_queue import Allowance

__all__ = ["CallPace"]

PAUSE_S = 0.1
"""Pause before a call is refused, since some clients repeat it at once, for ever; and before one of a client
that calls too often."""
CALL_BURST = 250
CALLS_PER_S = 250.0
"""Calls of one address per second in the long run; a robot client at 60 Hz makes 120. Others wait."""
TOLD_EVERY_NS = 60 * NS_PER_S
MAX_TOLD = 256

logger = logging.getLogger(__name__)


class CallPace:
    """Pace of the calls of one listener. Any thread may call it.

    Args:
        metrics: counters of the gateway.
        clock: monotonic.
        stopping: ends every pause.
    """

    def __init__(self, metrics: GatewayMetrics, clock: Clock, stopping: threading.Event) -> None:
        self._metrics = metrics
        self._clock = clock
        self._stopping = stopping
        self._told: Repeats[tuple[str, str]] = Repeats(interval_ns=TOLD_EVERY_NS, max_keys=MAX_TOLD)
        self._allowance = Allowance(burst=CALL_BURST, per_s=CALLS_PER_S)
        self._lock = threading.Lock()

    def keep(self, address: str) -> None:
        """Wait a moment if this address calls more often than it may."""
        with self._lock:
            is_allowed = self._allowance.take(address, self._clock.now_ns())
        if not is_allowed:
            self._stopping.wait(PAUSE_S)

    def refuse(self, address: str, error: VagusError) -> None:
        """Log and count the error for which a call is refused, and wait a moment before it is."""
        self.tell(address, error, "is refused")
        if isinstance(error, ProtocolError):
            self._metrics.count_malformed()
        self._stopping.wait(PAUSE_S)

    def tell(self, address: str, error: VagusError, what: str) -> None:
        """Log an error of a client, but not each of many."""
        host = address.rpartition(":")[0]
        with self._lock:
            repeat = self._told.note((host, type(error).__name__), self._clock.now_ns())
        if repeat is not None:
            logger.warning("%s %s (%d times): %s", quoted(address, 64), what, repeat.count, error)

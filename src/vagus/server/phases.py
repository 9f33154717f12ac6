"""Current phase of a server: its threads change it and wait for it, and learn what stopped the server."""

from __future__ import annotations

import threading

from vagus.errors import StateError, VagusError
from vagus.server.lifecycle import TRANSITIONS, Event, Phase, advance

__all__ = ["Phases"]


class Phases:
    """Phase of a server, from LOADING to STOPPED. Any thread may use it.

    Attributes:
        stopped: set when the server has stopped.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._phase = Phase.LOADING
        self._failure: VagusError | None = None
        self._is_known = threading.Event()
        """Set when sessions are accepted, or never will be."""

    @property
    def current(self) -> Phase:
        """Phase of the server."""
        with self._lock:
            return self._phase

    def advance(self, event: Event) -> bool:
        """Change to the next phase; return False, without a change, if the server was stopped meanwhile."""
        with self._lock:
            if self._phase is Phase.STOPPED:
                return False
            self._phase = advance(self._phase, event)
        return True

    def drain(self) -> Phase | None:
        """Begin to drain; return the new phase. None: without a change, because it has begun or is over."""
        with self._lock:
            if self._phase in (Phase.DRAINING, Phase.STOPPED):
                return None
            self._phase = advance(self._phase, Event.DRAIN)
            return self._phase

    def stop(self, failure: VagusError | None) -> None:
        """Change to STOPPED from any phase, because of a failure or without one."""
        events = (Event.DRAIN, Event.DRAINED) if failure is None else (Event.FAILED,)
        with self._lock:
            if failure is not None and self._phase is not Phase.STOPPED:
                self._failure = failure
            for event in events:
                if event in TRANSITIONS[self._phase]:
                    self._phase = advance(self._phase, event)
        self._is_known.set()
        self.stopped.set()

    def can_be_found(self) -> None:
        """Note that clients can find the server now, so that `wait_ready` returns."""
        self._is_known.set()

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until sessions are accepted; return False after `timeout_s`.

        Raises:
            VagusError: the policy could not be loaded, or the server was stopped before it was ready.
        """
        is_ready = self._is_known.wait(timeout_s)
        self._raise_failure()
        if is_ready and self.current is Phase.STOPPED:
            raise StateError("the server was stopped before it was ready")
        return is_ready

    def wait_stopped(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has stopped; return False if it still runs.

        Raises:
            VagusError: the error that stopped the server.
        """
        is_stopped = self.stopped.wait(timeout_s)
        self._raise_failure()
        return is_stopped

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

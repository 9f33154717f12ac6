"""Request slots with their lock, which the link's threads, the decode pool and the policy thread share."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from vagus.server.request_slots import RequestSlots

__all__ = ["SharedSlots"]

SessionT = TypeVar("SessionT")


class SharedSlots(Generic[SessionT]):
    """Request slots, used only inside `with shared.changed`. The lock is never held during long work.

    Attributes:
        changed: lock of all that follows, and notice to the policy thread that it may have something to do.
        advanced: the same lock, and notice to whoever waits until nothing is in work. The policy thread must
            not be woken for it, once or twice for each request.
        slots: the slots.
        is_stopping: the threads must end.
        is_draining: no request is accepted any more.
        is_running: the policy thread works on something.
        not_before_ns: time until which the policy thread has nothing to do, unless something changes.
    """

    def __init__(self) -> None:
        lock = threading.RLock()
        self.changed = threading.Condition(lock)
        self.advanced = threading.Condition(lock)
        self.slots: RequestSlots[SessionT] = RequestSlots()
        self.is_stopping = False
        self.is_draining = False
        self.is_running = False
        self.not_before_ns = 0

    @property
    def is_closed(self) -> bool:
        """Whether no request is accepted any more."""
        return self.is_draining or self.is_stopping

    @property
    def has_finished(self) -> bool:
        """Whether nothing is in work any more."""
        return self.is_stopping or (self.slots.is_idle and not self.is_running)

    def wake(self) -> None:
        """Tell the policy thread that it may have something to do."""
        self.not_before_ns = 0
        self.changed.notify_all()

    def stop(self) -> None:
        """Tell all threads that they must end."""
        self.is_stopping = True
        self.changed.notify_all()
        self.advanced.notify_all()

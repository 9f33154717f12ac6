"""Time that a robot may go without a merge before it stops for good."""

from __future__ import annotations

__all__ = ["OfflineBudget"]


class OfflineBudget:
    """Time that a robot may go without a merge: it runs from the first trouble until a merge.

    A server that shakes hands but never delivers runs out too.
    """

    def __init__(self, max_offline_ns: int) -> None:
        self._max_offline_ns = max_offline_ns
        self._since_ns: int | None = None
        self._frozen_at_ns: int | None = None

    def note_trouble(self, now_ns: int) -> None:
        """Note trouble; the budget runs from the first note."""
        if self._since_ns is None:
            self._since_ns = now_ns

    def clear(self) -> None:
        """Clear the budget: a chunk was merged."""
        self._since_ns = None

    def freeze(self, now_ns: int) -> None:
        """Stop the budget: a pause begins, and its time does not count."""
        self._frozen_at_ns = now_ns

    def thaw(self, now_ns: int) -> None:
        """Go on with the budget: the pause is over."""
        if self._since_ns is not None and self._frozen_at_ns is not None:
            self._since_ns += now_ns - self._frozen_at_ns
        self._frozen_at_ns = None

    def is_spent(self, now_ns: int) -> bool:
        """Whether the trouble has lasted longer than allowed."""
        if self._since_ns is None or self._frozen_at_ns is not None:
            return False
        return now_ns - self._since_ns > self._max_offline_ns

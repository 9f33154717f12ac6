"""Time limit of the first contact: longer while a server is there and warms up (pure)."""

from __future__ import annotations

from vagus.clock import seconds_to_ns
from vagus.edge.config import EdgeConfig
from vagus.errors import ServerStartingError, VagusError

__all__ = ["Patience"]


class Patience:
    """Counts from its making; a server that is starting begins the wait for a ready one anew."""

    def __init__(self, config: EdgeConfig, now_ns: int) -> None:
        self._start_timeout_ns = seconds_to_ns(config.start_timeout_s)
        self._connect_timeout_ns = seconds_to_ns(config.connect_timeout_s)
        self._begin_ns = now_ns
        self._starting_ns = now_ns
        self._told = ""

    def is_over(self, error: VagusError, now_ns: int) -> bool:
        """Whether to give up after this failure of a try."""
        if isinstance(error, ServerStartingError):
            self._starting_ns = now_ns
            return now_ns - self._begin_ns >= self._start_timeout_ns
        return now_ns - self._starting_ns >= self._connect_timeout_ns

    def news(self, error: VagusError) -> str:
        """Return what to tell while the wait goes on: which server is starting, once per change; else ""."""
        text = str(error) if isinstance(error, ServerStartingError) else ""
        if text == self._told or not text:
            return ""
        self._told = text
        return f"{text}; waiting for it, at most {self._start_timeout_ns / 1e9:g} s"

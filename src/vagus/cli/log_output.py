"""What a command's log looks like."""

from __future__ import annotations

import logging

from vagus.control.log_writer import SteadyHandler
from vagus.control.telling import RUN_LOGGER

__all__ = ["log_to_terminal"]


def log_to_terminal(level: str) -> None:
    """Log to stderr from this level on, and what a run tells unless only errors are wanted."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[SteadyHandler()],
    )
    if logging.getLogger().level == logging.WARNING:
        logging.getLogger(RUN_LOGGER).setLevel(logging.INFO)

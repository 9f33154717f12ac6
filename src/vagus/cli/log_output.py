"""What a command's log looks like."""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

from vagus.control.log_writer import SteadyHandler
from vagus.errors import ConfigError

__all__ = ["LEVEL_VARIABLE", "LogFlags", "LogLevel", "log_to_terminal"]

LEVEL_VARIABLE = "VAGUS_LOG"
"""Environment variable with the level, for all commands; `--log-level` wins."""

TOLD = ("vagus.run", "vagus.edge.client")
"""Heard from INFO on unless a level is asked for: whom a run waits for, and what becomes of it."""


class LogLevel(enum.Enum):
    """From where on the log is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class LogFlags:
    """How much a command logs."""

    log_level: LogLevel | None = None
    """debug, info, warning or error; unset: VAGUS_LOG, else what the command has to tell and all warnings."""


def log_to_terminal(
    flags: LogFlags, *, told: tuple[str, ...] = TOLD, environment: Mapping[str, str] = os.environ
) -> None:
    """Log to stderr from the level on that was asked for; else warnings, and from INFO on the loggers `told`.

    Raises:
        ConfigError: the environment names no level.
    """
    asked = flags.log_level or _from_environment(environment)
    logging.basicConfig(
        level=logging.WARNING if asked is None else asked.name,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[SteadyHandler()],
    )
    for name in told if asked is None else ():
        logging.getLogger(name).setLevel(logging.INFO)


def _from_environment(environment: Mapping[str, str]) -> LogLevel | None:
    said = environment.get(LEVEL_VARIABLE, "")
    try:
        return LogLevel(said.lower()) if said else None
    except ValueError as error:
        choices = ", ".join(level.value for level in LogLevel)
        raise ConfigError(LEVEL_VARIABLE, wanted=f"one of {choices}", got=repr(said)) from error

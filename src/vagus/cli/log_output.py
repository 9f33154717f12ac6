"""Format and level of a command's log."""

from __future__ import annotations

import atexit
import enum
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from vagus.control.log_writer import SteadyHandler
from vagus.errors import ConfigError

__all__ = ["LEVEL_VARIABLE", "LogFlags", "LogLevel", "flush_log", "log_to_terminal"]

LEVEL_VARIABLE = "VAGUS_LOG"
"""Environment variable with the level, for all commands; `--log-level` wins."""

TOLD = ("vagus.run", "vagus.edge.client.first_contact", "vagus.control.ready")
"""Loggers that are shown from INFO on by default: what a run waits for, and its events."""


class LogLevel(enum.Enum):
    """Lowest level of the log that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class LogFlags:
    """Flags of the log."""

    log_level: LogLevel | None = None
    """debug, info, warning or error; unset: VAGUS_LOG, otherwise messages of the command and all warnings."""


class _Undeterred(logging.Logger):
    """Logger that still works after a driver or a policy has configured logging for itself.

    `logging.config.dictConfig` disables every existing logger, `logging.disable` all loggers, and the first
    of these and `basicConfig(force=True)` may remove our handler.
    """

    terminal: ClassVar[logging.Handler | None] = None

    @property
    def disabled(self) -> bool:
        """False, whatever it is set to."""
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - its name there
        """Return whether the level is shown, whatever the setting of all loggers is."""
        return level >= self.getEffectiveLevel()

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name there
        """Pass the record to the present handlers, and to the terminal in any case."""
        if self.terminal is None or self.hasHandlers():
            super().callHandlers(record)
        if self.terminal is not None and self.terminal not in logging.getLogger().handlers:
            self.terminal.handle(record)


def _be_undeterred(terminal: logging.Handler) -> None:
    _Undeterred.terminal = terminal
    atexit.register(terminal.flush)  # `dictConfig` makes logging forget what to flush at the end
    for name, logger in tuple(logging.Logger.manager.loggerDict.items()):
        if name.partition(".")[0] == "vagus" and type(logger) is logging.Logger:
            logger.__class__ = _Undeterred


def flush_log() -> None:
    """Wait until the log is written, for a limited time."""
    if _Undeterred.terminal is not None:
        _Undeterred.terminal.flush()


def log_to_terminal(
    flags: LogFlags, *, told: tuple[str, ...] = TOLD, environment: Mapping[str, str] = os.environ
) -> None:
    """Log to stderr from the chosen level on; by default warnings, and from INFO on the loggers `told`.

    Raises:
        ConfigError: the environment names no level.
    """
    asked = flags.log_level or _from_environment(environment)
    terminal = SteadyHandler()
    logging.basicConfig(
        level=logging.WARNING if asked is None else asked.name,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[terminal],
    )
    _be_undeterred(terminal)
    for name in told if asked is None else ():
        logging.getLogger(name).setLevel(logging.INFO)


def _from_environment(environment: Mapping[str, str]) -> LogLevel | None:
    said = environment.get(LEVEL_VARIABLE, "")
    try:
        return LogLevel(said.lower()) if said else None
    except ValueError as error:
        choices = ", ".join(level.value for level in LogLevel)
        raise ConfigError(LEVEL_VARIABLE, wanted=f"one of {choices}", got=repr(said)) from error

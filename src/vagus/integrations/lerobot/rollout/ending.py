"""End of a LeRobot rollout: its reason, its exit code and its summary."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass, replace
from types import CodeType

from vagus.control.loop_stats import EndReason, LoopStats, LoopSummary
from vagus.control.outcome import RunOutcome
from vagus.edge.client.client import PolicyClient
from vagus.edge.engine.engine import Engine
from vagus.errors import RobotError, VagusError
from vagus.integrations.lerobot.rollout.oversight import Oversight
from vagus.integrations.lerobot.rollout.pilot import Pilot

__all__ = ["Ending", "as_robot_error", "passed_through"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Ending:
    """The end of a rollout: its causes are noted as they happen.

    Attributes:
        oversight: knows of signals, and of a call that hangs.
        pilot: None before there is one.
        was_interrupted: by an exception of a library.
        cause: what the strategy raised, if it raised.
        episodes: that were saved.
        recording: folder of the dataset, or "".
    """

    oversight: Oversight
    pilot: Pilot | None = None
    was_interrupted: bool = False
    cause: Exception | None = None
    episodes: int = 0
    recording: str = ""

    def outcome(self, client: PolicyClient[Engine]) -> RunOutcome:
        """Return the outcome of the rollout; an error in a program is logged with its traceback."""
        summary = self.summary()
        if summary.reason is EndReason.ERROR and self.cause is not None:
            logger.error("the rollout failed: %s", summary.error, exc_info=self.cause)
        return RunOutcome(summary, client.counters(), client.status(), self.recording)

    def summary(self) -> LoopSummary:
        """Return the summary up to now, with the reason for the end (any thread)."""
        reason, error = self._reason(self.pilot)
        if self.pilot is None:
            counted = LoopStats().summary(reason, error, limited={}, camera_errors=0)
        else:
            counted = self.pilot.summary(reason, error, episodes=self.episodes)
        return replace(counted, is_stopped=self.oversight.is_stopped)

    def _reason(self, pilot: Pilot | None) -> tuple[EndReason, str]:
        cause, hang = self.cause, self.oversight.hang
        asked = EndReason.INTERRUPTED if self.was_interrupted else self.oversight.interrupted_by
        if hang is not None:
            return (asked if hang.was_asked and asked is not None else EndReason.HUNG), str(hang)
        if pilot is not None and pilot.failed_as is not None:
            return pilot.failed_as, pilot.failure
        if cause is not None:
            reason = EndReason.ROBOT_ERROR if isinstance(cause, RobotError) else EndReason.ERROR
            return reason, str(cause) if isinstance(cause, VagusError) else f"{type(cause).__name__}: {cause}"
        return asked or EndReason.FINISHED, ""


def as_robot_error(error: Exception, devices: tuple[type, ...]) -> Exception:
    """Return an error that a method of one of these classes raised as a RobotError."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    if isinstance(error, VagusError) or not any(isinstance(f.f_locals.get("self"), devices) for f in frames):
        return error
    blamed = RobotError(f"{type(error).__name__}: {error}")
    blamed.__cause__ = error
    return blamed


def passed_through(error: BaseException | None, code: CodeType) -> BaseException | None:
    """Return the error, or its cause, that passed through this function; None: neither did."""
    while error is not None:
        if any(frame.f_code is code for frame, _ in traceback.walk_tb(error.__traceback__)):
            break
        error = error.__cause__
    return error

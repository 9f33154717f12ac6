"""How a rollout of LeRobot's ended: whose fault it was, and what there is to say about it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType

from vagus.control.outcome import RunOutcome
from vagus.control.tally import EndReason
from vagus.edge.client import PolicyClient
from vagus.errors import RobotError, VagusError
from vagus.integrations.lerobot_pilot import Pilot

__all__ = ["Ending", "as_robot_error", "passed_through"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Ending:
    """What ended a rollout, noted as it happens.

    Attributes:
        was_interrupted: asks whether a signal came.
        cause: what the strategy raised, if it raised.
        episodes: that were saved.
        recording: folder of the dataset, or "".
    """

    was_interrupted: Callable[[], bool]
    cause: Exception | None = None
    episodes: int = 0
    recording: str = ""

    def outcome(self, pilot: Pilot, client: PolicyClient) -> RunOutcome:
        """Return how it ended; a fault in a program is logged with its traceback."""
        reason, error = self._reason(pilot)
        if reason is EndReason.ERROR and self.cause is not None:
            logger.error("the rollout failed: %s", error, exc_info=self.cause)
        summary = pilot.summary(reason, error, episodes=self.episodes)
        return RunOutcome(summary, client.counters(), client.status(), self.recording)

    def _reason(self, pilot: Pilot) -> tuple[EndReason, str]:
        cause = self.cause
        if pilot.failed_as is not None:
            return pilot.failed_as, pilot.failure
        if cause is not None:
            reason = EndReason.ROBOT_ERROR if isinstance(cause, RobotError) else EndReason.ERROR
            return reason, str(cause) if isinstance(cause, VagusError) else f"{type(cause).__name__}: {cause}"
        return (EndReason.INTERRUPTED if self.was_interrupted() else EndReason.FINISHED), ""


def as_robot_error(error: Exception, devices: tuple[type, ...]) -> Exception:
    """Return an error that came out of a method of one of these classes as the robot's."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    if isinstance(error, VagusError) or not any(isinstance(f.f_locals.get("self"), devices) for f in frames):
        return error
    blamed = RobotError(f"{type(error).__name__}: {error}")
    blamed.__cause__ = error
    return blamed


def passed_through(error: BaseException | None, code: CodeType) -> BaseException | None:
    """Return the error, or the one behind it, that came through this function; None: neither did."""
    while error is not None:
        if any(frame.f_code is code for frame, _ in traceback.walk_tb(error.__traceback__)):
            break
        error = error.__cause__
    return error

"""Exit codes of the process, for scripts."""

from __future__ import annotations

import enum

from vagus.errors import (
    ConfigError,
    LinkError,
    PolicyError,
    RobotError,
    SessionRefusedError,
    SpecError,
    VagusError,
)

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """Exit codes of every command."""

    OK = 0
    """Success."""
    FAILED = 1
    """Any other error."""
    CONFIG = 2
    """A flag, manifest or settings file is wrong."""
    UNREACHABLE = 3
    """No router was reached, or no server of the service was found."""
    REFUSED = 4
    """Robot and policy do not match, or every server refused the session."""
    DEAD = 5
    """The link was lost for too long during the run; the robot was stopped."""
    ROBOT = 6
    """The robot could not be connected, read or commanded."""
    LIMITED = 7
    """Commands were limited for too long; the robot was stopped."""
    POLICY = 8
    """The policy could not be loaded, or failed its warm-up."""
    HUNG = 9
    """A call into the robot's driver did not return; the robot was stopped from another thread."""
    NOT_STOPPED = 10
    """`robot.stop()` failed or did not return: the robot may still move."""
    DIFFERENT = 11
    """A replay has found another behaviour than was recorded, or a hold that was none."""
    INTERRUPTED = 130
    """Ctrl-C, a closed terminal or any other signal but SIGTERM, which is 0; the robot was stopped first."""


_BY_ERROR: tuple[tuple[type[VagusError], ExitCode], ...] = (
    (ConfigError, ExitCode.CONFIG),
    (LinkError, ExitCode.UNREACHABLE),
    (SessionRefusedError, ExitCode.REFUSED),
    (SpecError, ExitCode.REFUSED),
    (RobotError, ExitCode.ROBOT),
    (PolicyError, ExitCode.POLICY),
)


def exit_code_of(error: VagusError) -> ExitCode:
    """Return the exit code for an error that ended a command."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILED)

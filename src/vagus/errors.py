"""Errors of vagus, in one tree.

VagusError
├── ConfigError            a flag, manifest or settings file is wrong
├── SpecError              a spec is wrong, or the specs of robot and policy do not match
├── ProtocolError          bytes from a peer are malformed, or not allowed here
├── LinkError              the network path cannot be used
│   ├── QueryTimeoutError  a query got no answer in its time
│   └── ServerStartingError  a server was found, but it still loads or warms up
├── SessionRefusedError    a server refused to open a session
├── PolicyError            a policy failed, or returned actions that must not be commanded
│   └── ActionsRefusedError  it works, but what it wants for this observation must not be commanded
├── GateError              the last check before the robot found a command that must not be sent
├── RobotError             a robot could not be connected, read or commanded
│   └── FrameError         a camera gives frames that can never be sent
└── StateError             an event is illegal in the present state; nothing was changed
"""

from __future__ import annotations

__all__ = [
    "ActionsRefusedError",
    "ConfigError",
    "FrameError",
    "GateError",
    "LinkError",
    "PolicyError",
    "ProtocolError",
    "QueryTimeoutError",
    "RobotError",
    "ServerStartingError",
    "SessionRefusedError",
    "SpecError",
    "StateError",
    "VagusError",
]


class VagusError(Exception):
    """Root of all errors raised by vagus."""


class WantedGotError(VagusError):
    """Error with the value that was wanted, the value that was given, and advice."""

    def __init__(self, subject: str, *, wanted: str, got: str, fix: str = "") -> None:
        self.subject = subject
        self.wanted = wanted
        self.got = got
        self.fix = fix
        tail = f"; {fix}" if fix else ""
        super().__init__(f"{subject}: wanted {wanted}, got {got}{tail}")


class ConfigError(WantedGotError):
    """A flag, manifest or settings file is wrong."""


class SpecError(WantedGotError):
    """A spec is wrong, or the specs of robot and policy do not match."""


class ProtocolError(VagusError):
    """Bytes from a peer are malformed, too large, or not allowed in this place."""


class LinkError(VagusError):
    """The network path cannot be used."""


class QueryTimeoutError(LinkError):
    """A query got no answer within its timeout."""


class ServerStartingError(LinkError):
    """A server was found, but it still loads or warms up: wait for it."""


class SessionRefusedError(VagusError):
    """A server refused to open a session.

    `code` is the reason for programs (one of the event codes of the wire); the text is the reason for people.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"session refused ({code}): {reason}")


class PolicyError(VagusError):
    """A policy failed, or returned actions that must not be commanded."""


class ActionsRefusedError(PolicyError):
    """A policy works and has answered, but what it wants for this observation must not be commanded."""


class GateError(VagusError):
    """The last check before the robot found a command that must not be sent."""


class RunEndedError(VagusError):
    """A run has ended, and its robot was stopped; `reason` is the value of the loop's `EndReason`."""

    def __init__(self, reason: str, text: str) -> None:
        """Take why the run has ended, as a word and as a sentence."""
        self.reason = reason
        super().__init__(text)


class RobotError(VagusError):
    """A robot could not be connected, read or commanded."""


class FrameError(RobotError):
    """A camera gives frames that are not images of the size and type in its spec."""


class StateError(VagusError):
    """An event is illegal in the present state; nothing was changed."""

"""Every error vagus raises, in one tree.

VagusError
├── ConfigError            a flag, manifest or settings file is wrong
├── SpecError              what a robot offers and what a policy wants do not fit
├── ProtocolError          bytes from a peer are malformed, or not allowed here
├── LinkError              the network path cannot be used
│   ├── QueryTimeoutError  a query got no answer in its time
│   └── ServerStartingError  a server is there and still loads or warms up
├── SessionRefusedError    a server answered the session open with "no"
├── PolicyError            a policy raised, or returned something that must not be commanded
├── GateError              a command that must not reach a robot; the last check before it found it
├── RobotError             a robot could not be connected, read or commanded
│   └── FrameError         a camera gives something that can never be sent
└── StateError             an event that is illegal in the present state; nothing was changed
"""

from __future__ import annotations

__all__ = [
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
    """An error that says what was wanted, what came and what to do about it."""

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
    """What a robot offers and what a policy wants do not fit."""


class ProtocolError(VagusError):
    """Bytes from a peer are malformed, too large, or not allowed in this place."""


class LinkError(VagusError):
    """The network path cannot be used."""


class QueryTimeoutError(LinkError):
    """A query got no answer in its time."""


class ServerStartingError(LinkError):
    """A server is there and still loads or warms up: it only needs its time."""


class SessionRefusedError(VagusError):
    """A server answered the session open with "no".

    `code` is the machine-readable reason (the event codes of the wire), the text is for people.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"session refused ({code}): {reason}")


class PolicyError(VagusError):
    """A policy raised, or returned something that must not be commanded."""


class GateError(VagusError):
    """A command that must not reach a robot; the last check before it found it."""


class RunEndedError(VagusError):
    """A run has ended, and its robot was stopped; `reason` is the value of the loop's `EndReason`."""

    def __init__(self, reason: str, text: str) -> None:
        """Take why the run has ended, as a word and as a sentence."""
        self.reason = reason
        super().__init__(text)


class RobotError(VagusError):
    """A robot could not be connected, read or commanded."""


class FrameError(RobotError):
    """A camera gives something that is no picture of the promised size and kind."""


class StateError(VagusError):
    """An event that is illegal in the present state; nothing was changed."""

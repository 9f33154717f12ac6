"""Guard of a foreign server: a deadline for each call, a pause after failures, always the same server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from vagus.clock import NS_PER_S, Clock, seconds_to_ns
from vagus.edge.client.replicas import Backoff
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError, VagusError
from vagus.gateways.foreign_identity import digest_of
from vagus.gateways.foreign_options import ForeignOptions
from vagus.gateways.foreign_server import ForeignServer
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.what_answers import what_answers
from vagus.quoting import quoted

__all__ = ["GuardedServer"]

ResultT = TypeVar("ResultT")
SECURED = frozenset({"wss"})
BACKOFF = Backoff(initial_ns=NS_PER_S // 4, max_ns=4 * NS_PER_S)
"""Pauses after failures; the longest bounds how late a server that works again is noticed."""

logger = logging.getLogger(__name__)


class GuardedServer:
    """Guard of one server. Used on the policy thread only.

    After a failure the connection is made anew, and until a pause is over every call fails at once. A server
    that says something else about itself than at the start is refused for good.

    Args:
        server: the server, not open.
        options: settings; their deadlines count.
        clock: monotonic clock.
    """

    def __init__(self, server: ForeignServer, options: ForeignOptions, clock: Clock) -> None:
        self._server = server
        self._options = options
        self._clock = clock
        self._failures = 0
        """Failures in a row."""
        self._not_before_ns = 0
        self._answer_timeout_s = options.start_timeout_s
        self._trouble = ""
        self._changed = ""
        """Why every call fails; "": the server is who it was."""
        self.digest = ""
        """Digest of what the server says about itself; "": it says nothing."""

    def begin(self) -> Mapping[Key, Value]:
        """Connect for the first time; return what the server says about itself.

        Raises:
            LinkError: it cannot be reached.
            ProtocolError: what answers is no such server; the message says what it is.
        """
        address = self._server.address
        try:
            said = self._server.open(self._open_timeout_s(self._options.timeout_s))
        except (LinkError, ProtocolError) as error:
            self._server.close()
            there = what_answers(address.host, address.port, is_secured=address.transport in SECURED)
            raise type(error)(
                f"{address}: wanted {self._server.wanted}, got {there} ({quoted(error)})"
            ) from error
        except BaseException:
            self._server.close()
            raise
        self.digest = digest_of(said)
        return said

    def identity(self, stated: str = "") -> str:
        """Return who the server is: as the options say, or `stated`, or as it says itself.

        Args:
            stated: what a profile says; "": nothing.

        Raises:
            ConfigError: nothing says it; the connection is dropped then.
        """
        identity = self._options.identity or stated or self._server.identity or self.digest
        if identity:
            return identity
        self.close()
        raise ConfigError(
            "identity",
            wanted=f"a name for what is served at {self._server.address}, and another name for other "
            "weights, because that server says nothing about itself",
            got="none",
            fix="give --options identity NAME, or `identity` in the profile",
        )

    def call(self, ask: Callable[[float], ResultT]) -> ResultT:
        """Return the result of `ask`, which gets the seconds that are left, on a connection that is open.

        Raises:
            PolicyError: it failed, a pause after a failure lasts, or the server is another one.
        """
        if self._changed:
            raise PolicyError(self._changed)
        wait_ns = self._not_before_ns - self._clock.now_ns()
        if self._failures and wait_ns > 0:
            raise PolicyError(f"{self._trouble}; it is asked again in {wait_ns / NS_PER_S:.1f} s")
        end_ns = self._end_ns()
        try:
            if not self._server.is_open:
                self._open_again(self._open_timeout_s(self._left_s(end_ns)))
                end_ns = self._end_ns() if self._server.loads_when_opened else end_ns
            result = ask(self._left_s(end_ns))
        except PolicyError:
            raise
        except Exception as error:  # a library may raise anything; its connection is not trusted afterwards
            raise self._failure(error) from error
        self._failures = 0
        self._answer_timeout_s = self._options.timeout_s
        return result

    def close(self) -> None:
        """Drop the connection."""
        self._server.close()

    def _open_timeout_s(self, timeout_s: float) -> float:
        return self._options.start_timeout_s if self._server.loads_when_opened else timeout_s

    def _end_ns(self) -> int:
        return self._clock.now_ns() + seconds_to_ns(self._answer_timeout_s)

    def _left_s(self, end_ns: int) -> float:
        return max(end_ns - self._clock.now_ns(), 0) / NS_PER_S

    def _failure(self, error: Exception) -> PolicyError:
        self._server.close()
        self._failures += 1
        # a pause after the first one, too: other robots wait while a question is not answered
        self._not_before_ns = self._clock.now_ns() + BACKOFF.pause_ns(self._failures + 1)
        kind = "" if isinstance(error, VagusError) else f"{type(error).__name__}: "
        self._trouble = f"{self._server.address}: {kind}{quoted(error)}"
        return PolicyError(self._trouble)

    def _open_again(self, timeout_s: float) -> None:
        digest = digest_of(self._server.open(timeout_s))
        if digest == self.digest:
            return
        self._server.close()
        self._changed = (
            f"{self._server.address} says something else about itself than at the start, so it may be "
            f"another model: wanted {_told(self.digest)}, got {_told(digest)}; restart this vagus to take it"
        )
        logger.error("%s", self._changed)
        raise PolicyError(self._changed)


def _told(digest: str) -> str:
    return f"metadata with digest {digest[:12]}" if digest else "no metadata"

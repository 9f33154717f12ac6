"""Rows of a batch at a foreign server: one reply or error for each, in calls as large as the server takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vagus.errors import PolicyError
from vagus.gateways.foreign_server import Asked, ForeignServer
from vagus.gateways.guarded_server import GuardedServer
from vagus.gateways.neutral import ForeignReply
from vagus.quoting import quoted

__all__ = ["ForeignRows"]


class ForeignRows:
    """Asks one guarded server.

    Args:
        server: the server.
        guard: its guard, which has begun.
    """

    def __init__(self, server: ForeignServer, guard: GuardedServer) -> None:
        self._server = server
        self._guard = guard
        self._max_rows = server.max_rows

    def ask(self, rows: Sequence[Asked | PolicyError]) -> list[ForeignReply | PolicyError]:
        """Return one reply or error per row; a row that is an error already is not asked.

        Raises:
            PolicyError: several rows together got no answer; each is to be asked alone.
        """
        replies = iter(self._replies([row for row in rows if not isinstance(row, PolicyError)]))
        return [row if isinstance(row, PolicyError) else self._told(next(replies)) for row in rows]

    def _replies(self, requests: Sequence[Asked]) -> list[ForeignReply | PolicyError]:
        replies: list[ForeignReply | PolicyError] = []
        for at in range(0, len(requests), self._max_rows):
            part = requests[at : at + self._max_rows]
            try:
                answered = self._guard.call(partial(self._server.ask, part))
            except PolicyError as error:
                if len(part) > 1:  # one row may be the reason: each is asked alone now
                    raise
                replies.append(error)
                continue
            errors = [reply for reply in answered if reply.error is not None]
            if len(part) > 1 and errors:
                raise self._refusal(errors[0])
            replies += answered
        return replies

    def _told(self, reply: ForeignReply | PolicyError) -> ForeignReply | PolicyError:
        if isinstance(reply, PolicyError) or reply.error is None:
            return reply
        return self._refusal(reply)

    def _refusal(self, reply: ForeignReply) -> PolicyError:
        return PolicyError(f"{self._server.address} says: {quoted(_last_line(reply.error or ''))}")


def _last_line(text: str) -> str:
    """Return the last line of a traceback, which says what went wrong."""
    lines = [line.strip() for line in text[-4096:].splitlines() if line.strip()]
    return lines[-1] if lines else "an error without words"

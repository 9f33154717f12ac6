"""Which robots a loaded server invites to which other server, and how many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vagus.clock import NS_PER_S
from vagus.wire.fill import Fill, fills, pick
from vagus.wire.schema import Load

__all__ = ["ROUND_NS", "Guest", "Invitation", "Neighbour", "invitations", "surplus"]

ROUND_NS = 4 * NS_PER_S
"""Pause between two rounds: an invited robot has moved by then, and the status of the others shows it."""
MOST = 32
"""Robots that one server invites in one round."""
LEAST_DIFFERENCE = 2.5
"""Sessions by which the emptiest server must differ before anybody is invited: what is left is never moved
back and forth, and a move always makes the difference smaller. Loads are rounded, so three must be more than
this, and two less."""
SHARE = 0.5
"""Share of the sessions above the common level that is invited in one round: other servers invite at the
same moment, and what is known of them is a moment old."""
SETTLED_NS = 15 * NS_PER_S
"""Age of a session before its robot is invited: it has just come, perhaps by a move."""
AGAIN_NS = 60 * NS_PER_S
"""Pause before a robot that did not go is invited again."""
SLACK_FACTOR = 2
"""Playback that an invited robot had at its last request, as a multiple of what the request took: the first
answer of the other server may take twice as long, and the robot has still a plan to play."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A session that might be moved.

    Attributes:
        client: its robot.
        opened_ns: time at which it was opened.
        invited_ns: time of its last invitation, or None.
        slack_ns: playback that was left at its last request; None: it has not said.
        round_trip_ns: what that request took, network included; None: not known.
        can_move: the robot follows invitations.
    """

    client: str
    opened_ns: int
    invited_ns: int | None
    slack_ns: int | None
    round_trip_ns: int | None
    can_move: bool

    def is_free(self, now_ns: int) -> bool:
        """Whether this robot can be invited now: it follows, has settled, and its buffer bears a move."""
        if not self.can_move or self.slack_ns is None or self.round_trip_ns is None:
            return False
        is_settled = now_ns - self.opened_ns >= SETTLED_NS
        is_asked = self.invited_ns is not None and now_ns - self.invited_ns < AGAIN_NS
        return is_settled and not is_asked and self.slack_ns >= SLACK_FACTOR * self.round_trip_ns


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another ready server of the same model: its segment in its keys, and its load."""

    server: str
    load: Load


@dataclass(frozen=True, slots=True)
class Invitation:
    """One robot is invited to one server."""

    client: str
    target: str


def surplus(own: Load, others: Sequence[Load]) -> float:
    """Return how many sessions this server has above the common level; 0 if the levels are nearly equal."""
    ours, *theirs = fills([own, *others])
    emptier = [server for server in theirs if server.places > 0]
    if not emptier:
        return 0.0
    emptiest = min(emptier, key=lambda server: server.level)
    if _level(ours, -LEAST_DIFFERENCE / 2) < _level(emptiest, LEAST_DIFFERENCE / 2) - 1e-9:
        return 0.0
    level = (ours.used + sum(s.used for s in emptier)) / (ours.capacity + sum(s.capacity for s in emptier))
    return max((ours.used - level * ours.capacity) / ours.one, 0.0)


def _level(server: Fill, more: float) -> float:
    return (server.used + more * server.one) / server.capacity


def invitations(
    own: Load,
    others: Sequence[Neighbour],
    guests: Sequence[Guest],
    now_ns: int,
    draw: Callable[[], float],
) -> list[Invitation]:
    """Return who is invited in this round.

    Every server gives only of its own surplus, and half of it, so that servers that do the same at the same
    moment come nearer to the level and not beyond it. A part of a session is given with that probability:
    of many servers with one robot too many, about as many give one as the emptier ones lack.

    Args:
        own: load of this server, now.
        others: ready servers of the same model, as they were a moment ago.
        guests: sessions of this server.
        now_ns: time.
        draw: random number in [0, 1).
    """
    above = surplus(own, [other.load for other in others])
    wanted = min(max(above * SHARE, min(above, SHARE)), float(MOST))
    count = int(wanted) + (draw() < wanted % 1)
    free = sorted((guest for guest in guests if guest.is_free(now_ns)), key=_rank)[:count]
    room = _room(own, others) if free else []
    chosen = []
    for guest in free:
        if not sum(room) > 0:
            break
        index = pick(room, draw)
        room[index] = max(room[index] - 1.0, 0.0)
        chosen.append(Invitation(guest.client, others[index].server))
    return chosen


def _rank(guest: Guest) -> tuple[bool, int, str]:
    """Rank of a guest: who was not invited yet first, then who has most playback left after an answer."""
    return guest.invited_ns is not None, (guest.round_trip_ns or 0) - (guest.slack_ns or 0), guest.client


def _room(own: Load, others: Sequence[Neighbour]) -> list[float]:
    """Return how many sessions each of the others lacks to the common level."""
    ours, *theirs = fills([own, *(other.load for other in others)])
    open_ones = [server for server in theirs if server.places > 0]
    level = (ours.used + sum(s.used for s in open_ones)) / (
        ours.capacity + sum(s.capacity for s in open_ones)
    )
    return [
        min(max((level * server.capacity - server.used) / server.one, 0.0), float(server.places))
        for server in theirs
    ]

"""Watch over the other servers of the service, which invites robots to those that are less loaded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from vagus.clock import NS_PER_S, Clock
from vagus.edge.client.discovery import own_draw
from vagus.edge.client.session import fetch_capabilities, living_servers
from vagus.errors import LinkError, ProtocolError
from vagus.server.open_sessions import OpenSessions
from vagus.server.publisher import Publisher
from vagus.server.rebalancing import LEAST_DIFFERENCE, ROUND_NS, Guest, Neighbour, invitations
from vagus.server.sessions import Session
from vagus.threads import Threads
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.wire.schema import READY, Capabilities, EventCode

__all__ = ["Rebalancer"]

SessionT = TypeVar("SessionT")

MAX_ASKED = 16
"""Servers whose status is asked for in one round; of more, these are chosen at random each time."""
LIST_TIMEOUT_S = 1.0
STATUS_TIMEOUT_S = 0.5
ASKING_S = 2.0
"""Time after which nobody else is asked in a round: what is known gets old."""

logger = logging.getLogger(__name__)


class Rebalancer(Generic[SessionT]):
    """Inviter of robots to other servers. It runs on a thread of its own, and nothing waits for it.

    Args:
        link: the network link.
        server: keys of this server.
        sessions: the open sessions.
        publisher: publisher of the invitations.
        say: returns the capabilities of this server, with its load.
        draw: random number in [0, 1), another one for each server.
    """

    def __init__(
        self,
        link: Link,
        server: ServerKey,
        sessions: OpenSessions[SessionT],
        *,
        publisher: Publisher,
        say: Callable[[], Capabilities],
        draw: Callable[[], float] = own_draw,
    ) -> None:
        self._link = link
        self._server = server
        self._sessions = sessions
        self._publisher = publisher
        self._say = say
        self._draw = draw

    def run(self, stopped: threading.Event, threads: Threads, period_s: float = ROUND_NS / NS_PER_S) -> None:
        """Do a round in every period, the first after a random part of one, until `stopped` is set."""
        pause_s = period_s * (1 + self._draw())
        while not stopped.wait(pause_s):
            pause_s = period_s
            with threads.going_on("sharing the robots with other servers"):
                self.round(threads.clock)

    def round(self, clock: Clock) -> None:
        """Ask the other servers for their load, and invite robots to those with less. It may wait."""
        own = self._say()
        if own.phase != READY or own.serving_mode != "shared" or own.load.sessions < LEAST_DIFFERENCE:
            return
        try:
            others = living_servers(self._link, self._server.service.all_alive, timeout_s=LIST_TIMEOUT_S)
        except LinkError:
            return  # the link says so itself
        neighbours = self._neighbours(others - {self._server}, own)
        if not neighbours:
            return
        now_ns = clock.now_ns()
        sessions = {session.client: session for session in self._sessions.all()}
        guests = [_guest(session) for session in sessions.values()]
        load = self._say().load
        for one in invitations(load, neighbours, guests, now_ns, self._draw):
            self._invite(sessions[one.client], one.target, now_ns)

    def _neighbours(self, others: frozenset[ServerKey], own: Capabilities) -> list[Neighbour]:
        asked = sorted(sorted(others, key=lambda key: key.path), key=lambda _: self._draw())[:MAX_ASKED]
        end_s = time.monotonic() + ASKING_S
        found = []
        for server in asked:
            if time.monotonic() >= end_s:
                break
            said = self._ask(server)
            if said is not None and _is_like(said, own):
                found.append(Neighbour(server.server, said.load))
        return found

    def _ask(self, server: ServerKey) -> Capabilities | None:
        try:
            return fetch_capabilities(self._link, server, timeout_s=STATUS_TIMEOUT_S)
        except (LinkError, ProtocolError) as error:
            logger.debug("server %s does not say its load: %s", server.server, error)
            return None

    def _invite(self, session: Session, target: str, now_ns: int) -> None:
        session.invited_ns = now_ns
        logger.info("session %s is invited to server %s, which has less to do", session.session_id, target)
        why = f"server {target} has less to do"
        self._publisher.about_session(session, EventCode.MOVE, why, target=target)


def _is_like(said: Capabilities, own: Capabilities) -> bool:
    """Return whether a robot of this server can be served there, too."""
    is_ready = said.phase == READY and not said.failing and said.serving_mode == "shared"
    return is_ready and said.model_hash == own.model_hash and said.load.max_sessions > 0


def _guest(session: Session) -> Guest:
    opening = session.opening
    return Guest(
        client=session.client,
        opened_ns=session.opened_ns,
        invited_ns=session.invited_ns,
        slack_ns=session.slack_ns,
        round_trip_ns=session.round_trip_ns,
        can_move=opening is not None and opening.asked.can_move,
    )

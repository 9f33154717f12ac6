"""Which server serves the robot: the next one when a server is lost, and another one when a server asks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from vagus.clock import NS_PER_S, Clock
from vagus.edge.client.exchange import Exchange
from vagus.edge.client.handshake import TRANSIENT_REFUSALS
from vagus.edge.client.moving import Moving, Opened
from vagus.edge.client.session import Presence, SessionOpener
from vagus.errors import LinkError, ProtocolError, SessionRefusedError, VagusError
from vagus.transport.keys import ServerKey
from vagus.transport.link import Sample
from vagus.types import LinkState, MotionState, RequestDraft

__all__ = ["Failover", "open_timeout_s"]

logger = logging.getLogger(__name__)

MOVE_PAUSE_NS = 10 * NS_PER_S
"""Shortest time between two moves that a robot begins, whatever it is invited to."""
MOVE_PATIENCE_NS = 3 * NS_PER_S
"""Time after which a move that was not completed is given up; the robot stays."""


LEAST_OPEN_S = 0.3
"""Shortest wait for the answer to a session open; a server opens one between two batches."""


def open_timeout_s(longest_s: float, playback_left_ns: int) -> float:
    """Return the longest wait for the answer to a session open.

    An answer can be lost. While a plan is played, half of it is left for the next try; after its end there is
    nothing to lose, and a server that opens slowly gets all the time.

    Args:
        longest_s: as the settings say.
        playback_left_ns: time until the plan ends; 0: there is none.
    """
    if playback_left_ns <= 0:
        return longest_s
    return min(longest_s, max(LEAST_OPEN_S, playback_left_ns / 2 / NS_PER_S))


class Failover:
    """Presence of the robot at a server, and how it comes to another. Belongs to the worker thread.

    Args:
        opener: opens and closes sessions.
        clock: monotonic.
        on_sample: receives what the servers say.

    Attributes:
        presence: token and chunk subscription at the server of the session.
        counters: what was counted.
        is_moving: a move is under way: `follow` and `before_request` are needed.
    """

    def __init__(self, opener: SessionOpener, clock: Clock, on_sample: Callable[[Sample], None]) -> None:
        self._opener = opener
        self._clock = clock
        self._moving = Moving(opener, on_sample)
        self._left: ServerKey | None = None
        self._home: ServerKey | None = None
        self._began_ns: int | None = None
        self._declined_because = ""
        self.presence = Presence(opener.link, opener.identity, on_sample)
        self.counters: Counter[str] = Counter()
        self.is_moving = False

    def stop(self) -> None:
        """End a move that is under way; after the worker has ended. Twice does nothing."""
        self._moving.stop()

    # -- a server is lost -------------------------------------------------------------------------------

    def left(self, server: ServerKey, *, is_home: bool = False) -> None:
        """Note that the session with this server is over; with `is_home` it is asked first again."""
        self._left = server
        self._home = server if is_home else None

    def gone(self, server: ServerKey) -> None:
        """Note that the token of a server is gone."""
        if self._moving.target == server:
            self._give_up()

    def reopened(self) -> None:
        """Note that the transport was lost and reopened: what was opened over the last one is void."""
        self._give_up()

    def _give_up(self) -> None:
        self._moving.abandon()
        self.is_moving = False

    def reconnect(self, exchange: Exchange) -> None:
        """Open a session with the next replica of the same contract, while the buffer plays."""
        now_ns = self._clock.now_ns()
        if exchange.replicas.is_hopeless(now_ns):
            reasons = "; ".join(f"{key.server}: {why}" for key, why in exchange.replicas.excluded.items())
            exchange.protocol.kill(
                f"every living server contradicts what this run was started with: {reasons}"
            )
            return
        opened = self._moving.take()
        if opened is not None:  # a move was about to be completed
            self._adopt(opened, exchange)
            exchange.protocol.opened(opened.session, now_ns)
            logger.warning("session open with server %s", opened.session.server.server)
            return
        server = exchange.replicas.choose(now_ns, left=self._left, home=self._home, but=self._moving.target)
        if server is not None:
            self._home = None
            self._open(server, exchange)

    def _open(self, server: ServerKey, exchange: Exchange) -> None:
        self.presence.move_to(server)
        left_ns = exchange.engine.plan_view.ends_ns - self._clock.now_ns()
        try:
            session, contract = self._opener.open(
                server,
                exchange.contract.capabilities,
                instruction=exchange.instruction,
                contract=exchange.contract,
                round_trip_ns=exchange.protocol.network_ns,
                timeout_s=open_timeout_s(self._opener.config.handshake_timeout_s, left_ns),
            )
        except VagusError as error:
            self._failed(exchange, server, error)
            return
        self._give_up()  # whoever invited the robot to another server serves it no more
        exchange.contract = contract
        exchange.protocol.opened(session, self._clock.now_ns())
        asks = f"; it asks to execute {n} actions of a chunk" if (n := session.least_executed) else ""
        logger.warning("session open with server %s%s", server.server, asks)

    def _failed(self, exchange: Exchange, server: ServerKey, error: VagusError) -> None:
        is_transient = isinstance(error, (LinkError, ProtocolError)) or (
            isinstance(error, SessionRefusedError) and error.code in TRANSIENT_REFUSALS
        )
        logger.warning("server %s: %s", server.server, error)
        if is_transient:
            exchange.replicas.set_back(server, self._clock.now_ns())
        else:
            exchange.replicas.exclude(server, str(error))

    # -- a server invites to another --------------------------------------------------------------------

    def follow(self, exchange: Exchange) -> None:
        """Begin the move that the server asked for, if there is nothing against it; look after one begun."""
        self._look_after(exchange)
        invited_to, exchange.protocol.invited_to = exchange.protocol.invited_to, ""
        session = exchange.protocol.session
        if not invited_to or session is None:
            return
        now_ns, target = self._clock.now_ns(), ServerKey(session.server.service, invited_to)
        why = self._why_stay(exchange, target, now_ns)
        if why:
            self.counters["moves_declined"] += 1
            if why != self._declined_because:  # a server that invites again and again fills no log
                logger.info("stays with server %s: %s", session.server.server, why)
            self._declined_because = why
            return
        self._declined_because = ""
        self._began_ns = now_ns
        self.is_moving = True
        self._moving.begin(
            target,
            exchange.contract,
            instruction=exchange.instruction,
            round_trip_ns=exchange.protocol.network_ns,
        )

    def _why_stay(self, exchange: Exchange, target: ServerKey, now_ns: int) -> str:
        """Return what is against a move to this server, or ""."""
        protocol, session = exchange.protocol, exchange.protocol.session
        is_recent = self._began_ns is not None and now_ns - self._began_ns < MOVE_PAUSE_NS
        is_playing = exchange.engine.plan_view.motion is MotionState.PLAYING
        rules = (
            ("this robot does not move", not self._opener.can_move),
            (
                "the policy serves one robot at a time",
                exchange.contract.capabilities.serving_mode != "shared",
            ),
            ("it is invited where it is", session is not None and session.server == target),
            (
                "it is invited to no living server of this service",
                not exchange.replicas.is_usable(target, now_ns),
            ),
            ("it was just invited", is_recent or self._moving.target is not None),
            ("it has no plan that is played", protocol.state is not LinkState.STREAMING or not is_playing),
        )
        return next((name for name, applies in rules if applies), "")

    def _look_after(self, exchange: Exchange) -> None:
        target = self._moving.target
        if target is None or self._began_ns is None:
            return
        error = self._moving.take_error()
        if error is not None:
            self.is_moving = False
            self.counters["moves_failed"] += 1
            self._failed(exchange, target, error)
        elif self._clock.now_ns() - self._began_ns >= MOVE_PATIENCE_NS:
            self.counters["moves_failed"] += 1
            logger.warning("the move to server %s took too long and is given up", target.server)
            self._give_up()

    def before_request(self, draft: RequestDraft, exchange: Exchange) -> None:
        """Change to the session that was opened for a move, if the request of this draft may be its first.

        This is the only moment at which a robot changes from a server that works: no request is in flight,
        whose answer would be lost, and the plan lasts longer than the answer to this request may take.
        """
        old = exchange.protocol.session
        if old is None or not self._moving.is_opened or not exchange.protocol.may_move(draft):
            return
        opened = self._moving.take()
        if opened is None:
            return
        presence = self.presence
        self._adopt(opened, exchange)
        exchange.protocol.moved(opened.session)
        self._moving.leave(old, presence)
        logger.info("moved from server %s to %s", old.server.server, opened.session.server.server)

    def _adopt(self, opened: Opened, exchange: Exchange) -> None:
        self.is_moving = False
        if exchange.protocol.session is None:
            self.presence.leave()
        self.presence = opened.presence
        exchange.contract = opened.contract

"""Admission at one of the servers of a deployment of LeRobot's remote inference."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from vagus.clock import monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import LinkError, ProtocolError
from vagus.integrations.lerobot_zenoh.connection import DeploymentLine
from vagus.integrations.lerobot_zenoh.server_session import ServerSession
from vagus.integrations.lerobot_zenoh.v1.choice import (
    Wish,
    candidates,
    check_accepted,
    open_request,
    said_by,
)
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead
from vagus.integrations.lerobot_zenoh.v1.questions import RemoteFaultError
from vagus.quoting import quoted

__all__ = ["admitted"]

BUSY_POLL_S: Final = 0.2
"""Period in which servers are asked that have no room, but will soon."""
CLOSE_S: Final = 0.3
"""Longest wait until a session that is not used is closed."""
OWNED: Final = "active_session"
"""Why there is no room: another client is there, which may stay for long."""
MOST_TOLD: Final = 8
"""Servers whose reasons an error lists."""


def admitted(
    line: DeploymentLine, wish: Wish, check: Callable[[Deployment], None], timeout_s: float, end_ns: int
) -> tuple[Deployment, ServerSession | None]:
    """Return the server that was chosen, and a session there; None: it is another model than the first one.

    Servers that load, or will soon have room, are waited for: an absent client's session ends after 10 s.

    Args:
        line: link to the servers.
        wish: which server is taken.
        check: raises ConfigError for a deployment that does not fit.
        timeout_s: longest time for one round of questions.
        end_ns: end of the waiting.

    Raises:
        LinkError: no server is there, ready and free; says why for each.
        ConfigError: the deployment does not fit.
    """
    while True:
        round_ns = min(monotonic_ns() + seconds_to_ns(timeout_s), end_ns)
        found, others = line.described(round_ns)
        unready = [one for one in found if not one.is_ready]
        reasons, is_waiting = [*others, *map(_unready, unready)], any(map(_is_loading, unready))
        for place in candidates(found, wish):
            if wish.said is not None and said_by(place) != wish.said:
                return place, None
            check(place)
            try:
                return place, _opened(line, place, wish, round_ns)
            except (LinkError, ProtocolError) as error:
                reasons.append(f"{place.instance_id}: {quoted(error, 300)}")
                is_waiting |= _is_passing(error, wish)
                _close_left(line, place, wish)
        if not is_waiting or seconds_left(end_ns) < BUSY_POLL_S:
            raise LinkError(f"deployment {wish.deployment}: {_told(reasons)}")
        time.sleep(BUSY_POLL_S)


def _opened(line: DeploymentLine, place: Deployment, wish: Wish, end_ns: int) -> ServerSession:
    request = open_request(place, wish)
    head, body = line.opened(place, request, end_ns)
    try:
        accepted = AcceptedSession.from_wire(body)
        check_accepted(accepted, request, place)
    except ProtocolError:
        _close(line, head)
        raise
    session = ServerSession(line, head, accepted, wish.encoding)
    try:
        session.start(end_ns)
    except BaseException:
        session.leave()
        raise
    return session


def _close_left(line: DeploymentLine, place: Deployment, wish: Wish) -> None:
    """Close our own session of before, if it is what occupies a server."""
    ours = [head for head in wish.left if head.instance_id == place.instance_id]
    for head in ours[-1:]:  # a server has one
        _close(line, head)


def _close(line: DeploymentLine, head: MessageHead) -> None:
    """Close a session, if its server answers soon."""
    with suppress(LinkError, ProtocolError):
        line.closed(head, monotonic_ns() + seconds_to_ns(CLOSE_S))


def _is_passing(error: Exception, wish: Wish) -> bool:
    """Return whether the server will soon have room; a robot that was there before waits in any case."""
    if not isinstance(error, RemoteFaultError) or error.code is not ErrorCode.BUSY:
        return False
    return wish.said is not None or error.details.get("admission_blocker") != OWNED


def _is_loading(place: Deployment) -> bool:
    return place.status is None or not place.status.failure


def _unready(place: Deployment) -> str:
    failure = "" if place.status is None else place.status.failure or ""
    return f"{place.instance_id} is not ready {quoted(failure, 200)}".strip()


def _told(reasons: list[str]) -> str:
    return "; ".join(reasons[:MOST_TOLD]) or "the server of that id is not there"

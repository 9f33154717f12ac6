"""Robots between two connections: some clients connect anew for each request, and keep their session."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from vagus.gateways.peer import Peer

__all__ = ["RestingPeers"]


class RestingPeers:
    """Peers whose client has gone, for its next connection. All on the thread of an event loop.

    A session for each request would cost more than the request, and a server grants only so many.

    Args:
        rest_s: time in which the next connection must come.
        close: closes a peer to which no client has come back.
    """

    def __init__(self, rest_s: float, close: Callable[[Peer], object]) -> None:
        self._rest_s = rest_s
        self._close = close
        self._all: OrderedDict[Peer, tuple[str, asyncio.TimerHandle]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def put(self, peer: Peer, host: str) -> None:
        """Keep a peer for the next connection from the same host."""
        timer = asyncio.get_running_loop().call_later(self._rest_s, self._give_up, peer)
        self._all[peer] = host, timer

    def take(self, host: str) -> Peer | None:
        """Return a peer that rests for this host; None: there is none."""
        for peer, (whose, _) in self._all.items():
            if whose == host:
                return self._taken(peer)
        return None

    def take_oldest(self) -> Peer | None:
        """Return the peer that rests for the longest time; None: none does."""
        return self._taken(next(iter(self._all))) if self._all else None

    def _taken(self, peer: Peer) -> Peer:
        _, timer = self._all.pop(peer)
        timer.cancel()
        return peer

    def _give_up(self, peer: Peer) -> None:
        self._close(self._taken(peer))

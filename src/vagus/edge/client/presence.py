"""The client's liveliness token and chunk subscription at one server."""

from __future__ import annotations

from collections.abc import Callable

from vagus.edge.client.handshake import Identity
from vagus.transport.keys import ServerKey
from vagus.transport.link import Declaration, Link, Sample

__all__ = ["Presence"]


class Presence:
    """Token and chunk subscription at one server at a time."""

    def __init__(self, link: Link, identity: Identity, on_sample: Callable[[Sample], None]) -> None:
        self._link = link
        self._identity = identity
        self._on_sample = on_sample
        self._declarations: tuple[Declaration, ...] = ()
        self.server: ServerKey | None = None

    def move_to(self, server: ServerKey) -> None:
        """Be found at this server, and no more at the one before."""
        if self.server == server:
            return
        self.leave()
        keys = server.client(self._identity.name)
        self._declarations = (
            self._link.subscribe(keys.chunk, self._on_sample),
            self._link.token(keys.alive(self._identity.instance)),
        )
        self.server = server

    def leave(self) -> None:
        """Be found nowhere. Twice does nothing."""
        for declaration in self._declarations:
            declaration.undeclare()
        self._declarations = ()
        self.server = None

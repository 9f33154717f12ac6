"""Declarations of a server on its link: what clients can ask and send, and the tokens to find it by."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from vagus.server.endpoints import Endpoints
from vagus.threads import Threads
from vagus.transport.keys import ServerKey
from vagus.transport.link import Declaration, Link, Query

__all__ = ["Surface"]

SessionT = TypeVar("SessionT")

TAKING_IN = "taking in a message"


class Surface(Generic[SessionT]):
    """Declarations of a server, from `declare` to `undeclare`.

    Args:
        link: the network link.
        server: keys of this server.
        threads: the threads of the server, which tell what goes wrong in a callback.
    """

    def __init__(self, link: Link, server: ServerKey, threads: Threads) -> None:
        self._link = link
        self._server = server
        self._threads = threads
        self._lock = threading.Lock()
        self._is_over = False
        self._callbacks: list[Declaration] = []
        self._presence: list[Declaration] = []
        self._starting: Declaration | None = None

    def declare(self, endpoints: Endpoints[SessionT], on_status: Callable[[Query], None]) -> None:
        """Answer status queries and clients from now on, and declare the token of a server that starts."""
        guarded, clients = self._threads.guarded, self._server.any_client
        self._presence.append(
            self._link.serve(self._server.status, guarded("answering a question about the status", on_status))
        )
        self._starting = self._link.token(self._server.starting)
        self._presence.append(self._starting)
        self._callbacks += [
            self._link.serve(clients.session, guarded(TAKING_IN, endpoints.on_session)),
            self._link.serve(clients.reset, guarded(TAKING_IN, endpoints.on_reset)),
            self._link.subscribe(clients.observation, guarded(TAKING_IN, endpoints.on_observation)),
            self._link.watch(clients.alive("*"), self._watched(endpoints.on_token)),
        ]

    def _watched(self, note: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
        def on_token(key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
            with self._threads.going_on("noting a token"):
                note(key, is_alive)

        return on_token

    def appear(self) -> None:
        """Declare the token of a server that accepts sessions; a server that has ended stays without."""
        token = self._link.token(self._server.alive)
        with self._lock:
            is_wanted = not self._is_over
            if is_wanted:
                self._presence.append(token)
        if not is_wanted:
            token.undeclare()
        if self._starting is not None:
            self._starting.undeclare()

    def undeclare(self) -> None:
        """Remove all declarations, the tokens last."""
        with self._lock:
            self._is_over = True
            declarations = (*self._callbacks, *reversed(self._presence))
        for declaration in declarations:
            declaration.undeclare()

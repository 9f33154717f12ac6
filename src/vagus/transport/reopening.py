"""Link that replaces its connection whenever the transport was lost.

A Zenoh session that reconnected by itself was seen to deliver messages under wrong keys. So no session may
reconnect: a lost transport ends its connection, and everything is declared again on a new one.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from vagus.errors import LinkError
from vagus.threads import Supervised
from vagus.transport.connection import Connection, Entry, Watch
from vagus.transport.link import Declaration, Delivery, LinkHealth, Query, Sample

__all__ = ["ReopeningLink"]

logger = logging.getLogger(__name__)

WATCH_PERIOD_S = 0.25
"""Period of the watchdog's checks."""

RETRY_FIRST_S = 0.05
RETRY_MAX_S = 1.0
RETRY_FACTOR = 1.6
"""Growth of the pause between attempts to open; jitter spreads the robots of a fleet when their router
returns."""

CLOSE_TIMEOUT_S = 3.0
"""Longest wait for closing connections; a connection into a black hole takes seconds to close."""

CONNECTING = "no answer from"
LISTENING = "cannot listen on"
"""Start of the error message when an endpoint to listen on cannot be opened."""

_Self = TypeVar("_Self", bound="ReopeningLink")


class ReopeningLink:
    """A `Link` that replaces lost connections. Its methods may be called from any thread."""

    def __init__(
        self,
        connect: Callable[[Callable[[], None]], Connection],
        *,
        address: str,
        open_timeout_s: float,
        watchdog_s: float,
        explain: Callable[[str], str] = str,
        is_listening: bool = False,
    ) -> None:
        self._problem = LISTENING if is_listening else CONNECTING
        self._explain = explain
        self._connect = connect
        self._address = address
        self._open_timeout_s = open_timeout_s
        self._watchdog_s = watchdog_s
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._entries: list[Entry] = []
        self._on_reopen: list[Callable[[int], None]] = []
        self._generation = 0
        self._zombies = 0
        self._corrupted = 0
        self._wake = threading.Event()
        self._is_closed = threading.Event()
        self._keeper = Supervised(self._keep, name="vagus-link")
        self._closers: list[threading.Thread] = []
        self._unconnected_since_s: float | None = None
        self._last_error = ""

    def __enter__(self: _Self) -> _Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Open the first connection.

        Raises:
            LinkError: no answer within the open timeout.
        """
        deadline_s = time.monotonic() + self._open_timeout_s
        connection = self._try_connect()
        while connection is None or not connection.is_live:
            if time.monotonic() >= deadline_s:
                raise LinkError(
                    f"{self._problem} {self._address} within {self._open_timeout_s:g} s: "
                    f"{self._explain(self._last_error)}"
                )
            time.sleep(RETRY_FIRST_S)
            connection = self._try_connect()
        self._adopt(connection)
        atexit.register(self.close)  # an exit with an open session can abort the process
        self._keeper.start()

    def close(self) -> None:
        """See `Link.close`; returns in seconds, even if the network is a black hole."""
        with self._lock:
            if self._is_closed.is_set():
                return
            self._is_closed.set()
            self._entries.clear()
            if self._connection is not None:
                self._connection.abandon()
        atexit.unregister(self.close)
        self._wake.set()
        deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
        _join(self._keeper, deadline_s)
        for thread in tuple(self._closers):  # now: the keeper may just have started one
            _join(thread, deadline_s)

    def publish(self, key: str, *, header: bytes, payload: bytes, delivery: Delivery) -> None:
        """See `Link.publish`."""
        connection = self._connection
        if connection is not None and connection.is_live:
            connection.publish(key, header, payload, delivery)

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """See `Link.subscribe`."""
        return self._add(Entry(lambda connection: connection.subscribe(key, on_sample), self._remove))

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        """See `Link.serve`."""
        return self._add(Entry(lambda connection: connection.serve(key, on_query), self._remove))

    def token(self, key: str) -> Declaration:
        """See `Link.token`."""
        return self._add(Entry(lambda connection: connection.token(key), self._remove))

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        """See `Link.watch`."""
        return self._add(Watch(key, on_change, self._remove))

    def query(self, key: str, payload: bytes, *, timeout_s: float) -> tuple[bytes, ...]:
        """See `Link.query`."""
        return self._required_connection().query(key, payload, timeout_s)

    def tokens(self, key: str, *, timeout_s: float) -> frozenset[str]:
        """See `Link.tokens`."""
        return self._required_connection().tokens(key, timeout_s)

    def on_reopen(self, callback: Callable[[int], None]) -> None:
        """See `Link.on_reopen`."""
        with self._lock:
            self._on_reopen.append(callback)

    def health(self) -> LinkHealth:
        """See `Link.health`."""
        connection = self._connection
        return LinkHealth(
            is_connected=connection is not None and connection.is_connected,
            generation=self._generation,
            reopened=self._generation,
            zombies=self._zombies,
            corrupted=self._corrupted + (connection.corrupted if connection is not None else 0),
        )

    def _remove(self, entry: Entry) -> None:
        with self._lock:
            if entry in self._entries:
                self._entries.remove(entry)
                entry.detach()

    def _add(self, entry: Entry) -> Declaration:
        with self._lock:
            if self._is_closed.is_set():
                raise LinkError("the link is closed")
            connection = self._connection
            if connection is not None and connection.is_live:
                self._attach(entry, connection)
            self._entries.append(entry)
        return entry

    def _attach(self, entry: Entry, connection: Connection) -> None:
        try:
            entry.attach(connection)
        except LinkError as error:  # lost meanwhile: the next connection gets it
            logger.debug("%s", error)

    def _required_connection(self) -> Connection:
        connection = self._connection
        if connection is None or not connection.is_connected:
            state = "closed" if self._is_closed.is_set() else "away"
            raise LinkError(f"the link to {self._address} is {state}")
        return connection

    def _try_connect(self) -> Connection | None:
        try:
            return self._connect(self._wake.set)
        except LinkError as error:
            self._last_error = str(error)
            return None

    def _adopt(self, connection: Connection) -> bool:
        """Declare everything on `connection` and use it; return False if the link was closed meanwhile."""
        with self._lock:
            is_wanted = not self._is_closed.is_set()
            if is_wanted:
                for entry in self._entries:
                    self._attach(entry, connection)
                self._connection = connection
        if not is_wanted:
            connection.close()
        return is_wanted

    def _keep(self) -> None:
        while not self._is_closed.is_set():
            self._wake.wait(WATCH_PERIOD_S)
            self._wake.clear()
            try:
                self._look_after(self._connection)
            except BaseException:  # without this thread a lost link would stay lost
                logger.exception("looking after the link to %s failed; trying again", self._address)
                self._is_closed.wait(RETRY_MAX_S)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _look_after(self, connection: Connection | None) -> None:
        if self._is_closed.is_set():
            return
        if connection is None or not connection.is_live:
            logger.warning("lost the network at %s; opening a new connection", self._address)
            self._connection = None
            if connection is not None:
                self._close_aside(connection)
            self._replace(None, self._wait_for_connection())
        elif self._watchdog_s and self._is_overdue(connection):
            fresh = self._try_connect()
            if fresh is not None:
                logger.warning("the connection to %s was dead while others open; replaced", self._address)
                self._zombies += 1
                self._replace(connection, fresh)

    def _is_overdue(self, connection: Connection) -> bool:
        now_s = time.monotonic()
        if connection.is_connected or self._unconnected_since_s is None:
            self._unconnected_since_s = None if connection.is_connected else now_s
            return False
        return now_s - self._unconnected_since_s >= self._watchdog_s

    def _wait_for_connection(self) -> Connection | None:
        """Try to connect until it succeeds; return None if the link was closed."""
        pause_s = RETRY_FIRST_S
        while not self._is_closed.is_set():
            connection = self._try_connect()
            if connection is not None:
                return connection
            self._is_closed.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not secrecy
            pause_s = min(pause_s * RETRY_FACTOR, RETRY_MAX_S)
        return None

    def _replace(self, old: Connection | None, fresh: Connection | None) -> None:
        if old is not None:
            self._close_aside(old)
        if fresh is None or not self._adopt(fresh):
            return
        self._unconnected_since_s = None
        self._generation += 1
        logger.info("connected to %s again, generation %d", self._address, self._generation)
        for callback in tuple(self._on_reopen):
            self._announce(callback)
        for watch in [entry for entry in tuple(self._entries) if isinstance(entry, Watch)]:
            self._settle(watch, fresh)

    def _announce(self, callback: Callable[[int], None]) -> None:
        try:
            callback(self._generation)
        except BaseException:  # the callback's owner must not end the link
            logger.exception("a reopen callback raised")

    def _settle(self, watch: Watch, connection: Connection) -> None:
        try:
            watch.settle(connection)
        except LinkError as error:  # lost again: the next reopen settles it
            logger.debug("%s", error)

    def _close_aside(self, connection: Connection) -> None:
        """Close `connection` on a thread of its own: into a black hole, it takes seconds."""
        connection.abandon()
        self._corrupted += connection.corrupted
        thread = Supervised(connection.close, name="vagus-link-close", is_repeated=False)
        thread.start()
        self._closers = [t for t in self._closers if t.is_alive()] + [thread]


def _join(thread: threading.Thread, deadline_s: float) -> None:
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join(max(0.0, deadline_s - time.monotonic()))

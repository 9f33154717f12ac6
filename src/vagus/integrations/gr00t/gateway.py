"""The GR00T gateway: a ZeroMQ ROUTER for robots that speak GR00T's protocol of N1.5, N1.6 or N1.7.

Its bytes are made here (`zmtp`), not by libzmq, which lets one peer fill the memory, leaves a peer whose
message is too long without an answer, and does not say when one has gone.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import ConfigError
from vagus.gateways.gateway import Gateway
from vagus.gateways.registry import protocol_of
from vagus.integrations.gr00t.connection import SEND_TIMEOUT_S, Gr00tConnection
from vagus.integrations.gr00t.conversation import Gr00tConversation
from vagus.integrations.gr00t.dialect import N1_5, N1_6, N1_7
from vagus.integrations.gr00t.entrance import Entrance
from vagus.repeats import Repeats
from vagus.threads import Supervised
from vagus.transport.endpoints import bracketed
from vagus.transport.unreached import why_not_listening

__all__ = ["Gr00tListener"]

VERSIONS = (N1_5, N1_6, N1_7)
SPARE_CONNECTIONS = 16
"""Connections beside two per robot: pings, and clients that are told that there is no place."""
BACKLOG = 128
POLL_S = 0.5
"""Bounds how late an end is noticed on a system that does not wake a thread that accepts."""
INTERVAL_NS = 10 * NS_PER_S
"""Clients dropped for one reason, and requests with one mistake, are told at most this often."""
PAUSE_S = 0.1
"""Pause after a connection could not be accepted: the process has no more files, for example."""

logger = logging.getLogger(__name__)


class Gr00tListener:
    """Address at which GR00T clients connect; each connection has a thread of its own.

    There are connections for twice as many clients as robots, so that one without a place is told so. For one
    more, the oldest that has no place and asks nothing is cut.

    Args:
        gateway: admits the robots.
        clock: monotonic.

    Raises:
        ConfigError: `version` is none of GR00T's.

    Attributes:
        address: host:port; empty before `start`.
    """

    def __init__(self, gateway: Gateway, *, clock: Clock | None = None) -> None:
        version = gateway.config.version
        if version and version not in VERSIONS:
            raise ConfigError("version", wanted=f"one of {', '.join(VERSIONS)}, or none", got=repr(version))
        self.address = ""
        self._gateway = gateway
        self._clock = clock or MonotonicClock()
        self._most = 2 * gateway.config.max_peers + SPARE_CONNECTIONS
        self._entrance = Entrance()
        self._lock = threading.Lock()
        self._connections: dict[Gr00tConnection, threading.Thread] = {}
        self._dropped: Repeats[str] = Repeats(interval_ns=INTERVAL_NS, max_keys=16)
        self._troubles: Repeats[str] = Repeats(interval_ns=INTERVAL_NS, max_keys=16)
        self._is_closing = threading.Event()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises:
            ConfigError: nobody can listen at this address.
        """
        config = self._gateway.config
        host, port = config.address(protocol_of(config.protocol).port)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            listening = socket.create_server((host, port), family=found[0][0], backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(
                "listen",
                wanted="a free address of this machine",
                got=f"{bracketed(host)}:{port}: {error.strerror or error}",
                fix=why_not_listening(str(error)),
            ) from error
        listening.settimeout(POLL_S)
        bound_host, bound_port = listening.getsockname()[:2]
        self.address = f"{bracketed(bound_host)}:{bound_port}"
        self._socket = listening
        self._thread = Supervised(lambda: self._accept_from(listening), name="gr00t-gateway")
        self._thread.start()

    def close(self) -> None:
        """Answer what is in progress, and stop; no thread and no socket is left. Twice does nothing."""
        self._is_closing.set()
        if self._socket is None or self._thread is None:
            return
        with suppress(OSError):  # not every system wakes a thread that way
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        with self._lock:
            ending = list(self._connections.items())
        for connection, _ in ending:
            connection.end()
        for connection, thread in ending:
            thread.join(self._gateway.config.answer_timeout_s + SEND_TIMEOUT_S)
            connection.cut()
            thread.join()

    # -- on the thread that accepts ---------------------------------------------------------------------

    def _accept_from(self, listening: socket.socket) -> None:
        while not self._is_closing.is_set():
            try:
                connection, address = listening.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if not self._is_closing.is_set():
                    logger.warning("a connection could not be accepted: %s", error)
                    time.sleep(PAUSE_S)
                continue
            self._begin(connection, f"{bracketed(address[0])}:{address[1]}")

    def _begin(self, connection: socket.socket, address: str) -> None:
        def tell(reason: str) -> None:
            with self._lock:
                repeat = self._dropped.note(reason, self._clock.now_ns())
            if repeat is not None:
                logger.info("client %s dropped (%d for this reason): %s", address, repeat.count, reason)

        def note(trouble: str) -> None:
            with self._lock:
                repeat = self._troubles.note(trouble, self._clock.now_ns())
            if repeat is not None:
                logger.warning("client %s: %s%s", address, trouble, repeat.times)

        conversation = Gr00tConversation(self._gateway, address, self._entrance, note)
        begun = Gr00tConnection(connection, conversation, self._gateway, self._clock, tell)
        thread = Supervised(lambda: self._run(begun), name=f"gr00t-{address}", is_repeated=False)
        with self._lock:
            staying = [one for one in self._connections if not one.is_ending]
            is_full = len(staying) >= self._most
            oldest = next((one for one in staying if one.is_replaceable), None) if is_full else None
            if is_full and oldest is None:
                connection.close()
                return
            self._connections[begun] = thread
        if oldest is not None:
            oldest.cut()
        thread.start()

    def _run(self, connection: Gr00tConnection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                self._connections.pop(connection, None)

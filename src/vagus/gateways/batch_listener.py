"""Listener for clients whose requests are batches: one address, and a thread for each connection."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import ConfigError
from vagus.gateways.batch_conversation import BatchConversation, BatchDialect
from vagus.gateways.entrance import Entrance
from vagus.gateways.gateway import Gateway
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES
from vagus.gateways.peer_connection import SEND_TIMEOUT_S, ConnectionEnd, MessageT, PeerConnection
from vagus.gateways.registry import protocol_of
from vagus.gateways.resting_robots import RestingRobots
from vagus.gateways.robot_rows import RobotRows
from vagus.repeats import Repeats
from vagus.threads import Supervised
from vagus.transport.endpoints import bracketed
from vagus.transport.unreached import why_not_listening

__all__ = ["BatchListener"]

BYTES_PER_MB = 1_000_000
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


class BatchListener:
    """Address at which clients connect; each connection has a thread of its own.

    There are connections for twice as many clients as robots, so that one without a place is told so. For one
    more, the oldest that has no place and asks nothing is cut.

    Args:
        gateway: admits the robots.
        dialect: of the clients.
        new_end: returns our end of a new connection, for messages of at most so many bytes.
        may_return: whether clients may connect anew for each request.
        clock: monotonic.

    Attributes:
        address: host:port; empty before `start`.
    """

    def __init__(
        self,
        gateway: Gateway,
        dialect: BatchDialect,
        new_end: Callable[[int], ConnectionEnd[MessageT]],
        *,
        may_return: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.address = ""
        self._gateway = gateway
        self._dialect = dialect
        self._new_end = new_end
        self._clock = clock or MonotonicClock()
        self._most = 2 * gateway.config.max_peers + SPARE_CONNECTIONS
        self._entrance = Entrance()
        self._resting = RestingRobots(self._clock) if may_return else None
        self._lock = threading.Lock()
        self._connections: dict[PeerConnection, threading.Thread] = {}
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
        self._thread = Supervised(lambda: self._accept_from(listening), name=f"{config.protocol}-gateway")
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
        if self._resting is not None:
            self._resting.close()

    # -- on the thread that accepts ---------------------------------------------------------------------

    def _accept_from(self, listening: socket.socket) -> None:
        while not self._is_closing.is_set():
            if self._resting is not None:
                self._resting.close_late()
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

        most_bytes = min(self._gateway.config.max_message_mb * BYTES_PER_MB, MAX_FOREIGN_BYTES)
        robots = RobotRows(self._gateway, address, self._resting)
        conversation = BatchConversation(self._gateway, self._dialect, robots, self._entrance, note)
        end = self._new_end(most_bytes)
        begun = PeerConnection(connection, end, conversation, self._gateway, self._clock, tell)
        name = f"{self._gateway.config.protocol}-{address}"
        thread = Supervised(lambda: self._run(begun), name=name, is_repeated=False)
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

    def _run(self, connection: PeerConnection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                self._connections.pop(connection, None)

"""The openpi gateway: a WebSocket server for robots that speak openpi, on a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Final, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.http11 import Request, Response

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import ConfigError, LinkError, SessionRefusedError, VagusError
from vagus.gateways.gateway import Gateway
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES
from vagus.gateways.peer import Peer
from vagus.gateways.recognition.findings import OWN_HEADER
from vagus.gateways.registry import protocol_of
from vagus.integrations.openpi.connection import (
    ENDING,
    ConnectionTimes,
    OpenPiConnection,
    PendingConnections,
)
from vagus.integrations.openpi.conversation import OpenPiAnswer, OpenPiConversation
from vagus.integrations.openpi.dialect import ERROR_CLOSE_CODE, ERROR_CLOSE_REASON, encode_metadata
from vagus.integrations.openpi.metadata import metadata_of
from vagus.integrations.openpi.opening import reply_to
from vagus.integrations.openpi.resting import RestingPeers
from vagus.quoting import quoted
from vagus.repeats import Repeats
from vagus.threads import Supervised
from vagus.transport.endpoints import bracketed

__all__ = ["OpenPiListener"]

TRY_AGAIN_LATER: Final = 1013
"""Code of the close frame that refuses a client for now."""
GOING_AWAY: Final = 1001
MAX_REASON_BYTES = 123
"""Longest reason that a close frame has room for."""
UNKNOWN_ADDRESS: Final = ("0.0.0.0", 0)  # noqa: S104 - nothing listens there; the client has gone already
BYTES_PER_MB = 1_000_000
INTERVAL_NS = 10 * NS_PER_S
"""The same mishap is told at most this often, whoever has it."""

SILENT: Final = logging.Logger("websockets", logging.CRITICAL + 1)  # noqa: LOG001 - none that anybody sets
"""Log of websockets itself: a traceback for everybody who knocks and goes, as often as he likes."""

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class _LeftEarlyError(Exception):
    """The client has gone while its request was answered."""


class OpenPiListener:
    """Address at which robots that speak openpi connect; each is a peer of the gateway.

    The requests of a client are answered one after the other on a worker thread, so that its pings are
    answered meanwhile. A client stays for as long as it answers ours.

    Args:
        gateway: admits the robots.
        times: time limits of a connection.
        clock: monotonic.

    Attributes:
        address: host:port; empty before `start`.
    """

    def __init__(
        self, gateway: Gateway, *, times: ConnectionTimes | None = None, clock: Clock | None = None
    ) -> None:
        self.address = ""
        self._gateway = gateway
        self._times = times or ConnectionTimes()
        self._clock = clock or MonotonicClock()
        self._pending = PendingConnections()
        self._told: Repeats[str] = Repeats(interval_ns=INTERVAL_NS, max_keys=32)
        self._workers = ThreadPoolExecutor(2 * gateway.config.max_peers, thread_name_prefix="openpi-gateway")
        self._idle: set[OpenPiConnection] = set()
        self._is_ending = False
        self._resting = RestingPeers(self._times.rest_s, lambda peer: self._on_worker(peer.close))
        self._robots = 0
        self._thread: Supervised | None = None
        self._stop: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises:
            ConfigError: nobody can listen at this address.
        """
        started: Future[str] = Future()

        def tell(error: BaseException) -> None:
            if not started.done():
                started.set_exception(error)

        self._thread = Supervised(
            lambda: asyncio.run(self._run(started)), name="openpi-gateway", on_fault=tell, is_repeated=False
        )
        self._thread.start()
        self.address = started.result()

    def close(self) -> None:
        """Answer what is in progress, and stop; no thread and no socket is left. Twice does nothing."""
        if self._thread is not None:
            self._stop()
            self._thread.join()
        self._workers.shutdown()

    # -- on the thread of the server --------------------------------------------------------------------

    async def _run(self, started: Future[str]) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        host, port = self._gateway.config.address(protocol_of("openpi").port)
        try:
            server = await self._listen(host, port)
        except (OSError, UnicodeError) as error:  # a host name with a label that is too long is the latter
            why = getattr(error, "strerror", None) or error
            wanted, fix = "an address that is free here", "another program listens there, or it is no address"
            started.set_exception(ConfigError("listen", wanted=wanted, got=f"{host}:{port}: {why}", fix=fix))
            return

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stopped.set)

        self._stop = stop
        bound_host, bound_port = next(iter(server.sockets)).getsockname()[:2]
        started.set_result(f"{bracketed(bound_host)}:{bound_port}")
        await stopped.wait()
        server.close(close_connections=False)
        self._is_ending = True
        self._pending.refuse_all()
        await asyncio.gather(*(connection.close(GOING_AWAY, ENDING) for connection in self._idle))
        await server.wait_closed()
        while (peer := self._resting.take_oldest()) is not None:
            await self._on_worker(peer.close)

    async def _listen(self, host: str, port: int) -> Server:
        times = self._times
        own = {"times": times, "pending": self._pending, "metrics": self._gateway.metrics}
        connection_type: type[OpenPiConnection] = type("OwnConnection", (OpenPiConnection,), own)
        server: Server = await serve(
            self._serve_client,
            host,
            port,
            create_connection=connection_type,
            process_request=self._reply_to_http,
            compression=None,
            open_timeout=None,  # the connection says itself that it was too slow
            ping_interval=times.ping_interval_s,
            ping_timeout=times.ping_timeout_s,
            close_timeout=times.close_s,
            max_size=min(self._gateway.config.max_message_mb * BYTES_PER_MB, MAX_FOREIGN_BYTES),
            server_header=OWN_HEADER,
            max_queue=(0, 0),  # the next request is read from the network when this one is answered
            logger=SILENT,
        )
        return server

    def _reply_to_http(self, connection: ServerConnection, request: Request) -> Response | None:
        reply = reply_to(request, connection, self._gateway.check_token)
        if reply is not None and reply.status_code == HTTPStatus.UNAUTHORIZED:
            self._tell("a client without the right key is refused", str(connection.remote_address))
        return reply

    async def _serve_client(self, connection: ServerConnection) -> None:
        if not isinstance(connection, OpenPiConnection):
            raise TypeError(f"wanted an OpenPiConnection, got {type(connection).__name__}")
        host, port = (connection.remote_address or UNKNOWN_ADDRESS)[:2]
        self._robots += 1
        try:
            peer = await self._peer_of(host, port)
            self._pending.remove(connection)
            await self._serve_peer(connection, peer, host)
        except SessionRefusedError as refusal:
            self._tell(str(refusal), host)
            await connection.close(TRY_AGAIN_LATER, _short(refusal))
        except Exception:
            logger.exception("the connection from %s has failed", host)
        finally:
            self._robots -= 1

    async def _serve_peer(self, connection: OpenPiConnection, peer: Peer, host: str) -> None:
        has_session = True
        try:
            has_session = await self._converse(connection, peer)
        except _LeftEarlyError:
            has_session = False
        except ConnectionClosedOK:
            pass
        except (ConnectionClosed, asyncio.TimeoutError) as end:
            self._tell(str(end) or "it does not read its answers", peer.name)
        finally:
            if has_session and not self._is_ending:
                self._resting.put(peer, host)
            else:
                await self._on_worker(peer.close)

    async def _peer_of(self, host: str, port: int) -> Peer:
        """Return the peer of a client's last connection, in a new episode, or a new one."""
        peer = self._resting.take(host)
        if peer is not None:
            await self._on_worker(peer.reset)
            return peer
        if self._robots + len(self._resting) > self._gateway.config.max_peers:
            oldest = self._resting.take_oldest()
            if oldest is not None:
                await self._on_worker(oldest.close)
        return self._gateway.admit(f"{bracketed(host)}:{port}")

    async def _converse(self, connection: OpenPiConnection, peer: Peer) -> bool:
        """Answer a client until one of the two ends it; return whether it has a session."""
        try:
            contract = await self._on_worker(peer.open)  # if the client goes meanwhile, the next one has it
        except VagusError as error:
            self._tell(str(error), peer.name)
            is_passing = isinstance(error, LinkError | SessionRefusedError)
            await connection.close(TRY_AGAIN_LATER if is_passing else ERROR_CLOSE_CODE, _short(error))
            return False
        await connection.send_within(encode_metadata(metadata_of(self._gateway.mapping.profile, contract)))
        path = connection.request.path if connection.request else ""
        conversation = OpenPiConversation(peer, self._gateway.metrics, path=path)
        while not self._is_ending:
            frame = await self._next_message(connection)
            received_ns = self._clock.now_ns()
            answer = await self._answer(connection, peer, conversation, frame)
            if answer.failure:
                self._tell(answer.failure, peer.name)
            await connection.send_within(answer.frame)
            conversation.sent_after(self._clock.now_ns() - received_ns)
            if answer.is_last:
                await connection.close(ERROR_CLOSE_CODE, ERROR_CLOSE_REASON)
                return True
        await connection.close(GOING_AWAY, ENDING)
        return False

    async def _next_message(self, connection: OpenPiConnection) -> bytes | str:
        self._idle.add(connection)
        try:
            return await connection.next_message()
        finally:
            self._idle.discard(connection)

    async def _answer(
        self, connection: OpenPiConnection, peer: Peer, conversation: OpenPiConversation, frame: bytes | str
    ) -> OpenPiAnswer:
        """Return the answer, which a worker finds.

        Raises:
            _LeftEarlyError: the client has gone meanwhile, and the peer with it.
        """
        answering = self._on_worker(functools.partial(conversation.answer, frame))
        leaving = asyncio.ensure_future(connection.wait_closed())
        either: set[asyncio.Future[OpenPiAnswer] | asyncio.Future[None]] = {answering, leaving}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if answering.done():
            return answering.result()
        await self._on_worker(peer.close)
        await answering
        raise _LeftEarlyError

    def _on_worker(self, work: Callable[[], ResultT]) -> asyncio.Future[ResultT]:
        return asyncio.get_running_loop().run_in_executor(self._workers, work)

    def _tell(self, what: str, who: str) -> None:
        """Log what went wrong with a client; of the same, now and then one."""
        repeat = self._told.note(what, self._clock.now_ns())
        if repeat is not None:
            logger.warning("%s: %s%s", who, quoted(what), repeat.times)


def _short(error: VagusError) -> str:
    """Return the sentence of an error as the reason of a close frame."""
    return quoted(error).encode()[:MAX_REASON_BYTES].decode(errors="ignore")

"""A TCP proxy that makes the path between two parties as bad as asked for, while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from dataclasses import replace

from vagus.errors import LinkError, StateError
from vagus.threads import Supervised
from vagus.transport.fault_path import FaultPath, Faults, reset_writer

__all__ = ["FaultProxy", "Faults"]

SOCKET_BYTES = 1 << 18
"""Kernel buffers; the system's own grow to megabytes and would hide the rate limit."""

STOP_TIMEOUT_S = 5.0
"""Longest wait for the proxy's thread."""


class FaultProxy:
    """Forwards TCP connections from `port` to a target: `with FaultProxy("127.0.0.1", 7447) as proxy:`."""

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self.host = host
        self.port = port
        """Port it listens on; the one picked where 0 was asked for."""
        self.trouble = ""
        """Why the last connection could not be forwarded; "" once one could."""
        self._target = (target_host, target_port)
        self._faults = faults or Faults()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._paths: set[FaultPath] = set()

    def __enter__(self) -> FaultProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def faults(self) -> Faults:
        """What is wrong now."""
        return self._faults

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._paths)

    def start(self) -> None:
        """Listen, on a thread of its own.

        Raises:
            LinkError: the address cannot be listened on.
        """
        if self._loop is not None:
            raise StateError("the proxy runs already")
        loop = asyncio.new_event_loop()
        thread = Supervised(loop.run_forever, name="vagus-faults")
        thread.start()
        self._loop, self._thread = loop, thread
        try:
            self._run(self._apply(self._faults))
        except OSError as error:
            self.stop()
            raise LinkError(f"cannot listen on {self.host}:{self.port}: {error}") from error

    def stop(self) -> None:
        """Close everything. Twice does nothing."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._close())
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_S)
        loop.close()

    def set(self, faults: Faults) -> None:
        """Make the path like this from now on; returns when it is so."""
        if self._loop is None:
            self._faults = faults
            return
        self._run(self._apply(faults))

    def cut(self) -> None:
        """Reset all connections and refuse new ones, until `heal`."""
        self.set(replace(self._faults, cut=True))

    def heal(self) -> None:
        """Make the path good again."""
        self.set(Faults())

    def _run(self, coroutine: Coroutine[None, None, None]) -> None:
        loop = self._loop
        if loop is not None:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result(STOP_TIMEOUT_S)

    async def _apply(self, faults: Faults) -> None:
        had_hole, self._faults = self._faults.black_hole, faults
        for path in tuple(self._paths):
            if faults.cut or (had_hole and not faults.black_hole and path.has_lost):
                path.reset()
            path.notice(faults)
        if faults.cut:
            await self._stop_listening()
        elif self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=self._listener())

    def _listener(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            listener.bind((self.host, self.port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError as error:
            self.trouble = f"no connection to {self._target[0]} port {self._target[1]}: {error}"
            reset_writer(writer)
            return
        self.trouble = ""
        path = FaultPath((reader, writer), (far_reader, far_writer), self._faults)
        if self._faults.cut:  # while we were connecting
            path.reset()
            return
        self._paths.add(path)
        with contextlib.suppress(asyncio.CancelledError):  # a reset ends the path; nobody awaits this task
            await path.run()
        self._paths.discard(path)

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _close(self) -> None:
        await self._stop_listening()
        for path in tuple(self._paths):
            path.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

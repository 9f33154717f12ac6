"""TCP proxy that adds faults to the path between two programs: delay, rate limit, outages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Coroutine
from dataclasses import replace

from vagus.errors import LinkError, StateError
from vagus.threads import Supervised
from vagus.transport.fault_path import FaultPath, Faults, reset_writer

__all__ = ["FaultProxy", "Faults"]

logger = logging.getLogger(__name__)

SOCKET_BYTES = 1 << 18
"""Size of the kernel buffers; the default grows to megabytes and would hide the rate limit."""

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
        self._listener: socket.socket | None = None
        self._paths: set[FaultPath] = set()

    def __enter__(self) -> FaultProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def faults(self) -> Faults:
        """Faults that are applied now."""
        return self._faults

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._paths)

    def start(self) -> None:
        """Start to listen, on a thread of its own.

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
        """Close all connections and stop listening. A second call does nothing."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._close())
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_S)
        loop.close()

    def set(self, faults: Faults) -> None:
        """Apply these faults from now on; returns when they are applied."""
        if self._loop is None:
            self._faults = faults
            return
        self._run(self._apply(faults))

    def cut(self) -> None:
        """Reset all connections and refuse new ones, until `heal`."""
        self.set(replace(self._faults, cut=True))

    def heal(self) -> None:
        """Remove all faults."""
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
            self._stop_listening()
        elif self._listener is None:
            self._listener = self._listen()
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            listener.settimeout(0.0)
            listener.bind((self.host, self.port))
            listener.listen()
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener

    def _accept(self, listener: socket.socket) -> None:
        # Not asyncio's own server: that one loses an accepted socket when it is closed in the same moment.
        try:
            end, _ = listener.accept()
        except OSError as error:  # gone before it was taken, or no descriptor is left
            logger.debug("cannot accept a connection: %s", error)
            return
        end.settimeout(0.0)
        task = asyncio.get_running_loop().create_task(self._forward(end))
        task.add_done_callback(lambda _: end.close())  # also when it was cancelled before its first line

    async def _forward(self, end: socket.socket) -> None:
        writers = []
        try:
            near = await asyncio.open_connection(sock=end)
            writers.append(near[1])
            try:
                far = await asyncio.open_connection(*self._target)
            except OSError as error:
                self.trouble = f"no connection to {self._target[0]} port {self._target[1]}: {error}"
                reset_writer(near[1])
                return
            writers.append(far[1])
            self.trouble = ""
            await self._run_path(FaultPath(near, far, self._faults))
        finally:
            for writer in writers:
                writer.transport.abort()

    async def _run_path(self, path: FaultPath) -> None:
        if self._faults.cut:  # while we were connecting
            path.reset()
            return
        self._paths.add(path)
        try:
            with contextlib.suppress(
                asyncio.CancelledError
            ):  # a reset ends the path; nobody awaits this task
                await path.run()
        finally:
            self._paths.discard(path)

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    async def _close(self) -> None:
        self._stop_listening()
        for path in tuple(self._paths):
            path.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

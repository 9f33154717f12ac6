"""TCP connection through the fault proxy: delay, rate limit, stall and black hole, bytes in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from vagus.errors import ConfigError

__all__ = ["Ends", "FaultPath", "Faults", "reset_writer"]

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16
"""Bytes of one read, and bytes that pass the rate limit at once after a pause."""

QUEUE_BYTES = 1 << 18
"""Bytes that may wait for the rate limit; the sender keeps the rest, as with a router's short queue."""

FLIGHT_BYTES = 1 << 25
"""Bytes that may wait for their delay: 150 ms at 1.7 Gbit/s."""


Ends: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""Reader and writer of one socket."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults of the path; by default none."""

    delay_ms: float = 0.0
    """Delay of each byte, in each direction; does not reduce the throughput."""
    jitter_ms: float = 0.0
    """Largest random addition to the delay; bytes stay in order."""
    rare_ms: float = 0.0
    """Further delay of a share of the messages, as where a packet is lost; bytes behind them wait, too."""
    rare_share: float = 0.0
    """Share of the messages in each direction that have this delay, 0 to 1."""
    rate_mbit: float = 0.0
    """Rate limit in each direction, megabits per second; 0: no limit."""
    stall: bool = False
    """Accept connections, but hold all bytes; deliver them after the stall."""
    black_hole: bool = False
    """Accept connections, but discard all bytes; afterwards reset the connections that lost bytes."""
    cut: bool = False
    """Reset all connections and refuse new ones."""

    def __post_init__(self) -> None:
        for name in ("delay_ms", "jitter_ms", "rare_ms", "rate_mbit"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(name, wanted="a finite number, 0 or more", got=repr(value))
        if not 0 <= self.rare_share <= 1:  # also for NaN
            raise ConfigError("rare_share", wanted="a share from 0 to 1", got=repr(self.rare_share))


class FaultPath:
    """One connection through the proxy, with a pipe for each direction."""

    def __init__(self, near: Ends, far: Ends, faults: Faults) -> None:
        self._writers = (near[1], far[1])
        self._pipes = (_Pipe(near[0], far[1], faults), _Pipe(far[0], near[1], faults))
        self._task: asyncio.Task[None] | None = None

    @property
    def has_lost(self) -> bool:
        """Whether a black hole has discarded bytes of this connection."""
        return any(pipe.has_lost for pipe in self._pipes)

    def notice(self, faults: Faults) -> None:
        """Apply these faults from now on."""
        for pipe in self._pipes:
            pipe.notice(faults)

    async def run(self) -> None:
        """Forward bytes until both directions have ended or one fails."""
        self._task = asyncio.current_task()
        halves = [asyncio.ensure_future(half) for pipe in self._pipes for half in (pipe.read(), pipe.write())]
        try:
            await asyncio.gather(*halves)
        except OSError as error:
            logger.debug("connection ended: %s", error)
            self.reset()
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            for writer in self._writers:
                writer.close()
            for writer in self._writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()  # what is still to be sent is sent first

    def reset(self) -> None:
        """Reset the connection on both sides."""
        for writer in self._writers:
            reset_writer(writer)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()


class _Pipe:
    """One direction of a connection: bytes wait for the rate limit, then for their delay, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults) -> None:
        self.has_lost = False
        self._reader = reader
        self._writer = writer
        self._faults = faults
        self._flight: deque[tuple[float, bytes]] = deque()
        self._flight_bytes = 0
        self._changed = asyncio.Event()
        self._sent_at_s = 0.0  # when the rate limit will have let through all that was read
        self._last_due_s = 0.0

    def notice(self, faults: Faults) -> None:
        if faults.rate_mbit != self._faults.rate_mbit:
            self._sent_at_s = 0.0
        self._faults = faults
        self._changed.set()

    async def read(self) -> None:
        while True:
            await self._until(lambda: not self._faults.stall and self._flight_bytes < FLIGHT_BYTES)
            await self._until_queue_is_short()
            chunk = await self._reader.read(CHUNK_BYTES)
            if chunk and self._faults.black_hole:
                self.has_lost = True
                continue
            self._flight.append((self._due_s(len(chunk)), chunk))
            self._flight_bytes += len(chunk)
            self._changed.set()
            if not chunk:
                return

    async def write(self) -> None:
        while True:
            await self._until(lambda: bool(self._flight))
            due_s, chunk = self._flight[0]
            await asyncio.sleep(max(0.0, due_s - _now_s()))
            await self._until(lambda: not self._faults.stall)
            self._flight.popleft()
            self._flight_bytes -= len(chunk)
            self._changed.set()
            if not chunk:
                self._writer.write_eof()
                return
            if self._faults.black_hole:
                self.has_lost = True
                continue
            self._writer.write(chunk)
            await self._writer.drain()

    def _due_s(self, size: int) -> float:
        now_s, faults = _now_s(), self._faults
        if faults.rate_mbit:
            start_s = max(self._sent_at_s, now_s - self._seconds(CHUNK_BYTES))
            self._sent_at_s = start_s + self._seconds(size)
        is_rare = random.random() < faults.rare_share  # noqa: S311 - not a secret
        rare_ms = faults.rare_ms if is_rare else 0.0
        delay_s = (faults.delay_ms + rare_ms + random.uniform(0.0, faults.jitter_ms)) / 1e3  # noqa: S311 - likewise
        self._last_due_s = max(self._last_due_s, max(now_s, self._sent_at_s) + delay_s)
        return self._last_due_s

    def _seconds(self, size: int) -> float:
        return size * 8 / (self._faults.rate_mbit * 1e6)

    async def _until_queue_is_short(self) -> None:
        while self._faults.rate_mbit:
            excess_s = self._sent_at_s - _now_s() - self._seconds(QUEUE_BYTES)
            if excess_s <= 0:
                return
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), excess_s)

    async def _until(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            self._changed.clear()
            await self._changed.wait()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def reset_writer(writer: asyncio.StreamWriter) -> None:
    """Close a socket with RST, as a broken path does, instead of FIN."""
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

"""Live status line of `vagus run`, on a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from vagus.control.ports import LoopStatus
from vagus.edge.client.client import ClientStatus
from vagus.threads import Supervised
from vagus.types import LinkState, MotionState

__all__ = ["LiveLine", "status_text"]

REFRESH_S = 0.25
JOIN_TIMEOUT_S = 2.0

STYLES = {
    LinkState.STREAMING: "green",
    LinkState.DEGRADED: "yellow",
    LinkState.RECONNECTING: "red",
    LinkState.DEAD: "bold red",
    MotionState.PLAYING: "green",
    MotionState.FALLBACK: "red",
    MotionState.STOPPED: "bold red",
}


class LiveLine:
    """Line that shows the newest status until it is closed, on a terminal only."""

    def __init__(
        self,
        console: Console,
        loop_status: Callable[[], LoopStatus | None],
        link_status: Callable[[], ClientStatus],
    ) -> None:
        self._console = console
        self._loop_status = loop_status
        self._link_status = link_status
        self._stopping = threading.Event()
        self._thread = Supervised(self._run, name="vagus-line")

    def __enter__(self) -> LiveLine:
        if self._console.is_terminal:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)

    def _run(self) -> None:
        is_shared = sys.stderr.isatty()  # what others write then goes above the line; a log file stays one
        with Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stderr=is_shared
        ) as live:
            before: LoopStatus | None = None
            while not self._stopping.wait(REFRESH_S):
                status = self._loop_status()
                if status is not None:
                    text = status_text(status, before, self._link_status(), width=self._console.width)
                    live.update(text, refresh=True)
                before = status


def status_text(status: LoopStatus, before: LoopStatus | None, link: ClientStatus, *, width: int) -> Text:
    """Return one line of at most `width` characters, with the most important values first."""
    latency = "–" if link.latency_ms is None else f"{link.latency_ms:.0f} ms"
    text = Text(no_wrap=True)
    text.append(f"{status.link.name:<12}", STYLES.get(status.link, ""))
    text.append(f" {status.motion.name:<8}", STYLES.get(status.motion, ""))
    parts = (
        f"  step {status.step}",
        f"  buffer {status.playback_left_s:4.2f} s",
        f"  latency {latency:>7}",
        f"  {_rate(status, before):>6}",
        f"  late {status.lateness_ms:5.2f} ms",
        f"  {link.server}",
        _parts(link),
    )
    for part in parts:
        if len(text) + len(part) > width:
            break
        text.append(part)
    return text


def _parts(link: ClientStatus) -> str:
    """Return the parts of the last round trip's time: network, queue, inference."""
    if link.parts is None:
        return ""
    spent = link.parts.as_ms
    return f" (net {spent['network']:.0f} queue {spent['queue']:.0f} inference {spent['inference']:.0f})"


def _rate(status: LoopStatus, before: LoopStatus | None) -> str:
    if before is None or status.now_ns <= before.now_ns:
        return "–"
    return f"{(status.ticks - before.ticks) * 1e9 / (status.now_ns - before.now_ns):.0f} Hz"

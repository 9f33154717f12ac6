"""The line that `vagus run` keeps up to date, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from vagus.control.parts import LoopStatus
from vagus.edge.client import ClientStatus
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
    """Shows the newest status until it is closed; on a terminal in place, elsewhere not at all."""

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
        self._thread = threading.Thread(target=self._run, name="vagus-line", daemon=True)

    def __enter__(self) -> LiveLine:
        if self._console.is_terminal:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)

    def _run(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            before: LoopStatus | None = None
            while not self._stopping.wait(REFRESH_S):
                status = self._loop_status()
                if status is not None:
                    live.update(status_text(status, before, self._link_status()), refresh=True)
                before = status


def status_text(status: LoopStatus, before: LoopStatus | None, link: ClientStatus) -> Text:
    """Return one line: link and motion state, latency, buffer, rate, lateness."""
    is_stalled = status.motion is MotionState.FALLBACK and status.link is not LinkState.DEAD
    motion = "STALLED" if is_stalled else status.motion.name
    latency = "–" if link.latency_ms is None else f"{link.latency_ms:.0f} ms"
    text = Text(no_wrap=True)
    text.append(f"{status.link.name:<12}", STYLES.get(status.link, ""))
    text.append(f"{motion:<8}", STYLES.get(status.motion, ""))
    text.append(
        f" latency {latency:>7}{_parts(link)}  buffer {status.playback_left_s:4.2f} s"
        f"  rate {_rate(status, before):>6}"
    )
    text.append(f"  late {status.lateness_ms:5.2f} ms  step {status.step}  {link.server}")
    return text


def _parts(link: ClientStatus) -> str:
    """Return where the time of the last round trip went: network, queue, inference."""
    if link.parts is None:
        return ""
    spent = link.parts.as_ms
    return f" (net {spent['network']:.0f} queue {spent['queue']:.0f} inference {spent['inference']:.0f})"


def _rate(status: LoopStatus, before: LoopStatus | None) -> str:
    if before is None or status.now_ns <= before.now_ns:
        return "–"
    return f"{(status.ticks - before.ticks) * 1e9 / (status.now_ns - before.now_ns):.0f} Hz"

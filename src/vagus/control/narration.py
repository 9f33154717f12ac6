"""Messages of a run: one sentence per change of state, fewer where changes pile up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from vagus.clock import NS_PER_S
from vagus.types import LinkState, MotionState, Provenance

__all__ = ["Change", "Changes", "Line", "Narrator"]

WINDOW_NS = 10 * NS_PER_S
"""Window in which an event that comes more than `BURST` times is counted and reported once."""
BURST = 3
REMIND_NS = 10 * NS_PER_S
"""Pause between two reports that there is still no plan."""
MOST_LINES = 24
"""Most lines per window; the rest are counted."""
KEPT_CHANGES = 1024
"""Most changes that wait for the log thread; a tick makes at most one."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change: the states of a tick that differ from those of the tick before.

    Attributes:
        now_ns: time of the tick.
        link: how the link stands.
        motion: what the robot does.
        episode: episode number.
        step: policy step that is commanded, or comes next.
    """

    now_ns: int
    link: LinkState
    motion: MotionState
    episode: int
    step: int


class Changes:
    """Queue of changes from the control thread, which only appends, to the thread that logs them."""

    def __init__(self) -> None:
        self._waiting: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self._warnings: deque[str] = deque(maxlen=KEPT_CHANGES)
        self._link: LinkState | None = None
        self._motion: MotionState | None = None
        self._episode: int | None = None

    def note(self, now_ns: int, provenance: Provenance, step: int) -> None:
        """Add the states of a tick (control thread); without a change, nothing is allocated."""
        link, motion, episode = provenance.link, provenance.motion, provenance.episode
        if link is self._link and motion is self._motion and episode == self._episode:
            return
        self._link, self._motion, self._episode = link, motion, episode
        step = step if provenance.step is None else provenance.step
        self._waiting.append(Change(now_ns, link, motion, episode, step))

    def warn(self, text: str) -> None:
        """Queue `text` as a warning (control thread); "": nothing."""
        if text:
            self._warnings.append(text)

    def take(self) -> Iterator[Change]:
        """Yield the new changes, oldest first (one other thread)."""
        while self._waiting:
            yield self._waiting.popleft()

    def take_warnings(self) -> list[Line]:
        """Return the new warnings (one other thread)."""
        lines: list[Line] = []
        while self._warnings:
            lines.append(Line(self._warnings.popleft(), is_warning=True))
        return lines


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    text: str
    is_warning: bool = False


class _Often:
    """An event that lasts a while: reported one by one, or counted if it comes too often."""

    def __init__(self) -> None:
        self._window_ns: int | None = None
        self._count = 0
        self._lasted_ns = 0
        self._began_ns: int | None = None
        self._is_counting = False

    @property
    def began_ns(self) -> int | None:
        """Time at which the event began; None: it is not there."""
        return self._began_ns

    def begin(self, now_ns: int) -> bool:
        """Note the begin; return whether to report it."""
        if self._window_ns is None:
            self._window_ns = now_ns
        self._began_ns = now_ns
        self._count += 1
        self._is_counting = self._is_counting or self._count > BURST
        return not self._is_counting

    def end(self, now_ns: int) -> int | None:
        """Note the end; return how long the event lasted, or None if it is not to be reported."""
        began_ns, self._began_ns = self._began_ns, None
        if began_ns is None:
            return None
        self._lasted_ns += now_ns - max(began_ns, self._window_ns or began_ns)
        return None if self._is_counting else now_ns - began_ns

    def summary(self, now_ns: int) -> tuple[int, int, int] | None:
        """Return (count, total ns, window ns) at the end of a window in which events were only counted."""
        if self._window_ns is None or now_ns - self._window_ns < WINDOW_NS:
            return None
        if self._began_ns is not None:
            self._lasted_ns += now_ns - max(self._began_ns, self._window_ns)
        told = (self._count, self._lasted_ns, now_ns - self._window_ns)
        was_counting, self._is_counting = self._is_counting, self._is_counting and self._count > BURST
        self._window_ns = now_ns if self._is_counting or self._began_ns is not None else None
        self._count = self._lasted_ns = 0
        return told if was_counting and told[0] else None


class _Budget:
    """Budget of `MOST_LINES` lines per window."""

    def __init__(self) -> None:
        self._window_ns: int | None = None
        self._left = MOST_LINES
        self._kept_back = 0

    def spend(self, now_ns: int, lines: list[Line]) -> list[Line]:
        """Return the lines that may be reported now."""
        if self._window_ns is None or now_ns - self._window_ns >= WINDOW_NS:
            kept_back, self._kept_back = self._kept_back, 0
            self._window_ns, self._left = now_ns, MOST_LINES
            lines = [Line(f"{kept_back} more changes were not told")] * bool(kept_back) + lines
        told = lines[: self._left]
        self._left -= len(told)
        self._kept_back += len(lines) - len(told)
        return told


class Narrator:
    """Turns changes into lines of the log. Pure; one thread.

    What happens again and again, such as a plan that runs out, is told one by one `BURST` times, then once
    per `WINDOW_NS` as a count and a share of the time.
    """

    def __init__(self) -> None:
        self._before: Change | None = None
        self._gaps = _Often()
        self._trouble = _Often()
        self._episodes = _Often()
        self._pauses = _Often()
        self._idle_ns: int | None = None
        self._reminded_ns = 0
        self._is_hushed = False
        self._budget = _Budget()

    def tell(self, change: Change, cause: str = "") -> list[Line]:
        """Return the line about a change.

        Args:
            change: what came after all that were told.
            cause: what is known of the link while it is not well, in words.
        """
        before, self._before = self._before, change
        said = self._of_link(None if before is None else before.link, change, cause)
        if before is None or before.episode != change.episode:
            said += self._of_episode(before, change)
        if before is None or before.motion is not change.motion:
            said += self._of_motion(before, change, cause)
        return self._budget.spend(change.now_ns, said)

    def remind(self, now_ns: int, cause: str = "") -> list[Line]:
        """Return the lines that are due without a change: counts, and that there is still no plan."""
        said = [line for line in self._counted(now_ns) if line is not None]
        if self._idle_ns is not None and now_ns - max(self._idle_ns, self._reminded_ns) >= REMIND_NS:
            self._reminded_ns = now_ns
            text = f"still without a plan after {_seconds(now_ns - self._idle_ns)}{_because(cause)}"
            said.append(Line(text, is_warning=True))
        return self._budget.spend(now_ns, said)

    # -- motion -----------------------------------------------------------------------------------------

    def _of_motion(self, before: Change | None, change: Change, cause: str) -> list[Line]:
        gap_ns, paused_ns = self._gaps.end(change.now_ns), self._pauses.end(change.now_ns)
        is_idle = change.motion in (MotionState.WAITING, MotionState.FALLBACK)
        self._idle_ns = (self._idle_ns or change.now_ns) if is_idle else None
        if change.motion is MotionState.PAUSED:
            return [Line("paused")] if self._pauses.begin(change.now_ns) else []
        if change.motion is MotionState.STOPPED:
            return [Line("stopped")]
        if before is not None and before.motion is MotionState.PAUSED:
            return [] if paused_ns is None else [Line(f"resumed after {_seconds(paused_ns)}")]
        if change.motion is MotionState.FALLBACK:
            return self._of_shortage(before, change, cause)
        return self._of_plan(before, change, gap_ns)

    def _of_plan(self, before: Change | None, change: Change, gap_ns: int | None) -> list[Line]:
        if self._is_hushed:
            return []
        if change.motion is MotionState.WAITING:
            return [Line("waiting for a plan")]
        if before is None or before.motion is not MotionState.FALLBACK or before.step == change.step == 0:
            return [Line(f"playing from step {change.step}")]
        return [] if gap_ns is None else [Line(f"playing again after {_seconds(gap_ns)}")]

    def _of_shortage(self, before: Change | None, change: Change, cause: str) -> list[Line]:
        if before is not None and before.episode != change.episode:
            return []  # its plan did not run out: it has none yet
        is_told = self._gaps.begin(change.now_ns)
        text = f"plan ran out at step {change.step}: holding{_because(cause or _of_state(change.link))}"
        return [Line(text, is_warning=True)] if is_told else []

    def _of_episode(self, before: Change | None, change: Change) -> list[Line]:
        if before is None:
            return []
        self._is_hushed = not self._episodes.begin(change.now_ns)
        self._episodes.end(change.now_ns)
        return [] if self._is_hushed else [Line(f"episode {change.episode} begins")]

    # -- link -------------------------------------------------------------------------------------------

    def _of_link(self, before: LinkState | None, change: Change, cause: str) -> list[Line]:
        if before is change.link or before is None:
            return []
        lasted_ns = self._trouble.end(change.now_ns)
        if change.link is LinkState.DEGRADED:
            is_told = self._trouble.begin(change.now_ns)
            return [Line(cause or "link degraded", is_warning=True)] if is_told else []
        if change.link is LinkState.STREAMING and lasted_ns is not None:
            return [Line(f"link well again after {_seconds(lasted_ns)}")]
        return []  # a lost server and the next one are told by whoever goes there

    # -- counts -----------------------------------------------------------------------------------------

    def _counted(self, now_ns: int) -> Iterator[Line | None]:
        yield _many(
            self._gaps.summary(now_ns), "the plan ran out", ", the robot without one", is_warning=True
        )
        yield _many(self._trouble.summary(now_ns), "the link was degraded", "", is_warning=True)
        yield _many(self._episodes.summary(now_ns), "an episode began")
        yield _many(self._pauses.summary(now_ns), "the robot was paused")


def _many(
    counted: tuple[int, int, int] | None, what: str, whose: str = "", *, is_warning: bool = False
) -> Line | None:
    if counted is None:
        return None
    times, lasted_ns, window_ns = counted
    share = f"{whose} for {_seconds(lasted_ns)} in all ({lasted_ns / window_ns:.0%})" if lasted_ns else ""
    return Line(f"in the last {_seconds(window_ns)} {what} {times} times{share}", is_warning=is_warning)


def _because(cause: str) -> str:
    return f" ({cause})" if cause else ""


def _of_state(link: LinkState) -> str:
    return "the answer is late" if link is LinkState.STREAMING else f"link {link.value}"


def _seconds(ns: int) -> str:
    return f"{ns / NS_PER_S:.1f} s"

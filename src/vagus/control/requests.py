"""Requests of other threads to a running loop: pause, resume, reset."""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable

from vagus.control.config import LoopConfig
from vagus.control.controller import EnginePort
from vagus.control.episode import EpisodeWatch
from vagus.control.motion import Motion
from vagus.control.ready import ReadyWay
from vagus.control.watchdog import Watchdog
from vagus.errors import StateError
from vagus.types import FloatArray, MotionState

__all__ = ["LoopRequest", "Requests"]

logger = logging.getLogger(__name__)


class LoopRequest(enum.Enum):
    """A request to a loop."""

    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"


class Requests:
    """Requests in the order in which they came; `put` from any thread, the rest on the control thread.

    Before an episode or a pause ends, what drives on by itself is brought to rest: nobody commands it then.
    """

    def __init__(
        self,
        engine: EnginePort,
        motion: Motion,
        episode: EpisodeWatch,
        watchdog: Watchdog,
        *,
        ready: ReadyWay | None = None,
        on_moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the queue.

        Args:
            engine: is paused, resumed and reset.
            motion: says whether the robot is at rest.
            episode: begins the robot's episodes.
            watchdog: watches the robot while it begins one.
            ready: the way before an episode; None: none is wanted.
            on_moved: called when an episode begins with the robot in another pose.
        """
        self._ready = ready or ReadyWay(engine, motion, None)
        self._on_moved = on_moved
        self._engine = engine
        self._motion = motion
        self._episode = episode
        self._watchdog = watchdog
        self._waiting: deque[LoopRequest] = deque()
        self._resumes_after_reset = False

    def put(self, request: LoopRequest) -> None:
        """Queue a request; it is applied at the next tick, or once the robot is at rest."""
        self._waiting.append(request)

    @property
    def is_resetting(self) -> bool:
        """Whether a new episode is requested already."""
        return LoopRequest.RESET in self._waiting

    @property
    def is_pausing(self) -> bool:
        """Whether a pause was asked for and has not begun."""
        return LoopRequest.PAUSE in self._waiting

    def apply_next(self, now_ns: int, state: FloatArray | None, config: LoopConfig) -> bool:
        """Apply a request that is due; return whether there was one. `state` is None if it is not trusted."""
        if not self._waiting or not self._may_apply(self._waiting[0], now_ns):
            return False
        request = self._waiting.popleft()
        try:
            self._apply(request, now_ns, state, config)
        except StateError as error:
            logger.warning("%s was ignored: %s", request.value, error)
        return True

    def _may_apply(self, request: LoopRequest, now_ns: int) -> bool:
        if request is LoopRequest.PAUSE or self._motion.is_at_rest or self._episode.is_over_by_itself:
            return True
        if request is LoopRequest.RESET and self._engine.motion is not MotionState.PAUSED:
            self._engine.pause(now_ns)
            self._resumes_after_reset = True
        return False

    def _apply(self, request: LoopRequest, now_ns: int, state: FloatArray | None, config: LoopConfig) -> None:
        engine = self._engine
        if request is LoopRequest.PAUSE:
            if not self._ready.give_up():  # it is paused on the way, and stays so for the human
                engine.pause(now_ns)
        elif request is LoopRequest.RESUME:
            measured = None if state is None else self._motion.measured(state)
            within, gap = config.keep_plan_within, self._motion.gap
            engine.resume(now_ns, measured=measured, keep_plan_within=within, gap=gap)
        else:
            self._begin_episode(now_ns)

    def _begin_episode(self, now_ns: int) -> None:
        self._watchdog.long("robot.begin_episode()")
        was_moved = self._episode.begin(now_ns)
        self._watchdog.call = ""
        self._watchdog.tick()
        self._engine.reset(was_moved=was_moved)
        if was_moved:
            self._on_moved()
        if self._resumes_after_reset:
            self._engine.resume(now_ns)
        self._resumes_after_reset = False
        self._ready.begin(now_ns)
        if was_moved and self._ready.is_going:
            self._motion.release()  # the way begins where it was put, not at the last command

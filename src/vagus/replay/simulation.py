"""A recorded session on a simulated clock: the real engine, motion and limits, another network. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_S
from vagus.control.config import LoopConfig
from vagus.control.controller import Controller, ControllerTick
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.edge.client.codec import as_played
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract
from vagus.recording.session import RecordedSession
from vagus.replay.answers import RecordedAnswers
from vagus.replay.following_body import FollowingBody
from vagus.replay.network import NetworkChange
from vagus.replay.simulated_link import SimulatedLink, SimulatedRequest
from vagus.specs import PolicySpec, RobotSpec
from vagus.types import ActionArray, LinkState, MotionState

__all__ = ["Played", "SessionTerms", "play"]

PAUSE_NS = NS_PER_S // 2
"""Time without a recorded command that counts as a pause: the plan is dropped, as at its end."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a session was run with.

    Attributes:
        robot: the robot in the policy's names.
        policy: the policy.
        step_rate_hz: policy steps per second.
        edge: settings of the engine and the client.
        loop: settings of the control loop, in the policy's names.
        continues_awaited: the server continued chunks that were still under way to the robot.
    """

    robot: RobotSpec
    policy: PolicySpec
    step_rate_hz: float
    edge: EdgeConfig
    loop: LoopConfig
    continues_awaited: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What would have happened.

    Attributes:
        action: command at each recorded row, (n, action_dim), float64; NaN: nothing commanded.
        is_plan: an action of the plan was commanded, (n,).
        link: link state at each row.
        spare_ns: shortest playback left in the plan while it was played; None: it never was.
        requests: every request, in its order.
        counters: counters of the engine and of the client protocol.
        limited: name of a limit → ticks in which it changed a command.
        pauses: number of pauses in the recording.
        ended_ns: time at which the run would have been ended; None: it would not.
        ended_because: why.
    """

    action: ActionArray
    is_plan: NDArray[np.bool_]
    link: tuple[LinkState, ...]
    spare_ns: int | None
    requests: tuple[SimulatedRequest, ...]
    counters: Counter[str]
    limited: dict[str, int]
    pauses: int
    ended_ns: int | None = None
    ended_because: str = ""


@dataclass(frozen=True, slots=True)
class _Tick:
    now_ns: int
    episode: int
    place: int
    """Row whose state is measured."""
    is_row: bool
    """A command was recorded then."""


def play(session: RecordedSession, terms: SessionTerms, change: NetworkChange) -> Played:
    """Play a session with another network. What the robot meets is what it met then: the loop is open."""
    return _Run(session, terms, change).play()


class _Run:
    def __init__(self, session: RecordedSession, terms: SessionTerms, change: NetworkChange) -> None:
        self._session = session
        self._ticks = list(_ticks(session))
        robot, policy, rtc = terms.robot, terms.policy, terms.policy.rtc
        uses_rtc = terms.edge.rtc and rtc is not None
        prefix_horizon = terms.edge.prefix_horizon or (0 if rtc is None else rtc.prefix_horizon)
        contract = EngineContract(
            step_rate_hz=terms.step_rate_hz,
            tick_rate_hz=robot.rate_hz,
            uses_rtc=uses_rtc,
            prefix_horizon=min(prefix_horizon, policy.horizon) if uses_rtc else 0,
        )
        mapping = OrderMapping(robot, policy)
        self._engine = Engine(terms.edge, contract)
        self._motion = Motion(
            mapping.actions,
            mapping.state_names,
            tick_s=1 / robot.rate_hz,
            fallbacks=terms.loop.fallback,
            max_limited_s=terms.loop.max_limited_s,
            return_time_s=terms.loop.return_time_s,
        )
        self._body = FollowingBody(mapping.actions, mapping.state_names)
        self._controller = Controller(robot, self._engine, mapping, self._motion)
        self._link = SimulatedLink(
            terms.edge,
            as_played(policy, robot),
            RecordedAnswers(session.chunks, policy.horizon),
            change,
            begin_ns=self._ticks[0].now_ns,
            continues_awaited=terms.continues_awaited,
        )
        self._spare_ns: int | None = None
        self._pauses = 0

    def play(self) -> Played:
        count = len(self._session.steps)
        action = np.full(self._session.steps.action.shape, np.nan)
        is_plan, link = np.zeros(count, np.bool_), [LinkState.CONNECTING] * count
        ended_ns, why, before = None, "", self._ticks[0]
        for tick in self._ticks:
            self._bridge(before, tick)
            before = tick
            result = self._advance(tick)
            if result.end is not None:
                ended_ns, why = tick.now_ns, f"{result.end.value}: {result.error}"
                break
            if not tick.is_row or result.command is None:
                continue
            link[tick.place] = result.command.provenance.link
            is_plan[tick.place] = result.command.provenance.step is not None
            if result.command.action is not None:
                action[tick.place] = result.command.action
        return Played(
            action=action,
            is_plan=is_plan,
            link=tuple(link),
            spare_ns=self._spare_ns,
            requests=tuple(self._link.requests),
            counters=self._engine.counters + self._link.counters,
            limited=self._motion.limited_counts,
            pauses=self._pauses,
            ended_ns=ended_ns,
            ended_because=why,
        )

    def _bridge(self, before: _Tick, tick: _Tick) -> None:
        """Begin the episodes that began between two ticks, and pause where nothing was commanded for long."""
        engine = self._engine
        while engine.episode < tick.episode:
            engine.reset(was_moved=True)
            self._body.begin_episode()
        if tick.now_ns - before.now_ns > PAUSE_NS:
            self._pauses += 1
            engine.pause(before.now_ns)
            engine.resume(tick.now_ns - 1)

    def _advance(self, tick: _Tick) -> ControllerTick:
        steps = self._session.steps
        reading = self._body.measure(steps.state[tick.place])
        self._link.advance(self._engine, tick.now_ns)
        result = self._controller.advance(tick.now_ns, reading)
        if tick.is_row and result.command is not None:
            self._body.command(steps.action[tick.place], result.command.action)
        if result.draft is not None:
            self._link.offer(result.draft, tick.now_ns)
        if self._engine.motion is MotionState.PLAYING:
            left_ns = self._engine.playback_left_ns
            self._spare_ns = left_ns if self._spare_ns is None else min(self._spare_ns, left_ns)
        return result


def _ticks(session: RecordedSession) -> Iterator[_Tick]:
    """Return the ticks of a session: its commands, and the boundaries of requests before the first of them.

    While a robot waits for its first plan, nothing is commanded and so nothing recorded; the stamps of the
    observations say when it ticked.
    """
    steps = session.steps
    times = {int(t_ns): place for place, t_ns in enumerate(steps.t_ns)}
    extra = {c.captured_ns: c.episode for c in session.chunks if c.captured_ns not in times}
    for now_ns in sorted({*times, *extra}):
        if now_ns in times:
            place = times[now_ns]
            yield _Tick(now_ns, int(steps.episode[place]), place, is_row=True)
        else:
            place = min(int(np.searchsorted(steps.t_ns, now_ns)), len(steps) - 1)
            yield _Tick(now_ns, extra[now_ns], place, is_row=False)

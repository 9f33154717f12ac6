"""One robot in a world on a simulated clock: the real engine, motion, limits and client protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_S
from vagus.control.controller import Controller
from vagus.control.fallback import Fallbacks
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.edge.client.codec import as_played
from vagus.edge.client.inflight import Request
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract
from vagus.specs import ActionFeature, ActionKind, PolicySpec
from vagus.trials.checked_world import CheckedWorld
from vagus.trials.delay_law import DelayDraws, DelayLaw
from vagus.trials.play_method import PlayMethod
from vagus.trials.trial_link import TrialLink
from vagus.trials.world import World
from vagus.types import ActionArray, ActionChunk, MotionState, Observation

__all__ = ["EpisodeResult", "TrialRequest", "TrialRobot", "acceleration", "phase_of"]

ORDERS = {ActionKind.POSITION: 2, ActionKind.VELOCITY: 1, ActionKind.DELTA: 1, ActionKind.EFFORT: 1}
"""Kind of action → how often its commands are differentiated to accelerations."""
STOPPING = frozenset({ActionKind.VELOCITY, ActionKind.DELTA})
"""Kinds of which a robot that stands has 0; of the others it keeps the last command."""
MAX_LIMITED_S = 1e6
MOST_PHASE = 11
"""Steps by which the first request of an episode is put off at most, so that no phase is preferred. Twelve
phases are as many of each for requests every 2, 3, 4, 6 or 12 steps: where that time divides the time between
two walls, an episode keeps its phase to its end."""


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """Result of one episode.

    Attributes:
        seed: seed of the episode.
        success: share of its chances that succeeded, 0–1.
        starved: share of the steps after the first command in which no action of the plan was commanded; 1
            if there was none.
        acceleration: root mean square of the commands' acceleration, in units per s².
        requests: requests that were sent.
        underestimated: chunks that came later than the policy was told.
    """

    seed: int
    success: float
    starved: float
    acceleration: float
    requests: int
    underestimated: int


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """A request that must be answered, and when its answer arrives."""

    robot: TrialRobot
    request: Request
    observation: Observation
    due_ns: int

    def answer(self, chunk: ActionChunk) -> None:
        """Send the chunk on its way."""
        self.robot.link.answer(self.request, chunk, self.due_ns)


class TrialRobot:
    """Runs episodes one after another; its engine, and the round trips it has seen, live through all of them.

    Args:
        world: the world.
        policy: the policy.
        method: how chunks are played.
        law: how long they take.
        inference_ms: part of it that is the server's device at work.
    """

    def __init__(
        self,
        world: World,
        policy: PolicySpec,
        method: PlayMethod,
        law: DelayLaw,
        *,
        inference_ms: float = 0.0,
    ) -> None:
        robot = world.spec
        rtc = policy.rtc if method.uses_rtc else None
        self._world = CheckedWorld(world)
        self._law = law
        self._instruction = policy.default_instruction
        self._step_ns = round(NS_PER_S / robot.rate_hz)
        contract = EngineContract(
            step_rate_hz=robot.rate_hz,
            tick_rate_hz=robot.rate_hz,
            uses_rtc=rtc is not None,
            prefix_horizon=0 if rtc is None else min(rtc.prefix_horizon, policy.horizon),
        )
        self._mapping = OrderMapping(robot, policy)
        self._engine = Engine(method.edge, contract)
        self._motion = Motion(
            self._mapping.actions,
            self._mapping.state_names,
            tick_s=1 / robot.rate_hz,
            fallbacks=Fallbacks(),
            max_limited_s=MAX_LIMITED_S,
        )
        self._controller = Controller(robot, self._engine, self._mapping, self._motion)
        self.link = TrialLink(
            method.edge,
            as_played(policy, robot),
            method.mixing(),
            inference_ms=inference_ms,
            continues_plan=rtc is not None,
        )
        self._now_ns = 0
        self._draws = DelayDraws(law, 0)
        self._due_ns = 0
        self._waits = method.waits
        self._waiting = 0
        self._commands: list[ActionArray] = []
        self._stops = np.array([feature.kind in STOPPING for feature in robot.actions])
        self._idle = 0
        self._starved = 0
        self._played = 0
        self._steps = 0
        self._requests = 0
        self._late_before = 0
        self._seed = 0
        self._is_begun = False

    def begin_episode(self, seed: int, *, wait: int | None = None) -> None:
        """Begin the episode of a seed.

        Args:
            seed: of the world, and of the delays.
            wait: steps by which the first request is put off; None: `phase_of` the seed.
        """
        self._world.reset(seed)
        if self._is_begun:
            self._engine.reset(was_moved=True)
            self.link.begin_episode()
        self._is_begun = True
        self._draws = DelayDraws(self._law, seed)
        self._idle, self._waiting = phase_of(seed) if wait is None else wait, 0
        self._commands.clear()
        self._starved = self._played = self._requests = self._steps = 0
        self._late_before = self._engine.counters["delay_underestimated"]
        self._seed = seed

    @property
    def is_over(self) -> bool:
        """Whether the episode is over, or its time is up."""
        return self._world.is_over or self._steps >= self._world.max_steps

    def advance(self) -> TrialRequest | None:
        """Let one step pass; return the request that became due in it."""
        self._steps += 1
        if self._waiting:
            self._stand()
            return None
        now_ns = self._now_ns
        self._now_ns += self._step_ns
        if self._idle:
            self._idle -= 1
            self._world.advance(None)
            return None
        state = self._world.state()
        self.link.advance(self._engine, now_ns)
        tick = self._controller.advance(now_ns, Reading(state, state, is_trusted=True))
        request = None if tick.draft is None else self.link.offer(tick.draft, now_ns)
        made = None if request is None else self._request(request, now_ns)
        if self._waiting:
            self._stand()
        else:
            self._note(tick.action)
            self._world.advance(tick.action)
        return made

    def _stand(self) -> None:
        """Let a step pass in which nothing is commanded, because an answer is waited for."""
        self._waiting -= 1
        self._starved += self._played > 0
        if self._commands:
            self._commands.append(np.where(self._stops, 0.0, self._commands[-1]))
        self._world.advance(None)

    def _request(self, request: Request, now_ns: int) -> TrialRequest:
        """Return a request; where its answer is waited for, time stands still for the robot's own clock."""
        self._requests += 1
        draft = request.draft
        is_seen = bool(self._mapping.cameras)  # drawing may cost more than a step
        images = self._mapping.images_to_policy(self._world.images()) if is_seen else {}
        seen = Observation(draft.state, images, self._instruction, draft.captured_ns)
        since_begin_ns = (self._steps - 1) * self._step_ns
        delay_ns = self._draws.arrival_ns(since_begin_ns) - since_begin_ns
        if self._waits:
            self._waiting, delay_ns = -(-delay_ns // self._step_ns), 1
        self._due_ns = max(now_ns + delay_ns, self._due_ns)  # no reply overtakes another
        return TrialRequest(self, request, seen, self._due_ns)

    def _note(self, action: ActionArray | None) -> None:
        is_playing = self._engine.motion is MotionState.PLAYING
        self._played += is_playing
        if self._played and not is_playing:
            self._starved += 1
        if action is not None:
            self._commands.append(action)

    def result(self) -> EpisodeResult:
        """Return the result of the episode."""
        return EpisodeResult(
            seed=self._seed,
            success=self._world.successes / self._world.chances,
            starved=self._starved / (self._starved + self._played) if self._played else 1.0,
            acceleration=acceleration(self._commands, self._world.spec.actions, self._world.spec.rate_hz),
            requests=self._requests,
            underestimated=self._engine.counters["delay_underestimated"] - self._late_before,
        )


def phase_of(seed: int) -> int:
    """Return the steps by which the first request of a seed's episode is put off."""
    return int(np.random.default_rng([seed, 2]).integers(MOST_PHASE + 1))


def acceleration(commands: Sequence[ActionArray], actions: Sequence[ActionFeature], rate_hz: float) -> float:
    """Return the root mean square of the acceleration of commands, each (action_dim,), in units per s².

    Args:
        commands: one per step.
        actions: features in the same order.
        rate_hz: steps per second.
    """
    sent, orders = np.array(commands), [ORDERS.get(feature.kind, 0) for feature in actions]
    squares = [
        (np.diff(sent[:, at], order) * rate_hz**order) ** 2
        for at, order in enumerate(orders)
        if order and len(sent) > order
    ]
    return float(np.sqrt(np.mean(np.concatenate(squares)))) if squares else 0.0

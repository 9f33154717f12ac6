"""Whatever a scheduler decides, robots only starve: the true server, client, engine, limits and gate."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from server.raw_client import PATIENCE_S, wait_until
from vagus.clock import NS_PER_MS, monotonic_ns, seconds_to_ns
from vagus.control.controller import Controller, ControllerTick
from vagus.control.loop_stats import EndReason
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.readings import Reading
from vagus.demo.audit import CommandAudit
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import PolicyError
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.batch_profile import BatchProfile
from vagus.server.config import ServeConfig
from vagus.server.scheduler import SCHEDULERS, Batch, Candidate, Decision, Scheduler, Wait, round_robin
from vagus.server.server import Server
from vagus.specs import ActionFeature, Limits, PolicySpec, RobotSpec, StateFeature
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk, Directive, FloatArray, MotionState, Observation, Snapshot

RATE_HZ = 100.0
HORIZON = 25
MAX_BATCH = 3
ROBOTS = 5
TICKS = 150
JOINT = ActionFeature(
    "joint", "rad", feedback="joint", limits=Limits(lower=-1.0, upper=6.0, velocity=3.0, acceleration=60.0)
)
STATE = (StateFeature("joint", "rad"), StateFeature("number", "1"))
SPEC = PolicySpec("waves", (JOINT,), STATE, (), HORIZON, 1, RATE_HZ)
ROBOT = RobotSpec("sim", (JOINT,), STATE, (), RATE_HZ)
EDGE = EdgeConfig(
    buffer_time_s=0.15,
    max_action_age_s=0.6,
    max_offline_s=1.0,
    handshake_timeout_s=0.5,
    backoff_initial_s=0.05,
    backoff_max_s=0.1,
)


def wave(number: float, step: int) -> float:
    """Return the action of a robot at a step: no other robot and no other step has the same."""
    return float(np.float32(number + 0.4 * np.sin(step / 15)))


class Waves:
    """Answers each robot, known by its state, with its own wave; notes what a batch must not be."""

    spec = SPEC
    serving_mode = ServingMode.SHARED
    model_hash = "waves"

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.batches = 0

    def open_session(self) -> list[int]:
        return [0]

    def begin_episode(self, session: list[int]) -> None:
        session[0] += 1

    def batch_key(self, observation: Observation) -> Hashable:
        return int(observation.state[1]) % 2

    def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
        self.batches += 1
        if len({id(row.session) for row in batch}) < len(batch) or not 1 <= len(batch) <= MAX_BATCH:
            self.faults.append(f"{len(batch)} rows, some of one robot")
        if len({self.batch_key(row.observation) for row in batch}) != 1:
            self.faults.append("rows of two keys")
        return [self._answer(row) for row in batch]

    def _answer(self, row: Row[list[int]]) -> ActionChunk:
        number = float(row.observation.state[1])
        actions = np.array([[wave(number, row.step + i)] for i in range(HORIZON)], np.float32)
        return ActionChunk(row.step, actions, actions)

    def close(self) -> None:
        pass


class Dice:
    """Scheduler that decides at random, mostly what cannot be done; or waits for ever, or is sane."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.mood = "random"
        self.moves: tuple[Callable[[tuple[Candidate, ...], int], object], ...] = (
            lambda ready, _: Batch(tuple(self._random.sample(ready, self._random.randint(0, len(ready))))),
            lambda ready, _: Batch(tuple(self._random.choices(ready, k=3 * MAX_BATCH))),
            lambda ready, _: Batch(tuple(replace(c, epoch=self._random.getrandbits(32)) for c in ready)),
            lambda ready, _: Batch(tuple(replace(c, batch_key=0, epoch=ready[0].epoch) for c in ready)),
            lambda ready, _: Batch((*ready, cast("Candidate", None), *ready)),
            lambda _, now_ns: Wait(now_ns + self._random.randint(-10, 30) * NS_PER_MS),
            lambda *_: Wait(cast("int", "for ever")),
            lambda *_: Wait(10**30),
            lambda *_: Wait(),
            lambda *_: None,
            lambda *_: self._fail(),
        )

    def __call__(
        self,
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        del expected
        if self.mood == "sane":
            return round_robin(ready, profile, now_ns, max_batch=max_batch)
        if self.mood == "asleep":
            return Wait()
        return cast("Decision", self._random.choice(self.moves)(tuple(ready), now_ns))

    def _fail(self) -> object:
        raise self._random.choice((ZeroDivisionError, SystemExit, KeyboardInterrupt, MemoryError))("a bug")


class Noting(Engine):
    """The engine, whose last directive can be looked at."""

    directive: Directive | None = None

    def advance(self, now_ns: int, state: FloatArray) -> Directive:
        self.directive = super().advance(now_ns, state)
        return self.directive


class Body:
    """A robot that is where it was told to be, and that notes what no robot must be told."""

    def __init__(self, client: PolicyClient[Noting], number: int) -> None:
        contract = client.open()
        mapping = OrderMapping(ROBOT, contract.policy)
        motion = Motion(mapping.actions, mapping.state_names, tick_s=1 / RATE_HZ)
        self.client = client
        self.number = number
        self.controller = Controller(ROBOT, client.engine, mapping, motion)
        self.audit = CommandAudit((JOINT,), 1 / RATE_HZ)
        self.position = float(number)
        self.faults: list[str] = []
        self.played = 0
        self.commands_at_end: int | None = None
        self._last = (-1, -1)

    @property
    def commands(self) -> int:
        return self.audit.report().commands

    @property
    def is_dead(self) -> bool:
        return self.commands_at_end is not None

    def tick(self, now_ns: int) -> None:
        state = np.array([self.position, self.number], np.float32)
        result = self.controller.advance(now_ns, Reading(state, state, is_trusted=True))
        if result.draft is not None:
            self.client.offer(Snapshot(result.draft, {}))
        if result.end is not None:
            assert result.end is EndReason.DEAD, result.error
            self.commands_at_end = self.commands if self.commands_at_end is None else self.commands_at_end
        self._look_at_plan()
        self._command(result, now_ns)

    def _look_at_plan(self) -> None:
        directive = self.client.engine.directive
        assert directive is not None
        said = directive.provenance
        if directive.motion is not MotionState.PLAYING or directive.knot is None:
            return
        assert said.step is not None
        assert said.age_ns is not None
        self.played += 1
        place = (said.episode, said.step)
        if place < self._last or (place[0] == self._last[0] and place[1] > self._last[1] + 1):
            self.faults.append(f"step {place} after {self._last}")
        if abs(float(directive.knot[0]) - wave(self.number, said.step)) > 1e-6:
            self.faults.append(f"{directive.knot} is not of robot {self.number} at step {said.step}")
        if said.age_ns > seconds_to_ns(EDGE.max_action_age_s):
            self.faults.append(f"an action of {said.age_ns / NS_PER_MS} ms")
        self._last = place

    def _command(self, result: ControllerTick, now_ns: int) -> None:
        if result.action is None:
            return
        del now_ns
        measured = (np.array([self.position]), np.zeros(1))
        stamp_ns = self.commands * round(1e9 / RATE_HZ)  # the pace of a busy machine is not judged here
        self.audit.admit(result.action, stamp_ns, is_stopped=self.is_dead, measured=measured)
        self.position = float(result.action[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_scheduler_that_answers_at_random_starves_robots_and_no_more(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, waves, network = Dice(seed), Waves(), MemoryNetwork()
    monkeypatch.setitem(cast("dict[str, Scheduler]", SCHEDULERS), "dice", dice)
    policy: Policy[list[int]] = waves
    config = ServeConfig(warm_up=False, scheduler="dice", max_batch=MAX_BATCH)
    with ExitStack() as stack:
        server = stack.enter_context(Server(network.link("server"), lambda: policy, config))
        assert server.wait_ready(PATIENCE_S)
        bodies = [_body(stack, network, number) for number in range(ROBOTS)]
        for tick in range(TICKS):
            _tick(bodies)
            resetting = bodies[tick // 40 % ROBOTS]
            if tick % 40 == 39 and not resetting.is_dead:
                resetting.client.engine.reset(was_moved=False)
        assert waves.batches > 0
        dice.mood = "asleep"
        _tick_until(lambda: all(body.is_dead for body in bodies), bodies)
        for _ in range(20):
            _tick(bodies)
        dice.mood = "sane"
        newcomer = _body(stack, network, ROBOTS)
        _tick_until(lambda: newcomer.played >= HORIZON, [newcomer])
        _check(server, waves, [*bodies, newcomer])
    assert sum(body.played for body in bodies) > 0
    assert [body.commands for body in bodies] == [body.commands_at_end for body in bodies]


def _body(stack: ExitStack, network: MemoryNetwork, number: int) -> Body:
    identity = Identity(f"arm{number}", f"i{number}")
    link = stack.enter_context(network.link(identity.name))
    opener = SessionOpener(link, ROBOT, EDGE, identity)
    return Body(stack.enter_context(PolicyClient(opener, Noting)), number)


def _tick(bodies: Sequence[Body], waiter: threading.Event = threading.Event()) -> None:  # noqa: B008 - never set
    for body in bodies:
        body.tick(monotonic_ns())
    waiter.wait(1 / RATE_HZ)


def _tick_until(is_true: Callable[[], bool], bodies: Sequence[Body]) -> None:
    deadline_ns = monotonic_ns() + seconds_to_ns(PATIENCE_S)
    while not is_true():
        assert monotonic_ns() < deadline_ns, "it did not happen"
        _tick(bodies)


def _check(server: Server[list[int]], waves: Waves, bodies: Sequence[Body]) -> None:
    assert waves.faults == []
    for body in bodies:
        assert body.faults == []
        report = body.audit.report()
        assert report.limit_violations + report.non_finite + report.wrong_width + report.after_stop == 0, (
            report
        )
        assert body.client.counters().get("worker_errors", 0) == 0
    assert server._threads.ended == ""
    faults = {name for family, name in server.metrics.counters() if family == "scheduler"}
    assert len(faults) >= 4, faults
    wait_until(lambda: server.load().waiting == 0)

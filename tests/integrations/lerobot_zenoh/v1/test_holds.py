"""A client with the original's arithmetic, whose policy is gone for a while: it stops softly, and goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.integrations.lerobot_zenoh.v1.alignment import Turnarounds, dropped_rows, is_due, usable_rows
from vagus.integrations.lerobot_zenoh.v1.contracts import APPEND, ChunkMerge, ChunkSettings
from vagus.integrations.lerobot_zenoh.v1.control import RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType
from vagus.integrations.lerobot_zenoh.v1.features import (
    FeatureKind,
    InferenceMode,
    RemoteCapabilities,
    RemoteFeature,
)
from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.session import ClientSession
from vagus.integrations.lerobot_zenoh.v1.session_messages import SentMessage
from vagus.types import FloatArray

MS, S = 1_000_000, 1_000_000_000
ACTION = RemoteFeature("action", (1,), "float32", FeatureKind.TENSOR, ("x",), "deg")
STATE = replace(ACTION, name="observation.state")
RULES = HoldRules()


def terms(steps: int, interval_s: float, mode: InferenceMode, merge: ChunkMerge) -> AcceptedSession:
    capabilities = RemoteCapabilities(
        modes=(mode,), prediction_steps=steps, execution_steps=steps, action_interval_s=interval_s,
        features=(STATE,), action_feature=ACTION,
    )  # fmt: skip
    deployment = Deployment(
        name="d", instance_id="i", artifact_identity="a", semantics="s", capabilities=capabilities
    )
    return AcceptedSession(deployment, mode, ChunkSettings(merge) if merge is ChunkMerge.ALIGNED else APPEND)


@dataclass
class Robot:
    """A client with the original's cursor, queue, trimming and refill; one action at each `advance`.

    The policy moves by one in each row, from where the robot was; `done` lists where it was.
    """

    terms: AcceptedSession
    one_way_ns: int
    policy_ns: int
    outage_ns: tuple[int, int]
    session: ClientSession = field(init=False)
    now_ns: int = 0
    cursor: int = 0
    queue: FloatArray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    done: list[float] = field(default_factory=list)
    turnarounds: Turnarounds = field(default_factory=Turnarounds)
    asked: tuple[int, int, int] | None = None  # when, cursor, observation cursor
    sequence: int = 0
    holds: int = 0
    is_ended: bool = False
    reply: tuple[int, SentMessage] | None = None  # when it arrives

    def __post_init__(self) -> None:
        self.session = ClientSession(session_id="s", terms=self.terms, rules=RULES, absent_since_ns=None)

    @property
    def interval_ns(self) -> int:
        return round(self.terms.deployment.capabilities.action_interval_s * S)

    def advance(self) -> None:
        taken, was = self.cursor, self.position
        self.accept()
        if len(self.queue):
            self.done.append(float(self.queue[0, 0]))
            self.queue, self.cursor = self.queue[1:], self.cursor + 1
        queued_s = len(self.queue) * self.interval_ns / S
        if self.asked is None and is_due(queued_s, self.turnarounds, self.interval_ns / S):
            self.ask(taken, was if self.terms.is_aligned else self.position)
        self.now_ns += self.interval_ns

    @property
    def position(self) -> float:
        return self.done[-1] if self.done else 0.0

    def ask(self, taken: int, position: float) -> None:
        self.sequence += 1
        rows = self.queue if len(self.queue) else None
        is_aligned = self.terms.is_aligned
        observation = RemoteObservation(
            sequence=self.sequence,
            identity=FrameIdentity("a", f"o{self.sequence}", self.now_ns / S, "", 0),
            features={"observation.state": np.zeros(1, np.float32)},
            delay=min(self.turnarounds.delay(self.interval_ns / S, len(self.queue)), self.terms.steps),
            model_continuation=rows,
            canonical_continuation=rows,
            cursor=self.cursor,
            observation_cursor=taken if is_aligned else None,
        )
        self.asked = self.now_ns, self.cursor, taken
        head = MessageHead(MessageType.OBSERVATION, "i", "s", 0, f"r{self.sequence}")
        arrives_ns = self.now_ns + self.one_way_ns
        self.session = self.session.observe(head, observation, arrives_ns).session
        self.serve(arrives_ns, position)

    def serve(self, arrives_ns: int, position: float) -> None:
        """Let the gateway answer: with the policy's rows, or with a hold if that is due before them."""
        down, up = self.outage_ns
        answer_ns = arrives_ns + self.policy_ns if not down <= arrives_ns < up else up + self.policy_ns
        due_ns = self.session.due_ns
        if due_ns is not None and due_ns < answer_ns:
            step, at_ns = self.session.overdue(due_ns), due_ns
        else:
            is_rtc = self.terms.mode is not InferenceMode.CHUNK
            start = self.queue if is_rtc else np.zeros((0, 1), np.float32)
            onward = np.arange(1, 2 * self.terms.steps, dtype=np.float32)[:, None]
            chunk = np.concatenate([start, onward + (start[-1] if len(start) else position)])
            step, at_ns = (
                self.session.answered(
                    f"r{self.sequence}", chunk, answer_ns, model_chunk=chunk, is_continued=is_rtc
                ),
                answer_ns,
            )
        assert step.sent is not None
        self.session = step.session
        self.holds += step.sent.is_hold
        self.reply = at_ns + self.one_way_ns, step.sent

    def accept(self) -> None:
        if self.reply is None or self.reply[0] > self.now_ns:
            return
        assert self.asked is not None
        asked_ns, cursor, taken = self.asked
        body = self.reply[1].body
        self.is_ended = isinstance(body, RemoteFault)
        if not isinstance(body, RemoteActions):
            return
        rows = body.canonical_actions
        if self.terms.is_aligned:
            usable = usable_rows(rows, observation_cursor=taken, now=self.cursor)
            self.queue = usable if len(usable) else self.queue
        elif self.terms.mode is InferenceMode.CHUNK:
            self.queue = np.concatenate([self.queue, rows])
        else:
            elapsed_s = (self.now_ns - asked_ns) / S
            dropped = dropped_rows(elapsed_s, self.interval_ns / S, self.cursor - cursor)
            assert dropped < len(rows)  # otherwise the client ends its run
            self.queue = rows[dropped:]
        self.turnarounds = self.turnarounds.with_one((self.now_ns - asked_ns) / S)
        self.asked = self.reply = None


MODES = [
    (InferenceMode.CHUNK, ChunkMerge.ALIGNED),
    (InferenceMode.CHUNK, ChunkMerge.APPEND),
    (InferenceMode.RTC_GUIDED, ChunkMerge.APPEND),
]


@pytest.mark.parametrize(("mode", "merge"), MODES)
@given(
    interval_ms=st.sampled_from([20, 33, 50, 100]),
    spare_rows=st.integers(0, 40),
    times_ms=st.tuples(st.integers(0, 20), st.integers(1, 80), st.integers(0, 7500)),
)
@settings(max_examples=25, deadline=None)
def test_a_policy_that_is_gone_for_seconds_ends_no_run_and_makes_no_jump(
    mode: InferenceMode,
    merge: ChunkMerge,
    interval_ms: int,
    spare_rows: int,
    times_ms: tuple[int, int, int],
) -> None:
    one_way_ms, policy_ms, outage_ms = times_ms
    steps = -(-700 // interval_ms) + spare_rows
    robot = Robot(
        terms(steps, interval_ms / 1000, mode, merge),
        one_way_ms * MS,
        policy_ms * MS,
        (2 * S, 2 * S + outage_ms * MS),
    )
    started = None
    outage_ns = outage_ms * MS
    chunk_ns = steps * robot.interval_ns  # a hold is as long as a chunk
    while robot.now_ns < 2 * S + outage_ns + 2 * chunk_ns + S:
        robot.advance()
        assert not robot.is_ended
        started = robot.now_ns if started is None and robot.done else started
        assert started is None or len(robot.done) == 1 + (robot.now_ns - started) // robot.interval_ns
    assert robot.holds > 0 or outage_ms < 2 * steps * interval_ms
    moves = np.diff(robot.done)
    assert set(moves[: 1500 // interval_ms].tolist()) == {1.0}  # before the outage: row by row
    most = 3 - (
        -2 * one_way_ms // interval_ms
    )  # the way there and back, a tick to take it, a row of rounding
    assert np.abs(moves).max() <= most  # no jump by what it would have moved while it was held
    last = moves[-600 // interval_ms :]
    assert abs(last.sum() - len(last)) <= most  # and goes on in the end


def test_a_policy_that_stays_away_ends_the_run_after_the_bound() -> None:
    robot = Robot(
        terms(20, 0.05, InferenceMode.CHUNK, ChunkMerge.ALIGNED), 2 * MS, 20 * MS, (2 * S, 3600 * S)
    )
    while not robot.is_ended and robot.now_ns < 60 * S:
        robot.advance()
    assert 2 * S + RULES.max_hold_ns <= robot.now_ns <= 2 * S + RULES.max_hold_ns + 2 * S
    assert robot.done[-1] == robot.done[-100]  # it stood still for a long time

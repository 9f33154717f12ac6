"""The engine's commands against LeRobot's action queue, fed with the same chunks after the same delays.

LeRobot's side is its own queue, latency tracker and padding, called in the order of its RTC thread. With one
robot tick per policy step, and as long as no plan runs out, both command the same actions; each test below
that shows a difference names a defect of LeRobot 0.6 that was left behind on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from lerobot.policies.rtc import ActionQueue, LatencyTracker, RTCConfig, RTCProcessor
from lerobot.rollout.inference.rtc import _normalize_prev_actions_length

from edge.rig import EPOCH, RATE_HZ, STATE, STEP_NS, Drive, S
from vagus.edge.client.inflight import LatencyWindow
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract, LinkView, Proposal, Source
from vagus.integrations.lerobot.policy.rtc import BatchedRtc, RtcBatch, collate_rtc
from vagus.types import ActionChunk, FloatArray, LinkState, RequestDraft

CHUNK, DIM, PREFIX_HORIZON = 20, 2, 8
MAX_LATENCY = 5
"""Steps; a request leaves in time for its prefix to be whole and for its reply to find a plan."""


@dataclass(frozen=True)
class Conditions:
    """What a request says about the running plan: None, or (steps, dim) and the expected delay."""

    prefix: FloatArray | None
    delay: int


def chunk_of(request: int, conditions: Conditions) -> FloatArray:
    """Return a chunk that shows which request made it, and every number of its conditions."""
    chunk = 100.0 * request + np.arange(CHUNK)[:, None] + np.array([0.0, 0.5])
    if conditions.prefix is not None:
        chunk[: len(conditions.prefix)] += 0.01 * conditions.prefix
        chunk += 0.001 * conditions.delay
    return np.asarray(chunk, dtype=np.float32)


Commands: TypeAlias = "list[tuple[list[float] | None, list[float] | None]]"
"""What LeRobot's side and ours command, tick by tick; None: nothing."""


class LeRobotSide:
    """LeRobot's queue, asked whenever `threshold` actions or fewer are left."""

    def __init__(self, latencies: list[int], threshold: int) -> None:
        self.queue = ActionQueue(RTCConfig(execution_horizon=PREFIX_HORIZON))
        self.tracker = LatencyTracker()
        self.asked: list[Conditions] = []
        self._latencies = latencies
        self._threshold = threshold
        self._due: int | None = None
        self._index_before = 0

    def tick(self, now: int) -> list[float] | None:
        if now == self._due:
            self._merge()
        while self._wants_more():
            self._ask(now)
        action = self.queue.get()
        return None if action is None else action.tolist()

    def _wants_more(self) -> bool:
        is_idle = self._due is None and len(self.asked) < len(self._latencies)
        return is_idle and self.queue.qsize() <= self._threshold

    def _ask(self, now: int) -> None:
        self._index_before = self.queue.get_action_index()
        left_over = self.queue.get_left_over()
        if left_over is not None:
            left_over = _normalize_prev_actions_length(left_over, PREFIX_HORIZON).numpy()
        latency = self.tracker.max()
        self.asked.append(Conditions(left_over, math.ceil(latency * RATE_HZ) if latency else 0))
        self._due = now + self._latencies[len(self.asked) - 1]
        if self._due == now:
            self._merge()

    def _merge(self) -> None:
        request = len(self.asked) - 1
        latency = max(0.0, self._latencies[request] - 0.5) / RATE_HZ
        self.tracker.add(latency)
        chunk = torch.from_numpy(chunk_of(request, self.asked[request]))
        self.queue.merge(chunk, chunk, math.ceil(latency * RATE_HZ), self._index_before)
        self._due = None


class VagusSide:
    """The engine and a worker that asks again as soon as it was answered."""

    def __init__(self, latencies: list[int], threshold: int) -> None:
        config = EdgeConfig(
            buffer_time_s=(threshold + 0.5) / RATE_HZ,
            max_action_age_s=60.0,
            execute_horizon=None,  # LeRobot asks by what is left of its queue alone
        )
        self.engine = Engine(
            config, EngineContract(RATE_HZ, RATE_HZ, uses_rtc=True, prefix_horizon=PREFIX_HORIZON)
        )
        self.window = LatencyWindow()
        self.asked: list[Conditions] = []
        self._latencies = latencies
        self._view = LinkView(LinkState.STREAMING, EPOCH, 1, 0)
        self._due: int | None = None
        self._draft: RequestDraft | None = None
        if latencies[0] == 0:
            self.tick(-1)  # a reply can only be there at once if it was asked for before

    def tick(self, now: int) -> list[float] | None:
        if now == self._due:
            self._propose()
        self.engine.link_view = self._view
        directive = self.engine.advance(S + now * STEP_NS, STATE)
        draft = self.engine.take_draft()
        if draft is not None:
            self._ask(now, draft)
        return None if directive.knot is None else directive.knot.tolist()

    def _ask(self, now: int, draft: RequestDraft) -> None:
        self._draft = draft
        self.asked.append(
            Conditions(None if draft.prefix is None else draft.prefix.model, draft.inference_delay)
        )
        self._due = max(0, now + self._latencies[len(self.asked) - 1])

    def _propose(self) -> None:
        assert self._draft is not None
        request = len(self.asked) - 1
        self.window.add(round(max(0.0, self._latencies[request] - 0.5) * STEP_NS))
        chunk = chunk_of(request, self.asked[request])
        source = Source(EPOCH, request, self._draft.captured_ns)
        self.engine.propose(Proposal(ActionChunk(self._draft.step, chunk, chunk), source, self._draft))
        is_last = len(self.asked) == len(self._latencies)
        ticket = self._view.ticket + (0 if is_last else 1)
        self._view = replace(self._view, ticket=ticket, latency_ns=self.window.windowed_ns)


def run(latencies: list[int], *, ticks: int, threshold: int = 10) -> tuple[LeRobotSide, VagusSide, Commands]:
    lerobot, vagus = LeRobotSide(latencies, threshold), VagusSide(latencies, threshold)
    return lerobot, vagus, [(lerobot.tick(now), vagus.tick(now)) for now in range(ticks)]


@given(
    latencies=st.lists(st.integers(1, MAX_LATENCY), min_size=1, max_size=9),
    threshold=st.integers(PREFIX_HORIZON, CHUNK),
)
def test_as_long_as_nothing_runs_out_both_command_the_same(latencies: list[int], threshold: int) -> None:
    lerobot, vagus, commands = run([0, *latencies], ticks=CHUNK * (len(latencies) + 1), threshold=threshold)
    assert len(lerobot.asked) == len(vagus.asked) == len(latencies) + 1
    for theirs, ours in zip(lerobot.asked, vagus.asked, strict=True):
        assert theirs.delay == ours.delay
        np.testing.assert_array_equal(theirs.prefix, ours.prefix)
    commanded = [theirs for theirs, _ in commands if theirs is not None]
    assert commanded == [ours for _, ours in commands if ours is not None]
    assert commanded[-1][0] >= 100 * len(latencies)
    assert len(commanded) >= CHUNK


# -- where LeRobot was left -------------------------------------------------------------------------------


def test_lerobot_skips_actions_of_the_first_chunk_although_nothing_was_executed() -> None:
    lerobot, _, commands = run([3], ticks=CHUNK + 3)
    first = chunk_of(0, lerobot.asked[0])
    assert commands[:3] == [(None, None)] * 3
    assert [theirs for theirs, _ in commands[3:]] == [*first[3:].tolist(), None, None, None]
    assert [ours for _, ours in commands[3:]] == first.tolist()


def test_lerobot_never_moves_if_every_reply_takes_a_chunks_time() -> None:
    _, _, commands = run([CHUNK] * 5, ticks=6 * CHUNK, threshold=CHUNK)
    assert all(theirs is None for theirs, _ in commands)
    assert sum(ours is not None for _, ours in commands) > 2 * CHUNK


def test_lerobot_continues_a_plan_that_ran_out_as_a_plan_of_zeros() -> None:
    lerobot, _, _ = run([0, CHUNK, 2], ticks=3 * CHUNK, threshold=2)
    theirs = lerobot.asked[2]
    np.testing.assert_array_equal(theirs.prefix, np.zeros((PREFIX_HORIZON, DIM)))
    assert theirs.delay == CHUNK
    drive = Drive(uses_rtc=True, prefix_horizon=PREFIX_HORIZON)
    drive.begin(length=4)
    drive.tick(4)
    drive.set_link(ticket=2, latency_ns=CHUNK * STEP_NS)
    drive.tick()
    ours = drive.take()
    assert (ours.prefix, ours.inference_delay, ours.prefix_horizon) == (None, 0, 0)


def test_lerobot_fills_a_short_plan_with_zeros() -> None:
    lerobot, vagus, _ = run([0, 2], ticks=CHUNK, threshold=3)
    theirs, ours = lerobot.asked[1].prefix, vagus.asked[1].prefix
    assert theirs is not None
    assert ours is not None
    np.testing.assert_array_equal(theirs[:3], ours)
    np.testing.assert_array_equal(theirs[3:], np.zeros((PREFIX_HORIZON - 3, DIM)))


def test_a_plan_of_zeros_holds_lerobots_next_chunk_at_zero() -> None:
    """What the padding does: for the length of the delay the mean pose is commanded, at full weight."""
    x_t = torch.randn(1, CHUNK, DIM, generator=torch.Generator().manual_seed(1))
    ends = {}
    for name, rows in {
        "theirs": torch.zeros(1, PREFIX_HORIZON, DIM),
        "ours": collate_rtc([None], steps=CHUNK, device="cpu"),
    }.items():
        ends[name] = denoised(x_t, rows)
    assert ends["theirs"][0, :PREFIX_HORIZON].abs().max() < 0.1
    assert (ends["ours"] - 1.0).abs().max() < 1e-5
    assert (ends["theirs"][0, PREFIX_HORIZON:] - 1.0).abs().max() < 1e-5


def towards_one(time: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x_t: (x_t - 1.0) / time


def denoised(x_t: torch.Tensor, prefix: torch.Tensor | RtcBatch | None) -> torch.Tensor:
    """Integrate a flow whose every action ends at 1."""
    config = RTCConfig(execution_horizon=PREFIX_HORIZON)
    processor = RTCProcessor(config) if isinstance(prefix, torch.Tensor) else BatchedRtc(config)
    for time in torch.linspace(1.0, 0.1, 10).tolist():
        x_t = x_t - 0.1 * processor.denoise_step(x_t, prefix, CHUNK, time, towards_one(time))
    return x_t


def test_a_spike_of_latency_stays_in_lerobots_estimate_and_leaves_ours() -> None:
    tracker, window = LatencyTracker(), LatencyWindow()
    for latency in [2.0] + [0.05] * 200:
        tracker.add(latency)
        window.add(round(latency * S))
    assert tracker.max() == 2.0
    assert window.windowed_ns == round(0.05 * S)

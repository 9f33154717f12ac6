"""What a batch cost, and how many rows each forward pass had."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from server.raw_client import Calls, CountingPolicy, serving
from vagus.clock import NS_PER_MS
from vagus.errors import PolicyError
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.server.executor import BatchRun, Executor
from vagus.server.mailbox import QueuedRequest
from vagus.server.request import DecodedRequest
from vagus.server.served_policy import ServedPolicy
from vagus.server.sessions import Session
from vagus.server.slot import ReadyRequest, Slot
from vagus.server.tenants import Tenant
from vagus.server.validate import Terms
from vagus.types import ActionChunk, Observation
from vagus.wire.schema import Header, Kind

TERMS = Terms(uses_rtc=False, image_codec="raw", max_pixels=0, instruction="", is_pinned=False)
REFUSED = -4.0
RAISES = -1.0
BREAKS_ITS_EPISODE = -7.0


class TickingClock:
    """Ten milliseconds later at every look."""

    def __init__(self) -> None:
        self._ticks = itertools.count()

    def now_ns(self) -> int:
        return next(self._ticks) * 10 * NS_PER_MS

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError(f"nothing waits here, but somebody does until {deadline_ns}: {stop}")


class Splitting(CountingPolicy):
    """Takes states below 10 and the others through the network apart, and says so."""

    told: object = None

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        states = [float(row.observation.state[0]) for row in batch]
        groups = [None if state == REFUSED else state < 10 for state in states]
        self.said = [0 if group is None else groups.count(group) for group in groups]
        return super().infer(batch)

    def forward_rows(self) -> list[int]:
        if isinstance(self.told, BaseException):
            raise self.told
        return self.said if self.told is None else self.told  # type: ignore[return-value]


def run(policy: CountingPolicy, *states: float) -> BatchRun:
    """Run one batch, one row per state, each of a robot of its own."""
    executor = Executor(ServedPolicy.of(policy, ServeConfig()), TickingClock())
    return executor.run([row_of(number, state) for number, state in enumerate(states)])


def row_of(epoch: int, state: float) -> tuple[Slot[Calls], ReadyRequest]:
    request = DecodedRequest(
        observation=Observation(np.array([state], np.float32), {}, "", 0),
        step=0,
        prefix=None,
        inference_delay=0,
        prefix_horizon=0,
        seed=0,
        is_episode_start=False,
        slack_ms=0.0,
        traceparent=None,
    )
    queued = QueuedRequest(Header(Kind.OBSERVATION, 1, 0, 0, epoch), b"", arrived_ns=0)
    session = Session(f"arm{epoch}", "i", epoch, Tenant(name=f"arm{epoch}"), opened_ns=0, heard_ns=0)
    return Slot(session, TERMS, last_served=0), ReadyRequest(queued, request, decode_ns=0, ready_ns=0)


def sizes(made: BatchRun) -> list[int]:
    return [cost.batch_size for cost in made.costs]


def calls(made: BatchRun) -> list[tuple[int, float, bool]]:
    return [(call.rows, call.took_ms, call.is_complete) for call in made.calls]


def test_a_policy_that_says_nothing_takes_a_batch_in_one_forward_pass() -> None:
    made = run(CountingPolicy(), 1.0, 2.0, 3.0)
    assert sizes(made) == [3, 3, 3]
    assert list(made.forwards()) == [3]
    assert calls(made) == [(3, 10.0, True)]


def test_a_policy_that_splits_a_batch_says_which_rows_went_together() -> None:
    made = run(Splitting(), 1.0, 20.0, 2.0, 30.0, 3.0)
    assert sizes(made) == [3, 2, 3, 2, 3]
    assert sorted(made.forwards()) == [2, 3]
    assert calls(made) == [(5, 10.0, True)], "such a batch takes that long, however it is split"
    assert {cost.inference_ns for cost in made.costs} == {made.inference_ns}


def test_two_forward_passes_of_one_size_are_two() -> None:
    assert list(run(Splitting(), 1.0, 20.0, 2.0, 30.0).forwards()) == [2, 2]


def test_a_row_that_is_refused_before_the_network_was_in_no_forward_pass() -> None:
    made = run(Splitting(), 1.0, REFUSED, 2.0)
    assert sizes(made) == [2, 0, 2]
    assert list(made.forwards()) == [2]
    assert calls(made) == [(3, 10.0, False)], "three rows would take longer"


def test_after_a_failure_every_row_has_a_forward_pass_of_its_own() -> None:
    made = run(CountingPolicy(), 1.0, RAISES, 2.0)
    assert sizes(made) == [1, 1, 1]
    assert [isinstance(result, PolicyError) for result in made.results] == [False, True, False]
    assert calls(made) == [(3, 10.0, False), (1, 10.0, True), (1, 10.0, False), (1, 10.0, True)]
    assert made.inference_ns > 40 * NS_PER_MS, "and all wait for all"


def test_a_row_whose_episode_cannot_begin_is_in_no_call() -> None:
    executor = Executor(ServedPolicy.of(CountingPolicy(), ServeConfig()), TickingClock())
    slot, ready = row_of(1, BREAKS_ITS_EPISODE)
    executor.run([(slot, ready)])
    later = replace(ready.queued, header=structs.replace(ready.header, episode=1))
    made = executor.run([(slot, replace(ready, queued=later)), row_of(2, 2.0)])
    assert sizes(made) == [0, 1]
    assert isinstance(made.results[0], PolicyError)
    assert calls(made) == [(1, 10.0, True)]


@pytest.mark.parametrize(
    "told",
    [[], [1], [1, 2, 3], [-1, 2], [3, 2], ["x", 1], [float("nan"), 1], None, 7, RuntimeError("a bug")],
)
def test_what_a_policy_says_of_its_forward_passes_is_not_believed_if_it_cannot_be(told: object) -> None:
    policy = Splitting()
    policy.told = 7.5 if told is None else told
    made = run(policy, 1.0, 20.0)
    assert sizes(made) == [2, 2]
    assert not any(isinstance(result, PolicyError) for result in made.results)


def test_the_reply_the_metrics_and_the_profile_say_what_happened() -> None:
    with serving(ServeConfig(warm_up=False, scheduler="round_robin"), Splitting()) as stand:
        arms = [stand.opened(f"arm{number}") for number in range(6)]
        stand.hold(arms[0])
        for arm, state in zip(arms[1:], (1.0, 2.0, 3.0, 20.0, 30.0), strict=True):
            arm.send(state)
        stand.wait_for_ready(5)
        stand.policy.gate.set()
        replies = [arm.receive().chunk for arm in arms[1:]]
        assert [reply.batch_size for reply in replies if reply is not None] == [3, 3, 3, 2, 2]
        assert stand.server.metrics.histograms()["batch_size"].counts[:3] == [1, 1, 1]
        assert [row.batch_size for row in arms[0].status().latency] == [1, 5]

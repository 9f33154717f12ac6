"""The policy thread: what it learns of its policy while it serves, and whom it lets wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import pytest

from server.raw_client import PATIENCE_S, Calls, CountingPolicy, PolicyClock, RawClient, Stand, serving
from vagus.errors import PolicyError
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.types import ActionChunk
from vagus.wire.schema import Capabilities, ResetAck

H200 = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1}


class TimedPolicy(CountingPolicy):
    """Takes as long as a table says, by a clock of its own; and tells in which order it was called."""

    def __init__(self, clock: PolicyClock) -> None:
        super().__init__()
        self.clock = clock
        self.factor = 1.0
        self.boundary_ms = 0.0
        self.events: list[object] = []

    def begin_episode(self, session: Calls) -> None:
        self.events.append("begin")
        self.clock.work(self.boundary_ms)
        super().begin_episode(session)

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        self.events.append(sorted(float(row.observation.state[0]) for row in batch))
        size = next(size for size in H200 if size >= len(batch))
        self.clock.work(self.factor * H200[size])
        return super().infer(batch)


def predicted(said: Capabilities | None) -> dict[int, float]:
    assert said is not None
    return {row.batch_size: row.p50_ms for row in said.latency if row.batch_size in H200}


def ask_together(stand: Stand, arms: Sequence[RawClient]) -> None:
    """Let all ask while the policy is busy with the first, and wait for the answers."""
    stand.hold(arms[0])
    for arm in arms[1:]:
        arm.send(2.0)
    stand.wait_for_ready(len(arms) - 1)
    stand.policy.gate.set()
    for arm in arms:
        assert arm.receive().chunk is not None


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_profile_that_is_wrong_by_three_is_right_within_thirty_requests(factor: float) -> None:
    clock = PolicyClock()
    policy = TimedPolicy(clock)
    policy.factor = factor  # the device was busy, or idle, during the warm-up
    with serving(ServeConfig(max_batch=8, warm_up_runs=1), policy, clock) as stand:
        arms = [stand.opened(f"arm{number}") for number in range(5)]
        assert predicted(arms[0].status()) == pytest.approx({s: factor * ms for s, ms in H200.items()})
        policy.factor = 1.0
        for _ in range(6):
            ask_together(stand, arms)
        assert stand.server.metrics.counter("requests", "chunk") == 30
        right = pytest.approx(H200, rel=0.15)
        assert predicted(stand.server.capabilities()) == right
        assert predicted(stand.client("new").open().capabilities) == right, "and a new robot is told so"


def test_a_batch_that_is_due_goes_before_an_episode_that_takes_long_to_begin() -> None:
    clock = PolicyClock()
    policy = TimedPolicy(clock)
    acks: queue.SimpleQueue[ResetAck] = queue.SimpleQueue()
    with serving(ServeConfig(warm_up=False), policy, clock) as stand:
        slow, due, busy = (stand.opened(name) for name in ("slow", "due", "busy"))
        for arm in (slow, due, busy):
            arm.ask(1.0)
        policy.boundary_ms = 300.0
        assert slow.reset(1).applied
        clock.work(10_000)  # the pause after it is over
        stand.hold(busy, 5.0)
        policy.events.clear()
        asking = threading.Thread(target=lambda: acks.put(slow.reset(2)))
        asking.start()
        stand.wait_for_resets(1)
        slow.send(6.0, episode=2)
        due.send(7.0)
        stand.wait_for_ready(2)
        stand.policy.gate.set()
        assert slow.receive().values == [1.0, 6.0]
        asking.join()
        assert acks.get(timeout=PATIENCE_S).applied
    assert policy.events == [[7.0], "begin", [6.0]], "only the robot itself waits for its boundary"


def test_boundaries_have_a_metric_of_their_own_and_batches_say_how_late_their_answers_were() -> None:
    clock = PolicyClock()
    policy = TimedPolicy(clock)
    policy.boundary_ms = 300.0
    with serving(ServeConfig(warm_up=False), policy, clock) as stand:
        early, late = stand.opened("early"), stand.opened("late")
        early.ask(1.0, changes={"slack_ms": 301.0})
        late.ask(1.0, changes={"slack_ms": 299.5})
        metrics = stand.server.metrics
        assert [metrics.counter("dispatched", due) for due in ("in_time", "overdue")] == [1, 1]
        histograms = metrics.histograms()
        assert histograms["preparation"].total == pytest.approx(0.6)
        assert histograms["lateness"].total == pytest.approx(0.0005)
        assert sum(histograms["lateness"].counts) == 2
        assert sum(histograms["batch_size"].counts) == 2


def test_a_request_whose_boundary_fails_is_answered_and_harms_nobody() -> None:
    with serving() as stand:
        bad, good = stand.opened("bad"), stand.opened("good")
        bad.ask(-7.0)
        good.ask(1.0)
        reply = bad.ask(2.0, episode=1)
        assert reply.code == "policy_error"
        assert reply.event is not None
        assert "the boundary failed" in reply.event.message
        assert good.ask(3.0).values == [2.0, 3.0]
        assert bad.ask(4.0, episode=1).values == [1.0, 4.0]
        assert stand.policy.batches == [1, 1, 1, 1], "a boundary that fails costs no batch"

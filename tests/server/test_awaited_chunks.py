"""What a robot will execute is known before it has it: answers under way extend its plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.raw_client import Calls, Changes, CountingPolicy, serving, wait_until
from vagus.edge.engine.plan import Plan
from vagus.edge.handoff import Source
from vagus.errors import PolicyError
from vagus.policies.policy import Row
from vagus.server.awaited_chunks import UnderWay
from vagus.server.capture import read_capture
from vagus.server.config import ServeConfig
from vagus.types import ActionChunk, Observation, Prefix
from vagus.wire.codec import decode, decode_header, decode_tensor, encode_tensor
from vagus.wire.schema import MAX_AWAITED, ObservationMessage

HORIZON = 16
NOTHING = Observation(np.zeros(1, np.float32), {}, "", 0)


def chunk(seq: int, step: int, length: int = HORIZON) -> ActionChunk:
    """Return actions that name their request and their step."""
    rows = np.array([[seq, step + k] for k in range(length)], np.float32)
    return ActionChunk(step, model=rows + 0.5, robot=rows)


def plan_of(seq: int, step: int, begin: int) -> Prefix:
    """Return what is left at step `begin` of the chunk of request `seq`, which was asked for at `step`."""
    made = chunk(seq, step)
    return Prefix(made.model[begin - step :], made.robot[begin - step :])


def row(step: int, prefix: Prefix | None, delay: int) -> Row[None]:
    return Row(None, NOTHING, step, prefix, delay, prefix_horizon=12, seed=0)


def seqs(prefix: Prefix | None) -> list[int]:
    """Return the requests whose actions a plan holds, in order."""
    assert prefix is not None
    np.testing.assert_array_equal(prefix.model, prefix.robot + 0.5)
    return [int(seq) for seq in prefix.robot[:, 0]]


def test_an_answer_under_way_replaces_the_plan_from_the_step_at_which_it_acts() -> None:
    under_way = UnderWay()
    under_way.note(2, row(4, plan_of(1, 0, 4), 5), chunk(2, 4))
    extended = under_way.extend(plan_of(1, 0, 6), 6, (2,))
    assert seqs(extended) == [1] * 3 + [2] * 11
    assert extended is not None
    assert extended.robot[:, 1].tolist() == list(range(6, 20)), "each step once, in order"


def test_what_is_late_acts_at_once() -> None:
    under_way = UnderWay()
    under_way.note(2, row(4, plan_of(1, 0, 4), 5), chunk(2, 4))
    assert seqs(under_way.extend(plan_of(1, 0, 11), 11, (2,))) == [2] * 9


def test_only_what_is_awaited_counts() -> None:
    under_way, plan = UnderWay(), plan_of(1, 0, 6)
    under_way.note(2, row(4, plan, 5), chunk(2, 4))
    assert under_way.extend(plan, 6, ()) is plan
    assert under_way.extend(plan, 6, (3,)) is plan, "it was never answered"
    assert under_way.extend(None, 6, (2,)) is None, "the robot stands: nobody knows from when on it acts"
    under_way.clear()
    assert under_way.extend(plan, 6, (2,)) is plan, "another episode"


def test_an_answer_to_a_robot_without_a_plan_extends_none() -> None:
    under_way, plan = UnderWay(), plan_of(1, 0, 6)
    under_way.note(2, row(4, None, 0), chunk(2, 4))
    assert under_way.extend(plan, 6, (2,)) is plan


def test_what_acts_after_the_end_of_the_plan_is_not_foreseen() -> None:
    under_way = UnderWay()
    under_way.note(2, row(4, plan_of(1, 0, 4), 15), chunk(2, 4))
    under_way.note(3, row(6, plan_of(1, 0, 6), 14), chunk(3, 6))
    assert seqs(under_way.extend(plan_of(1, 0, 8), 8, (2, 3))) == [1] * 8


def test_a_chunk_that_is_over_before_it_acts_is_left_out() -> None:
    under_way = UnderWay()
    under_way.note(2, row(4, plan_of(1, 0, 4), 5), chunk(2, 4, length=3))
    assert seqs(under_way.extend(plan_of(1, 0, 6), 6, (2,))) == [1] * 10


def test_a_client_that_counts_its_steps_down_gets_no_plan_longer_than_the_horizon() -> None:
    under_way = UnderWay()
    under_way.note(2, row(12, plan_of(1, 12, 12), 2), chunk(2, 12))
    plan = plan_of(1, 0, 0)
    assert under_way.extend(plan, 0, (2,)) is plan


def test_no_more_is_remembered_than_a_robot_can_await() -> None:
    under_way = UnderWay()
    for seq in range(2, 100):
        under_way.note(seq, row(4, plan_of(1, 0, 4), 4), chunk(seq, 4))
    oldest, plan = 100 - MAX_AWAITED, plan_of(1, 0, 5)
    assert under_way.extend(plan, 5, (oldest - 1,)) is plan
    assert set(seqs(under_way.extend(plan, 5, (oldest,)))) == {1, oldest}


@given(
    delay=st.integers(1, 8),
    every=st.integers(1, 4),
    lost=st.sets(st.integers(2, 30), max_size=10),
)
def test_the_plan_is_foreseen_that_the_robot_will_have(delay: int, every: int, lost: set[int]) -> None:
    """It asks every few steps, replies take as long as expected, and some requests get lost."""
    plan, under_way, pending = Plan(), UnderWay(), list[tuple[int, int, ActionChunk]]()
    plan.replace(chunk(1, 0), Source(1, 1, 0), next_step=0)
    foreseen: list[tuple[int, list[list[float]]]] = []
    seq = 1
    for step in range(60):
        while pending and pending[0][0] <= step:
            _, number, reply = pending.pop(0)
            plan.replace(reply, Source(1, number, 0), next_step=step)
        now = plan.peek()
        if now is None:
            return  # so much was lost that it stands
        for first, rows in foreseen:
            if first <= step < first + len(rows):
                assert rows[step - first] == now.robot.tolist()
        if step % every == 0 and len(pending) < MAX_AWAITED:
            seq += 1
            awaited = [number for _, number, _ in pending]
            extended = under_way.extend(plan.prefix(HORIZON), step, awaited)
            assert extended is not None
            foreseen.append((step, extended.robot[: min(delay, len(extended))].tolist()))
            if seq not in lost:
                answer = chunk(seq, step)
                under_way.note(seq, row(step, extended, min(delay, len(extended))), answer)
                pending.append((step + delay, seq, answer))
        plan.pop()


class NotingPolicy(CountingPolicy):
    """Notes the plans that it is asked to continue."""

    def __init__(self) -> None:
        super().__init__()
        self.continued: list[tuple[list[list[float]], int]] = []

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        for row in batch:
            plan = [] if row.prefix is None else row.prefix.robot.tolist()
            self.continued.append((plan, row.inference_delay))
        return super().infer(batch)


def asking(step: int, *, delay: int, awaited: tuple[int, ...] = (), plan: float = 7.0) -> Changes:
    """Return what makes an observation one with a plan of three equal actions."""
    rows = encode_tensor(np.full((3, 2), plan, np.float32))
    return {
        "step": step,
        "inference_delay": delay,
        "prefix_model": rows,
        "prefix_robot": rows,
        "awaited": awaited,
    }


def test_a_server_puts_its_answers_under_way_into_the_plan_and_captures_what_was_continued(
    tmp_path: Path,
) -> None:
    policy = NotingPolicy()
    config = ServeConfig(warm_up=False, capture_dir=tmp_path, capture_every=1)
    with serving(config, policy) as stand:
        arm, other = stand.opened("arm"), stand.opened("other")
        other.ask(5.0, changes=asking(0, delay=1))
        assert arm.ask(1.0, changes=asking(0, delay=2)).values == [1.0, 1.0]
        arm.ask(2.0, changes=asking(1, delay=2, awaited=(1,)))
        arm.ask(3.0, changes=asking(2, delay=2, awaited=(1, 2)))
        arm.ask(4.0, changes=asking(3, delay=4, awaited=(3, 99)))
        arm.ask(5.0, episode=1, changes=asking(3, delay=1, awaited=(3,)))
        wait_until(lambda: len(list(tmp_path.glob("*.capture"))) == 6)
    old = [[7.0, 7.0]]
    assert policy.continued == [
        (3 * old, 1),
        (3 * old, 2),
        ([*old, [1, 1], [1, 1]], 2),
        ([[1, 1], [2, 2], [2, 2]], 2),
        ([*old, [3, 3], [3, 3]], 3),
        (3 * old, 1),
    ], "each robot's own answers, of its own episode, from the step at which they act"
    captured = [read_capture(path) for path in tmp_path.glob("*.capture")]
    by_seq = {decode_header(one.header).seq: decode(one.payload, ObservationMessage) for one in captured}
    assert {message.awaited for message in by_seq.values()} == {()}
    for seq, delay in ((3, 2), (4, 3)):
        message = by_seq[seq]
        assert message.prefix_robot is not None
        plan = decode_tensor(message.prefix_robot, shape=(None, 2), name="plan").tolist()
        assert (plan, message.inference_delay) == policy.continued[seq]
        assert delay == message.inference_delay


def test_a_request_that_was_superseded_or_failed_is_no_answer_under_way() -> None:
    policy = NotingPolicy()
    with serving(policy=policy) as stand:
        arm, blocker = stand.opened("arm"), stand.opened("blocker")
        stand.hold(blocker)
        arm.send(1.0, changes=asking(0, delay=2))
        stand.wait_for_ready(1)
        arm.send(2.0, changes=asking(1, delay=2, awaited=(1,)))
        policy.gate.set()
        assert arm.receive().header.seq == 2
        assert arm.ask(-4.0, changes=asking(2, delay=2)).code == "policy_error"
        arm.ask(3.0, changes=asking(2, delay=2, awaited=(3,)))
    assert policy.continued[1:] == [(3 * [[7.0, 7.0]], 2)] * 3


def test_a_server_says_that_it_continues_answers_where_it_continues_plans() -> None:
    with serving() as stand:
        assert stand.client("arm").status().continues_awaited
    with serving(ServeConfig(warm_up=False, rtc=False)) as stand:
        assert not stand.client("arm").status().continues_awaited

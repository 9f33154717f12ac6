from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rig import STEP_NS, S, chunk
from vagus.edge.engine.plan import Plan, playable_actions
from vagus.edge.handoff import Source
from vagus.types import ActionChunk

OLD, NEW = Source(7, 1, 0), Source(7, 2, S)


def steps(plan: Plan) -> list[int]:
    actions = [plan.peek(i) for i in range(len(plan))]
    return [action.step for action in actions if action is not None]


def planned(step: int, length: int, source: Source = OLD, *, next_step: int = 0) -> Plan:
    plan = Plan()
    plan.replace(chunk(step, length), source, next_step=next_step)
    return plan


def test_a_chunk_is_indexed_by_step_and_keeps_its_source() -> None:
    plan = planned(10, 3)
    action = plan.peek(1)
    assert action is not None
    assert (action.step, action.index, action.source) == (11, 1, OLD)
    assert action.robot.dtype == np.float64
    assert action.robot.tolist() == [11.0, 11.0]
    assert action.model.tolist() == [11.0] * 3
    assert plan.peek(3) is None


def test_actions_before_the_next_step_are_dropped_on_merge() -> None:
    plan = planned(10, 5, next_step=12)
    assert steps(plan) == [12, 13, 14]
    first = plan.peek()
    assert first is not None
    assert first.index == 2


def test_replace_leaves_nothing_of_the_old_plan() -> None:
    plan = planned(0, 10)
    plan.replace(chunk(2, 3), NEW, next_step=4)
    assert steps(plan) == [4]
    assert plan.pop().source is NEW


def test_finish_plays_the_old_plan_first() -> None:
    plan = planned(0, 5)
    plan.finish(chunk(2, 8), NEW, next_step=0, now_ns=0, max_age_ns=100 * STEP_NS, step_ns=STEP_NS)
    sources = [plan.pop() for _ in range(len(plan))]
    assert [a.step for a in sources] == list(range(10))
    assert [a.source for a in sources] == [OLD] * 5 + [NEW] * 5


def test_finish_keeps_nothing_past_its_age_bound() -> None:
    plan = planned(0, 5)
    plan.finish(chunk(1, 8), NEW, next_step=1, now_ns=0, max_age_ns=3 * STEP_NS, step_ns=STEP_NS)
    kept = [plan.pop() for _ in range(len(plan))]
    assert [a.step for a in kept] == list(range(9))
    assert [a.source for a in kept] == [OLD] * 2 + [NEW] * 7  # one step is left for the action in play


def test_finish_without_an_old_plan_begins_at_the_next_step() -> None:
    plan = Plan()
    plan.finish(chunk(0, 5), NEW, next_step=3, now_ns=S, max_age_ns=S, step_ns=STEP_NS)
    assert steps(plan) == [3, 4]


def test_playable_counts_what_can_be_commanded_before_it_is_stale() -> None:
    plan = planned(0, 10)
    assert plan.playable(0, 100 * STEP_NS, STEP_NS) == 10
    assert plan.playable(0, 4 * STEP_NS, STEP_NS) == 4
    assert plan.playable(5 * STEP_NS, 4 * STEP_NS, STEP_NS) == 0
    assert Plan().playable(0, S, STEP_NS) == 0


def test_an_action_is_stale_only_beyond_the_bound() -> None:
    action = planned(0, 1).pop()
    assert not action.is_stale(S, S)
    assert action.is_stale(S + 1, S)


def test_an_action_is_as_old_as_its_own_observation() -> None:
    action = planned(0, 1, NEW).pop()
    assert not action.is_stale(2 * S, S)
    assert action.is_stale(2 * S + 1, S)


def test_an_empty_plan_has_nothing_to_look_at_or_to_take() -> None:
    assert Plan().peek() is None
    assert Plan().peek(1) is None
    with pytest.raises(IndexError, match="the plan is empty"):
        Plan().pop()


def test_a_newer_chunk_is_playable_after_the_last_moment_of_an_older_one() -> None:
    plan = planned(0, 5)
    plan.finish(chunk(2, 8), NEW, next_step=0, now_ns=0, max_age_ns=100 * STEP_NS, step_ns=STEP_NS)
    assert plan.playable(0, 5 * STEP_NS, STEP_NS) == 10
    assert plan.playable(0, 5 * STEP_NS - 1, STEP_NS) == 4


def test_drop_before_says_how_many_went() -> None:
    plan = planned(5, 5)
    assert plan.drop_before(8) == 3
    assert steps(plan) == [8, 9]
    assert plan.drop_before(100) == 2
    assert plan.drop_before(100) == 0


def test_a_prefix_is_never_padded() -> None:
    plan = planned(5, 4)
    for wanted, got in ((2, 2), (4, 4), (9, 4)):
        prefix = plan.prefix(wanted)
        assert prefix is not None
        assert len(prefix) == got
        assert prefix.robot.dtype == prefix.model.dtype == np.float32
        assert prefix.robot[:, 0].tolist() == [5.0, 6.0, 7.0, 8.0][:got]
    assert plan.prefix(0) is None
    plan.clear()
    assert plan.prefix(3) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 20), st.booleans(), st.integers(0, 12)), max_size=20
    )
)
def test_no_step_is_popped_twice_or_out_of_order(
    merges: list[tuple[int, int, bool, int]],
) -> None:
    plan, next_step, popped = Plan(), 0, []
    for number, (step, length, is_finish, pops) in enumerate(merges):
        source, new = Source(7, number, number * STEP_NS), chunk(step, length)
        if is_finish:
            plan.finish(
                new,
                source,
                next_step=next_step,
                now_ns=number * STEP_NS,
                max_age_ns=5 * STEP_NS,
                step_ns=STEP_NS,
            )
        else:
            plan.replace(new, source, next_step=next_step)
        for _ in range(min(pops, len(plan))):
            popped.append(plan.pop().step)
            next_step = popped[-1] + 1
    assert popped == sorted(set(popped))


def test_a_plan_owns_its_arrays() -> None:
    rows = np.ones((4, 2), dtype=np.float32)
    plan = Plan()
    plan.replace(ActionChunk(0, rows, rows), OLD, next_step=0)
    rows[:] = 99.0  # whoever made the chunk uses its memory again
    prefix, action = plan.prefix(4), plan.peek(1)
    assert prefix is not None
    assert action is not None
    assert prefix.model.tolist() == prefix.robot.tolist() == [[1.0, 1.0]] * 4
    assert action.model.tolist() == action.robot.tolist() == [1.0, 1.0]


def test_of_a_long_chunk_only_what_can_be_played_is_taken() -> None:
    plan = Plan(max_actions=playable_actions(3.0, 30.0))
    rows = np.zeros((100_000, 2), dtype=np.float32)
    plan.replace(ActionChunk(5, rows, rows), OLD, next_step=7)
    assert len(plan) == 92
    assert plan.playable(0, 3 * S, STEP_NS) == 90  # and that leaves one to spare at either end
    plan.finish(ActionChunk(5, rows, rows), NEW, next_step=7, now_ns=0, max_age_ns=3 * S, step_ns=STEP_NS)
    assert len(plan) == 92
    assert steps(plan) == list(range(7, 99))


class PlainPlan:
    """What a plan means, written down without regard to what it costs."""

    def __init__(self) -> None:
        self.actions: list[tuple[int, Source]] = []

    def append(self, step: int, length: int, source: Source, next_step: int) -> None:
        self.actions += [(step + i, source) for i in range(max(0, next_step - step), length)]

    def reach(self, now_ns: int, max_age_ns: int) -> int:
        for ahead, (_, source) in enumerate(self.actions):
            if now_ns + (ahead + 1) * STEP_NS - source.captured_ns > max_age_ns:
                return ahead
        return len(self.actions)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(1, 20),
            st.booleans(),
            st.integers(0, 12),
            st.integers(0, 40),
            st.integers(0, 3 * STEP_NS),
        ),
        max_size=20,
    ),
    st.integers(1, 12),
)
def test_a_plan_of_arrays_is_the_list_of_its_actions(
    merges: list[tuple[int, int, bool, int, int, int]], age_steps: int
) -> None:
    plan, plain, next_step, now_ns = Plan(), PlainPlan(), 0, 0
    for number, (step, length, is_finish, pops, drop, later_ns) in enumerate(merges):
        source, new = Source(7, number, now_ns), chunk(step, length)
        now_ns += later_ns
        max_age_ns = age_steps * STEP_NS
        if is_finish:
            plan.finish(
                new, source, next_step=next_step, now_ns=now_ns, max_age_ns=max_age_ns, step_ns=STEP_NS
            )
            plain.actions = plain.actions[: plain.reach(now_ns + STEP_NS, max_age_ns)]
            follow = plain.actions[-1][0] + 1 if plain.actions else next_step
            plain.append(step, length, source, follow)
        else:
            plan.replace(new, source, next_step=next_step)
            plain.actions = []
            plain.append(step, length, source, next_step)
        for _ in range(min(pops, len(plan))):
            action = plan.pop()
            assert (action.step, action.source) == plain.actions.pop(0)
            assert action.robot[0] == action.model[0] == action.step
            next_step = action.step + 1
        assert plan.drop_before(drop) == sum(s < drop for s, _ in plain.actions[: _until(plain, drop)])
        plain.actions = plain.actions[_until(plain, drop) :]
        assert [(a.step, a.source) for i in range(len(plan)) if (a := plan.peek(i))] == plain.actions
        assert plan.playable(now_ns, max_age_ns, STEP_NS) == plain.reach(now_ns, max_age_ns)
        prefix = plan.prefix(6)
        in_prefix = [] if prefix is None else prefix.robot[:, 0].tolist()
        assert in_prefix == [s for s, _ in plain.actions[:6]]


def _until(plain: PlainPlan, step: int) -> int:
    return next((i for i, (s, _) in enumerate(plain.actions) if s >= step), len(plain.actions))


def test_a_part_of_a_step_is_one_more_action_to_play() -> None:
    assert playable_actions(3.0, 30.0) == 92
    assert playable_actions(3.01, 30.0) == 93

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.rig import STEP_NS, chunk
from vagus.edge.engine.plan import Plan
from vagus.edge.engine.refill import Conditioning, condition
from vagus.edge.handoff import Source


def plan_of(length: int, step: int = 20) -> Plan:
    plan = Plan()
    plan.replace(chunk(step, length), Source(7, 1, 0), next_step=step)
    return plan


def test_without_a_plan_there_is_no_prefix_and_no_delay() -> None:
    assert condition(Plan(), latency_ns=10**9, step_ns=STEP_NS, prefix_horizon=10) == Conditioning(None, 0, 0)


def test_the_delay_is_the_latency_in_whole_steps_rounded_up() -> None:
    for latency_ns, delay in ((0, 0), (1, 1), (STEP_NS, 1), (STEP_NS + 1, 2), (5 * STEP_NS, 5)):
        made = condition(plan_of(30), latency_ns=latency_ns, step_ns=STEP_NS, prefix_horizon=10)
        assert made.inference_delay == delay
        assert made.prefix_horizon == 10
        assert made.prefix is not None
        assert len(made.prefix) == 10


def test_a_delay_beyond_the_horizon_lengthens_the_prefix_and_the_guidance() -> None:
    made = condition(plan_of(30), latency_ns=15 * STEP_NS, step_ns=STEP_NS, prefix_horizon=10)
    assert made.prefix is not None
    assert (len(made.prefix), made.inference_delay, made.prefix_horizon) == (15, 15, 15)


@given(st.integers(0, 40), st.integers(0, 60), st.integers(1, 30))
def test_the_prefix_is_the_real_plan_and_the_delay_lies_within_it(
    length: int, delay_steps: int, horizon: int
) -> None:
    made = condition(
        plan_of(length), latency_ns=delay_steps * STEP_NS, step_ns=STEP_NS, prefix_horizon=horizon
    )
    if made.prefix is None:
        assert length == 0
        assert made.inference_delay == 0
        return
    assert len(made.prefix) == min(length, max(horizon, delay_steps))
    assert made.prefix.robot[:, 0].tolist() == [float(20 + i) for i in range(len(made.prefix))]
    assert made.inference_delay == min(delay_steps, len(made.prefix))
    assert made.prefix_horizon == max(horizon, made.inference_delay)

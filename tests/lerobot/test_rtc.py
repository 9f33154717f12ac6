"""What a batch of running plans does to one denoising step; LeRobot's own processor is the reference."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.rtc import RTCConfig, RTCProcessor

from vagus.errors import ConfigError, PolicyError
from vagus.integrations.lerobot.policy.rtc import BatchedRtc, RtcBatch, RtcPrefix, collate_rtc, install_rtc

STEPS, DIM = 12, 3
SCHEDULES = list(RTCAttentionSchedule)


def config(schedule: RTCAttentionSchedule = RTCAttentionSchedule.LINEAR, horizon: int = 10) -> RTCConfig:
    return RTCConfig(prefix_attention_schedule=schedule, max_guidance_weight=10.0, execution_horizon=horizon)


def velocity(x_t: torch.Tensor) -> torch.Tensor:
    return torch.sin(3.0 * x_t) + 0.1 * x_t.sum(dim=-2, keepdim=True)


def plan(length: int, *, dim: int = DIM, seed: int = 1) -> torch.Tensor:
    return torch.randn(length, dim, generator=torch.Generator().manual_seed(seed))


def noisy(rows: int) -> torch.Tensor:
    return torch.randn(rows, STEPS, DIM, generator=torch.Generator().manual_seed(2))


def stock(
    x_t: torch.Tensor, row: RtcPrefix | None, time: float, schedule: RTCAttentionSchedule
) -> torch.Tensor:
    return RTCProcessor(config(schedule)).denoise_step(
        x_t[None],
        None if row is None else row.actions[None],
        0 if row is None else row.delay,
        time,
        velocity,
        execution_horizon=None if row is None else row.prefix_horizon,
    )[0]


def batched(
    x_t: torch.Tensor, plans: RtcBatch | None, time: float, schedule: RTCAttentionSchedule
) -> torch.Tensor:
    with torch.inference_mode():
        return BatchedRtc(config(schedule)).denoise_step(x_t, plans, None, time, velocity)


ROWS = st.lists(
    st.none()
    | st.builds(
        RtcPrefix,
        actions=st.builds(plan, st.integers(1, STEPS), dim=st.just(DIM), seed=st.integers(0, 5)),
        delay=st.integers(0, STEPS + 2),
        prefix_horizon=st.integers(0, STEPS + 3),
    ),
    min_size=1,
    max_size=5,
)


@given(rows=ROWS, time=st.sampled_from([1.0, 0.9, 0.5, 0.2, 0.0]), schedule=st.sampled_from(SCHEDULES))
def test_any_mixture_of_rows_is_guided_as_each_alone_by_lerobot(
    rows: list[RtcPrefix | None], time: float, schedule: RTCAttentionSchedule
) -> None:
    x_t = noisy(len(rows))
    guided = batched(x_t, collate_rtc(rows, steps=STEPS, device="cpu"), time, schedule)
    for index, row in enumerate(rows):
        torch.testing.assert_close(
            guided[index], stock(x_t[index], row, time, schedule), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_row_without_a_plan_is_untouched_by_its_neighbours(schedule: RTCAttentionSchedule) -> None:
    x_t = noisy(2)
    guided = batched(
        x_t, collate_rtc([RtcPrefix(plan(8), 3, 6), None], steps=STEPS, device="cpu"), 0.5, schedule
    )
    assert torch.equal(guided[1], velocity(x_t)[1])
    assert not torch.allclose(guided[0], velocity(x_t)[0])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_nothing_beyond_a_plans_length_reaches_the_actions(schedule: RTCAttentionSchedule) -> None:
    whole = plan(STEPS)[None].clone()
    spoilt = whole.clone()
    spoilt[:, 5:] = math.nan
    size = torch.ones(1, dtype=torch.int64)
    results = [
        batched(noisy(1), RtcBatch(prefix, size * 5, size * 2, size * 9), 0.4, schedule)
        for prefix in (whole, spoilt)
    ]
    assert torch.equal(*results)
    assert results[0].isfinite().all()


def test_a_plan_longer_than_the_chunk_counts_as_far_as_the_chunk_goes() -> None:
    long = RtcPrefix(plan(STEPS + 5), 4, STEPS + 5)
    cut = RtcPrefix(long.actions[:STEPS], 4, STEPS)
    results = [
        batched(noisy(1), collate_rtc([row], steps=STEPS, device="cpu"), 0.5, SCHEDULES[2])
        for row in (long, cut)
    ]
    assert torch.equal(*results)


def test_an_empty_plan_is_no_plan() -> None:
    empty = RtcPrefix(torch.zeros(0, DIM), 4, 10)
    assert collate_rtc([empty, None], steps=STEPS, device="cpu") is None
    none = collate_rtc([empty, None], steps=STEPS, device="cpu", width=5)
    assert none is not None
    assert (none.prefix.shape, none.lengths.tolist()) == ((2, STEPS, 5), [0, 0])
    plans = collate_rtc([empty, RtcPrefix(plan(3), 1, 3)], steps=STEPS, device="cpu")
    assert plans is not None
    assert plans.lengths.tolist() == [0, 3]


def test_plans_of_different_widths_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"\[3, 4\]"):
        collate_rtc([RtcPrefix(plan(3), 1, 3), RtcPrefix(plan(3, dim=4), 1, 3)], steps=STEPS, device="cpu")


@pytest.mark.parametrize("shape", [(STEPS, DIM), (5, DIM), (1, STEPS, DIM), (1, 7, DIM - 1)])
@pytest.mark.parametrize("is_flat", [False, True])
def test_lerobots_own_calls_are_answered_as_lerobot_answers_them(
    shape: tuple[int, ...], is_flat: bool
) -> None:
    left_over = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    x_t = noisy(1)[0] if is_flat else noisy(1)
    answers = [
        processor(config()).denoise_step(x_t, left_over, 3, torch.tensor(0.5), velocity)
        for processor in (RTCProcessor, BatchedRtc)
    ]
    assert answers[1].shape == x_t.shape
    torch.testing.assert_close(answers[1], answers[0], atol=1e-6, rtol=1e-6)


def test_lerobots_tracker_sees_what_it_sees_of_lerobots_own() -> None:
    debug = RTCConfig(debug=True)
    steps = []
    for processor in (RTCProcessor(debug), BatchedRtc(debug)):
        processor.denoise_step(noisy(1), plan(8)[None], 3, torch.tensor(0.5), velocity)
        steps += processor.get_all_debug_steps()
    torch.testing.assert_close(steps[1].correction, steps[0].correction)
    torch.testing.assert_close(steps[1].x1_t, steps[0].x1_t)
    torch.testing.assert_close(steps[1].guidance_weight, steps[0].guidance_weight)


def policy_of(family: str) -> SimpleNamespace:
    return SimpleNamespace(
        config=SimpleNamespace(type=family, rtc_config=None),
        rtc_processor=None,
        model=SimpleNamespace(rtc_processor=None),
    )


@pytest.mark.parametrize("family", ["act", "groot", "evo1", "one of tomorrow"])
def test_a_family_that_was_never_checked_is_left_as_it_is(family: str) -> None:
    policy = policy_of(family)
    assert not install_rtc(policy, schedule="exp", max_guidance=5.0, prefix_horizon=10)
    assert (policy.config.rtc_config, policy.rtc_processor) == (None, None)


def test_the_words_of_the_manifest_become_lerobots() -> None:
    policy = policy_of("pi0")
    assert install_rtc(policy, schedule="exp", max_guidance=5.0, prefix_horizon=7)
    settings = policy.config.rtc_config
    assert settings.prefix_attention_schedule is RTCAttentionSchedule.EXP
    assert (settings.enabled, settings.max_guidance_weight, settings.execution_horizon) == (True, 5.0, 7)
    assert policy.rtc_processor is policy.model.rtc_processor


def test_an_unknown_schedule_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match="exp, linear, ones, zeros"):
        install_rtc(policy_of("pi0"), schedule="cosine", max_guidance=5.0, prefix_horizon=10)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_of_the_guidance_is_a_finite_number_above_zero(bound: float) -> None:
    with pytest.raises(ConfigError, match=r"rtc_max_guidance.*above 0"):
        install_rtc(policy_of("pi0"), schedule="exp", max_guidance=bound, prefix_horizon=10)

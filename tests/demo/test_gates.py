"""The policy `gates`: its flow, the three ways to continue a plan, and batches."""

from __future__ import annotations

import io
import itertools
from importlib import resources
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from vagus.demo.flow_net import prefix_weights
from vagus.demo.gates import GATES_STATE, WEIGHTS, GatesPolicy
from vagus.demo.gates_net import CONDITION_WIDTH, HORIZON, Continuation, GatesNet, inputs
from vagus.demo.gates_options import GatesOptions
from vagus.demo.gates_world import TOP_SPEED_M_S, Courses, draw_course
from vagus.errors import ConfigError, PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.policies.registry import load_policy
from vagus.types import ActionChunk, Observation, Prefix

POLICY = GatesPolicy(rtc_schedule="exp")
CARRIED = GatesPolicy()
GIVEN = GatesPolicy(options=GatesOptions(continuation="given"))
HARD = GatesPolicy(rtc_schedule="zeros")
STATE = np.array([0.05, 0.2, 0.6, 0.62, -0.58], np.float32)


def row(
    seed: int = 1, *, state: np.ndarray = STATE, prefix: Prefix | None = None, delay: int = 0, end: int = 0
) -> Row[None]:
    return Row(None, Observation(state.astype(np.float32), {}, "", 0), 7, prefix, delay, end, seed)


def chunk_of(policy: GatesPolicy, *rows: Row[None]) -> ActionChunk:
    result = policy.infer(rows)[0]
    assert isinstance(result, ActionChunk), result
    return result


def plan_to(side: float, length: int = HORIZON) -> Prefix:
    actions = np.full((length, 1), 0.4 * side, np.float32)
    noise = np.random.default_rng(length).standard_normal((length, 1)).astype(np.float32)
    return Prefix(np.hstack([actions, noise]), actions * np.float32(TOP_SPEED_M_S))


def small_net(dtype: type) -> GatesNet:
    generator = np.random.default_rng(0)
    width = inputs(
        np.zeros((1, HORIZON), np.float32),
        np.zeros((1, HORIZON), np.bool_),
        np.zeros((1, CONDITION_WIDTH), np.float32),
        np.zeros((1, 1), np.float32),
    ).shape[1]
    sizes = (width, 12, 12, 12, HORIZON)
    return GatesNet(
        tuple(
            ((generator.standard_normal((a, b)) * 0.3).astype(dtype), np.full(b, 0.1, dtype))
            for a, b in itertools.pairwise(sizes)
        )
    )


def test_it_is_there_by_name_and_says_what_it_is() -> None:
    policy = load_policy("gates", options={"continuation": "given"})
    assert (policy.spec.policy_type, policy.spec.horizon, policy.spec.model_dim) == ("gates", 16, 2)
    assert policy.spec.rate_hz == pytest.approx(20)
    assert policy.spec.rtc is not None
    assert policy.serving_mode is ServingMode.SHARED
    policy.close()


@pytest.mark.parametrize("tau", [0.0, 0.4, 0.8])
def test_the_pull_back_is_the_transposed_jacobian(tau: float) -> None:
    net, generator = small_net(np.float64), np.random.default_rng(3)
    noisy = generator.standard_normal((1, HORIZON)).astype(np.float32)
    conditions = generator.standard_normal((1, CONDITION_WIDTH)).astype(np.float32)
    known = np.zeros((1, HORIZON), np.bool_)
    gradient = generator.standard_normal((1, HORIZON)).astype(np.float32)
    _, units = net.velocity(noisy, known, conditions, tau)
    pulled = net._pull_back(gradient, units)[0]
    step = np.float32(1e-2)
    numeric = [
        float(
            (
                (
                    net.velocity(noisy + step * one, known, conditions, tau)[0]
                    - net.velocity(noisy - step * one, known, conditions, tau)[0]
                )
                @ gradient.T
            )[0, 0]
        )
        / (2 * float(step))
        for one in np.eye(HORIZON, dtype=np.float32)
    ]
    np.testing.assert_allclose(pulled, numeric, atol=2e-3)


def test_given_actions_come_back_unchanged_and_the_network_sees_no_noise_there() -> None:
    net = small_net(np.float32)
    plan = np.linspace(-0.5, 0.5, HORIZON, dtype=np.float32)
    noise = np.random.default_rng(1).standard_normal((1, HORIZON)).astype(np.float32)
    other = noise.copy()
    other[0, :5] += 3.0
    conditions = np.zeros((1, CONDITION_WIDTH), np.float32)
    given = Continuation(plan, np.zeros(HORIZON, np.float32), given=5)
    one, two = (net.sample(start, conditions, [given], steps=5, max_guidance=5.0) for start in (noise, other))
    np.testing.assert_allclose(one[0, :5], plan[:5], atol=1e-6)
    assert np.array_equal(one, two)


@pytest.mark.parametrize("policy", [POLICY, HARD, GIVEN, CARRIED])
def test_a_row_is_the_same_alone_and_in_a_batch_of_every_kind(policy: GatesPolicy) -> None:
    rows = [
        row(1),
        row(2, prefix=plan_to(1.0), delay=4, end=12),
        row(3, prefix=plan_to(-1.0, 6), delay=6, end=6),
        row(4, prefix=plan_to(-1.0), delay=0, end=0),
    ]
    together = policy.infer(rows)
    for one, both in zip(rows, together, strict=True):
        assert isinstance(both, ActionChunk)
        np.testing.assert_allclose(chunk_of(policy, one).model, both.model, atol=1e-5)


@pytest.mark.parametrize("policy", [POLICY, HARD, GIVEN, CARRIED])
def test_a_chunk_continues_the_plan_that_is_under_way(policy: GatesPolicy) -> None:
    """Without a plan a new chunk goes to the other gap as often as not; with one, to the plan's."""
    plans = [chunk_of(policy, row(seed)) for seed in range(60)]
    free = [chunk_of(policy, row(seed + 1000)) for seed in range(60)]
    bound = [
        chunk_of(
            policy,
            row(
                seed + 1000, prefix=Prefix(plan.model, plan.robot), delay=6, end=12 if policy is POLICY else 6
            ),
        )
        for seed, plan in enumerate(plans)
    ]
    assert agreement(plans, free) < 0.7
    assert agreement(plans, bound) > 0.85
    assert deviation(plans, bound) < (1e-6 if policy in (GIVEN, CARRIED) else 0.5 * deviation(plans, free))


def agreement(plans: list[ActionChunk], chunks: list[ActionChunk]) -> float:
    """Return the share of chunks that lead to the same side as their plan."""
    sides = [[np.sign(one.robot[6:, 0].sum()) for one in many] for many in (plans, chunks)]
    return float(np.mean([one == other for one, other in zip(*sides, strict=True)]))


def deviation(plans: list[ActionChunk], chunks: list[ActionChunk]) -> float:
    """Return how far the first six actions are from the plan's, in the mean."""
    pairs = zip(plans, chunks, strict=True)
    return float(np.mean([np.abs(plan.robot[:6] - chunk.robot[:6]).mean() for plan, chunk in pairs]))


def test_the_schedule_of_zeros_is_a_hard_prefix() -> None:
    weights = prefix_weights(HORIZON, length=16, delay=4, end=12, schedule="zeros")
    assert weights.tolist() == [1.0] * 4 + [0.0] * 12
    soft, hard = (chunk_of(policy, row(3, prefix=plan_to(1.0), delay=4, end=12)) for policy in (POLICY, HARD))
    assert not np.array_equal(soft.robot, hard.robot)


def test_chunks_are_guided_where_a_schedule_is_set_and_carry_on_where_nothing_is() -> None:
    assert [GatesOptions().way(schedule) for schedule in ("", "exp", "zeros")] == [
        "carried",
        "guided",
        "guided",
    ]
    assert GatesOptions("given").way("zeros") == "given"
    schedules = [policy.spec.rtc.schedule for policy in (CARRIED, POLICY, HARD, GIVEN) if policy.spec.rtc]
    assert schedules == ["zeros", "exp", "zeros", "zeros"]


def test_what_was_planned_before_keeps_its_noise_and_so_its_way() -> None:
    """Each chunk is made of its noise; the next one takes it over for the steps that both have."""
    plans = [chunk_of(CARRIED, row(seed)) for seed in range(60)]
    kept, new = (
        [
            chunk_of(policy, row(seed + 1000, prefix=Prefix(plan.model[2:], plan.robot[2:]), delay=2))
            for seed, plan in enumerate(plans)
        ]
        for policy in (CARRIED, GIVEN)
    )
    later = [ActionChunk(2, plan.model[2:], plan.robot[2:]) for plan in plans]
    assert agreement(later, kept) > 0.9
    assert agreement(later, kept) > agreement(later, new) + 0.1
    for plan, carried, fresh in zip(plans, kept, new, strict=True):
        assert np.array_equal(carried.model[:14, 1], plan.model[2:, 1])
        assert np.array_equal(carried.model[14:, 1], fresh.model[14:, 1])
        assert not np.array_equal(fresh.model[:14, 1], plan.model[2:, 1])


@pytest.mark.parametrize("at", range(len(GATES_STATE)))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_row_fails_alone(at: int, bad: float) -> None:
    state = STATE.copy()
    state[at] = bad
    failure, chunk = POLICY.infer([row(state=state), row(2)])
    assert isinstance(failure, PolicyError)
    assert isinstance(chunk, ActionChunk)
    assert "wanted 5 finite numbers" in str(failure)


def test_the_seed_is_the_only_source_of_chance() -> None:
    assert np.array_equal(chunk_of(POLICY, row(5)).model, chunk_of(POLICY, row(5)).model)
    assert not np.array_equal(chunk_of(POLICY, row(5)).model, chunk_of(POLICY, row(6)).model)


def test_actions_stay_within_the_limits() -> None:
    states = np.random.default_rng(0).normal(0, 5, (50, 5)).astype(np.float32)
    for result in POLICY.infer([row(seed, state=state) for seed, state in enumerate(states)]):
        assert isinstance(result, ActionChunk)
        assert np.abs(result.robot).max() <= TOP_SPEED_M_S


def test_every_setting_that_changes_an_output_is_in_the_hash() -> None:
    hashes = {
        POLICY.model_hash,
        GIVEN.model_hash,
        HARD.model_hash,
        CARRIED.model_hash,
        GatesPolicy(rtc_max_guidance=1).model_hash,
        GatesPolicy(rtc_schedule="exp", rtc_max_guidance=1).model_hash,
    }
    assert len(hashes) == 6


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="guided, given"):
        GatesOptions(continuation="soft")
    with pytest.raises(ConfigError, match="rtc_schedule"):
        GatesPolicy(rtc_schedule="hard")


def test_without_delay_it_passes_nine_walls_of_ten() -> None:
    """One chunk for each four steps, as `make bench` measures it; the trained weights are worth something."""
    world = Courses([draw_course(seed) for seed in range(60)])
    while not world.is_over:
        seen = world.observe().astype(np.float32)
        rows = [row(world.step * 1000 + at, state=state) for at, state in enumerate(seen)]
        chunks = POLICY.infer(rows)
        for at in range(4):
            if not world.is_over:
                world.advance(
                    np.array([c.robot[at, 0] for c in chunks if isinstance(c, ActionChunk)]) / TOP_SPEED_M_S
                )
    assert world.passed.mean() > 0.85


def test_the_weights_are_small_and_hold_numbers_alone() -> None:
    content = resources.files("vagus.demo").joinpath(WEIGHTS).read_bytes()
    assert len(content) <= 700_000
    with np.load(io.BytesIO(content), allow_pickle=False) as parts:
        assert all(part.dtype == np.float32 for part in parts.values())
        assert sum(part.size for part in parts.values()) < 160_000


def content_of(**changed: np.ndarray) -> bytes:
    """Return the package's weights as a file, with other arrays in it."""
    with np.load(io.BytesIO(resources.files("vagus.demo").joinpath(WEIGHTS).read_bytes())) as parts:
        arrays = {**parts, **changed}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def test_weights_of_another_training_are_taken_from_a_file_and_are_in_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content_of(bias_3=np.full(HORIZON, 0.25, np.float32)))
    other = load_policy("gates", options={"weights": str(path)})
    assert other.model_hash != POLICY.model_hash
    (chunk,) = other.infer([cast("Row[object]", row())])
    assert isinstance(chunk, ActionChunk)
    assert not np.allclose(chunk.model, chunk_of(POLICY, row()).model, atol=0.05)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"", "EOFError"),
        (b"no weights", "ValueError"),
        (content_of(bias_1=np.zeros(3, np.float32)), "in layer 1, behind 256 numbers"),
        (content_of(weight_0=np.zeros((68, 256), np.float32)), "in layer 0, behind 69 numbers"),
        (content_of(weight_3=np.zeros((256, 15), np.float32)), "in layer 3"),
        (content_of(weight_2=np.full((256, 256), np.nan, np.float32)), "NaN or infinity in layer 2"),
        (content_of(weight_4=np.zeros((16, 16), np.float32)), "KeyError"),
    ],
)
def test_a_file_that_holds_no_weights_of_it_is_refused(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "weights.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"weights: wanted a file that scripts/train_gates.py") as refused:
        load_policy("gates", options={"weights": str(path)})
    assert told in str(refused.value)

"""The flow, its guidance and its batches; in numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.demo.flow_net import (
    TIME_WIDTH,
    Floats32,
    FlowNet,
    Guidance,
    _smoothing,
    guidance_weight,
    prefix_weights,
    time_features,
)

HORIZON, DIM, CONDITION = 12, 2, 3
WIDTH = HORIZON * DIM


def small_net(seed: int = 0) -> FlowNet:
    generator = np.random.default_rng(seed)
    sizes = (WIDTH + CONDITION + TIME_WIDTH, 16, 16, WIDTH)
    layers = tuple(
        (
            (generator.standard_normal((a, b)) * 0.2).astype(np.float32),
            generator.standard_normal(b).astype(np.float32) * np.float32(0.1),
        )
        for a, b in itertools.pairwise(sizes)
    )
    return FlowNet(layers, HORIZON, DIM)


NET = small_net()


def draw(rows: int, seed: int = 1) -> tuple[Floats32, Floats32]:
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((rows, HORIZON, DIM), dtype=np.float32)
    return noise, generator.standard_normal((rows, CONDITION), dtype=np.float32)


def guided(length: int, delay: int, end: int, seed: int = 5) -> Guidance:
    ends = np.random.default_rng(seed).standard_normal((2, DIM), dtype=np.float32)
    plan = np.linspace(ends[0], ends[1], HORIZON, dtype=np.float32)  # as smooth as a plan is
    plan[length:] = 0.0
    return Guidance(plan, prefix_weights(HORIZON, length=length, delay=delay, end=end, schedule="exp"))


def sample(noise: Floats32, conditions: Floats32, guidance: list[Guidance | None]) -> Floats32:
    return NET.sample(noise, conditions, guidance, steps=5, max_guidance=5.0)


@pytest.mark.parametrize("tau", [0.0, 0.4, 0.8])
def test_the_pull_back_is_the_transposed_jacobian(tau: float) -> None:
    generator = np.random.default_rng(3)
    layers = tuple((w.astype(np.float64), b.astype(np.float64)) for w, b in NET.layers)
    exact = FlowNet(layers, HORIZON, DIM)  # type: ignore[arg-type] # in double, for the differences
    noisy = generator.standard_normal((1, WIDTH))
    conditions = generator.standard_normal((1, CONDITION))
    gradient = generator.standard_normal((1, WIDTH)).astype(np.float32)
    _, units = exact.predict(noisy.astype(np.float32), conditions.astype(np.float32), tau)
    pulled = exact._pull_back(gradient, units)[0]
    step = 1e-2
    numeric = np.empty(WIDTH)
    for at in range(WIDTH):
        around = [noisy + side * step * np.eye(WIDTH)[at] for side in (1, -1)]
        above, below = (
            exact.predict(x.astype(np.float32), conditions.astype(np.float32), tau)[0] for x in around
        )
        numeric[at] = float(((above - below) @ gradient.T)[0, 0]) / (2 * step)
    np.testing.assert_allclose(pulled, numeric, atol=2e-3)


@pytest.mark.parametrize("schedule", ["exp", "linear", "ones", "zeros"])
def test_what_is_executed_anyway_weighs_one_and_nothing_after_the_end_or_the_prefix(schedule: str) -> None:
    weights = prefix_weights(HORIZON, length=8, delay=3, end=10, schedule=schedule)
    assert weights.shape == (HORIZON,)
    assert (weights[:3] == 1.0).all()
    assert (weights[8:] == 0.0).all()
    inner = weights[3:8]
    assert (np.diff(inner) <= 0).all()
    assert {"ones": inner == 1.0, "zeros": inner == 0.0}.get(schedule, (inner > 0) & (inner < 1)).all()


def test_exponential_weights_fall_below_linear_ones() -> None:
    falls = [prefix_weights(HORIZON, length=12, delay=2, end=11, schedule=name) for name in ("exp", "linear")]
    assert (falls[0][3:11] < falls[1][3:11]).all()


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(0, 80),
    st.integers(0, 80),
    st.integers(0, 80),
    st.sampled_from(["exp", "linear", "ones", "zeros"]),
)
def test_weights_stay_between_zero_and_one_and_never_rise(
    horizon: int, length: int, delay: int, end: int, schedule: str
) -> None:
    weights = prefix_weights(horizon, length=length, delay=delay, end=end, schedule=schedule)
    assert weights.shape == (horizon,)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert (np.diff(weights) <= 1e-6).all()


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 0.999), st.floats(0.0, 50.0))
def test_the_guidance_is_bounded(tau: float, bound: float) -> None:
    assert 0.0 <= guidance_weight(tau, bound) <= bound


def test_time_is_seen_by_four_features() -> None:
    assert time_features(np.float32(0.5)).shape == (TIME_WIDTH,)
    assert time_features(np.zeros(7, np.float32)).shape == (7, TIME_WIDTH)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.tuples(st.integers(1, HORIZON), st.integers(0, HORIZON), st.integers(0, HORIZON)),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_row_in_a_batch_is_the_row_alone(wanted: list[tuple[int, int, int] | None]) -> None:
    guidance = [None if one is None else guided(*one, seed=at) for at, one in enumerate(wanted)]
    noise, conditions = draw(len(wanted))
    together = sample(noise, conditions, guidance)
    for row in range(len(wanted)):
        alone = sample(noise[row : row + 1], conditions[row : row + 1], guidance[row : row + 1])
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


def test_the_same_batch_gives_the_same_bits() -> None:
    noise, conditions = draw(3)
    guidance = [guided(8, 3, 10), None, guided(12, 0, 6)]
    np.testing.assert_array_equal(sample(noise, conditions, guidance), sample(noise, conditions, guidance))


def test_a_guided_row_comes_near_its_plan_and_leaves_its_neighbours_alone() -> None:
    noise, conditions = draw(2)
    wanted = guided(12, 6, 12)
    free, pulled = sample(noise, conditions, [None, None]), sample(noise, conditions, [wanted, None])
    before = np.abs(free[0, :6] - wanted.plan[:6]).mean()
    after = np.abs(pulled[0, :6] - wanted.plan[:6]).mean()
    assert after < 0.5 * before
    np.testing.assert_array_equal(free[1], pulled[1])


def test_what_the_prefix_does_not_cover_is_not_looked_at() -> None:
    noise, conditions = draw(1)
    short = guided(5, 2, 12)
    other = Guidance(short.plan.copy(), short.weights)
    other.plan[5:] = 9.0
    np.testing.assert_array_equal(sample(noise, conditions, [short]), sample(noise, conditions, [other]))


def test_smoothing_keeps_parabolas_and_takes_most_of_the_noise() -> None:
    matrix = _smoothing(50)
    times = np.linspace(-1.0, 1.0, 50)
    for power in range(3):
        np.testing.assert_allclose(matrix @ times**power, times**power, atol=1e-4)
    noise = np.random.default_rng(0).standard_normal((50, 40))
    assert np.abs(np.diff(matrix @ noise, 3, axis=0)).mean() < 0.1 * np.abs(np.diff(noise, 3, axis=0)).mean()


def test_no_input_is_too_large() -> None:
    noise, conditions = draw(1)
    assert np.isfinite(sample(noise * 1e6, conditions, [guided(12, 6, 12)])).all()

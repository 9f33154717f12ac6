"""The embedded policy as a server calls it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pytest

from vagus.demo.arm import ACTIONS, HOME, LOWER, UPPER, Floats, random_target, tip_position
from vagus.demo.reach import ReachPolicy
from vagus.demo.reach_options import ReachOptions
from vagus.demo.scene import Scene
from vagus.demo.vision import TargetMemory
from vagus.errors import ConfigError, PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.policies.registry import load_policy
from vagus.types import ActionChunk, Image, Observation, Prefix

POLICY = ReachPolicy()
SCENE = Scene()
STILL = np.zeros(6)
PLACE = np.array([0.35, 0.1, 0.2])
BLIND = {"front": np.zeros((480, 640, 3), np.uint8), "top": np.zeros((480, 640, 3), np.uint8)}


def observation(
    joints: Floats = HOME,
    *,
    target: Floats = PLACE,
    velocity: Floats = STILL,
    images: Mapping[str, Image] | None = None,
) -> Observation:
    state = np.concatenate([joints, velocity]).astype(np.float32)
    return Observation(state, SCENE.draw(joints, target) if images is None else images, "", 0)


def row(
    seen: Observation,
    *,
    session: TargetMemory | None = None,
    seed: int = 1,
    prefix: Prefix | None = None,
    delay: int = 0,
    end: int = 0,
) -> Row[TargetMemory]:
    memory = POLICY.open_session() if session is None else session
    return Row(memory, seen, 7, prefix, delay, end, seed)


def chunk_of(*rows: Row[TargetMemory], policy: ReachPolicy = POLICY) -> ActionChunk:
    result = policy.infer(rows)[0]
    assert isinstance(result, ActionChunk), result
    return result


def prefix_of(chunk: ActionChunk, begin: int, length: int = 50) -> Prefix:
    return Prefix(chunk.model[begin : begin + length], chunk.robot[begin : begin + length])


def test_it_is_there_by_name_and_says_what_it_is() -> None:
    policy = load_policy("reach", options={"inference_ms": 0.0})
    spec = policy.spec
    assert (spec.policy_type, spec.horizon, spec.model_dim) == ("reach", 50, 6)
    assert spec.rate_hz == pytest.approx(30)
    assert spec.rtc is not None
    assert policy.serving_mode is ServingMode.SHARED
    policy.close()


def test_a_chunk_ends_with_the_tip_at_the_target() -> None:
    generator = np.random.default_rng(2)
    misses = []
    for at in range(50):
        target = random_target(generator)
        joints = np.clip(HOME + generator.normal(0, 0.1, 6), LOWER, UPPER)
        chunk = chunk_of(row(observation(joints, target=target), seed=at))
        assert chunk.step == 7
        assert (chunk.robot >= LOWER.astype(np.float32)).all()
        assert (chunk.robot <= UPPER.astype(np.float32)).all()
        misses.append(np.linalg.norm(tip_position(chunk.robot[-1].astype(np.float64)) - target))
    assert np.quantile(misses, 0.9) < 0.03


def test_all_noise_comes_from_the_seed() -> None:
    seen = observation()
    np.testing.assert_array_equal(chunk_of(row(seen, seed=3)).model, chunk_of(row(seen, seed=3)).model)
    assert (chunk_of(row(seen, seed=3)).model != chunk_of(row(seen, seed=4)).model).any()


def test_a_row_in_a_batch_is_the_row_alone_and_the_same_batch_gives_the_same_bits() -> None:
    seen = observation()
    plan = chunk_of(row(seen))

    def rows() -> list[Row[TargetMemory]]:
        return [
            row(seen, seed=1),
            row(observation(target=PLACE + 0.05), seed=2, prefix=prefix_of(plan, 5), delay=3, end=25),
            row(seen, seed=3, prefix=prefix_of(plan, 40, 6), delay=6, end=25),
            row(observation(HOME + 0.1), seed=4, prefix=prefix_of(plan, 2, 30), delay=0, end=10),
        ]

    together, again = POLICY.infer(rows()), POLICY.infer(rows())
    for at, alone in enumerate(rows()):
        one, same = together[at], again[at]
        assert isinstance(one, ActionChunk)
        assert isinstance(same, ActionChunk)
        np.testing.assert_array_equal(one.model, same.model)
        np.testing.assert_allclose(one.model, chunk_of(alone).model, atol=1e-5)


def bad(which: str) -> Observation:
    good = observation()
    images = dict(good.images)
    if which == "missing picture":
        del images["top"]
    elif which == "wrong size":
        images["top"] = images["top"][:100]
    elif which == "short state":
        return Observation(good.state[:6], images, "", 0)
    else:
        return Observation(np.full(12, np.nan, np.float32), images, "", 0)
    return Observation(good.state, images, "", 0)


@pytest.mark.parametrize("which", ["missing picture", "wrong size", "short state", "not finite"])
def test_a_bad_row_fails_alone(which: str) -> None:
    good = observation()
    results = POLICY.infer([row(good, seed=1), row(bad(which), seed=2), row(good, seed=3)])
    assert isinstance(results[1], PolicyError)
    for at, seed in ((0, 1), (2, 3)):
        result = results[at]
        assert isinstance(result, ActionChunk)
        np.testing.assert_allclose(result.model, chunk_of(row(good, seed=seed)).model, atol=1e-5)


def test_a_batch_of_nothing_but_bad_rows_has_only_errors() -> None:
    results = POLICY.infer([row(bad("missing picture")), row(bad("short state"))])
    assert all(isinstance(result, PolicyError) for result in results)


def test_a_session_remembers_its_target_and_no_other_sessions() -> None:
    near, far = PLACE, PLACE + np.array([0.0, -0.3, 0.05])
    first, second = POLICY.open_session(), POLICY.open_session()
    both = POLICY.infer(
        [
            row(observation(target=near), session=first),
            row(observation(target=far), session=second),
        ]
    )
    assert all(isinstance(result, ActionChunk) for result in both)
    for session, target in ((second, far), (first, near)):
        chunk = chunk_of(row(observation(images=BLIND), session=session))
        assert np.linalg.norm(tip_position(chunk.robot[-1].astype(np.float64)) - target) < 0.05


def test_without_a_target_the_arm_stays_where_it_is_and_a_new_episode_forgets_the_old_one() -> None:
    session = POLICY.open_session()
    chunk_of(row(observation(), session=session))
    POLICY.begin_episode(session)
    chunk = chunk_of(row(observation(images=BLIND), session=session))
    tip = tip_position(chunk.robot[-1].astype(np.float64))
    assert np.linalg.norm(tip - tip_position(HOME)) < 0.05


# real-time chunking


def test_guidance_keeps_the_first_steps_near_the_running_plan() -> None:
    generator = np.random.default_rng(4)
    delay = 9
    kept: list[float] = []
    free: list[float] = []
    for at in range(25):
        joints = np.clip(HOME + generator.normal(0, 0.1, 6), LOWER, UPPER)
        plan = chunk_of(row(observation(joints, target=random_target(generator)), seed=at))
        moving = (plan.robot[8] - plan.robot[6]).astype(np.float64) * 15
        seen = observation(plan.robot[7].astype(np.float64), target=random_target(generator), velocity=moving)
        prefix = prefix_of(plan, 8)
        for found, guided in ((kept, prefix), (free, None)):
            chunk = chunk_of(row(seen, seed=100 + at, prefix=guided, delay=delay, end=25))
            found.append(float(np.abs(chunk.robot[:delay] - prefix.robot[:delay]).max()))
    assert np.mean(kept) < 0.3 * np.mean(free)
    assert np.mean(kept) < 0.06


def test_after_the_guidance_the_chunk_goes_where_the_target_is_now() -> None:
    plan = chunk_of(row(observation()))
    moved = PLACE + np.array([0.0, -0.3, 0.05])
    seen = observation(plan.robot[7].astype(np.float64), target=moved)
    chunk = chunk_of(row(seen, prefix=prefix_of(plan, 8), delay=5, end=25))
    assert np.linalg.norm(tip_position(chunk.robot[-1].astype(np.float64)) - moved) < 0.05


def test_the_schedule_of_zeros_guides_only_what_is_executed_anyway() -> None:
    seen = observation()
    plan = chunk_of(row(seen))
    policy = ReachPolicy(rtc_schedule="zeros")
    free = chunk_of(row(seen, seed=2), policy=policy)
    guided = chunk_of(row(seen, seed=2, prefix=prefix_of(plan, 8), delay=0, end=25), policy=policy)
    np.testing.assert_array_equal(free.model, guided.model)


# identity and settings


def test_the_model_hash_names_everything_that_changes_an_output() -> None:
    assert ReachPolicy().model_hash == POLICY.model_hash
    assert ReachPolicy(options=ReachOptions(inference_ms=5.0)).model_hash == POLICY.model_hash
    others = {ReachPolicy(rtc_schedule="linear").model_hash, ReachPolicy(rtc_max_guidance=2.0).model_hash}
    assert len(others | {POLICY.model_hash}) == 3


def test_inference_takes_at_least_as_long_as_it_is_told_to() -> None:
    policy = ReachPolicy(options=ReachOptions(inference_ms=60.0))
    seen = row(observation())
    began_ns = time.monotonic_ns()
    policy.infer([seen])
    assert time.monotonic_ns() - began_ns >= 60_000_000


def test_a_wrong_setting_is_told() -> None:
    with pytest.raises(ConfigError, match="exp, linear, ones, zeros"):
        ReachPolicy(rtc_schedule="cosine")
    with pytest.raises(ConfigError, match="inference_ms"):
        ReachOptions(inference_ms=-1.0)
    with pytest.raises(ConfigError, match="inference_ms"):
        ReachOptions(inference_ms=float("nan"))


def test_it_acts_on_the_joints_of_the_arm() -> None:
    assert POLICY.spec.actions == ACTIONS


@pytest.mark.parametrize("push", [0.03, 0.1, 0.5])
def test_a_chunk_without_a_plan_begins_where_the_arm_was_pushed_to(push: float) -> None:
    joints = HOME + np.array([0.0, 0.0, 0.0, 0.0, push, push])
    (chunk,) = POLICY.infer([row(observation(joints))])
    assert isinstance(chunk, ActionChunk)
    np.testing.assert_allclose(chunk.robot[0], joints, atol=1e-3)

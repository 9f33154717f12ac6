"""A row served in any batch is the row served alone is what LeRobot computes beside the robot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.policies.utils import populate_queues

import lerobot_checkpoints as tiny
from lerobot_backend import (
    JOINTS,
    SIZE,
    Local,
    act_config,
    assert_near,
    diffusion_config,
    frame,
    good,
    row,
    save,
    seen,
    served,
)
from vagus.clock import MonotonicClock
from vagus.errors import PolicyError
from vagus.integrations.lerobot.policy.batch import Memory
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row, ServingMode, SplitsBatches
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.server.warmup import warm_up
from vagus.specs import CameraSpec
from vagus.types import ActionChunk, FloatArray, Observation, Prefix

VLA_ARM = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
VLA_TABLE = SpecTable(actions=VLA_ARM, state=VLA_ARM, optional_cameras=("wrist",))
VLA_SHAPE = (tiny.CHUNK, tiny.MODEL_DIM)


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(act_config(), tmp_path_factory.mktemp("act"))


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(diffusion_config(), tmp_path_factory.mktemp("diffusion"))


def noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))[None]


def assert_equal(chunk: ActionChunk, wanted: tuple[FloatArray, FloatArray]) -> None:
    assert_near(chunk.model, wanted[0])
    assert_near(chunk.robot, wanted[1])


# -- ACT --------------------------------------------------------------------------------------------------


def test_act_is_described_by_checkpoint_and_manifest(act: Path) -> None:
    policy = served(act)
    spec = policy.spec
    assert policy.serving_mode is ServingMode.SHARED
    assert (spec.policy_type, spec.horizon, spec.model_dim, spec.rtc) == ("act", 20, 6, None)
    assert tuple(action.name for action in spec.actions) == JOINTS
    assert {feature.unit for feature in spec.state} == {"lerobot_norm"}
    assert spec.cameras == (CameraSpec("front", SIZE, SIZE),)


def test_act_in_a_batch_is_act_beside_the_robot(act: Path) -> None:
    local = Local(act)
    observations = [seen(n) for n in range(3)]
    chunks = good(served(act).infer([row(o, step=40 + n) for n, o in enumerate(observations)]))
    assert [chunk.step for chunk in chunks] == [40, 41, 42]
    for chunk, observation in zip(chunks, observations, strict=True):
        assert_equal(chunk, local.chunk(local.prepared(observation)))
    assert np.abs(chunks[0].robot - chunks[0].model).max() > 0.1


def test_the_hash_is_the_contents_whatever_loads_them(act: Path) -> None:
    assert served(act).model_hash == served(act).model_hash
    assert served(act, dtype="bfloat16").model_hash != served(act).model_hash


def test_frames_of_another_size_are_fitted_to_what_the_network_saw(act: Path) -> None:
    flat = [np.full((h, w, 3), 77, np.uint8) for h, w in ((SIZE, SIZE), (2 * SIZE, 2 * SIZE), (48, 90))]
    rows = [row(replace(seen(1), images={"front": image})) for image in flat]
    first, *others = good(served(act).infer(rows))
    for other in others:
        assert_near(other.robot, first.robot)


def test_half_precision_is_near(act: Path) -> None:
    (whole,), (half,) = (good(served(act, dtype=d).infer([row(seen(1))])) for d in ("float32", "bfloat16"))
    assert half.robot.dtype == np.float32
    np.testing.assert_allclose(half.robot, whole.robot, atol=0.2)
    assert (half.robot != whole.robot).any()


@pytest.mark.parametrize(
    "bad",
    [
        replace(seen(1), state=np.zeros(5, np.float32)),
        replace(seen(1), state=np.full(6, np.nan, np.float32)),
        replace(seen(1), images={}),
        replace(seen(1), images={"front": np.zeros((SIZE, SIZE, 4), np.uint8)}),
        replace(seen(1), images={"front": np.zeros((SIZE, SIZE, 3), np.float32)}),
    ],
)
def test_a_bad_row_fails_alone(act: Path, bad: Observation) -> None:
    policy = served(act)
    first, failure, last = policy.infer([row(seen(0)), row(bad), row(seen(2))])
    assert isinstance(failure, PolicyError)
    alone = good(policy.infer([row(seen(0)), row(seen(2))]))
    for chunk, wanted in zip(good([first, last]), alone, strict=True):
        assert_near(chunk.robot, wanted.robot)


def test_a_closed_policy_says_so(act: Path) -> None:
    policy = served(act)
    policy.close()
    (failure,) = policy.infer([row(seen(0))])
    assert "closed" in str(failure)


def test_running_out_of_memory_while_warming_up_advises_a_smaller_batch(
    act: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = served(act)
    inner = policy._running()._loaded.policy
    whole = inner.predict_action_chunk

    def limited(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(batch["observation.state"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        chunk: torch.Tensor = whole(batch)
        return chunk

    monkeypatch.setattr(inner, "predict_action_chunk", limited)
    model = ServedPolicy.of(policy, ServeConfig(policy="lerobot"))
    with pytest.raises(PolicyError, match="set max_batch below 3"):
        warm_up(model, max_batch=4, max_pixels=10**6, runs=1, clock=MonotonicClock())


# -- Diffusion --------------------------------------------------------------------------------------------


def diffusion_local(local: Local, observation: Observation, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return what LeRobot's own queues lead to."""
    batch = local.prepared(observation)
    batch.pop("action")
    batch["observation.images"] = batch["observation.images.front"][:, None]
    local.policy._queues = populate_queues(local.policy._queues, batch)
    return local.chunk(batch, noise=noise(seed, (16, 6)))


def test_interleaved_robots_get_the_diffusion_that_each_would_have_alone(diffusion: Path) -> None:
    policy = served(diffusion)
    locals_ = [Local(diffusion), Local(diffusion)]
    sessions = [policy.open_session(), policy.open_session()]
    for step in range(4):
        rows = [row(seen(10 * n + step), s, step=step, seed=step + n) for n, s in enumerate(sessions)]
        for n, chunk in enumerate(good(policy.infer(rows))):
            assert_equal(chunk, diffusion_local(locals_[n], seen(10 * n + step), step + n))
    policy.begin_episode(sessions[0])
    locals_[0].policy.reset()
    (chunk,) = good(policy.infer([row(seen(50), sessions[0], step=4)]))
    assert_equal(chunk, diffusion_local(locals_[0], seen(50), 5))


def test_a_request_that_is_asked_again_is_remembered_once(diffusion: Path) -> None:
    policy = served(diffusion)
    answers = []
    for repeats in (1, 3):
        session = policy.open_session()
        for step in (0, 8):
            for _ in range(repeats):
                (chunk,) = good(policy.infer([row(seen(step), session, step=step)]))
        answers.append(chunk.robot)
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.parametrize("scheduler", ["DDIM", "DDPM"])
def test_the_rows_seed_is_the_only_noise(tmp_path: Path, scheduler: str) -> None:
    config = diffusion_config(noise_scheduler_type=scheduler, num_train_timesteps=4, num_inference_steps=4)
    policy = served(save(config, tmp_path))
    torch.manual_seed(1)
    mixed = good(policy.infer([row(seen(n), seed=n) for n in (2**64 - 1, 0, 0)]))
    torch.manual_seed(2)
    (alone,) = good(policy.infer([row(seen(0), seed=0)]))
    assert_near(mixed[1].robot, alone.robot)
    assert_near(mixed[2].robot, alone.robot)
    (other,) = good(policy.infer([row(seen(0), seed=1)]))
    assert np.abs(other.robot - alone.robot).max() > 1e-3


@pytest.mark.parametrize("count", [1, 3])
def test_diffusion_looks_back_as_far_as_it_was_trained_to(tmp_path: Path, count: int) -> None:
    policy = served(save(diffusion_config(n_obs_steps=count), tmp_path))
    session = policy.open_session()
    for step in range(5):
        (chunk,) = good(policy.infer([row(seen(step), session, step=step)]))
    other = policy.open_session()
    for step in range(5 - count, 5):
        (late,) = good(policy.infer([row(seen(step), other, step=step)]))
    assert_near(late.robot, chunk.robot)
    assert len(session.seen) == count


# -- SmolVLA, π0, π0.5 ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=sorted(tiny.VLA_MAKERS))
def vla(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp(request.param)
    tiny.VLA_MAKERS[request.param](path)
    with tiny.tiny_gemma():
        yield path


def vla_row(n: int, instruction: str, prefix: Prefix | None = None, **changes: object) -> Row[Memory]:
    observation = seen(n, instruction=instruction, cameras=tiny.CAMERAS)
    plain = row(replace(observation, **changes), seed=n)  # type: ignore[arg-type] # the test names fields
    if prefix is None:
        return plain
    return replace(plain, prefix=prefix, inference_delay=n % 4, prefix_horizon=8 + n)


def plan(n: int, length: int) -> Prefix:
    actions = np.random.default_rng(n).standard_normal((length, 6)).astype(np.float32)
    return Prefix(actions, actions)


def test_any_mixture_of_rows_is_each_row_alone(vla: Path) -> None:
    policy = served(vla, stated=VLA_TABLE)
    assert policy.spec.rtc is not None
    tall = {"front": frame(9, (90, 70)), "wrist": frame(8)}
    rows = [
        vla_row(1, "go"),
        vla_row(2, "pick the red cube, slowly", plan(2, 12)),
        vla_row(3, "stop", plan(3, 2)),
        vla_row(4, "one camera is away", images={"front": frame(4)}),
        vla_row(5, "larger frames", plan(5, 20), images=tall),
    ]
    for chunk, one in zip(good(policy.infer(rows)), rows, strict=True):
        (alone,) = good(policy.infer([one]))
        assert_near(chunk.model, alone.model)
        assert_near(chunk.robot, alone.robot)
    assert isinstance(policy, SplitsBatches)
    keys = [policy.batch_key(one.observation) for one in rows]
    assert len(set(keys)) == 1, "one pass takes them all"
    guided, free = good(policy.infer([rows[1], replace(rows[1], prefix=None)]))
    assert np.abs(guided.model - free.model).max() > 1e-2


def test_a_vla_gives_what_lerobot_gives_beside_the_robot(vla: Path) -> None:
    local = Local(vla)
    policy = served(vla, stated=VLA_TABLE)
    rows = [vla_row(n, instruction) for n, instruction in enumerate(["go", "pick the red cube"])]
    rows.append(vla_row(7, "larger frames", images={name: frame(7, (90, 70)) for name in tiny.CAMERAS}))
    for chunk, one in zip(good(policy.infer(rows)), rows, strict=True):
        batch = local.prepared(one.observation)
        assert_equal(chunk, local.chunk(batch, noise=noise(one.seed, VLA_SHAPE)))


def test_a_row_that_the_preprocessor_refuses_fails_alone(vla: Path) -> None:
    policy = served(vla, stated=VLA_TABLE)
    whole = vla_row(1, "x")
    nothing = replace(whole, observation=replace(whole.observation, instruction=None))  # type: ignore[arg-type]
    first, failure = policy.infer([vla_row(0, "go"), nothing])
    assert isinstance(failure, PolicyError)
    (alone,) = good(policy.infer([vla_row(0, "go")]))
    assert_near(good([first])[0].robot, alone.robot)


# -- relative actions -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["pi0", "pi05"])
def relative(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp(request.param)
    {"pi0": tiny.make_pi0, "pi05": tiny.make_pi05}[request.param](path, is_relative=True)
    with tiny.tiny_gemma():
        yield path


def test_relative_actions_are_added_to_each_robots_own_state(relative: Path) -> None:
    local = Local(relative)
    policy = served(relative, stated=VLA_TABLE)
    rows = [vla_row(n, "go", state=np.full(6, 30.0 * n, np.float32)) for n in range(3)]
    for chunk, one in zip(good(policy.infer(rows)), rows, strict=True):
        batch = local.prepared(one.observation)
        assert_equal(chunk, local.chunk(batch, noise=noise(one.seed, VLA_SHAPE)))


def test_no_state_outlives_its_batch(relative: Path) -> None:
    policy = served(relative, stated=VLA_TABLE)
    good(policy.infer([vla_row(1, "go")]))
    steps = policy._running()._loaded.preprocessor.steps
    caches = [step._last_state for step in steps if hasattr(step, "_last_state")]
    assert caches == [None]


def test_a_relative_plan_is_anchored_to_the_state_of_this_request(relative: Path) -> None:
    policy = served(relative, stated=VLA_TABLE)
    robot = np.random.default_rng(3).standard_normal((12, 6)).astype(np.float32)
    stale = [Prefix(np.full_like(robot, filler), robot) for filler in (0.0, 99.0)]
    answers = good(policy.infer([vla_row(4, "go", prefix) for prefix in stale]))
    np.testing.assert_array_equal(answers[0].robot, answers[1].robot)  # what it was relative to is forgotten
    moved = vla_row(4, "go", stale[0], state=np.full(6, 0.5, np.float32))
    still = vla_row(4, "go", stale[0], state=np.zeros(6, np.float32))
    mixed = good(policy.infer([moved, still]))
    for chunk, one in zip(mixed, (moved, still), strict=True):
        assert_near(chunk.robot, good(policy.infer([one]))[0].robot)

"""Rows of one batch go through the network together wherever the family can, and none sees the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs import NormalizationMode

import lerobot_checkpoints as tiny
from lerobot_backend import (
    TABLE,
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
from vagus.errors import PolicyError
from vagus.integrations.lerobot.policy.batch import Memory
from vagus.integrations.lerobot.policy.policy import LeRobotPolicy
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row
from vagus.types import Image, Prefix

ARM = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
VLA_TABLE = SpecTable(actions=ARM, state=ARM, optional_cameras=tiny.CAMERAS)
VLAS = sorted(tiny.VLA_MAKERS)


@pytest.fixture(scope="module", params=VLAS)
def vla(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp(request.param)
    tiny.VLA_MAKERS[request.param](path)
    with tiny.tiny_gemma():
        yield path


def forwards(policy: LeRobotPolicy, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of rows of every pass through the network from now on."""
    inner = policy._running()._loaded.policy
    whole, passes = inner.predict_action_chunk, []

    def counted(batch: dict[str, torch.Tensor], **options: object) -> torch.Tensor:
        chunk: torch.Tensor = whole(batch, **options)
        passes.append(len(chunk))
        return chunk

    monkeypatch.setattr(inner, "predict_action_chunk", counted)
    return passes


def vla_row(seed: int, instruction: str, images: dict[str, Image], *, length: int = 0) -> Row[Memory]:
    plain = row(replace(seen(seed, instruction=instruction), images=images), seed=seed)
    if not length:
        return plain
    actions = np.random.default_rng(seed).standard_normal((length, 6)).astype(np.float32)
    return replace(
        plain, prefix=Prefix(actions, actions), inference_delay=seed % 4, prefix_horizon=seed % 8 + 1
    )


def mixed_rows() -> list[Row[Memory]]:
    """Return rows that differ in all that rows of one checkpoint can differ in."""
    return [
        vla_row(1, "go", {"front": frame(1), "wrist": frame(2)}),
        vla_row(2, "one camera is away", {"front": frame(3)}, length=12),
        vla_row(3, "the other one is", {"wrist": frame(4)}, length=2),
        vla_row(4, "larger frames", {"front": frame(5, (90, 70)), "wrist": frame(6)}, length=20),
        vla_row(5, "sizes as in no other row", {"front": frame(7), "wrist": frame(8, (48, 130))}),
        vla_row(6, "", {"wrist": frame(9, (90, 70))}),
    ]


def assert_each_is_itself_alone(policy: LeRobotPolicy, rows: list[Row[Memory]]) -> None:
    for chunk, one in zip(good(policy.infer(rows)), rows, strict=True):
        (alone,) = good(policy.infer([replace(one, session=policy.open_session())]))
        assert_near(chunk.model, alone.model)
        assert_near(chunk.robot, alone.robot)


def test_one_pass_takes_a_batch_in_which_all_rows_differ(vla: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = served(vla, stated=VLA_TABLE)
    passes = forwards(policy, monkeypatch)
    rows = mixed_rows()
    assert_each_is_itself_alone(policy, rows)
    assert passes == [len(rows)] + [1] * len(rows)
    assert len({policy.batch_key(one.observation) for one in rows}) == 1


def test_a_row_of_any_cameras_and_sizes_is_what_lerobot_computes_beside_the_robot(vla: Path) -> None:
    local, policy = Local(vla), served(vla, stated=VLA_TABLE)
    rows = [replace(one, prefix=None) for one in mixed_rows()]
    for chunk, one in zip(good(policy.infer(rows)), rows, strict=True):
        noise = torch.randn(
            (1, tiny.CHUNK, tiny.MODEL_DIM), generator=torch.Generator().manual_seed(one.seed)
        )
        model, robot = local.chunk(local.prepared(one.observation), noise=noise)
        assert_near(chunk.model, model)
        assert_near(chunk.robot, robot)


def test_what_a_camera_shows_and_that_it_is_there_matters(vla: Path) -> None:
    """Or else equality would prove nothing."""
    policy = served(vla, stated=VLA_TABLE)
    whole = {"front": frame(1), "wrist": frame(2)}
    others = [{**whole, "wrist": frame(3)}, {"front": frame(1)}, {"wrist": frame(2)}]
    chunk, *rest = good(policy.infer([vla_row(1, "go", images) for images in [whole, *others]]))
    for other in rest:
        assert np.abs(other.model - chunk.model).max() > 1e-3


@pytest.mark.parametrize("name", VLAS)
def test_cameras_that_exist_in_the_network_alone_change_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.VLA_MAKERS[name](tmp_path, empty_cameras=1)
    with tiny.tiny_gemma():
        local, policy = Local(tmp_path), served(tmp_path, stated=VLA_TABLE)
    passes = forwards(policy, monkeypatch)
    rows = [replace(one, prefix=None) for one in mixed_rows()[:3]]
    for chunk, one in zip(good(policy.infer(rows)), rows, strict=True):
        noise = torch.randn(
            (1, tiny.CHUNK, tiny.MODEL_DIM), generator=torch.Generator().manual_seed(one.seed)
        )
        assert_near(chunk.model, local.chunk(local.prepared(one.observation), noise=noise)[0])
    assert passes == [3]


@pytest.mark.parametrize(
    "changes",
    [
        {"add_image_special_tokens": True},
        {"normalization_mapping": dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.MEAN_STD)},
    ],
    ids=["marks without a mask", "a preprocessor that looks at frames"],
)
def test_where_a_camera_cannot_be_masked_rows_are_split_by_cameras_and_sizes(
    changes: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.make_smolvla(tmp_path, **changes)
    policy = served(tmp_path, stated=VLA_TABLE)
    passes = forwards(policy, monkeypatch)
    rows = mixed_rows()
    assert_each_is_itself_alone(policy, [*rows, replace(rows[1], seed=9)])
    assert passes[:6] == [1, 2, 1, 1, 1, 1]
    assert len({policy.batch_key(one.observation) for one in rows}) == len(rows)


@pytest.mark.parametrize("config", [act_config, diffusion_config])
def test_families_without_masks_have_all_cameras_in_one_pass(
    config: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = served(save(config(), tmp_path), stated=TABLE)  # type: ignore[operator] # one of the two above
    passes = forwards(policy, monkeypatch)
    sizes = ((64, 64), (90, 70), (48, 130))
    rows = [
        row(
            replace(seen(n), images={"front": frame(n, size), "unknown": frame(n)}),
            policy.open_session(),
            seed=n,
        )
        for n, size in enumerate(sizes)
    ]
    assert_each_is_itself_alone(policy, rows)
    assert passes == [3, 1, 1, 1]
    assert len({policy.batch_key(one.observation) for one in rows}) == 1


def test_a_row_that_has_nothing_to_see_fails_alone(vla: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = served(vla, stated=VLA_TABLE)
    passes = forwards(policy, monkeypatch)
    sliver = {"front": frame(1, (2, 2000)), "wrist": frame(2)}
    bad = [vla_row(2, "go", {}), vla_row(3, "go", sliver)]
    first, *failures, last = policy.infer([mixed_rows()[0], *bad, mixed_rows()[1]])
    assert [isinstance(failure, PolicyError) for failure in failures] == [True, True]
    assert ["wanted a frame of one of" in str(failures[0]), "one side" in str(failures[1])] == [True, True]
    assert passes == [2]
    good([first, last])


def test_no_frame_outlives_its_batch(vla: Path) -> None:
    policy = served(vla, stated=VLA_TABLE)
    good(policy.infer(mixed_rows()))
    masked = policy._running()._masked
    assert masked is not None
    assert not masked._rows

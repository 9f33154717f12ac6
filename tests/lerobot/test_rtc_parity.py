"""Rows of a batch, each with its own plan, against LeRobot's own policies asked one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lerobot.configs import PreTrainedConfig, RTCAttentionSchedule
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.rtc import RTCConfig
from lerobot.processor import PolicyProcessorPipeline

import lerobot_checkpoints as tiny
from vagus.integrations.lerobot.policy.rtc import RtcPrefix, collate_rtc, install_rtc

TOLERANCE = 1e-5
MAX_GUIDANCE = 10.0
ROWS = (  # instruction; length, delay and horizon of its plan
    ("pick the red cube", (12, 4, 10)),
    ("go", None),
    ("place it beside the green one, slowly", (6, 2, 10)),
    ("hand it over", (15, 0, 8)),
    ("stop", (3, 7, 10)),
    ("pick the blue cube", (tiny.CHUNK, 3, tiny.CHUNK)),
)
SCHEDULES = [schedule.value.lower() for schedule in RTCAttentionSchedule]


@dataclass(frozen=True)
class Loaded:
    """Two loads of one checkpoint: LeRobot's own, and one that is ours to change."""

    stock: PreTrainedPolicy
    ours: PreTrainedPolicy
    before: PolicyProcessorPipeline


def load(folder: Path) -> PreTrainedPolicy:
    config = PreTrainedConfig.from_pretrained(folder)
    with tiny.tiny_gemma():
        return get_policy_class(config.type).from_pretrained(folder, config=config).eval()


@pytest.fixture(scope="module", params=sorted(tiny.VLA_MAKERS))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    torch.set_num_threads(2)
    folder = tmp_path_factory.mktemp(request.param)
    tiny.VLA_MAKERS[request.param](folder)
    before, _ = make_pre_post_processors(
        PreTrainedConfig.from_pretrained(folder), pretrained_path=str(folder)
    )
    return Loaded(load(folder), load(folder), before)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def observations(rows: list[int]) -> dict[str, torch.Tensor | list[str]]:
    states = torch.stack([random(tiny.STATE_DIM, seed=row) for row in rows])
    frames = {
        f"observation.images.{camera}": torch.stack(
            [random(3, tiny.IMAGE_SIDE, tiny.IMAGE_SIDE, seed=100 * index + row).sigmoid() for row in rows]
        )
        for index, camera in enumerate(tiny.CAMERAS, start=1)
    }
    return {"observation.state": states, "task": [ROWS[row][0] for row in rows], **frames}


def noise(rows: list[int]) -> torch.Tensor:
    return torch.stack([random(tiny.CHUNK, tiny.MODEL_DIM, seed=1000 + row) for row in rows])


def prefix(row: int) -> RtcPrefix | None:
    shape = ROWS[row][1]
    if shape is None:
        return None
    length, delay, horizon = shape
    return RtcPrefix(random(length, tiny.ACTION_DIM, seed=2000 + row), delay, horizon)


def alone(loaded: Loaded, row: int, schedule: str) -> torch.Tensor:
    """Return the chunk that LeRobot computes for one row with its own processor."""
    loaded.stock.config.rtc_config = RTCConfig(
        prefix_attention_schedule=RTCAttentionSchedule(schedule.upper()), max_guidance_weight=MAX_GUIDANCE
    )
    loaded.stock.init_rtc_processor()
    plan = prefix(row)
    wish = (
        {"inference_delay": 0, "prev_chunk_left_over": None}
        if plan is None
        else {
            "inference_delay": plan.delay,
            "prev_chunk_left_over": plan.actions,
            "execution_horizon": plan.prefix_horizon,
        }
    )
    return loaded.stock.predict_action_chunk(loaded.before(observations([row])), noise=noise([row]), **wish)[
        0
    ]


def together(loaded: Loaded, rows: list[int], schedule: str) -> torch.Tensor:
    """Return the chunks of one forward pass over `rows`, none of it recorded for gradients."""
    assert install_rtc(loaded.ours, schedule=schedule, max_guidance=MAX_GUIDANCE, prefix_horizon=10)
    with torch.inference_mode():
        return loaded.ours.predict_action_chunk(
            loaded.before(observations(rows)),
            noise=noise(rows),
            prev_chunk_left_over=collate_rtc([prefix(row) for row in rows], steps=tiny.CHUNK, device="cpu"),
        )


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_mixed_batch_equals_lerobot_asked_row_by_row(loaded: Loaded, schedule: str) -> None:
    chunks = together(loaded, list(range(len(ROWS))), schedule)
    for row, chunk in enumerate(chunks):
        torch.testing.assert_close(chunk, alone(loaded, row, schedule), atol=TOLERANCE, rtol=TOLERANCE)


def test_a_row_does_not_see_its_company(loaded: Loaded) -> None:
    whole = together(loaded, [0, 1, 2, 3, 4, 5], "exp")
    for rows in ([3], [1], [5, 0], [2, 1, 4]):
        torch.testing.assert_close(together(loaded, rows, "exp"), whole[rows], atol=TOLERANCE, rtol=TOLERANCE)


def test_the_checkpoints_depend_on_what_the_rows_differ_in(loaded: Loaded) -> None:
    """Or else equality would prove nothing."""
    rows = list(range(len(ROWS)))
    guided = together(loaded, rows, "exp")
    with torch.inference_mode():
        seen = observations(rows)
        free = loaded.ours.predict_action_chunk(loaded.before(seen), noise=noise(rows))
        for name, values in observations([*rows[1:], 0]).items():
            other = loaded.ours.predict_action_chunk(loaded.before({**seen, name: values}), noise=noise(rows))
            assert (other - free).abs().amax(dim=(1, 2)).min() > 100 * TOLERANCE, name
    distance = (guided - free).abs().amax(dim=(1, 2))
    assert distance[1] == 0.0
    assert distance[[0, 2, 3, 4, 5]].min() > 0.1


def test_lerobots_own_processor_can_do_neither(loaded: Loaded) -> None:
    """Why there is one of ours: fails if a newer LeRobot learns it."""
    alone(loaded, 0, "exp")
    seen = loaded.before(observations([0, 2]))
    plans = torch.zeros(2, 10, tiny.ACTION_DIM)
    with torch.inference_mode(), pytest.raises(RuntimeError, match="does not require grad"):
        loaded.stock.predict_action_chunk(
            seen, noise=noise([0, 2]), inference_delay=3, prev_chunk_left_over=plans
        )
    with pytest.raises(RuntimeError, match="ambiguous"):
        loaded.stock.predict_action_chunk(
            seen, noise=noise([0, 2]), inference_delay=torch.tensor([3, 1]), prev_chunk_left_over=plans
        )

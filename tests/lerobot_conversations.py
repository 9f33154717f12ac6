"""Conversations of robots with a policy, and LeRobot's own policy beside each robot to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from lerobot.configs import PreTrainedConfig, RTCAttentionSchedule
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.rtc import RTCConfig, reanchor_relative_rtc_prefix
from lerobot.policies.utils import populate_queues, prepare_observation_for_inference
from lerobot.processor import NormalizerProcessorStep, RelativeActionsProcessorStep

import lerobot_backend as plain
import lerobot_checkpoints as tiny
from vagus.integrations.lerobot.policy.batch import Memory
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row
from vagus.types import ActionChunk, Observation, Prefix

__all__ = [
    "CONVERSATIONS",
    "MAKERS",
    "MAX_GUIDANCE",
    "ROUNDS",
    "SCHEDULE",
    "TABLE",
    "TOLERANCE",
    "Beside",
    "Lerobot",
    "PlainBeside",
    "Request",
    "Robot",
    "assert_same",
]

TOLERANCE = 1e-5
MAX_GUIDANCE = 10.0
SCHEDULE = "exp"
UNITS = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
TABLE = SpecTable(actions=UNITS, state=UNITS, optional_cameras=("wrist",))
INSTRUCTIONS = ("go", "pick the red cube", "place it beside the green one, slowly", "hand it over")
MAKERS: dict[str, Callable[[Path], None]] = {
    **tiny.VLA_MAKERS,
    "pi0 with relative actions": partial(tiny.make_pi0, is_relative=True),
    "pi05 with relative actions": partial(tiny.make_pi05, is_relative=True),
}


@dataclass(frozen=True)
class Request:
    """One request of one robot; the plan is what is left of its last chunk.

    Attributes:
        executed: steps of the last chunk that were commanded before this request.
        delay: steps that will be commanded before the reply.
        horizon: where guidance ends.
        is_fresh: a new episode: nothing to continue.
        is_half_blind: one of two cameras is away.
    """

    executed: int
    delay: int
    horizon: int
    is_fresh: bool = False
    is_half_blind: bool = False


FRESH = Request(0, 0, 0, is_fresh=True)
CONVERSATIONS = (
    (FRESH, Request(8, 3, 10), Request(12, 5, 8), Request(15, 2, 10)),
    (FRESH, Request(2, 0, 10), FRESH, Request(6, 9, 9)),
    (FRESH, Request(17, 3, 10), Request(19, 1, 10), Request(1, 6, 19)),
    (
        Request(0, 0, 0, is_fresh=True, is_half_blind=True),
        Request(5, 4, 4),
        Request(5, 4, 12, is_half_blind=True),
        FRESH,
    ),
)
ROUNDS = ([0, 1, 2, 3], [2, 0], [3, 1], [1, 2, 3], [0, 3], [3, 0, 1], [0, 2])
"""Who asks at the same time; nobody twice in the same company."""


class Robot:
    """What a robot sees and asks, and what it was answered."""

    def __init__(self, number: int, cameras: tuple[str, ...] = tiny.CAMERAS) -> None:
        self.number = number
        self.answers: list[ActionChunk] = []
        self._cameras = cameras

    @property
    def is_done(self) -> bool:
        return len(self.answers) == len(CONVERSATIONS[self.number])

    @property
    def request(self) -> Request:
        return CONVERSATIONS[self.number][len(self.answers)]

    @property
    def seed(self) -> int:
        return 100 * self.number + len(self.answers)

    @property
    def episode(self) -> int:
        said = CONVERSATIONS[self.number][: len(self.answers) + 1]
        return sum(request.is_fresh for request in said) - 1

    @property
    def step(self) -> int:
        return 20 * len(self.answers)

    def observation(self) -> Observation:
        source = np.random.default_rng(self.seed)
        side = tiny.IMAGE_SIDE
        cameras = self._cameras[:1] if self.request.is_half_blind else self._cameras
        frames = {name: source.integers(0, 256, (side, side, 3), dtype=np.uint8) for name in cameras}
        state = source.normal(size=tiny.STATE_DIM).astype(np.float32)
        return Observation(state, frames, INSTRUCTIONS[self.number], 0)

    def prefix(self) -> Prefix | None:
        if self.request.is_fresh:
            return None
        last, begin = self.answers[-1], self.request.executed
        return Prefix(last.model[begin:], last.robot[begin:])

    def row(self, session: Memory) -> Row[Memory]:
        request, seen, prefix = self.request, self.observation(), self.prefix()
        return Row(session, seen, self.step, prefix, request.delay, request.horizon, self.seed)


class Lerobot(Protocol):
    """LeRobot beside one robot."""

    def answer(self, robot: Robot) -> ActionChunk:
        """Return the chunk for what `robot` asks now."""
        ...


class Beside:
    """LeRobot's own policy, pipelines and guidance beside one robot, in the order of its RTC thread."""

    def __init__(self, folder: Path) -> None:
        config = PreTrainedConfig.from_pretrained(folder)
        with tiny.tiny_gemma():
            self.policy = get_policy_class(config.type).from_pretrained(folder, config=config).eval()
        self.policy.config.rtc_config = RTCConfig(
            prefix_attention_schedule=RTCAttentionSchedule(SCHEDULE.upper()), max_guidance_weight=MAX_GUIDANCE
        )
        self.policy.init_rtc_processor()
        self.before, self.after = make_pre_post_processors(config, pretrained_path=str(folder))

    def answer(self, robot: Robot) -> ActionChunk:
        seen, request = robot.observation(), robot.request
        batch = self.prepared(seen)
        source = torch.Generator().manual_seed(robot.seed)
        chunk = self.policy.predict_action_chunk(
            batch,
            noise=torch.randn(1, tiny.CHUNK, tiny.MODEL_DIM, generator=source),
            inference_delay=request.delay,
            prev_chunk_left_over=self._left_over(robot.prefix()),
            execution_horizon=request.horizon,
        )
        return ActionChunk(robot.step, chunk[0].numpy().copy(), self.after(chunk)[0].numpy())

    def prepared(self, seen: Observation) -> dict[str, torch.Tensor]:
        frames = {f"observation.images.{name}": image for name, image in seen.images.items()}
        raw = prepare_observation_for_inference(
            {"observation.state": seen.state, **frames}, torch.device("cpu"), seen.instruction
        )
        batch: dict[str, torch.Tensor] = self.before(raw)
        return batch

    def _left_over(self, prefix: Prefix | None) -> torch.Tensor | None:
        if prefix is None:
            return None
        relative = self._step(RelativeActionsProcessorStep)
        if relative is None or not relative.enabled:
            return torch.tensor(prefix.model)
        return reanchor_relative_rtc_prefix(
            torch.tensor(prefix.robot),
            relative.get_cached_state(),
            relative,
            self._step(NormalizerProcessorStep),
            "cpu",
        )

    def _step(self, kind: type) -> RelativeActionsProcessorStep | None:
        return next((step for step in self.before.steps if isinstance(step, kind)), None)


class PlainBeside:
    """The same for families without guidance; each chunk is made of what was seen."""

    def __init__(self, folder: Path) -> None:
        self._local = plain.Local(folder)

    def answer(self, robot: Robot) -> ActionChunk:
        local, config = self._local, self._local.policy.config
        if robot.request.is_fresh:
            local.policy.reset()
        batch = local.prepared(robot.observation())
        if config.type != "diffusion":
            return ActionChunk(robot.step, *local.chunk(batch))
        del batch["action"]
        batch["observation.images"] = batch["observation.images.front"][:, None]
        local.policy._queues = populate_queues(local.policy._queues, batch)
        source = torch.Generator().manual_seed(robot.seed)
        noise = torch.randn(1, config.horizon, tiny.ACTION_DIM, generator=source)
        return ActionChunk(robot.step, *local.chunk(batch, noise=noise))


def assert_same(ours: ActionChunk, theirs: ActionChunk) -> None:
    """Fail where two answers differ by more than 1e-5 anywhere."""
    np.testing.assert_allclose(ours.model, theirs.model, atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(ours.robot, theirs.robot, atol=TOLERANCE, rtol=TOLERANCE)

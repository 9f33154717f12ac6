"""Many robots on one served policy, with real-time chunking, against LeRobot beside each robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs import PreTrainedConfig, RTCAttentionSchedule
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.rtc import RTCConfig, reanchor_relative_rtc_prefix
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.processor import NormalizerProcessorStep, RelativeActionsProcessorStep

import lerobot_checkpoints as tiny
from vagus.policies.declare import SpecTable
from vagus.policies.lerobot import LeRobotPolicy
from vagus.policies.lerobot_batch import Memory
from vagus.policies.policy import Row
from vagus.types import ActionChunk, Observation, Prefix

TOLERANCE = 1e-5
MAX_GUIDANCE = 10.0
SCHEDULE = "exp"
UNITS = dict.fromkeys(tiny.ACTION_NAMES, "lerobot_norm")
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
    """

    executed: int
    delay: int
    horizon: int
    is_fresh: bool = False


CONVERSATIONS = (
    (Request(0, 0, 0, is_fresh=True), Request(8, 3, 10), Request(12, 5, 8), Request(15, 2, 10)),
    (Request(0, 0, 0, is_fresh=True), Request(2, 0, 10), Request(0, 0, 0, is_fresh=True), Request(6, 9, 9)),
    (Request(0, 0, 0, is_fresh=True), Request(17, 3, 10), Request(19, 1, 10), Request(1, 6, 19)),
    (Request(0, 0, 0, is_fresh=True), Request(5, 4, 4), Request(5, 4, 12), Request(0, 0, 0, is_fresh=True)),
)


class Robot:
    """What a robot sees and asks, and what it was answered."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers: list[ActionChunk] = []

    @property
    def request(self) -> Request:
        return CONVERSATIONS[self.number][len(self.answers)]

    @property
    def seed(self) -> int:
        return 100 * self.number + len(self.answers)

    def observation(self) -> Observation:
        source = np.random.default_rng(self.seed)
        side = tiny.IMAGE_SIDE
        frames = {name: source.integers(0, 256, (side, side, 3), dtype=np.uint8) for name in tiny.CAMERAS}
        state = source.normal(size=tiny.STATE_DIM).astype(np.float32)
        return Observation(state, frames, INSTRUCTIONS[self.number], 0)

    def prefix(self) -> Prefix | None:
        if self.request.is_fresh:
            return None
        last, begin = self.answers[-1], self.request.executed
        return Prefix(last.model[begin:], last.robot[begin:])

    def row(self, session: Memory) -> Row[Memory]:
        request = self.request
        return Row(session, self.observation(), 0, self.prefix(), request.delay, request.horizon, self.seed)


class Local:
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
        return ActionChunk(0, chunk[0].numpy().copy(), self.after(chunk)[0].numpy())

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


@pytest.fixture(scope="module", params=list(MAKERS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(2)
    made = tmp_path_factory.mktemp("checkpoint")
    MAKERS[request.param](made)
    return made


def serve(folder: Path) -> LeRobotPolicy:
    with tiny.tiny_gemma():
        return LeRobotPolicy(
            model=str(folder),
            allowed_sources=[str(folder.parent)],
            device="cpu",
            stated=SpecTable(actions=UNITS, state=UNITS),
            trained_rate_hz=30.0,
            rtc_schedule=SCHEDULE,
            rtc_max_guidance=MAX_GUIDANCE,
        )


def assert_same(ours: ActionChunk, theirs: ActionChunk) -> None:
    np.testing.assert_allclose(ours.model, theirs.model, atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(ours.robot, theirs.robot, atol=TOLERANCE, rtol=TOLERANCE)


def answers(policy: LeRobotPolicy, rows: list[Row[Memory]]) -> list[ActionChunk]:
    results = policy.infer(rows)
    assert all(isinstance(result, ActionChunk) for result in results), results
    return [result for result in results if isinstance(result, ActionChunk)]


def test_robots_in_mixed_batches_are_answered_as_by_lerobot_beside_each(folder: Path) -> None:
    """Each side continues its own answers, so that differences would add up over the conversation."""
    policy = serve(folder)
    served = [Robot(number) for number in range(4)]
    sessions = [policy.open_session() for _ in served]
    beside = [(Robot(number), Local(folder)) for number in range(4)]
    # who is in which batch: all, some, one alone, never twice the same company
    for members in ([0, 1, 2, 3], [2, 0], [3, 1], [1, 2, 3], [0], [3, 0, 1], [0, 2], [2], [1], [3]):
        asking = [number for number in members if len(served[number].answers) < len(CONVERSATIONS[number])]
        rows = [served[number].row(sessions[number]) for number in asking]
        for number, ours in zip(asking, answers(policy, rows), strict=True):
            robot, lerobot = beside[number]
            theirs = lerobot.answer(robot)
            assert_same(ours, theirs)
            served[number].answers.append(ours)
            robot.answers.append(theirs)
    assert [len(robot.answers) for robot in served] == [len(asked) for asked in CONVERSATIONS]


def test_a_row_is_answered_in_company_as_alone(folder: Path) -> None:
    policy = serve(folder)
    robots = [Robot(number) for number in range(4)]
    firsts = answers(policy, [robot.row(policy.open_session()) for robot in robots])
    for robot, first in zip(robots, firsts, strict=True):
        robot.answers.append(first)
    rows = [robot.row(policy.open_session()) for robot in robots]
    for row, together in zip(rows, answers(policy, rows), strict=True):
        assert_same(answers(policy, [row])[0], together)


def test_the_plan_is_followed_for_the_length_of_the_delay(folder: Path) -> None:
    """In the robot's units: what the guidance is for."""
    policy = serve(folder)
    robot = Robot(0)
    robot.answers = answers(policy, [robot.row(policy.open_session())])
    row, plan = robot.row(policy.open_session()), robot.prefix()
    assert plan is not None
    guided, free = answers(policy, [row, Row(row.session, row.observation, 0, None, 0, 0, row.seed)])
    distance = [np.abs(chunk.robot[:3] - plan.robot[:3]).mean() for chunk in (guided, free)]
    assert distance[0] < 0.3 * distance[1]


def test_two_robots_in_one_pipeline_of_lerobots_mix_their_states_and_here_they_do_not(tmp_path: Path) -> None:
    """Relative actions become absolute by a state that the pipeline keeps of whoever came last."""
    tiny.make_pi0(tmp_path, is_relative=True)
    local, robots = Local(tmp_path), (Robot(0), Robot(1))
    states = [robot.observation().state for robot in robots]
    chunk = torch.zeros(1, tiny.CHUNK, tiny.ACTION_DIM)
    local.prepared(robots[0].observation())
    right = local.after(chunk.clone())[0].numpy()
    local.prepared(robots[1].observation())
    wrong = local.after(chunk.clone())[0].numpy()
    expected = np.tile(states[1] - states[0], (tiny.CHUNK, 1))
    expected[:, tiny.ACTION_NAMES.index("gripper.pos")] = 0.0
    np.testing.assert_allclose(wrong - right, expected, atol=TOLERANCE)
    policy = serve(tmp_path)
    rows = [robot.row(policy.open_session()) for robot in robots]
    before = answers(policy, [rows[0]])[0]
    answers(policy, [rows[1]])
    assert_same(answers(policy, [rows[0]])[0], before)
    for together, row in zip(answers(policy, rows), rows, strict=True):
        assert_same(together, answers(policy, [row])[0])

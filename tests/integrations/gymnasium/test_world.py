"""Gymnasium environments as worlds: real ones, and a small one that says what it was told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest

from documents import ROOT, put_files
from integrations.gymnasium.test_robot import Corner
from vagus.cli.bench_report import StudyReport
from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.errors import ConfigError, RobotError
from vagus.import_path import Option
from vagus.integrations.gymnasium.environment import Environment, GymStep, says_yes
from vagus.integrations.gymnasium.mapping import GymMapping
from vagus.integrations.gymnasium.world import GymWorld, SuccessRule
from vagus.specs import ActionKind
from vagus.trials.registry import world_maker
from vagus.trials.world import World

PUSHT = "gym:gym_pusht/PushT-v0"
CAR = "gym:MountainCarContinuous-v0"
RIGHT = np.array([1.0])


@pytest.fixture(autouse=True)
def headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def world(name: str, **options: Option) -> World:
    return world_maker(name, options)()


def corner(**mapping: object) -> tuple[Corner, GymWorld]:
    env = Corner()
    made = Environment(env, "Corner", GymMapping(**mapping))  # type: ignore[arg-type]
    found = GymWorld(made, "Corner", max_steps=5)
    found.reset(3)
    return env, found


def test_a_seed_is_an_episode_and_the_time_limit_ends_it() -> None:
    made = world(CAR, env_max_episode_steps=7)
    begins = []
    for seed in (1, 2, 1):
        made.reset(seed)
        begins.append(made.state().tolist())
        for step in range(7):
            assert not made.is_over, step
            made.advance(RIGHT)
        assert made.is_over
        assert made.successes == 0
    assert begins[0] == begins[2] != begins[1]
    assert (made.max_steps, made.chances, made.spec.rate_hz) == (7, 1, 30.0)
    made.close()


def test_an_episode_that_terminates_with_a_reward_is_a_success() -> None:
    made = world(CAR)
    made.reset(1)
    while not made.is_over:
        made.advance(np.sign(made.state()[1:]) + 0.0)
    assert made.successes == 1
    made.close()


def test_what_is_seen_is_drawn_when_it_is_asked_for() -> None:
    made = world("gym:Pendulum-v1", rate_hz=20)
    made.reset(1)
    before = made.images()["render"]
    for _ in range(3):
        made.advance(np.array([2.0]))
    assert before.shape == (500, 500, 3)
    assert (made.images()["render"] != before).any()
    assert made.spec.rate_hz == 20
    made.close()


def test_pusht_is_a_world_with_pixels(tmp_path: Path) -> None:
    made = world(PUSHT, env_obs_type="pixels_agent_pos", env_max_episode_steps=4)
    made.reset(2)
    assert made.images()["pixels"].shape == (96, 96, 3)
    before = made.state()
    made.advance(None)  # nothing measures where the pusher is to go, so its time waits
    np.testing.assert_array_equal(made.state(), before)
    made.advance(np.array([256.0, 256.0]))
    moved = made.state()
    assert (moved != before).any()
    made.advance(None)  # on to the last command
    assert (made.state() != moved).any()
    made.advance(None)
    assert made.is_over
    assert made.successes == 0
    made.close()


def test_without_a_command_each_kind_does_what_does_no_harm() -> None:
    def told(**mapping: object) -> list[list[float]]:
        env, made = corner(**mapping)
        for action in (None, np.array([0.5, -0.25]), None):
            made.advance(action)
        return [[round(float(value), 3) for value in sent.ravel()] for sent in env.sent]

    names = ("action.0", "action.1")
    velocity = dict.fromkeys(names, ActionKind.VELOCITY)
    assert told(kinds=velocity) == [[0, 0], [0.5, -0.25], [0, 0]]
    assert told(kinds=dict.fromkeys(names, ActionKind.DELTA)) == [[0, 0], [0.5, -0.25], [0, 0]]
    effort = {"kinds": dict.fromkeys(names, ActionKind.EFFORT), "safe": {"action.0": 0.1, "action.1": 0.2}}
    assert told(**effort) == [[0.1, 0.2], [0.5, -0.25], [0.1, 0.2]]
    assert told(kinds={**velocity, "action.0": ActionKind.BINARY}) == [[-1, 0], [-1, -0.25], [-1, 0]]
    measured = {"feedback": {"action.0": "arm.q.0", "action.1": "arm.q.1"}}
    assert told(**measured) == [[0, 0], [0.5, -0.25], [0.5, -0.25]]
    assert told() == [[0.5, -0.25], [0.5, -0.25]]  # nothing measures it: the environment waits


def test_an_episode_without_a_single_command_ends_all_the_same() -> None:
    env, made = corner()
    for _ in range(5):
        assert not made.is_over
        made.advance(None)
    assert made.is_over
    assert (made.successes, env.sent) == (0, [])


def steps(*infos: Mapping[str, object], reward: float = -0.5, is_terminated: bool = True) -> list[GymStep]:
    taken = [GymStep(reward, is_terminated=False, is_truncated=False, info=info) for info in infos]
    last = GymStep(reward, is_terminated=is_terminated, is_truncated=not is_terminated, info=infos[-1])
    return [*taken[:-1], last]


@pytest.mark.parametrize(
    ("rule", "taken", "is_met"),
    [
        (SuccessRule(), steps({}, {"success": 1.0}, {"success": 0.0}), True),
        (SuccessRule(), steps({"is_success": False}, {"is_success": np.bool_(False)}, reward=1), False),
        (SuccessRule(), steps({}, {}, reward=1), True),
        (SuccessRule(), steps({}, {}, reward=-1), False),
        (SuccessRule(), steps({}, {}, reward=1, is_terminated=False), False),
        (SuccessRule(), [], False),
        (SuccessRule("near"), steps({"near": 1, "success": 0}, {"near": 0}), True),
        (SuccessRule("near"), steps({"near": 0, "success": 1}, {"near": 0}), False),
        (SuccessRule(least_return=-1.0), steps({"success": 0}, {}), True),
        (SuccessRule(least_return=-0.9), steps({"success": 1}, {}), False),
    ],
)
def test_success_is_what_the_rule_says(rule: SuccessRule, taken: list[GymStep], is_met: bool) -> None:
    assert rule.is_met(taken, is_over=True) is is_met


def test_a_key_that_the_environment_never_says_is_told_with_those_that_it_does() -> None:
    rule = SuccessRule("goal")
    assert not rule.is_met(steps({"near": 1}), is_over=False)
    for nothing in (math.nan, "False", None, [True, False], np.array([])):
        assert says_yes(nothing) is None
        with pytest.raises(RobotError, match="success: wanted true, false or a number in `info`, got "):
            SuccessRule().is_met(steps({"success": nothing}), is_over=False)
    assert SuccessRule().is_met(steps({"success": np.array([1.0])}), is_over=False)
    with pytest.raises(RobotError, match="success: wanted 'goal' in `info`, got near, reward in an episode"):
        rule.is_met(steps({"near": 1, "reward": 2}), is_over=True)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        (
            CAR,
            {"env_max_episode_steps": -1},
            "a time limit: an episode might never end, got none; --world-options env_max_episode_steps 300",
        ),
        ("gym:CartPole-v1", {}, "a Box action space"),
        ("gym:Nope-v1", {}, "world 'gym:Nope-v1': wanted an environment that is installed"),
        (CAR, {"seed": 3}, "some of: mapping, rate_hz, success, success_return, got seed"),
        (CAR, {"success": 3}, "success: wanted a key of `info`"),
        (CAR, {"success": "won", "success_return": 3}, "success or success_return, got both"),
        (CAR, {"success_return": "high"}, "success_return: wanted a number"),
        (CAR, {"rate_hz": "fast"}, "rate_hz: wanted a number"),
        (CAR, {"mapping": "nowhere.toml"}, "mapping: wanted a file"),
    ],
)
def test_what_is_no_world_is_refused(name: str, options: dict[str, Option], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        world_maker(name, options)
    assert told in str(refused.value)


def test_an_environment_that_fails_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = corner()

    def fail(*_: object, **__: object) -> None:
        raise ValueError("unstable")

    monkeypatch.setattr(Corner, "step", fail)
    made.advance(None)
    with pytest.raises(RobotError, match="gym:Corner: step 2 of the episode of seed 3: ValueError: unstable"):
        made.advance(np.zeros(2))
    monkeypatch.setattr(Corner, "reset", fail)
    with pytest.raises(RobotError, match="gym:Corner: reset"):
        made.reset(1)


@pytest.fixture
def beside_the_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where the policy is that the page shows."""
    put_files(ROOT / "docs" / "benchmarks" / "delay.md", tmp_path)
    monkeypatch.chdir(tmp_path)


def bench(*arguments: str) -> int:
    return main(["bench", "delay", "--policy", "pump.py:pump", "--world", CAR, *arguments])


@pytest.mark.usefixtures("beside_the_policy")
def test_a_study_in_a_real_environment() -> None:
    path = Path("car.json")
    limit = ["--world-options", "env_max_episode_steps", "120"]
    study = ["--methods", "naive", "--delays", "0", "400", "--episodes", "10", "--json", str(path)]
    assert bench(*limit, *study) == ExitCode.OK
    report = msgspec.json.decode(path.read_bytes(), type=StudyReport)
    shares = {cell.law: cell.success.mean for cell in report.cells}
    assert shares["0"] > 0.7
    assert shares["400"] < 0.3


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--world-options", "rate_hz", "20"], ExitCode.CONFIG, "rate: wanted a world of 30 Hz"),
        (["--world-options", "env_max_episode_steps", "-1"], ExitCode.CONFIG, "a time limit"),
        (
            ["--world-options", "success", "won", "env_max_episode_steps", "9", "--robots", "1"],
            ExitCode.ROBOT,
            "success: wanted 'won' in `info`, got nothing in an episode that is over",
        ),
    ],
)
@pytest.mark.usefixtures("beside_the_policy")
def test_what_cannot_work_is_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: ExitCode, told: str
) -> None:
    assert bench("--methods", "naive", "--delays", "0", *arguments) == code
    assert told in capsys.readouterr().err

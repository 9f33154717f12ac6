"""What docs/quickstart.md says about Gymnasium environments works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from vagus.cli.parse import parse_as
from vagus.cli.run import RunCommand
from vagus.control.frames import FrameCheck
from vagus.control.mapping import OrderMapping
from vagus.control.robot_check import Admission, admitted
from vagus.integrations.gymnasium.mapping import Spaces, load_mapping, resolve
from vagus.policies.callable import load_callable
from vagus.policies.policy import Row
from vagus.robots.registry import load_robot
from vagus.specs import vouched
from vagus.types import ActionChunk, Observation

TEXT = (Path(__file__).parents[3] / "docs" / "quickstart.md").read_text(encoding="utf-8")


def block(language: str, marker: str) -> str:
    """Return the code block of `language` that contains `marker`."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return next(found for found in blocks if marker in found)


def command(marker: str) -> list[str]:
    line = next(line for line in block("console", marker).splitlines() if marker in line)
    return shlex.split(line.removeprefix("$ vagus "))


def test_the_environment_of_the_quickstart_is_driven_by_its_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tomllib")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pusht.toml").write_text(block("toml", "pusht.toml"))
    (tmp_path / "push.py").write_text(block("python", "push.py"))
    told = parse_as(RunCommand, "run", command("gym:gym_pusht")[1:])
    assert told.loop.episodes == 10
    robot = load_robot(told.robot, told.options)
    policy = load_callable(command("push.py")[2])
    mapping = OrderMapping(robot.spec, policy.spec)
    robot.connect()
    state = mapping.state_to_policy(robot.read_state())
    sight = mapping.sight_to_policy(FrameCheck(mapping.cameras, stale_s=0.0).take(robot.read_images()))
    observation = Observation(state, sight.images, "", 0)
    chunk = policy.infer([Row(policy.open_session(), observation, 0, None, 0, 0, 1)])[0]
    assert isinstance(chunk, ActionChunk)
    assert chunk.robot.shape == (10, 2)
    assert np.isfinite(chunk.robot).all()
    robot.command(mapping.action_to_robot(chunk.robot[0].astype(np.float64)))
    robot.close()


def test_the_mapping_with_an_angle_and_a_binary_is_one(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    path = tmp_path / "hand.toml"
    path.write_text(block("toml", "hand.toml"), encoding="utf-8")
    spaces = Spaces(
        env_id="own/Hand-v0",
        parts={"observation": (1,)},
        images=frozenset(),
        low=[-1.0] * 3,
        high=[1.0] * 3,
        rate_hz=None,
        drawn=None,
    )
    spec = resolve(load_mapping(path), spaces).spec
    assert vouched(admitted(spec, Admission())) == ("hand.yaw: nothing measures it",)
    assert [(f.continuous, str(f.encoding)) for f in spec.actions[1:]] == [(True, "None"), (False, "signed")]

"""The programs of docs/python.md that serve and ask, and those of `examples/`, run as they stand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vagus
from process.rig import PATIENCE_S, Rig, rig_in
from vagus.types import FloatArray

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = re.compile(r"<!-- executed: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
PAGE = dict(SNIPPET.findall((ROOT / "docs/python.md").read_text(encoding="utf-8")))
JOINTS = {f"joint_{number}": "rad" for number in range(1, 7)}
OBSERVATION = {"state": [0.5] * 6, "images": {}}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("page")) as running:
        for name in ("evaluate.py", "settle.py", "together.py", "depth.py"):
            code = PAGE[name].replace("tcp/ROUTER:7447", running.endpoint)
            (running.folder / name).write_text(code, encoding="utf-8")
        yield running


@vagus.policy(actions=JOINTS, state=JOINTS, horizon=30, rate_hz=30, shared=True, weights_files=[])
def rise(observation: vagus.Observation) -> FloatArray:
    return observation.state + np.linspace(0, 0.3, 30, dtype=np.float32)[:, None]


SIZES = {"front": (96, 128), "wrist": (48, 64)}


@vagus.policy(actions=JOINTS, state=JOINTS, horizon=30, rate_hz=30, cameras=SIZES, shared=True)
def look(observation: vagus.Observation) -> FloatArray:
    assert observation.instruction == "pick up the cube"
    assert {name: image.shape[:2] for name, image in observation.images.items()} == SIZES
    return rise(observation)


def started(rig: Rig, path: str | Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=rig.folder,
    )


def output(program: subprocess.Popen[str]) -> str:
    """Return what a program said until it ended, in order."""
    said, _ = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, said
    return said


def test_a_script_serves_and_another_one_asks(rig: Rig) -> None:
    server = started(rig, "settle.py")
    try:
        first, second = output(started(rig, "evaluate.py")), output(started(rig, "evaluate.py"))
        assert first.count("ends at") == 2
        assert first == second, "it repeats"
        with vagus.RemotePolicy(rig.endpoint) as policy:
            plan = policy.infer(OBSERVATION)
            later = policy.infer({"state": [0.0] * 6}, prefix=plan, inference_delay=3)
        assert later.robot[:4, 0].tolist() == [0.5, 0.5, 0.5, 0.0]
        server.send_signal(signal.SIGINT)
        output(server)
    finally:
        server.kill()
        server.communicate()


def test_a_script_serves_and_asks_in_one_process(rig: Rig) -> None:
    assert output(started(rig, "together.py")) == "(30, 6)\n"


def test_a_script_with_a_depth_camera_goes_as_near_as_the_page_says(rig: Rig) -> None:
    assert "[0.05]" in output(started(rig, "depth.py")).splitlines()


def test_the_example_of_a_loop_of_ones_own_drives_and_stands_at_the_end(rig: Rig) -> None:
    with vagus.serve(rise, connect=rig.endpoint, wait=False):
        said = output(started(rig, ROOT / "examples/own_loop.py", rig.endpoint))
    actions = re.search(r"actions of the plan: (\d+)", said)
    assert actions, said
    assert 50 < int(actions[1]) <= 200, "and none in the pause"
    assert "stopped: True" in said


def test_the_example_of_a_robot_with_cameras_shows_them_to_the_policy(rig: Rig) -> None:
    with vagus.serve(look, connect=rig.endpoint, wait=False, warm_up=False):
        said = output(started(rig, ROOT / "examples/robot_with_cameras.py", rig.endpoint))
    done = re.search(r"^finished (\d+) actions of the plan, 0 bad frames$", said, re.MULTILINE)
    assert done, said
    assert int(done[1]) > 50


@pytest.mark.parametrize("example", ["own_loop", "robot_with_cameras", "torch_flow_policy"])
def test_an_example_fits_a_screen_or_two_and_is_named_by_the_page(example: str) -> None:
    lines = (ROOT / "examples" / f"{example}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 110
    assert f"examples/{example}.py" in (ROOT / "docs/python.md").read_text(encoding="utf-8")

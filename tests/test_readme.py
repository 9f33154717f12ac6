"""What the README shows is run: its policy by `vagus serve`, its robot by `vagus run`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from process.rig import PATIENCE_S, rig_in
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

README = Path(__file__).parent.parent / "README.md"
SNIPPET = re.compile(r"<!-- executed: (\S+) -->\n```python\n(.*?)```", re.DOTALL)


def snippets() -> dict[str, str]:
    return dict(SNIPPET.findall(README.read_text(encoding="utf-8")))


def test_every_python_block_of_the_readme_is_executed() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(snippets()) == text.count("```python") == 2


def test_the_policy_and_the_robot_of_the_readme_work_together(tmp_path: Path) -> None:
    for name, code in snippets().items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    with rig_in(tmp_path) as rig:
        rig.serve("readme", policy=f"{tmp_path / 'my_policy.py'}:wave")
        robot = rig.start_robot("mine", "--duration-s", "2", robot=f"{tmp_path / 'my_robot.py'}:MyArm")
        assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.OK, robot.output
    found = re.search(r'"plan_actions":(\d+)', robot.output)
    assert found, robot.output
    assert int(found.group(1)) > 100
    assert "Traceback" not in robot.output

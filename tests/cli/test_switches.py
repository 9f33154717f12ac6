"""A switch that is typed is a switch, and a text stays a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.cli.run import RunCommand
from vagus.cli.serve import ServeCommand
from vagus.cli.switches import with_switches
from vagus.import_path import Option


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("no", "no"),
        ("falsely", "falsely"),
        (0, 0),
        (1.5, 1.5),
    ],
)
def test_only_true_and_false_are_switches(typed: Option, wanted: Option) -> None:
    read = with_switches({"flag": typed})["flag"]
    assert (read, type(read)) == (wanted, type(wanted))


def test_a_switch_of_a_robot_and_of_a_policy_is_no_text(tmp_path: Path) -> None:
    typed = ["--options", "is_simulated", "false", "port", "/dev/a"]
    wanted = {"is_simulated": False, "port": "/dev/a"}
    assert RunCommand.from_arguments(["--robot", "arm.py:Arm", *typed]).options == wanted
    assert ServeCommand.from_arguments(["--policy", "p.py:P", *typed]).config.options == wanted
    manifest = tmp_path / "m.yaml"
    manifest.write_text("policy: p.py:P\noptions: {is_simulated: true, port: /dev/b, speed: 3}\n")
    served = ServeCommand.from_arguments([str(manifest), *typed]).config.options
    assert served == {**wanted, "speed": 3}

"""`vagus profile` shows what a profile comes to, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.gateways.profile_file import shipped_profiles

ARM = """
protocol: openpi
robot_type: my_arm
rate_hz: 20
horizon: 10
identity: pi05 of May
state:
  - {key: state, names: [base, "el[bow]"], unit: deg, wire_unit: rad, dtype: float64}
  - {key: state, names: [gripper], unit: lerobot_norm, range: [0, 100], wire_range: [1, 0], dtype: float64}
actions:
  - {key: actions, names: [base], unit: deg, wire_unit: rad, reference: relative}
  - {key: actions, names: [suction], unit: 0/1, kind: binary, encoding: signed}
"""


def rows(said: str) -> list[list[str]]:
    """Return the cells of every row of every table."""
    lines = [line for line in said.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_a_profile_is_shown_with_its_conversions_and_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my_arm.yaml"
    file.write_text(ARM, encoding="utf-8")
    assert main(["profile", "check", str(file)]) == ExitCode.OK
    said = capsys.readouterr().out
    first, *rest = said.splitlines()
    assert first == "my_arm: a valid profile for openpi, of a robot my_arm"
    assert rest[:2] == [
        "20 actions per second, in chunks of at most 10",
        "identity of the foreign server: pi05 of May",
    ]
    assert rows(said) == [
        ["state", "base, el[bow]", "", "deg", "rad", "× 57.2958"],
        ["state", "gripper", "", "lerobot_norm", "not stated", "× -100 + 100"],
        ["actions", "base", "position", "deg", "rad", "× 57.2958 + state"],
        ["actions", "suction", "binary (signed)", "0/1", "0/1", "as it is"],
        ["state", "float64", "(3,)"],
        ["actions", "float32", "(10, 2)"],
    ]


def test_a_shipped_profile_is_shown_with_its_cameras(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "check", "aloha"]) == ExitCode.OK
    shown = rows(capsys.readouterr().out)
    front = ["[images, cam_high]", "cam_high", "224 × 224", "CHW", "RGB", "pad", "required"]
    assert front in shown
    assert ["[images, cam_high]", "uint8", "(3, 224, 224)"] in shown
    assert ["prompt", "text", ""] in shown
    assert main(["profile", "check", "gr00t/so100"]) == ExitCode.OK
    assert "without the axes for batch and time" in capsys.readouterr().out
    assert main(["profile", "check", "lerobot_zenoh/so100"]) == ExitCode.OK
    assert "--inference.semantics='so100_follower, absolute positions, " in capsys.readouterr().out


def test_a_profile_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "check", "gr00t/so101", "--json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert said["profile"]["robot_type"] == "so101_follower"
    assert said["conversions"]["actions"] == [{"scale": 1.0, "offset": 0.0}] * 2
    assert said["request"][0] == {"key": ["video", "front"], "dtype": "uint8", "shape": [480, 640, 3]}
    assert said["reply"] == [
        {"key": ["single_arm"], "dtype": "float32", "shape": [16, 5]},
        {"key": ["gripper"], "dtype": "float32", "shape": [16, 1]},
    ]


def test_the_list_names_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "list"]) == ExitCode.OK
    shown = rows(capsys.readouterr().out)
    assert [row[0] for row in shown] == list(shipped_profiles())
    assert ["openpi/droid", "droid", "8", "8", "exterior_1, wrist", "15 Hz"] in shown
    assert main(["profile", "list", "--json"]) == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in said] == list(shipped_profiles())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["check"], "profile check: wanted a file or a name, got none; `vagus profile list`"),
        (["check", "driod"], "wanted one of openpi/aloha"),
        (["list", "droid"], "profile list: wanted no name, got droid; `vagus profile check droid`"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", *arguments]) == ExitCode.CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line


def test_a_profile_that_contradicts_itself_ends_with_the_code_of_a_wrong_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my_arm.yaml"
    file.write_text(ARM.replace("wire_unit: rad", "wire_unit: ticks"), encoding="utf-8")
    assert main(["profile", "check", str(file)]) == ExitCode.CONFIG
    assert "units at state: wanted two units that convert" in capsys.readouterr().err

"""An arm made of its settings: names, units, gripper, and mistakes that only the files show."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from integrations.pointact.pose_rig import OPTIONS
from vagus.errors import ConfigError, SpecError

pytest.importorskip("pinocchio")

from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.integrations.pointact.arm_setup import load_setup

URDF_NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")


def test_joints_are_named_as_the_urdf_has_them_or_as_the_settings_say() -> None:
    assert [f.name for f in load_setup(OPTIONS).spec.actions][:2] == ["shoulder_pan.pos", "shoulder_lift.pos"]
    own = tuple(f"j{number}={name}" for number, name in enumerate(URDF_NAMES))
    spec = load_setup(replace(OPTIONS, joints=own, gripper="claw", gripper_unit="fraction_open")).spec
    assert [f.name for f in spec.state] == ["j0", "j1", "j2", "j3", "j4", "claw"]
    assert spec.actions[-1].unit == "fraction_open"
    same = tuple(f"{name}.pos" for name in URDF_NAMES)
    assert load_setup(replace(OPTIONS, joints=same)).spec == load_setup(OPTIONS).spec


@pytest.mark.parametrize(
    "joints",
    [
        ("elbow_flex.pos", *(f"{name}.pos" for name in URDF_NAMES if name != "elbow_flex")),
        tuple(f"{name}.pos" for name in URDF_NAMES[:4]),
        (*URDF_NAMES, "gripper"),
    ],
)
def test_joints_in_another_order_or_number_are_refused(joints: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="wanted the joints that move 'gripper_frame_link', from"):
        load_setup(replace(OPTIONS, joints=joints))


@pytest.mark.parametrize("joints", [("=shoulder_pan",), ("j0=",), ("",)])
def test_names_that_are_none_are_refused(joints: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="joints: wanted each as NAME or NAME=JOINT OF THE URDF"):
        load_setup(replace(OPTIONS, joints=joints))


def test_a_gripper_is_counted_as_its_two_ranges_say() -> None:
    options = replace(OPTIONS, gripper_range="0,1", gripper_wire_range="100,0")
    setup = load_setup(options)
    seen = setup.example
    state = seen.state.copy()
    state[-1] = 0.25
    sent = setup.transform.sensed(state, seen.images["front"], seen.depth["front_depth"], "")
    assert sent.pose[-1] == 75.0


def test_the_example_is_an_observation_of_the_spec() -> None:
    setup = load_setup(OPTIONS)
    assert setup.example.state.shape == (setup.spec.state_dim,)
    assert setup.example.state.dtype == np.float32
    assert setup.example.images["front"].shape == (240, 320, 3)
    assert setup.example.depth["front_depth"].shape == (240, 320)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"frame": "tool0"}, "wanted the frame 'tool0'"),
        ({"urdf": "nowhere.urdf"}, "urdf nowhere.urdf: wanted a file"),
        ({"intrinsics": "nowhere.yaml"}, "intrinsics nowhere.yaml: wanted a file"),
        ({"extrinsics": OPTIONS.intrinsics}, "wanted settings among"),
        ({"workspace": "5,6,5,6,5,6"}, "wanted a camera that looks into the workspace"),
        ({"workspace": "1,0,0,1,0,1"}, "workspace: wanted finite x, y, z, each lower below its upper"),
        ({"max_step_deg": 0.0}, "largest step of a joint"),
        ({"max_step_deg": 181.0}, "largest step of a joint: wanted an angle above 0 and of at most π"),
        ({"tolerance_m": 0.0}, "tolerance: wanted a distance above 0 m"),
        ({"tolerance_m": 2.0}, "tolerance: wanted a distance above 0 m and of at most 0.05 m"),
        ({"voxel_m": 0.0}, "voxel: wanted a side above 0 m"),
        ({"voxel_m": math.nan}, "voxel: wanted a side above 0 m"),
        ({"voxel_m": 1e-9}, "voxel: wanted at most 1048576 voxels"),
        ({"gripper_range": "1,1"}, "range"),
        ({"rate_hz": 0.0}, "rate_hz"),
    ],
)
def test_a_mistake_in_the_settings_or_files_is_named(change: dict[str, object], wanted: str) -> None:
    with pytest.raises((ConfigError, SpecError), match=wanted):
        load_setup(replace(OPTIONS, **change))  # type: ignore[arg-type]


def test_a_file_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("urdf", "intrinsics", "extrinsics"):
        path = Path(getattr(OPTIONS, name))
        (tmp_path / path.name).write_bytes(path.read_bytes())
    home = ArmOptions(
        identity="a", urdf="~/arm.urdf", intrinsics="~/intrinsics.yaml", extrinsics="~/extrinsics.yaml"
    )
    assert load_setup(home).spec == load_setup(OPTIONS).spec

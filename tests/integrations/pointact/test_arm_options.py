"""Settings of an arm: those of the plan by default, and each mistake named."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.gateways.foreign_options import ForeignOptions
from vagus.integrations.pointact.arm_options import ArmOptions, numbers_in
from vagus.policies.options import describe_options, read_options

FILES: dict[str, str] = {"urdf": "arm.urdf", "intrinsics": "in.yaml", "extrinsics": "ex.yaml"}


def test_the_plans_numbers_are_the_defaults() -> None:
    options = ArmOptions()
    assert numbers_in("offset", options.offset, 3) == (-0.2755, -0.0599, 0.0257)
    assert numbers_in("workspace", options.workspace, 6) == (-0.21, 0.23, -0.35, 0.3, 0.025, 0.4)
    assert (options.frame, options.voxel_m, options.image_size) == ("gripper_frame_link", 0.01, 256)
    assert options.depth_units_per_m == 1000.0


def test_every_setting_says_what_it_does() -> None:
    assert all(option.text for option in describe_options(ArmOptions))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({**FILES, "profile": "so100"}, "profile: wanted none beside urdf"),
        ({"voxel_m": 0.02}, "urdf: wanted a file, because voxel_m is given, which has no effect without it"),
        ({"unit": "lerobot_norm"}, "unit: wanted deg or rad.*use_degrees=true"),
        ({"pred_rot_type": "rotvec"}, "pred_rot_type: wanted one of axisangle, quat, euler, rot6d"),
        ({"offset": "1,2"}, "offset: wanted 3 numbers, parted by commas, got '1,2'"),
        ({"offset": "1,2,x"}, "offset: wanted 3 numbers"),
        ({"offset": "1,2,nan"}, "offset: wanted 3 numbers"),
        ({"workspace": "0,1"}, "workspace: wanted 6 numbers"),
        ({"gripper_range": "0"}, "gripper_range: wanted 2 numbers"),
        ({"max_points": 0}, "max_points: wanted 1 to 131072, got 0"),
        ({"image_size": 8}, "image_size: wanted 16 to 8192, got 8"),
        ({"debug_max_mb": 0}, "debug_max_mb: wanted 1 to"),
        ({"urdf": "arm.urdf"}, "intrinsics: wanted a file, because urdf is given, got none"),
        ({**FILES, "extrinsics": ""}, "extrinsics: wanted a file, because urdf is given, got none"),
        ({"urfd": "arm.urdf"}, "urfd"),
        ({"timeout_s": -1.0}, "timeout_s"),
    ],
)
def test_a_mistake_is_named(given: dict[str, str], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        read_options("policy 'pointact+tcp://host:17000'", ArmOptions, given)


def test_the_page_names_every_setting_with_its_default() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "pointact.md").read_text(encoding="utf-8")
    table = page.partition("### Options")[2].partition("###")[0]
    own = {entry.name: entry.default for entry in fields(ArmOptions)}
    for entry in fields(ForeignOptions):
        del own[entry.name]
    for name, default in own.items():
        (row,) = [
            line for line in table.splitlines() if f"`{name}`" in line.partition("|")[2].partition("|")[0]
        ]
        told = row.split("|")[2]
        number = f"{default:g}" if isinstance(default, float) else str(default)
        assert default in ("", ()) or number in told, row

"""Every robot of LeRobot that can be made without hardware has the names and order that LeRobot records."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping

import pytest
from lerobot.robots.config import RobotConfig
from lerobot.utils.feature_utils import hw_to_dataset_features

from vagus.errors import VagusError
from vagus.integrations.lerobot.robot.config import _register, make_device
from vagus.integrations.lerobot.robot.features import DescribedDevice, DeviceMapping, spec_of
from vagus.specs import RobotSpec

CAMERAS = {
    name: {"type": "opencv", "index_or_path": at, "width": 64, "height": 48, "fps": 30}
    for at, name in enumerate(("z_front", "a_wrist"))
}
"""Not in the order of the alphabet."""
NEEDS = {
    "earthrover_mini_plus": "kinds",  # its actions do not say what they are
    "hope_jr_hand": "side",
    "reachy2": "reachy2",
    "rebot_b601_follower": "motorbridge",
    "bi_rebot_b601_follower": "motorbridge",
    "unitree_g1": "unitree",
}
"""Cannot be made here without a package, a value or a mapping file; what the error names."""


def robot_types() -> list[str]:
    _register()
    return sorted(name for name in RobotConfig.get_known_choices() if not name.startswith("v"))


def made_up(config: type) -> dict[str, object]:
    """Return a value for every field that a config wants, and two cameras where it has any."""
    values: dict[str, object] = {}
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        is_wanted = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name == "cameras":
            values[field.name] = CAMERAS
        elif is_wanted and dataclasses.is_dataclass(kind):
            values[field.name] = made_up(typing.cast("type", kind))
        elif is_wanted:
            values[field.name] = "/dev/none"
    if any(isinstance(value, dict) and "cameras" in value for value in values.values()):
        values.pop("cameras", None)  # the parts have them
    return values


def recorded_names(features: Mapping[str, object], prefix: str) -> list[str]:
    """Return the names of numbers as LeRobot's rollout records them: positions and velocities."""
    numbers = {k: v for k, v in features.items() if v is float and k.endswith((".pos", ".vel"))}
    found = hw_to_dataset_features(numbers, prefix)
    return [str(name) for feature in found.values() for name in feature["names"]]


def made(robot_type: str) -> tuple[DescribedDevice, RobotSpec]:
    options = made_up(RobotConfig.get_choice_class(robot_type))
    device = make_device(robot_type, options)  # type: ignore[arg-type] # nested, as in a file
    return device, spec_of(device, robot_type, DeviceMapping())


@pytest.mark.parametrize("robot_type", sorted(set(robot_types()) - set(NEEDS)))
def test_names_and_order_are_those_that_lerobot_records(robot_type: str) -> None:
    device, found = made(robot_type)
    assert [feature.name for feature in found.actions] == recorded_names(device.action_features, "action")
    states = [feature.name for feature in found.state if feature.name.endswith((".pos", ".vel"))]
    assert states == recorded_names(device.observation_features, "observation")
    pictures = [name for name, shape in device.observation_features.items() if isinstance(shape, tuple)]
    assert [camera.name for camera in found.cameras] == pictures


@pytest.mark.parametrize("robot_type", sorted(NEEDS))
def test_what_cannot_be_made_says_what_it_needs(robot_type: str) -> None:
    with pytest.raises(VagusError, match=NEEDS[robot_type]):
        made(robot_type)

"""Units, limits and held parts of the robot `astribot`."""

from __future__ import annotations

import pytest

from vagus.control.fallback import FallbackMode, Fallbacks, fallback_of
from vagus.control.robot_check import Admission, admitted
from vagus.errors import ConfigError
from vagus.features import ActionFeature, ActionKind, Limits
from vagus.integrations.astribot.layout import PARTS, names_of
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.integrations.astribot.robot_spec import astribot_spec, load_astribot_mapping
from vagus.integrations.astribot.simulated_body import start_pose
from vagus.robots.action_settings import ActionSettings
from vagus.specs import RobotSpec


def spec(mapping: ActionSettings | None = None, /, **settings: object) -> RobotSpec:
    return astribot_spec(AstribotRobotOptions(**settings), mapping)  # type: ignore[arg-type] # the test's own


def by_name(**settings: object) -> dict[str, ActionFeature]:
    return {feature.name: feature for feature in spec(None, **settings).actions}


@pytest.mark.parametrize("width", [16, 22, 25])
@pytest.mark.parametrize("gripper", ["fraction", "percent", "binary"])
def test_a_robot_of_any_width_is_admitted_without_vouching(width: int, gripper: str) -> None:
    made = spec(width=width, gripper=gripper)
    assert [feature.name for feature in made.actions] == list(names_of(width))
    assert len(made.state) == 25
    assert [(c.name, c.height, c.width) for c in made.cameras] == [
        ("head", 720, 1280),
        ("wrist_left", 360, 640),
        ("wrist_right", 360, 640),
    ]
    assert made.rate_hz == 30.0
    admitted(made, Admission())


def test_an_arm_moves_by_max_delta_per_command_and_never_faster_than_its_maker_says() -> None:
    arm = by_name(max_delta=0.02)["arm_left_1"]
    assert (arm.unit, arm.kind) == ("rad", ActionKind.POSITION)
    assert arm.limits == Limits(-3.01, 1.517, velocity=0.02 * 30, acceleration=10.0)
    fast = by_name(max_delta=0.1, rate_hz=60.0)
    assert [fast[f"arm_right_{at}"].limits.velocity for at in range(1, 8)] == [
        3.0,
        3.0,
        3.0,
        5.0,
        6.0,
        5.0,
        5.0,
    ]
    assert by_name()["arm_left_1"].limits.velocity == 1.5


def test_the_right_arm_mirrors_the_left_where_its_axes_do() -> None:
    named = by_name()
    for joint, mirrored in enumerate((True, False, True, False, True, True, True), start=1):
        left, right = (named[f"arm_{side}_{joint}"].limits for side in ("left", "right"))
        assert left.lower is not None
        assert left.upper is not None
        wanted = (-left.upper, -left.lower) if mirrored else (left.lower, left.upper)
        assert (right.lower, right.upper) == wanted


def test_the_body_is_switched_on_inside_its_ends() -> None:
    at, named = start_pose(), names_of(22)
    for feature in spec(width=22, gripper="percent").actions:
        limits = feature.limits
        assert limits.lower is not None
        assert limits.upper is not None
        assert limits.lower <= at[named.index(feature.name)] <= limits.upper


def test_a_part_that_is_not_to_move_is_held_and_the_others_are_not() -> None:
    named = by_name(width=22, head=False)
    assert {name for name, feature in named.items() if feature.is_held} == {"head_1", "head_2"}
    assert fallback_of(named["head_1"], Fallbacks()) is FallbackMode.REPEAT_LAST
    named = by_name(width=22, torso=False)
    assert {name for name, feature in named.items() if feature.is_held} == set(names_of(25)[PARTS["torso"]])
    assert not any(feature.is_held for feature in by_name().values())


def test_the_chassis_is_held_unless_it_is_said_what_its_numbers_are() -> None:
    off = by_name(width=25)["chassis_1"]
    assert (off.is_held, off.unit) == (True, "m")
    place = by_name(width=25, chassis="position")
    assert place["chassis_1"].limits == Limits(velocity=0.1, acceleration=0.2)
    assert (place["chassis_3"].unit, place["chassis_3"].is_held) == ("rad", False)
    speed = by_name(width=25, chassis="velocity")
    assert (speed["chassis_1"].kind, speed["chassis_1"].unit) == (ActionKind.VELOCITY, "m/s")
    assert speed["chassis_3"].limits == Limits(-0.2, 0.2, acceleration=0.4)
    assert speed["chassis_3"].unit == "rad/s"
    assert not speed["chassis_1"].is_measured
    admitted(spec(width=25, chassis="velocity"), Admission())


def test_grippers_are_positions_with_a_stroke_or_binaries() -> None:
    fraction = by_name()["gripper_left"]
    assert (fraction.unit, fraction.limits) == ("fraction_closed", Limits(0.0, 1.0, velocity=2.0))
    assert fallback_of(fraction, Fallbacks()) is FallbackMode.REPEAT_LAST
    percent = by_name(gripper="percent")["gripper_left"]
    assert (percent.unit, percent.limits) == ("percent_closed", Limits(0.0, 100.0, velocity=200.0))
    binary = by_name(gripper="binary", average=5)["gripper_right"]
    assert (binary.kind, binary.unit, binary.limits) == (ActionKind.BINARY, "0/1", Limits())
    assert binary.averaged_ticks == 1


def test_a_plan_is_averaged_for_what_moves_as_a_position() -> None:
    named = by_name(width=25, average=5, head=False, chassis="velocity")
    averaged = {name for name, feature in named.items() if feature.averaged_ticks == 5}
    assert averaged == {name for name in named if not name.startswith(("head", "chassis"))}


def test_a_mapping_adds_to_the_options_and_names_only_what_is_there() -> None:
    mapping = ActionSettings(held=("arm_left_1",), averaged_ticks={"arm_left_2": 3})
    named = {feature.name: feature for feature in spec(mapping, average=2).actions}
    assert named["arm_left_1"].is_held
    assert (named["arm_left_2"].averaged_ticks, named["arm_left_3"].averaged_ticks) == (3, 2)
    with pytest.raises(ConfigError, match=r"mapping held: wanted names of actions .* got elbow"):
        spec(ActionSettings(held=("elbow",)))


def test_a_mapping_of_another_kind_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("mapping") / "lab.json"
    for text, message in (
        ('{"limit": {}}', "did you mean limits"),
        ('{"limits": {"arm_left_1": {"speed": 1}}}', r"limits\.arm_left_1\.speed"),
        ('{"held": "neck"}', "mapping: wanted values as in"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_astribot_mapping(path)

"""What nothing bounds or measures is refused, unless somebody vouches for it by name."""

from __future__ import annotations

import pytest

from vagus.control.config import LoopConfig
from vagus.control.fallback import FallbackMode, Fallbacks
from vagus.control.robot_check import Admission, admitted
from vagus.errors import SpecError
from vagus.specs import ActionFeature, ActionKind, Limits, RobotSpec, StateFeature, vouched

SPEED = Limits(velocity=1.0)
ARM = ActionFeature("arm", "rad", limits=SPEED)
FREE = ActionFeature("free", "rad")
BLIND = ActionFeature("blind", "rad", limits=SPEED)
STATE = (StateFeature("arm", "rad"), StateFeature("free", "rad"))


def robot(*actions: ActionFeature) -> RobotSpec:
    return RobotSpec("own", actions, STATE, (), 50.0)


def test_a_bounded_and_measured_robot_is_driven_and_nobody_vouches_for_it() -> None:
    spec = robot(ARM)
    assert admitted(spec, Admission()) == spec
    assert vouched(spec) == ()


def test_all_that_is_missing_is_said_at_once_with_what_to_type() -> None:
    with pytest.raises(SpecError) as caught:
        admitted(robot(ARM, FREE, BLIND), Admission())
    text = str(caught.value)
    for part in (
        "robot own: wanted a bound for every action, and a measurement of every position",
        "no velocity limit for free (position); nothing that measures blind",
        "state limits=Limits(velocity=…) in the robot's spec, or `limits: {free: {velocity: …}}` in a",
        "name the state feature that measures it with feedback",
        "or vouch for it: --vouch-unbounded free --vouch-unmeasured blind",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        (ActionKind.POSITION, "velocity limit"),
        (ActionKind.VELOCITY, "lower and upper limits"),
        (ActionKind.DELTA, "lower and upper limits"),
        (ActionKind.EFFORT, "lower and upper limits"),
    ],
)
def test_every_kind_that_moves_has_a_bound_or_is_vouched_for(kind: ActionKind, lacking: str) -> None:
    feature = ActionFeature("arm", "", kind, safe=0.0 if kind is ActionKind.EFFORT else None)
    with pytest.raises(SpecError, match=f"no {lacking} for arm"):
        admitted(robot(feature), Admission())
    assert vouched(admitted(robot(feature), Admission(vouch_unbounded=["arm"]))) == (f"arm: no {lacking}",)


def test_a_binary_needs_neither() -> None:
    assert vouched(admitted(robot(ActionFeature("grip", "", ActionKind.BINARY)), Admission())) == ()


def test_vouching_is_by_name_and_for_one_thing() -> None:
    spec = robot(FREE, ActionFeature("both", "rad"))
    settings = Admission(vouch_unbounded=("free", "both"))
    with pytest.raises(SpecError, match=r"got nothing that measures both; .*--vouch-unmeasured both$"):
        admitted(spec, settings)
    done = admitted(spec, Admission(vouch_unbounded=("free", "both"), vouch_unmeasured=("both",)))
    assert vouched(done) == (
        "free: no velocity limit",
        "both: no velocity limit",
        "both: nothing measures it",
    )


def test_a_spec_may_vouch_for_itself_and_that_is_told_too() -> None:
    spec = robot(ActionFeature("x", "rad", vouch_unbounded=True, vouch_unmeasured=True))
    assert vouched(admitted(spec, Admission())) == ("x: no velocity limit", "x: nothing measures it")


@pytest.mark.parametrize("setting", ["vouch_unbounded", "vouch_unmeasured"])
def test_a_name_that_the_robot_does_not_have_is_refused(setting: str) -> None:
    config = LoopConfig(**{setting: ("elbow",)})  # type: ignore[arg-type] # one of both
    with pytest.raises(
        SpecError, match=rf"{setting}: wanted names of actions \(\['arm'\]\), got \['elbow'\]"
    ):
        admitted(robot(ARM), config.admission)


def test_a_fallback_that_drives_on_and_limits_that_cannot_be_kept_are_refused_here_too() -> None:
    base = ActionFeature("x", "m/s", ActionKind.VELOCITY, limits=Limits(-1.0, 1.0))
    drives_on = Fallbacks(features={"x": FallbackMode.REPEAT_LAST})
    with pytest.raises(SpecError, match=r"fallback of x \(velocity\)"):
        admitted(robot(base), Admission(drives_on))
    half = ActionFeature("arm", "rad", limits=SPEED, rotation="wrist:rotvec")
    with pytest.raises(SpecError, match="rotation group 'wrist:rotvec': wanted 3 features"):
        admitted(robot(half), Admission())

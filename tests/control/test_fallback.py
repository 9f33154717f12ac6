"""A fallback that could keep a robot moving is refused before anything is connected."""

from __future__ import annotations

import pytest

from vagus.control.fallback import FallbackMode, Fallbacks, check_fallbacks
from vagus.errors import SpecError
from vagus.specs import ActionFeature, ActionKind, RobotSpec

ALLOWED = {
    ActionKind.POSITION: {"auto", "hold", "repeat_last"},
    ActionKind.VELOCITY: {"auto", "zero"},
    ActionKind.DELTA: {"auto", "zero"},
    ActionKind.EFFORT: {"auto", "safe", "zero"},
    ActionKind.BINARY: {"auto", "hold", "repeat_last"},
}


@pytest.mark.parametrize("kind", ActionKind)
@pytest.mark.parametrize("mode", FallbackMode)
def test_each_kind_allows_only_what_brings_it_to_a_stand(kind: ActionKind, mode: FallbackMode) -> None:
    action = ActionFeature("a", "u", kind, safe=0.0 if kind is ActionKind.EFFORT else None)
    spec = RobotSpec("r", (action,), (), (), 100.0)
    fallbacks = Fallbacks(**{kind.value: mode})  # type: ignore[arg-type] # mypy takes it for `features`
    if mode.value in ALLOWED[kind]:
        check_fallbacks(spec, fallbacks)
    else:
        with pytest.raises(SpecError, match=f"{kind.value}.*got {mode.value}"):
            check_fallbacks(spec, fallbacks)


def test_a_choice_for_a_kind_that_the_robot_does_not_have_is_no_matter() -> None:
    spec = RobotSpec("r", (ActionFeature("a", "u"),), (), (), 100.0)
    check_fallbacks(spec, Fallbacks(velocity=FallbackMode.REPEAT_LAST))

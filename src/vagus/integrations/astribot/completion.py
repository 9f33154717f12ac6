"""Actions of a model with fewer numbers than the robot, completed by where its other parts stand (pure)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError
from vagus.features import ActionKind
from vagus.gateways.profile import ActionReference, Profile, WireSpan
from vagus.integrations.astribot.layout import WIDTHS, expanded

__all__ = ["check_completion", "completed"]


def check_completion(profile: Profile, width: int) -> None:
    """Check that a profile's actions beyond `width` are places that its state measures.

    Where one is anything else, such as a speed of the chassis, a measured place would be commanded as one.

    Raises:
        ConfigError: no action beyond `width`, or one that is no measured place.
    """
    state, actions = list(_numbers(profile.state)), list(_numbers(profile.actions))
    if len(actions) not in WIDTHS or not width < len(actions) <= len(state):
        raise ConfigError(
            "width",
            wanted=f"fewer than the numbers of an action, {len(actions)}, all of which the state has",
            got=f"{width}, and a state of {len(state)}",
        )
    for (place, told), (measured, seen) in zip(actions[width:], state[width:], strict=False):
        is_place = told.kind in (None, ActionKind.POSITION) and told.reference is ActionReference.ABSOLUTE
        is_same = place == measured and _scale(told) == _scale(seen)
        if not (is_place and is_same):
            raise ConfigError(
                "width",
                wanted=f"a profile whose action {place} is a place that the state measures in the same unit",
                got=f"{told.unit} for the action, and {measured} in {seen.unit} in the state",
                fix="such an action cannot be completed by where the part stands: leave `width` out",
            )


def completed(actions: NDArray[np.float32], state: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the actions with the numbers that they lack, as the state has them.

    Args:
        actions: (horizon, 16 or 22).
        state: measured, (22 or more,), in the units of the actions.
        width: numbers of an action of the robot, 22 or 25.

    Raises:
        PolicyError: widths that do not go together, NaN or infinity.
    """
    return expanded(actions, state[actions.shape[1] : width]).astype(np.float32)


def _numbers(spans: tuple[WireSpan, ...]) -> Iterator[tuple[str, WireSpan]]:
    return ((name, span) for span in spans for name in span.names)


def _scale(span: WireSpan) -> tuple[object, ...]:
    return span.unit, span.wire_unit, span.range, span.wire_range

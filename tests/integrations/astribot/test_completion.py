"""What a model lacks stays where it stands, and nothing but a measured place is completed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vagus.errors import ConfigError
from vagus.features import ActionKind
from vagus.gateways.profile import ActionReference, Profile
from vagus.gateways.profile_file import load_profile
from vagus.integrations.astribot.completion import check_completion, completed

PROFILE = load_profile("astribot_s1", "astribot")


def with_last(**changes: object) -> Profile:
    """Return the profile with another meaning of the chassis' turn."""
    changed = replace(PROFILE.actions[-1], **changes)  # type: ignore[arg-type] # field by field
    return replace(PROFILE, actions=(*PROFILE.actions[:-1], changed))


def test_the_parts_that_a_model_lacks_stay_where_they_stand() -> None:
    state = (np.arange(25) / 8).astype(np.float32)
    whole = completed(np.zeros((3, 16), np.float32), state, 25)
    assert whole.shape == (3, 25)
    assert whole.dtype == np.float32
    for row in whole:
        np.testing.assert_array_equal(row, [*np.zeros(16), *state[16:]])
    assert completed(np.zeros((3, 16), np.float32), state, 22).shape == (3, 22)


@pytest.mark.parametrize("width", [16, 22])
def test_the_shipped_profile_can_be_completed(width: int) -> None:
    check_completion(PROFILE, width)


@pytest.mark.parametrize(
    "profile",
    [
        with_last(kind=ActionKind.VELOCITY, unit="rad/s"),
        with_last(unit="deg"),
        with_last(wire_unit="deg"),
        with_last(reference=ActionReference.RELATIVE),
        with_last(range=(0.0, 1.0), wire_range=(0.0, 2.0)),
        with_last(names=("turn",)),
    ],
)
def test_an_action_that_is_no_measured_place_is_not_completed(profile: Profile) -> None:
    with pytest.raises(ConfigError, match="leave `width` out"):
        check_completion(profile, 22)


@pytest.mark.parametrize("name", ["astribot_s1_16", "astribot_s1_22"])
def test_a_profile_without_more_numbers_has_nothing_to_complete(name: str) -> None:
    profile = load_profile(name, "astribot")
    with pytest.raises(ConfigError, match="width: wanted fewer"):
        check_completion(profile, 22)
